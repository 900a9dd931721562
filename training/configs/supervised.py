"""What the kinds share that change weights on rows that are there: SFT, reward, DPO, KTO; and merging."""

from __future__ import annotations

from dataclasses import dataclass

from training.configs.base import BadConfig, Config, refuse_idle, setting

ADAPTERS = ("lora", "dora")
LORA = ("lora_rank", "lora_alpha", "lora_dropout")
TUNINGS = (*ADAPTERS, "qlora", "prompt", "full")
"""How weights change: an adapter (LoRA, DoRA, LoRA on 4-bit weights), virtual tokens, or the weights themselves."""


@dataclass(frozen=True)
class AdapterConfig(Config):
    """What every kind that trains has; the weights stay, an adapter is trained."""

    tuning: str = setting(
        "lora",
        "What is trained",
        "lora: a small adapter, cheap and usually as good. dora: LoRA with its magnitude apart.",
        choices=ADAPTERS,
    )
    lora_rank: int = setting(16, "LoRA rank", "Size of the adapter.", minimum=1, maximum=512, advanced=True)
    lora_alpha: int = setting(
        32, "LoRA alpha", "Scale of the adapter; twice the rank is usual.", minimum=1, maximum=1024, advanced=True
    )
    precision: str = setting(
        "float32",
        "Precision",
        "bfloat16 is faster where the processor has it.",
        choices=("float32", "bfloat16"),
        advanced=True,
    )
    gradient_checkpointing: bool = setting(
        False,
        "Gradient checkpointing",
        "Less memory for a third more time.",
        advanced=True,
    )
    max_grad_norm: float = setting(
        1.0,
        "Gradient clip",
        "Longest gradient; longer ones are shortened to it.",
        minimum=1e-3,
        maximum=1e6,
        advanced=True,
    )
    max_refused_percent: float = setting(
        0.0,
        "Rows that may be left out",
        "Percent of rows that may be longer than the longest sequence, or have an empty response; such rows are left "
        "out and counted. With more, the run is refused.",
        minimum=0.0,
        maximum=50.0,
        advanced=True,
    )


@dataclass(frozen=True)
class TuningConfig(AdapterConfig):
    """How weights change, where more than an adapter can be trained."""

    tuning: str = setting(
        "lora",
        "What is trained",
        "lora: a small adapter, cheap and usually as good. dora: LoRA with its magnitude apart. qlora: LoRA on 4-bit "
        "weights (CUDA only). prompt: virtual tokens. full: the weights themselves.",
        choices=TUNINGS,
    )
    lora_dropout: float = setting(
        0.0,
        "LoRA dropout",
        "Share of the adapter's inputs that each step leaves out.",
        minimum=0.0,
        maximum=0.9,
        advanced=True,
    )
    prompt_tokens: int = setting(
        16, "Virtual tokens", "How many, where a prompt is trained.", minimum=1, maximum=1024, advanced=True
    )
    freeze_layers: int = setting(
        0,
        "Frozen layers",
        "Of full fine-tuning: this many of the first layers, and the embeddings, stay as they are.",
        minimum=0,
        maximum=1024,
        advanced=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tuning != "full":
            refuse_idle(self, ["freeze_layers"], f"only full fine-tuning freezes layers, and tuning is {self.tuning}")
        if self.tuning != "prompt":
            refuse_idle(self, ["prompt_tokens"], f"only a tuned prompt has virtual tokens, and tuning is {self.tuning}")
        if self.tuning in ("prompt", "full"):
            refuse_idle(self, LORA, f"no adapter is trained, since tuning is {self.tuning}")


@dataclass(frozen=True)
class TrainingConfig(TuningConfig):
    """What the kinds have that take their steps over a snapshot's rows."""

    steps: int = setting(
        40, "Optimizer steps", "One step uses batch size x accumulation rows.", minimum=1, maximum=1_000_000
    )
    batch_size: int = setting(4, "Batch size", "Rows per forward pass.", minimum=1, maximum=4096)
    gradient_accumulation: int = setting(
        1, "Gradient accumulation", "Forward passes per optimizer step.", minimum=1, maximum=4096, advanced=True
    )
    learning_rate: float = setting(
        1e-4,
        "Learning rate",
        "For an adapter; full wants a tenth to a hundredth of it, virtual tokens want 0.01 to 0.3.",
        minimum=1e-9,
        maximum=1.0,
    )
    learning_rate_schedule: str = setting(
        "linear",
        "Schedule",
        "How the learning rate falls after the warm-up.",
        choices=("linear", "cosine", "constant"),
        advanced=True,
    )
    warmup_steps: int = setting(
        0,
        "Warm-up steps",
        "In which the learning rate rises to its height.",
        minimum=0,
        maximum=1_000_000,
        advanced=True,
    )
    weight_decay: float = setting(
        0.0,
        "Weight decay",
        "Share of the weights that each step takes off, times the learning rate.",
        minimum=0.0,
        maximum=1.0,
        advanced=True,
    )
    max_length: int = setting(
        512,
        "Longest sequence",
        "Tokens of prompt and response; longer rows are refused.",
        minimum=8,
        maximum=131_072,
        advanced=True,
    )
    group_by_length: bool = setting(
        True,
        "Group by length",
        "Rows of like length share a batch, so that little is padded; the order stays random.",
        advanced=True,
    )
    checkpoint_every: int = setting(
        10,
        "Checkpoint every",
        "Steps between resumable checkpoints; a crash loses at most this many.",
        minimum=1,
        maximum=100_000,
        advanced=True,
    )
    evaluate_every: int = setting(
        0,
        "Evaluate every",
        "Steps between looks at the held-out rows; 0 for one at the end.",
        minimum=0,
        maximum=1_000_000,
        advanced=True,
    )
    patience: int = setting(
        0,
        "Patience",
        "Stop once this many looks at the held-out rows in a row brought no lower loss, and leave the best of them; "
        "0 for never.",
        minimum=0,
        maximum=1000,
        advanced=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.patience and not self.evaluate_every:
            raise BadConfig("patience", "needs looks at the held-out rows; set evaluate_every")
        if self.patience and self.evaluate_every >= self.steps:
            raise BadConfig("evaluate_every", f"the first look would come after the last of {self.steps} steps")
        if self.warmup_steps >= self.steps and self.warmup_steps:
            raise BadConfig("warmup_steps", f"{self.warmup_steps} leave nothing of the {self.steps} steps")

    @property
    def rows_together(self) -> tuple[str, int]:
        """How many rows go through the model at once, over all processes, and the setting that says so."""
        return "batch_size", self.batch_size


@dataclass(frozen=True)
class PolicyConfig(TrainingConfig):
    """What the kinds have that train what writes, over a snapshot's rows."""

    sample_every: int = setting(
        0,
        "Samples every",
        "Steps between texts that are written to a few prompts, beside those of the model before training; 0 for none.",
        minimum=0,
        maximum=1_000_000,
        advanced=True,
    )


@dataclass(frozen=True)
class SFTConfig(PolicyConfig):
    """Supervised fine-tuning on demonstrations, corrections, accepted responses and talks."""

    demonstrations: bool = setting(True, "Written responses", "Demonstrations and corrections.")
    accepted: bool = setting(
        False, "Accepted responses", "The chosen response of each preference, and those with a thumb up."
    )
    conversations: bool = setting(False, "Conversations", "The answers that people chose, turn by turn.")
    packing: bool = setting(
        False,
        "Packing",
        "Several rows share a sequence, each read by itself, so that nothing is padded.",
        advanced=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.demonstrations or self.accepted or self.conversations):
            raise BadConfig("demonstrations", "choose at least one source of responses")
        if self.packing and self.tuning == "prompt":
            raise BadConfig(
                "packing", "virtual tokens stand in front of each sequence, not of each row in it; leave packing off"
            )


@dataclass(frozen=True)
class RewardConfig(TrainingConfig):
    """Reward model on comparisons, ties, rankings and ratings (Bradley-Terry, Plackett-Luce)."""

    tuning: str = setting(
        "lora",
        "What is trained",
        "lora: a small adapter, cheap and usually as good. dora: LoRA with its magnitude apart. qlora: LoRA on 4-bit "
        "weights (CUDA only). full: the weights themselves.",
        choices=tuple(one for one in TUNINGS if one != "prompt"),
    )
    use_margin: bool = setting(
        True, "Use preference strength", "Each step of strength above the least one asks for a reward gap of 1 more."
    )
    use_rankings: bool = setting(
        True, "Whole rankings", "Learn from a ranking at once (Plackett-Luce), not from its pairs."
    )
    use_ties: bool = setting(
        True, "Ties", "Learn that two responses are equally good (Davidson), where people said so."
    )
    attribute_heads: bool = setting(
        False, "A head for each attribute", "Ratings train a score of their own for each attribute."
    )
    members: int = setting(1, "Members", "Reward models in the ensemble; 4 or 5 are enough.", minimum=1, maximum=16)
    ensemble: str = setting(
        "full",
        "Ensemble of",
        "heads: several heads on one adapter, cheap, of little use as a measure of doubt. full: an adapter each.",
        choices=("heads", "full"),
        advanced=True,
    )
    center_rewards_coefficient: float = setting(
        0.01, "Centring", "Pulls the mean reward to zero.", minimum=0.0, maximum=10.0, advanced=True
    )
    calibrate: bool = setting(
        True, "Calibrate", "Fit a temperature on held-out labels, so that its probabilities can be believed."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.members == 1:
            refuse_idle(self, ["ensemble"], "one member is no ensemble; ask for more members")


NOISY_LOSSES = ("robust", "exo_pair")
"""DPO losses that must be told how many labels are the wrong way round."""

SIMPO_BETA = 1.0
"""The least that makes sense; arXiv:2405.14734 has 2.0 to 10."""

DPO_LOSSES = (
    "sigmoid",
    "ipo",
    "robust",
    "hinge",
    "exo_pair",
    "nca_pair",
    "apo_zero",
    "apo_down",
    "simpo",
    "orpo",
)


@dataclass(frozen=True)
class DPOConfig(PolicyConfig):
    """Direct preference optimisation and its relatives on the snapshot's preferences."""

    loss: str = setting(
        "sigmoid",
        "Loss",
        "sigmoid: DPO itself. ipo: does not run away where all agree. robust, exo_pair: for labels of known noise. "
        "hinge: stops at a gap. nca_pair, apo_zero: raise the chosen response too. apo_down: lowers both. "
        "simpo, orpo: without a reference.",
        choices=DPO_LOSSES,
    )
    beta: float = setting(
        0.1,
        "Beta",
        "How strongly the policy is held to its reference. For simpo the scale of its reward, 2 to 10; for orpo the "
        "weight of the preference.",
        minimum=1e-4,
        maximum=100.0,
    )
    label_noise: float = setting(
        0.0,
        "Label noise",
        "Share of labels that are the wrong way round; robust and exo_pair need it, sigmoid may have it (cDPO).",
        minimum=0.0,
        maximum=0.49,
        advanced=True,
    )
    simpo_gamma: float = setting(
        0.5,
        "SimPO margin",
        "How far simpo wants the chosen reward ahead.",
        minimum=0.0,
        maximum=10.0,
        advanced=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss in NOISY_LOSSES and not self.label_noise:
            raise BadConfig("label_noise", f"the loss {self.loss} needs the share of wrong labels, such as 0.1")
        if self.label_noise and self.loss not in ("sigmoid", *NOISY_LOSSES):
            raise BadConfig("label_noise", f"the loss {self.loss} takes none; leave it at 0 or choose robust")
        if self.loss != "simpo":
            refuse_idle(self, ["simpo_gamma"], f"only simpo has a margin, and the loss is {self.loss}")
        elif self.beta < SIMPO_BETA:
            raise BadConfig(
                "beta",
                f"{self.beta:g} is meant for other losses: simpo's multiplies a mean over tokens, so that its reward "
                "would hardly differ; give 2 to 10, and 2 to begin with",
            )


@dataclass(frozen=True)
class KTOConfig(PolicyConfig):
    """Kahneman-Tversky optimisation on thumbs up and down (arXiv:2402.01306)."""

    beta: float = setting(0.1, "Beta", "How strongly the policy is held to its reference.", minimum=1e-4, maximum=100.0)
    desirable_weight: float = setting(
        1.0,
        "Weight of thumbs up",
        "Times the loss of responses that were liked.",
        minimum=0.0,
        maximum=100.0,
        advanced=True,
    )
    undesirable_weight: float = setting(
        1.0,
        "Weight of thumbs down",
        "Times the loss of responses that were not.",
        minimum=0.0,
        maximum=100.0,
        advanced=True,
    )
    balance: bool = setting(
        True, "Balance thumbs", "Weigh the rarer thumb up, so that both sides count alike.", advanced=True
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size < 2:
            raise BadConfig("batch_size", "KTO needs at least 2 rows in a batch: it compares each with another's KL")


@dataclass(frozen=True)
class MergeConfig(Config):
    """Write a policy's base and adapters as one whole model."""

    precision: str = setting("float32", "Precision", "Of the saved weights.", choices=("float32", "bfloat16"))
