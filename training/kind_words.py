"""What each kind of run is for, in words for people who choose one."""

from __future__ import annotations

from dataclasses import dataclass

from training.models import Run


@dataclass(frozen=True)
class KindWords:
    kind: Run.Kind
    short: str
    """Beside its name in the menu."""
    about: str
    """Above its form."""


@dataclass(frozen=True)
class KindGroup:
    title: str
    kinds: tuple[KindWords, ...]


GROUPS = (
    KindGroup(
        "Learn from people's data",
        (
            KindWords(
                Run.Kind.SFT,
                "a policy, from responses worth imitating",
                "Teach a policy to write what people wrote, corrected or accepted: the response is learned, the "
                "prompt only read.",
            ),
            KindWords(
                Run.Kind.REWARD,
                "what people prefer, as a score",
                "Train a model that scores a response as the people behind a snapshot would.",
            ),
            KindWords(
                Run.Kind.DPO,
                "a policy, straight from preferences",
                "Train a policy straight on a snapshot's preferences, without a reward model.",
            ),
            KindWords(
                Run.Kind.KTO,
                "a policy, from thumbs up and down",
                "Train a policy on single responses that people found good or bad; no pairs are needed.",
            ),
        ),
    ),
    KindGroup(
        "Learn against a reward",
        (
            KindWords(
                Run.Kind.PPO,
                "a policy and its values, held near a reference",
                "Train a policy against a reward: it writes, is scored, and learns token by token, held near its "
                "reference.",
            ),
            KindWords(
                Run.Kind.GRPO,
                "several responses to a prompt, held against their mean",
                "Train a policy against a reward: several responses to each prompt are scored, and those above "
                "their group's mean become likelier.",
            ),
            KindWords(
                Run.Kind.RLOO,
                "as GRPO, each held against the others",
                "Train a policy against a reward: each response to a prompt is held against the mean of the others.",
            ),
            KindWords(
                Run.Kind.ONLINE_DPO,
                "DPO on pairs that the policy writes",
                "Train a policy on pairs that it writes itself while the reward says which one is better.",
            ),
        ),
    ),
    KindGroup(
        "Use models",
        (
            KindWords(
                Run.Kind.SAMPLE,
                "responses of a policy, into a queue",
                "Let a policy answer prompts. The answers become tasks in a queue, where people judge them.",
            ),
            KindWords(
                Run.Kind.SCORE,
                "what a reward model says of each response",
                "Let a reward model score responses, so that curators see where it and people contradict each other.",
            ),
            KindWords(
                Run.Kind.EVALUATE,
                "figures on data that no model saw",
                "Measure how often a model prefers what people preferred, on labels that it never saw; or, with a "
                "judge, how often a policy's answers win against its reference's.",
            ),
            KindWords(
                Run.Kind.MERGE,
                "base and adapters as one whole model",
                "Write a policy's base and adapters as one whole model, to be served or trained on elsewhere.",
            ),
        ),
    ),
)
"""Every kind of run, in the order in which the pages offer them."""

WORDS: dict[str, KindWords] = {one.kind.value: one for group in GROUPS for one in group.kinds}
