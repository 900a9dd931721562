"""What the curves of a run mean: what to look for, and what a bad shape says. docs/metrics.md has the formulas.

One chart may hold several metrics that are read together. Charts stand in the order in which a person should look at
them; `folded` ones are housekeeping.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Series:
    name: str
    """As in metrics.jsonl."""
    label: str


@dataclass(frozen=True)
class Line:
    """A value to hold a curve against."""

    value: float
    label: str


@dataclass(frozen=True)
class Chart:
    title: str
    series: tuple[Series, ...]
    meaning: str
    healthy: str = ""
    trouble: str = ""
    line: Line | None = None
    folded: bool = False

    @property
    def key(self) -> str:
        return self.series[0].name


def one(
    name: str,
    title: str,
    meaning: str,
    healthy: str = "",
    trouble: str = "",
    line: Line | None = None,
    folded: bool = False,
) -> Chart:
    return Chart(title, (Series(name, title),), meaning, healthy, trouble, line, folded)


LEARNING_RATE = one(
    "learning_rate", "Learning rate", "Of the optimizer at this step.", "Follows its schedule.", folded=True
)
GRAD_NORM = one(
    "grad_norm",
    "Gradient norm",
    "Size of the gradient before clipping.",
    "Steady, with single spikes.",
    "Growing without end: lower the learning rate. Zero: nothing is learned; look at the log.",
    folded=True,
)

SECONDS = one("seconds", "Seconds per step", "Wall time of the step.", "Steady.", folded=True)

SFT = (
    Chart(
        "Loss",
        (Series("loss", "training rows"), Series("held_out_loss", "held-out rows")),
        "Mean of -log p over the response tokens, prompts left out, each row by its weight.",
        "Both fall and level off.",
        "Held out rises while training falls: learned by heart; take fewer steps, or set patience. Flat: raise the "
        "learning rate (virtual tokens want 0.01 to 0.3).",
    ),
    Chart(
        "Tokens guessed right",
        (Series("token_accuracy", "training rows"), Series("held_out_token_accuracy", "held-out rows")),
        "Share of response tokens that the model holds for the likeliest, given those before them.",
        "Rises with the loss's fall.",
        "Near 1 on training rows: learned by heart.",
    ),
    LEARNING_RATE,
    GRAD_NORM,
    SECONDS,
)

REWARD = (
    one(
        "loss",
        "Loss",
        "Mean of -log sigmoid(reward of chosen - reward of rejected - margin), with the centring term. The "
        "margin is the preference's strength, if it is used; 0 where nobody said how strong it is (rankings, edits).",
        "Falls and levels off. Without margins a coin has ln 2 = 0.693; with them it starts higher.",
        "Flat: the model cannot tell the two apart; raise the learning rate or look at the labels. "
        "Near 0 within one pass: it has learned the rows by heart.",
    ),
    one(
        "accuracy",
        "Accuracy in the batch",
        "Share of this batch's training pairs whose chosen response gets the higher reward.",
        "Rises above the dashed line. Judge by the held-out figure, not by this one.",
        "Near 1 here and near 0.5 held out: overfitted; take fewer steps or freeze more labels.",
        Line(0.5, "a coin"),
    ),
    one(
        "margin",
        "Margin",
        "Mean reward of chosen less mean reward of rejected.",
        "Grows, then levels off.",
        "Grows without end while held-out accuracy stands still: overconfident. PPO will exploit it.",
        Line(0.0, "no gap"),
    ),
    one(
        "mean_reward",
        "Mean reward",
        "Mean over chosen and rejected.",
        "Stays near 0, held there by centring.",
        "Drifts away: raise the centring coefficient, or PPO's scores are hard to read.",
        Line(0.0, "centred"),
    ),
    LEARNING_RATE,
    GRAD_NORM,
    SECONDS,
)

DPO = (
    one(
        "loss",
        "Loss",
        "-log sigmoid(beta x gap) for DPO itself; the gap is how much more than its reference the policy favours the "
        "chosen side. The other losses are other functions of the same gap.",
        "Starts at ln 2 exactly (hinge, apo: 1; ipo: 1 / (4 beta²)), since policy and reference are the same, and "
        "falls.",
        "Starts elsewhere: policy and reference differ, so the run is broken. "
        "Near 0: learned by heart; DPO gets worse before one pass over the rows is through.",
        Line(math.log(2), "ln 2, the start of DPO itself"),
    ),
    one(
        "rewards_accuracy",
        "Accuracy in the batch",
        "Share of this batch's training pairs whose chosen response has the higher implicit reward.",
        "Rises above the dashed line. Judge by the held-out figure, not by this one.",
        "At 1 within a few steps: the learning rate is too high, or the rows repeat.",
        Line(0.5, "a coin"),
    ),
    one(
        "rewards_margin",
        "Margin",
        "Mean implicit reward of chosen less that of rejected.",
        "Starts at 0 and grows.",
        "Shoots up: beta is too small or the learning rate too high.",
        Line(0.0, "no gap"),
    ),
    Chart(
        "Implicit rewards",
        (Series("rewards_chosen", "chosen"), Series("rewards_rejected", "rejected")),
        "beta x log-ratio of policy to reference, for each side.",
        "Both may fall; the gap between them counts.",
        "Chosen falls as fast as rejected: the policy only forgets. Raise beta or lower the learning rate.",
        Line(0.0, "the reference"),
    ),
    Chart(
        "Log-probabilities",
        (Series("logps_chosen", "chosen"), Series("logps_rejected", "rejected")),
        "Summed log-probability of the responses under the policy.",
        "Rejected falls, chosen holds.",
        "Both fall steeply: the policy drifts to texts that nobody has rated. Stop early.",
    ),
    LEARNING_RATE,
    GRAD_NORM,
    SECONDS,
)

PPO = (
    Chart(
        "Score and reward",
        (Series("score_mean", "score"), Series("reward_mean", "reward")),
        "Score: the mean of what the reward says of this update's responses. Reward: the score less its "
        "penalties and less what the distance from the reference costs; this is what is maximised.",
        "Both rise slowly; the gap between them is the price of unended responses and of the distance.",
        "Score shoots up while texts get odd: the reward model is being exploited. Read the rollouts, raise the KL "
        "coefficient, or stop. Flat: learning rate too low, or all responses are cut off.",
    ),
    one(
        "kl",
        "KL to the reference",
        "Mean over responses of the summed log-ratio of policy to reference, in nats.",
        "0 at the first update, then grows slowly.",
        "A jump, or ever steeper growth: over-optimisation. Raise the KL coefficient or lower the learning rate. "
        "Below 0: too few rollouts per update to measure it.",
        Line(0.0, "the reference"),
    ),
    Chart(
        "Held-out prompts",
        (Series("held_out_score", "score"), Series("held_out_reward", "reward")),
        "The same of prompts of the evaluation split, which are never learned from, at the run's own KL coefficient.",
        "Both rise with the training prompts' own.",
        "Reward falls while the training prompts' rises: over-optimisation. Patience stops there and leaves the best.",
    ),
    one(
        "held_out_kl",
        "KL on held-out prompts",
        "As the KL to the reference, of responses to held-out prompts.",
        "Near the KL on the training prompts.",
        folded=True,
    ),
    one(
        "score_spread",
        "Doubt of the ensemble",
        "Standard deviation of the members' scores of one response, a mean over responses.",
        "Steady.",
        "Grows: the policy goes where the reward models have seen no data. Use the worst member's score, or stop.",
    ),
    Chart(
        "Clip fraction",
        (Series("clip_fraction", "whole update"), Series("clip_fraction_first", "first minibatch")),
        "Share of tokens whose probability ratio left the clip range.",
        "First minibatch 0, whole update below about 0.2.",
        "High: steps too large; lower the learning rate or the number of PPO epochs.",
        Line(0.2, "high"),
    ),
    one(
        "approx_kl",
        "Policy change",
        "Half the mean squared log-ratio between the policy after the update and the one that wrote the rollouts.",
        "Below about 0.02.",
        "Above it for long: lower the learning rate or the number of PPO epochs.",
        Line(0.02, "high"),
    ),
    one(
        "entropy",
        "Entropy",
        "Mean entropy of the next-token distribution, in nats.",
        "Falls a little, then holds.",
        "Goes to 0: the policy says one thing only. Raise the KL coefficient or the temperature.",
        Line(0.0, "collapse"),
    ),
    one(
        "response_length",
        "Response length",
        "Mean tokens of a response.",
        "Moves a little.",
        "Drifts to the limit: the reward model pays for length. Down to a few tokens: it pays for silence.",
    ),
    one(
        "eos_fraction",
        "Ended by themselves",
        "Share of responses that ended before the limit.",
        "High and steady.",
        "Low or falling: raise the limit or the missing-EOS penalty.",
    ),
    one(
        "value_loss",
        "Value loss",
        "Clipped squared error of the value head's predictions.",
        "Falls in the first updates.",
        "Grows: the value head cannot follow the scores; lower the learning rate.",
    ),
    one(
        "policy_loss",
        "Policy loss",
        "Clipped surrogate, per token.",
        "Small and near 0; its trend says little.",
        "",
        Line(0.0, "zero"),
    ),
    one(
        "ratio_mean_first",
        "First ratio",
        "Mean probability ratio in the first minibatch of an update, before any step on these rollouts.",
        "1 throughout.",
        "Anything else: rollout and learning disagree about the same tokens, and the run is broken.",
        Line(1.0, "right"),
        folded=True,
    ),
    one(
        "kl_coef",
        "KL coefficient",
        "Reward units taken per nat.",
        "Constant, or adapted to the KL target.",
        folded=True,
    ),
    LEARNING_RATE,
    GRAD_NORM,
    SECONDS,
)

CHARTS: dict[str, tuple[Chart, ...]] = {"sft": SFT, "reward": REWARD, "dpo": DPO, "ppo": PPO}
"""By run kind; sampling and evaluating take no steps."""

NOT_DRAWN = frozenset({"time", "step"})


def charts_of(kind: str, names: Collection[str] = ()) -> list[Chart]:
    """Return the charts of a run of `kind`, with a plain one for each of `names` that the glossary lacks."""
    known = CHARTS.get(kind, ())
    explained = {series.name for chart in known for series in chart.series} | NOT_DRAWN
    others = [
        one(name, name.replace("_", " ").capitalize(), "", folded=True) for name in names if name not in explained
    ]
    return [*known, *others]


def in_order(kind: str, names: Collection[str]) -> list[str]:
    """Return `names` in the order of the charts, the unexplained ones last."""
    explained = [series.name for chart in CHARTS.get(kind, ()) for series in chart.series]
    return [name for name in explained if name in names] + sorted(set(names) - set(explained) - NOT_DRAWN)
