"""What tables, columns and splits of a snapshot mean, in words; the card and the pages say the same."""

from __future__ import annotations

from collections.abc import Mapping

SPLIT_WORDS: Mapping[str, str] = {
    "train": "Train",
    "evaluation": "Evaluation",
    "holdout": "Hold-out",
    "held_out_people": "Held-out people",
}

USES: Mapping[str, str] = {
    "preference": (
        "`chosen` is better than `rejected`. TRL's `RewardTrainer` and `DPOTrainer` take the rows unchanged. `origin` "
        "says how that is known: `comparison`, `ranking` and `conversation` rows are two responses that a person saw "
        "beside each other; in `edit` and `correction` rows a person wrote `chosen`, to be better than a response. "
        "Nobody compared those two, so leave them out where you measure agreement with people."
    ),
    "ranking": (
        "Several responses in the order that one person gave them. The pairs that follow stand in `preference`. Where "
        "ties were kept, two responses on one rank are a tie of a comparison or in a talk, and `task_kind` says which; "
        "nothing of it stands in `preference`."
    ),
    "rating": "What one person said of one response by itself. Ratings are never turned into pairs.",
    "unpaired": "Thumbs up or down on one response. TRL's `KTOTrainer` takes the rows unchanged.",
    "sft": "Responses that people wrote or corrected. TRL's `SFTTrainer` takes the rows unchanged.",
    "conversation": (
        "Whole talks, going on with the answers that the person chose. TRL's `SFTTrainer` takes the rows unchanged; "
        "the choices stand in `preference`."
    ),
}
MEANINGS: Mapping[str, Mapping[str, str]] = {
    "preference": {
        "prompt": "the chat up to the user's last turn, as messages of role and content",
        "chosen, rejected": "the two responses, each as one assistant message",
        "margin": "strength of the preference, 1.0 slightly to 3.0 by far, the mean over those who agree; 0.0 where "
        "nobody said how strong it is",
        "origin": "comparison, ranking, conversation; edit, correction",
        "group": "rows with the same group are pairs over one prompt from one answer: keep them in one batch",
    },
    "ranking": {
        "prompt": "the chat up to the user's last turn",
        "responses": "each as one assistant message",
        "ranks": "1 = best, equal = tied, null = not rankable",
        "not_rankable": "true where the person said that the response cannot be ranked",
    },
    "rating": {
        "prompt, response": "the chat up to the user's last turn, and one assistant message",
        "ratings": "attribute, value, and the ends of its scale; manifest.json has definitions under `schemas`",
    },
    "unpaired": {
        "prompt, completion": "the chat up to the user's last turn, and one assistant message",
        "label": "true = thumbs up",
        "attribute": "the attribute that asked for the thumb",
    },
    "sft": {"prompt, completion": "the chat up to the user's last turn, and the response that the person wrote"},
    "conversation": {"messages": "the talk", "turns": "how often the person chose"},
}
PROVENANCE: Mapping[str, str] = {
    "judgment_id, annotator": "the judgment and its annotator's pseudonym; null where several judgments are one row",
    "judgments, annotators": "all of them, in the same order, those who were outvoted too",
    "task_id, prompt_id, queue_id, task_kind": "where the row comes from",
    "verdict": "the rule that decided the row: latest, majority, dawid_skene or adjudicated",
    "posterior": "probability of what the row says, by its rule: the share of the votes under majority, the model's "
    "posterior under dawid_skene, 1 where a curator adjudicated; null where the rule gives none",
    "weight": "what the row should count in a loss; 1.0 unless the snapshot has weights",
    "fixed": "true when a reviewer put the answer right",
    "simulated": "true when a rule judged, not a person",
    "propensity": "the probability with which the task's responses were drawn among all on offer",
    "arm, arm_propensity": "why the queue gave the person this task, and the probability of that; empty where several "
    "judgments came about differently",
    "language, source, licence": "of the prompt; empty where nobody said",
    "flags": "what people marked as wrong: flag, kind, and the place of the response among the row's own, from 0 "
    "(chosen = 0, rejected = 1); null = the whole",
}
