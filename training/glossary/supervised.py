"""Curves of the kinds that learn from a snapshot's rows: SFT, reward models, DPO, KTO."""

from __future__ import annotations

import math

from training.glossary.terms import HOUSEKEEPING, Chart, Line, Series, both, sides

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
    *HOUSEKEEPING,
)

REWARD = (
    both(
        "loss",
        "Loss",
        "Mean of -log sigmoid(reward of chosen - reward of rejected - margin), with the centring term. The "
        "margin is the preference's strength, if it is used; 0 where nobody said how strong it is (rankings, edits).",
        "Falls and levels off. Without margins a coin has ln 2 = 0.693; with them it starts higher.",
        "Flat: the model cannot tell the two apart; raise the learning rate or look at the labels. "
        "Near 0 within one pass: it has learned the rows by heart.",
    ),
    both(
        "accuracy",
        "Accuracy in the batch",
        "Share of this batch's training pairs whose chosen response gets the higher reward.",
        "Rises above the dashed line. Judge by the held-out figure, not by this one.",
        "Near 1 here and near 0.5 held out: overfitted; take fewer steps or freeze more labels.",
        Line(0.5, "a coin"),
    ),
    both(
        "margin",
        "Margin",
        "Mean reward of chosen less mean reward of rejected.",
        "Grows, then levels off.",
        "Grows without end while held-out accuracy stands still: overconfident. PPO will exploit it.",
        Line(0.0, "no gap"),
    ),
    both(
        "mean_reward",
        "Mean reward",
        "Mean over chosen and rejected.",
        "Stays near 0, held there by centring.",
        "Drifts away: raise the centring coefficient, or PPO's scores are hard to read.",
        Line(0.0, "centred"),
    ),
    *HOUSEKEEPING,
)

DPO = (
    both(
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
    both(
        "rewards_accuracy",
        "Accuracy in the batch",
        "Share of this batch's training pairs whose chosen response has the higher implicit reward.",
        "Rises above the dashed line. Judge by the held-out figure, not by this one.",
        "At 1 within a few steps: the learning rate is too high, or the rows repeat.",
        Line(0.5, "a coin"),
    ),
    both(
        "rewards_margin",
        "Margin",
        "Mean implicit reward of chosen less that of rejected.",
        "Starts at 0 and grows.",
        "Shoots up: beta is too small or the learning rate too high.",
        Line(0.0, "no gap"),
    ),
    *sides(
        "rewards",
        "Implicit rewards",
        "beta x log-ratio of policy to reference, for each side.",
        "Both may fall; the gap between them counts.",
        "Chosen falls as fast as rejected: the policy only forgets. Raise beta or lower the learning rate.",
        Line(0.0, "the reference"),
    ),
    *sides(
        "logps",
        "Log-probabilities",
        "Summed log-probability of the responses under the policy.",
        "Rejected falls, chosen holds.",
        "Both fall steeply: the policy drifts to texts that nobody has rated. Stop early.",
    ),
    *HOUSEKEEPING,
)

KTO = (
    both(
        "loss",
        "Loss",
        "Mean of 1 - sigmoid(beta x (log-ratio - KL)) for a thumb up, of 1 - sigmoid(beta x (KL - log-ratio)) for a "
        "thumb down, each by its weight (arXiv:2402.01306).",
        "Starts at half the mean weight, since policy and reference are the same, and falls.",
        "Flat: raise the learning rate, or look whether both thumbs are there.",
    ),
    *sides(
        "rewards",
        "Implicit rewards",
        "beta x log-ratio of policy to reference: chosen are the thumbs up, rejected those down.",
        "The two part: up rises or holds, down falls.",
        "Both fall alike: the policy only forgets. Raise beta, or lower the learning rate.",
        Line(0.0, "the reference"),
    ),
    both(
        "kl",
        "KL to the reference",
        "Estimated from responses to other prompts, in nats, never below 0; what single responses are held against.",
        "Small, growing slowly.",
        "Grows fast: the policy drifts as a whole. Raise beta or lower the learning rate.",
        Line(0.0, "the reference"),
    ),
    *sides(
        "logps",
        "Log-probabilities",
        "Summed log-probability of the responses under the policy: chosen are the thumbs up, rejected those down.",
        "Rejected falls, chosen holds.",
        "Both fall steeply: the policy drifts to texts that nobody has rated.",
    ),
    *HOUSEKEEPING,
)
