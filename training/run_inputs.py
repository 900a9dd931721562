"""Write what a run needs into its directory, before its child starts."""

from __future__ import annotations

from feedback.contract import EVALUATION, TRAIN, PromptRow
from feedback.models import Prompt
from feedback.splits import SAMPLED
from training.lineage import check_digests, model_source
from training.models import Run
from training.rundir import BadRunDirectory, ModelSource, RunDirectory, RunSpec, keep_lines
from training.runs import ONLINE
from training.scoring import response_rows


def write_inputs(run: Run) -> RunSpec:
    """Write prompts.jsonl or responses.jsonl, and run.json, once; a later attempt finds them as they were.

    run.json comes last, so where it is, all is there. Raises CheckpointGone, BadRunDirectory, OSError.
    """
    if run.snapshot is not None and run.snapshot.withdrawn_at is not None:
        raise BadRunDirectory(f"The snapshot {run.snapshot} was withdrawn; its files are gone.")
    directory = RunDirectory(run.directory)
    if directory.spec_path.exists():
        return directory.spec()
    spec = RunSpec(
        run_id=str(run.pk),
        kind=run.kind,
        config=run.config,
        policy=source(run, "policy"),
        reward=source(run, "reward"),
        reference=reference(run),
        others=tuple(model_source(other) for other in run.further_models),
        snapshot=str(run.snapshot.directory) if run.snapshot else "",
        snapshot_sha256=run.snapshot.sha256 if run.snapshot else "",
        launch=run.launch,
        needs=run.needs,
        waits_after_preflight=run.waits_after_preflight,
    )
    for checkpoint in filter(None, (run.policy, run.reward, *run.further_models)):
        check_digests(checkpoint)
    directory.path.mkdir(parents=True, exist_ok=True)
    if run.kind == Run.Kind.SAMPLE or run.kind in ONLINE or compares_policies(run):
        keep_lines(directory.prompts_path, [dict(row) for row in prompt_rows(run)])
    if run.kind == Run.Kind.SCORE:
        keep_lines(directory.responses_path, response_rows(run))
    directory.write_spec(spec)
    return spec


def source(run: Run, role: str) -> ModelSource | None:
    checkpoint = getattr(run, role)
    return None if checkpoint is None else model_source(checkpoint)


def compares_policies(run: Run) -> bool:
    """Tell whether the run holds what a policy writes against what its reference writes."""
    return run.kind == Run.Kind.EVALUATE and run.policy is not None and run.reward is not None


def reference(run: Run) -> ModelSource | None:
    """Return the model that an evaluated policy was trained from; None where that is not known."""
    if run.kind != Run.Kind.EVALUATE or run.policy is None or run.policy.parent is None:
        return None
    return model_source(run.policy.parent)


def prompt_rows(run: Run) -> list[PromptRow]:
    """Return the run's prompts in a fixed order; the hold-out's only by id.

    An evaluation's are from the evaluation split unless it names some. ONLINE kinds' are from the train split, and from
    the evaluation split where the run looks at held-out prompts.
    """
    prompts = Prompt.objects.pool().filter(project=run.project).order_by("pk")
    splits = (EVALUATION,) if compares_policies(run) else SAMPLED
    prompts = prompts.filter(pk__in=run.prompt_ids) if run.prompt_ids else prompts.filter(split__in=splits)
    if run.kind in ONLINE:
        looks = run.config.get("evaluate_every", 0) > 0
        prompts = prompts.filter(split__in=[TRAIN, EVALUATION] if looks else [TRAIN])
    return [
        {"prompt_id": str(prompt.pk), "messages": prompt.messages, "split": prompt.split}
        for prompt in prompts.iterator()
    ]
