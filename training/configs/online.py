"""Kinds whose policy writes the responses that it learns from: PPO, GRPO, RLOO, online DPO."""

from __future__ import annotations

from dataclasses import dataclass

from training.configs.base import BadConfig, Settings, refuse_idle, setting
from training.configs.reward_names import check_reward_function
from training.configs.supervised import AdapterConfig, TuningConfig

AGGREGATIONS = ("mean", "worst", "variance")


@dataclass(frozen=True)
class OnlineConfig(Settings):
    """Where the reward comes from, and how responses are written."""

    reward_function: str = setting(
        "",
        "Reward function",
        "Name of a Python function that scores responses, in place of a reward model or added to it.",
        advanced=True,
    )
    reward_aggregation: str = setting(
        "mean",
        "Ensemble's score",
        "mean: of all members. worst: of the least pleased. variance: mean less doubt (arXiv:2310.02743).",
        choices=AGGREGATIONS,
        advanced=True,
    )
    variance_penalty: float = setting(
        0.5,
        "Doubt penalty",
        "Times the members' variance, where the ensemble's score is `variance`.",
        minimum=0.0,
        maximum=100.0,
        advanced=True,
    )
    length_penalty: float = setting(
        0.0,
        "Length penalty",
        "Taken off the score for each 100 tokens of a response.",
        minimum=0.0,
        maximum=1000.0,
        advanced=True,
    )
    missing_eos_penalty: float = setting(
        1.0,
        "Missing-EOS penalty",
        "Taken off the score of a response that was cut off.",
        minimum=0.0,
        maximum=100.0,
        advanced=True,
    )
    max_new_tokens: int = setting(48, "Longest response", "Tokens.", minimum=1, maximum=32_768)
    max_prompt_length: int = setting(
        512, "Longest prompt", "Tokens; longer prompts are refused.", minimum=1, maximum=131_072, advanced=True
    )
    temperature: float = setting(
        0.7, "Temperature", "Of what it writes; lower is nearer to the likeliest words.", minimum=0.01, maximum=5.0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reward_function:
            check_reward_function(self.reward_function)
        if self.reward_aggregation != "variance":
            refuse_idle(self, ["variance_penalty"], "it takes hold where reward_aggregation is variance")


@dataclass(frozen=True)
class PPOConfig(OnlineConfig, AdapterConfig):
    """Proximal policy optimisation against a reward model (arXiv:2403.17031, the N+ implementation details)."""

    updates: int = setting(20, "Updates", "Rollout-and-learn rounds.", minimum=1, maximum=1_000_000)
    batch_size: int = setting(
        8, "Rollouts per update", "Prompts sampled before each update.", minimum=1, maximum=65_536
    )
    minibatch_size: int = setting(
        4, "Minibatch size", "Rollouts per optimizer step; divides the rollouts.", minimum=1, maximum=4096
    )
    gradient_accumulation: int = setting(
        1,
        "Gradient accumulation",
        "Splits a minibatch into this many forward passes.",
        minimum=1,
        maximum=4096,
        advanced=True,
    )
    ppo_epochs: int = setting(2, "PPO epochs", "Passes over each batch of rollouts.", minimum=1, maximum=64)
    learning_rate: float = setting(
        5e-5, "Learning rate", "Higher learns faster and drifts sooner.", minimum=1e-9, maximum=1.0
    )
    kl_coef: float = setting(
        0.05, "KL coefficient", "Reward units per nat of distance from the reference.", minimum=0.0, maximum=10.0
    )
    kl_target: float = setting(
        0.0,
        "KL target",
        "Nats for each response that the KL coefficient is adapted to hold; 0 leaves the coefficient as it is.",
        minimum=0.0,
        maximum=10_000.0,
        advanced=True,
    )
    kl_horizon: int = setting(
        1000,
        "KL horizon",
        "Rollouts in which the coefficient may change by a fifth of itself.",
        minimum=1,
        maximum=100_000_000,
        advanced=True,
    )
    whiten_rewards: bool = setting(
        False, "Scale rewards", "To unit variance over each batch, their mean kept.", advanced=True
    )
    gamma: float = setting(
        1.0,
        "Discount",
        "Of a reward for each token until it comes; 1 for none.",
        minimum=0.0,
        maximum=1.0,
        advanced=True,
    )
    gae_lambda: float = setting(
        0.95,
        "GAE lambda",
        "1 goes by what came of the response, 0 by what the value model expects.",
        minimum=0.0,
        maximum=1.0,
        advanced=True,
    )
    clip_range: float = setting(
        0.2,
        "Policy clip",
        "How far from 1 the ratio to the rollout's policy may be pulled.",
        minimum=1e-3,
        maximum=10.0,
        advanced=True,
    )
    value_clip_range: float = setting(
        0.2, "Value clip", "How far a value may be pulled from the rollout's.", minimum=1e-3, maximum=1e3, advanced=True
    )
    value_model: str = setting(
        "head",
        "Value model",
        "head: a head alone, on what the reward model reads anyway; it starts as the reward model's. own: an adapter "
        "and a head, for nearly twice the work. Where no reward model shares the policy's backbone, the head starts at "
        "zero, on the policy's states or its own adapter's.",
        choices=("head", "own"),
        advanced=True,
    )
    value_coef: float = setting(
        0.1,
        "Value loss weight",
        "Times the loss of the values, beside the policy's.",
        minimum=0.0,
        maximum=10.0,
        advanced=True,
    )
    max_kl: float = setting(
        0.0,
        "Stop above KL of",
        "Nats for each response, a mean over an update: the run ends, and leaves the last policy that was seen within. "
        "0 for never.",
        minimum=0.0,
        maximum=10_000.0,
        advanced=True,
    )
    evaluate_every: int = setting(
        0,
        "Evaluate every",
        "Updates between looks at the reward on held-out prompts; 0 for none.",
        minimum=0,
        maximum=1_000_000,
        advanced=True,
    )
    patience: int = setting(
        0,
        "Patience",
        "Stop once this many looks in a row brought no better reward on held-out prompts; 0 for never.",
        minimum=0,
        maximum=1000,
        advanced=True,
    )
    checkpoint_every: int = setting(
        1, "Checkpoint every", "Updates between resumable checkpoints.", minimum=1, maximum=100_000, advanced=True
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.kl_target:
            refuse_idle(self, ["kl_horizon"], "it takes hold with a kl_target")
        if self.kl_target and not self.kl_coef:
            raise BadConfig("kl_target", "a KL coefficient of 0 stays 0, whatever the target; give both or neither")
        if self.kl_target and self.kl_horizon < self.batch_size:
            raise BadConfig(
                "kl_horizon",
                f"{self.kl_horizon} is less than the {self.batch_size} rollouts of one update, so it could turn "
                f"the coefficient below zero; give at least {self.batch_size}",
            )
        if self.batch_size % self.minibatch_size:
            raise BadConfig("minibatch_size", f"{self.minibatch_size} does not divide the {self.batch_size} rollouts")
        if self.minibatch_size % self.gradient_accumulation:
            raise BadConfig(
                "gradient_accumulation",
                f"{self.gradient_accumulation} does not divide the minibatch of {self.minibatch_size}",
            )
        if self.patience and not self.evaluate_every:
            raise BadConfig("patience", "needs looks at held-out prompts; set evaluate_every")


@dataclass(frozen=True)
class GroupConfig(OnlineConfig, TuningConfig):
    """What the kinds share that compare several responses to one prompt."""

    steps: int = setting(20, "Optimizer steps", "Each writes, is scored and learns.", minimum=1, maximum=1_000_000)
    prompts_per_step: int = setting(4, "Prompts per step", "Each is answered several times.", minimum=1, maximum=65_536)
    gradient_accumulation: int = setting(
        1,
        "Gradient accumulation",
        "Splits a step's prompts into this many forward passes.",
        minimum=1,
        maximum=4096,
        advanced=True,
    )
    learning_rate: float = setting(
        1e-5, "Learning rate", "Higher learns faster and drifts sooner.", minimum=1e-9, maximum=1.0
    )
    checkpoint_every: int = setting(
        5, "Checkpoint every", "Steps between resumable checkpoints.", minimum=1, maximum=100_000, advanced=True
    )
    sample_every: int = setting(
        0,
        "Samples every",
        "Steps between texts that are written to a few prompts, beside those of the model before training; 0 for none.",
        minimum=0,
        maximum=1_000_000,
        advanced=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prompts_per_step % self.gradient_accumulation:
            raise BadConfig(
                "gradient_accumulation",
                f"{self.gradient_accumulation} does not divide the {self.prompts_per_step} prompts of a step",
            )

    @property
    def rows_together(self) -> tuple[str, int]:
        """How many rows go through the trainer at once, over all processes, and the setting that says so.

        A row is a prompt; where a kind answers each several times for itself, it is a response.
        """
        return "prompts_per_step", self.prompts_per_step // self.gradient_accumulation


@dataclass(frozen=True)
class ClippedConfig(GroupConfig):
    """What the kinds share that may take several steps on one set of responses."""

    responses_per_prompt: int = setting(
        4, "Responses per prompt", "That are held against each other.", minimum=2, maximum=256
    )
    passes: int = setting(
        1,
        "Passes",
        "Optimizer steps on each set of responses; each counts as a step.",
        minimum=1,
        maximum=64,
        advanced=True,
    )
    clip_range: float = setting(
        0.2,
        "Policy clip",
        "How far the policy may move on one set of responses; takes hold with more than one pass.",
        minimum=1e-3,
        maximum=10.0,
        advanced=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.passes == 1:
            refuse_idle(self, ["clip_range"], "it takes hold with more passes than one")

    @property
    def rows_together(self) -> tuple[str, int]:
        setting_name, prompts = super().rows_together
        return setting_name, prompts * self.responses_per_prompt


@dataclass(frozen=True)
class GRPOConfig(ClippedConfig):
    """Group-relative policy optimisation (arXiv:2402.03300), by TRL's GRPOTrainer."""

    kl_coef: float = setting(
        0.04, "KL coefficient", "Weight of the distance from the reference.", minimum=0.0, maximum=10.0
    )
    loss: str = setting(
        "dapo",
        "Loss",
        "dapo and dr_grpo do not favour long responses; grpo is the paper's.",
        choices=("grpo", "dr_grpo", "dapo", "bnpo", "cispo"),
        advanced=True,
    )
    scale_rewards: bool = setting(
        True, "Scale by the group's spread", "Divide advantages by the group's standard deviation.", advanced=True
    )


@dataclass(frozen=True)
class RLOOConfig(ClippedConfig):
    """REINFORCE with a leave-one-out baseline (arXiv:2402.14740), by TRL's RLOOTrainer."""

    kl_coef: float = setting(
        0.05, "KL coefficient", "Reward units per nat of distance from the reference.", minimum=0.0, maximum=10.0
    )


@dataclass(frozen=True)
class OnlineDPOConfig(GroupConfig):
    """DPO on pairs that the policy writes and the reward decides (arXiv:2402.04792)."""

    beta: float = setting(0.1, "Beta", "How strongly the policy is held to its reference.", minimum=1e-4, maximum=100.0)
    loss: str = setting(
        "sigmoid",
        "Loss",
        "sigmoid: DPO itself. ipo: does not run away where all pairs agree.",
        choices=("sigmoid", "ipo"),
        advanced=True,
    )
