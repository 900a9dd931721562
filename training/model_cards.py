"""The card of a checkpoint: a README.md for people, whose header tells a hub what it is.

Made from what is on record when it is asked for, so it holds no figure that nobody measured and is never out of date.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from feedback import snapshot_card
from feedback.snapshot_card import counted, quoted, ranged, table_of
from training.lineage import Lineage, lineage
from training.models import Checkpoint, Run
from training.reading import settings_of
from training.registry import licence_of

FEW_LABELS = 100
"""With fewer held-out labels than this an interval is too wide to choose between models."""
ONLINE_KINDS = (Run.Kind.PPO, Run.Kind.GRPO, Run.Kind.RLOO, Run.Kind.ONLINE_DPO)


def model_card(checkpoint: Checkpoint) -> str:
    """Return the card: what it is, how to load it, data with people's agreement, training, evaluation, limits."""
    origin = lineage(checkpoint)
    parts = [header(checkpoint, origin), f"# {checkpoint.name}", opening(checkpoint, origin)]
    if checkpoint.note:
        parts.append(checkpoint.note)
    parts += ["## How to load it", loading(checkpoint, origin), "## Where it comes from", ancestry(checkpoint, origin)]
    parts += ["## What it learned from", data(checkpoint, origin)]
    if checkpoint.run is not None:
        parts += ["## How it was trained", training(checkpoint.run)]
    parts += ["## Evaluation", evaluation(checkpoint), "## Known limits", limits(checkpoint, origin)]
    return "\n\n".join(parts) + "\n"


def header(checkpoint: Checkpoint, origin: Lineage) -> str:
    """Return the YAML block that hubs read."""
    is_reward = checkpoint.kind == Checkpoint.Kind.REWARD
    lines = ["---", f"library_name: {'transformers' if checkpoint.is_whole else 'peft'}"]
    lines += [f"pipeline_tag: {'text-classification' if is_reward else 'text-generation'}"]
    licence = licence_of(checkpoint, origin.ancestors)
    if licence:
        lines += [f"license: {quoted(licence.lower())}"]
    if origin.ancestors:
        lines += ["base_model:", f"- {quoted(origin.ancestors[-1].name)}"]
    languages = sorted(one for one in manifest_counts(origin).get("languages", {}) if one)
    if languages:
        lines += ["language:", *(f"- {quoted(one)}" for one in languages)]
    lines += ["tags:", "- concord", *([f"- {checkpoint.run.kind}"] if checkpoint.run else [])]
    if is_reward:
        lines += ["- reward-model"]
    if has_simulated(origin):
        lines += ["- simulated"]
    return "\n".join([*lines, "---"])


def opening(checkpoint: Checkpoint, origin: Lineage) -> str:
    made = f"of the project {checkpoint.project.name}"
    if checkpoint.run is None:
        whence = f" from {checkpoint.origin}" if checkpoint.origin else ""
        said = f"A {checkpoint.get_kind_display().lower()}{whence}, used in the project {checkpoint.project.name}."
    else:
        form = "whole model" if checkpoint.is_whole else "adapter"
        said = (
            f"A {checkpoint.get_kind_display().lower()} {made}, left by a run of kind "
            f"{checkpoint.run.get_kind_display()} after {checkpoint.step:,} step{'' if checkpoint.step == 1 else 's'}. "
            f"Its files are {'a' if checkpoint.is_whole else 'an'} {form}."
        )
    licence = licence_of(checkpoint, origin.ancestors)
    said += f" Licence of the weights: {licence}." if licence else " **Nobody has stated the licence of the weights.**"
    return f"{said}\n\nsha256 over its files: `{checkpoint.sha256 or 'not known'}`"


def loading(checkpoint: Checkpoint, origin: Lineage) -> str:
    is_reward = checkpoint.kind == Checkpoint.Kind.REWARD
    auto = "AutoModelForSequenceClassification" if is_reward else "AutoModelForCausalLM"
    labels = ", num_labels=1" if is_reward else ""
    if checkpoint.is_whole or checkpoint.parent_id is None:
        return (
            f"```python\nfrom transformers import AutoTokenizer, {auto}\n\n"
            f'model = {auto}.from_pretrained("path/to/{checkpoint.name}"{labels})\n'
            f'tokenizer = AutoTokenizer.from_pretrained("path/to/{checkpoint.name}")\n```'
        )
    below = adapters_below(origin)
    whole = next((one for one in origin.ancestors if one.is_whole or one.parent_id is None), checkpoint)
    lines = [
        "```python",
        "from peft import PeftModel",
        f"from transformers import AutoTokenizer, {auto}",
        "",
        f'model = {auto}.from_pretrained("path/to/{whole.name}"{labels})',
        *(f'model = PeftModel.from_pretrained(model, "path/to/{one.name}").merge_and_unload()' for one in below),
        f'model = PeftModel.from_pretrained(model, "path/to/{checkpoint.name}")',
        f'tokenizer = AutoTokenizer.from_pretrained("path/to/{whole.name}")',
        "```",
    ]
    return "\n".join(lines)


def adapters_below(origin: Lineage) -> list[Checkpoint]:
    """Return the adapters between it and the whole model that it stands on, the oldest first."""
    found: list[Checkpoint] = []
    for one in origin.ancestors:
        if one.is_whole or one.parent_id is None:
            break
        found.append(one)
    return found[::-1]


def ancestry(checkpoint: Checkpoint, origin: Lineage) -> str:
    rows = [
        (
            one.name,
            one.get_kind_display(),
            one.run.get_kind_display() if one.run else "from outside",
            f"`{one.sha256[:12]}`" if one.sha256 else "not known",
        )
        for one in [*reversed(origin.ancestors), checkpoint]
    ]
    return table_of(("model", "kind", "made by", "sha256"), rows)


def manifest_counts(origin: Lineage) -> Mapping[str, Any]:
    return origin.snapshot.manifest.get("counts", {}) if origin.snapshot else {}


def has_simulated(origin: Lineage) -> bool:
    annotators = origin.snapshot.manifest.get("annotators", []) if origin.snapshot else []
    return any(one.get("simulated") for one in annotators)


def data(checkpoint: Checkpoint, origin: Lineage) -> str:
    """Return what the card of its snapshot says of the labels and of how far people agree."""
    snapshot = origin.snapshot
    if snapshot is None:
        if checkpoint.run is None:
            return "Nothing of this project: its training is told where it comes from."
        if (judge := checkpoint.run.reward) is not None and judge.origin:
            return f"It learned through the reward model {judge.name} from {judge.origin}; nothing of this project."
        return "It names no snapshot of human feedback."
    counts = manifest_counts(origin)
    lines = [
        f"The snapshot `{snapshot.sha256}` of the project. {snapshot_card.opening(snapshot.manifest)}",
        f"Languages of the prompts: {counted(counts.get('languages', {}))}. "
        f"Licences of the texts: {counted(counts.get('licences', {}))}.",
    ]
    reward = checkpoint.run.reward if checkpoint.run else None
    if reward is not None:
        lines.append(f"It learned from these labels through the reward model {reward.name}.")
    if snapshot.manifest.get("figures"):
        lines.append(snapshot_card.figures(snapshot.manifest))
    else:
        lines.append("How far people agree was not measured when the snapshot was frozen.")
    return "\n\n".join(lines)


def training(run: Run) -> str:
    """Return everything that it takes to run it again."""
    rows = [(one.label, str(one.value)) for one in settings_of(run)]
    environment = run.environment or {}
    if commit := environment.get("commit"):
        rows.append(("git commit of Concord", f"{commit}{', with changes' if environment.get('changed') else ''}"))
    rows += [(name, str(environment[name])) for name in ("device", "processes", "threads") if environment.get(name)]
    rows += [(name, str(number)) for name, number in (environment.get("versions") or {}).items() if number]
    rows += [(name, run.launch[name]) for name in ("launcher", "sharding") if name in run.launch]
    said = f"A run of kind {run.get_kind_display()} (`{run.pk}`)."
    return f"{said}\n\n{table_of(('setting', 'value'), rows)}"


def evaluation(checkpoint: Checkpoint) -> str:
    """Return the figures of its own run, then those of the evaluations since, each with its n."""
    parts = []
    if rows := list(figure_rows(checkpoint.evaluation)):
        parts.append(table_of(("at the end of its training", "value"), rows))
    for run in evaluations(checkpoint):
        if rows := list(figure_rows(run.outcome.get("evaluation", {}))):
            on = f" on the snapshot `{run.snapshot.sha256[:12]}`" if run.snapshot else ""
            parts.append(table_of((f"{run.name}{on}", "value"), rows))
    return "\n\n".join(parts) or "It has not been evaluated."


def evaluations(checkpoint: Checkpoint) -> list[Run]:
    """Return the evaluate runs of it that ended well, the newest first."""
    runs = checkpoint.runs_as_reward if checkpoint.kind == Checkpoint.Kind.REWARD else checkpoint.runs_as_policy
    return list(runs.filter(kind=Run.Kind.EVALUATE, state=Run.State.SUCCEEDED).select_related("snapshot"))


def figure_rows(figures: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, str]]:
    """Yield a name and a value for each figure; a group of figures is told with the name of the group."""
    if figures.get("accuracy") is not None and figures.get("low") is not None:
        interval = {"value": figures["accuracy"], "low": figures["low"], "high": figures["high"]}
        yield f"{within}accuracy, percent", f"{ranged(interval, percent=True)} of {figures.get('n', '?')}"
    told = {"accuracy", "low", "high", "n"} if figures.get("low") is not None else set()
    for name, value in figures.items():
        words = f"{within}{name.replace('_', ' ')}"
        if name in told or value is None or isinstance(value, list):
            continue
        if isinstance(value, Mapping):
            yield from figure_rows(value, f"{words}: ")
        else:
            yield words, f"{value:.4g}" if isinstance(value, float) else str(value)


def limits(checkpoint: Checkpoint, origin: Lineage) -> str:
    """Return what a reader must not take for granted."""
    figures, lines = checkpoint.evaluation or {}, []
    if not figures and not evaluations(checkpoint):
        lines.append("- It has not been evaluated: nothing is known of how good it is.")
    if (n := figures.get("n")) is not None and figures.get("accuracy") is not None:
        if n < FEW_LABELS:
            lines.append(f"- Its accuracy comes from {n} held-out labels, too few to choose between models.")
        if figures.get("low", 0) <= 0.5 <= figures.get("high", 1):
            lines.append("- On these labels it cannot be told from a coin.")
    if checkpoint.run is not None and checkpoint.run.kind in ONLINE_KINDS:
        lines.append(
            "- It was trained towards a score. A higher score is not what people prefer: past some distance from the "
            "reference it gets worse for them while the score still climbs. Let people compare it."
        )
    if checkpoint.kind == Checkpoint.Kind.REWARD:
        lines.append(
            "- Its scores compare responses to one prompt. The zero and the unit mean nothing, and on texts unlike "
            "those that it learned from it may be wrong with confidence."
        )
    if checkpoint.kind == Checkpoint.Kind.POLICY:
        lines.append("- It can write what is false, unkind or dangerous. Nothing here has tested that it does not.")
    if origin.snapshot is not None:
        languages = [one for one in manifest_counts(origin).get("languages", {}) if one]
        if languages:
            lines.append(f"- Its labels are about prompts in {', '.join(sorted(languages))}; for others it is untried.")
        lines += [
            "- Of its data:",
            *(f"  {line}" for line in snapshot_card.limits(origin.snapshot.manifest).splitlines()),
        ]
        if origin.snapshot.withdrawn_at is not None:
            lines.append("- The snapshot that it learned from was withdrawn since.")
    if checkpoint.run is None:
        lines.append("- What it was trained on, and how, is told where it comes from.")
    return "\n".join(lines)
