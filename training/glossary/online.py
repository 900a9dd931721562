"""Curves of the kinds whose policy writes what it learns from: PPO, GRPO, RLOO, online DPO."""

from __future__ import annotations

import math

from training.glossary.terms import HOUSEKEEPING, Chart, Line, Series, one

SCORE = Chart(
    "Score and reward",
    (Series("score_mean", "score"), Series("reward_mean", "reward")),
    "Score: the mean of what the reward says of this update's responses. Reward: the score less its "
    "penalties and less what the distance from the reference costs; this is what is maximised.",
    "Both rise slowly; the gap between them is the price of unended responses and of the distance.",
    "Score shoots up while texts get odd: the reward model is being exploited. Read the rollouts, raise the KL "
    "coefficient, or stop. Flat: learning rate too low, or all responses are cut off.",
)
KL = one(
    "kl",
    "KL to the reference",
    "Mean over responses of the summed log-ratio of policy to reference, in nats.",
    "0 at the first update, then grows slowly.",
    "A jump, or ever steeper growth: over-optimisation. Raise the KL coefficient or lower the learning rate. "
    "Below 0: too few rollouts per update to measure it.",
    Line(0.0, "the reference"),
)
DOUBT = one(
    "score_spread",
    "Doubt of the ensemble",
    "Standard deviation of the members' scores of one response, a mean over responses.",
    "Steady.",
    "Grows: the policy goes where the reward models have seen no data. Use the worst member's score, or stop.",
)
ENTROPY = one(
    "entropy",
    "Entropy",
    "Mean entropy of the next-token distribution, in nats.",
    "Falls a little, then holds.",
    "Goes to 0: the policy says one thing only. Raise the KL coefficient or the temperature.",
    Line(0.0, "collapse"),
)
RESPONSE_LENGTH = one(
    "response_length",
    "Response length",
    "Mean tokens of a response.",
    "Moves a little.",
    "Drifts to the limit: the reward model pays for length. Down to a few tokens: it pays for silence.",
)
EOS_FRACTION = one(
    "eos_fraction",
    "Ended by themselves",
    "Share of responses that ended before the limit.",
    "High and steady.",
    "Low or falling: raise the limit or the missing-EOS penalty.",
)
SPREAD = one(
    "reward_spread",
    "Spread within a group",
    "Standard deviation of the rewards of the responses to one prompt, a mean over prompts.",
    "Well above 0.",
    "Goes to 0: all responses to a prompt are alike or score alike, and nothing is learned. Raise the temperature.",
)
ALIKE = one(
    "alike_fraction",
    "Groups without a difference",
    "Share of prompts whose responses all got the same reward: they teach nothing.",
    "Low.",
    "Near 1: the reward tells nothing apart, or the policy writes one thing only.",
    Line(1.0, "nothing to learn"),
)
CLIPPED = one(
    "clip_fraction",
    "Clip fraction",
    "Share of tokens whose probability ratio left the clip range.",
    "0 while each batch is learned from once; below about 0.2 otherwise.",
    "High: steps too large; lower the learning rate.",
    Line(0.2, "high"),
)
LENGTHS = (RESPONSE_LENGTH, EOS_FRACTION)


def group_loss(meaning: str, healthy: str, trouble: str = "", line: Line | None = None) -> Chart:
    return one("loss", "Loss", meaning, healthy, trouble, line)


PPO = (
    SCORE,
    KL,
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
    DOUBT,
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
    ENTROPY,
    RESPONSE_LENGTH,
    EOS_FRACTION,
    one(
        "value_loss",
        "Value loss",
        "Clipped squared error of the value head, which foretells before each token what reward is still to come. It "
        "starts as the reward model's score, or at zero where no reward model shares the policy's backbone.",
        "Falls in the first updates; from zero it begins higher.",
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
    *HOUSEKEEPING,
)

GRPO = (
    SCORE,
    KL,
    SPREAD,
    ALIKE,
    ENTROPY,
    *LENGTHS,
    CLIPPED,
    group_loss(
        "Clipped surrogate of the advantages within each group, and the KL coefficient times the KL.",
        "Near 0; its trend says little. Judge by the score and the texts.",
        line=Line(0.0, "zero"),
    ),
    *HOUSEKEEPING,
)

RLOO = (
    SCORE,
    KL,
    SPREAD,
    ALIKE,
    ENTROPY,
    *LENGTHS,
    CLIPPED,
    group_loss(
        "Minus the advantage over the mean of the other responses, times the log-probability; the KL is in the reward.",
        "Near 0; its trend says little. Judge by the score and the texts.",
        line=Line(0.0, "zero"),
    ),
    *HOUSEKEEPING,
)

ONLINE_DPO = (
    SCORE,
    KL,
    group_loss(
        "DPO's loss on the pair that the policy has just written, the better one by the reward.",
        "Starts at ln 2 and stays near: every pair is new, and policy and reference differ little.",
        "Far below ln 2: the policy has left its reference; raise beta.",
        Line(math.log(2), "ln 2, the start"),
    ),
    one(
        "rewards_accuracy",
        "Pairs it is right about",
        "Share of the pairs whose better response, by the reward, has the higher implicit reward of the policy.",
        "Near the dashed line at first, then slowly up.",
        "Below it for long: the steps are too large; lower the learning rate.",
        Line(0.5, "a coin"),
    ),
    one(
        "rewards_margin",
        "Margin",
        "Mean implicit reward of the better response less that of the worse one.",
        "Starts at 0 and grows slowly.",
        "Shoots up: beta is too small or the learning rate too high.",
        Line(0.0, "no gap"),
    ),
    one(
        "reward_gap",
        "Gap within a pair",
        "Mean size of the difference between the rewards of the two responses to a prompt.",
        "Well above 0.",
        "Goes to 0: both responses are alike or score alike, and nothing is learned. Raise the temperature.",
    ),
    ALIKE,
    ENTROPY,
    *LENGTHS,
    *HOUSEKEEPING,
)
