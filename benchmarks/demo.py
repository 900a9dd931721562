"""One turn of the loop, headless: `make demo`.

Starts a site of its own (temporary database and data directory, a free port), then works from outside, as a client of
the HTTP API: import prompts, sample from the base model, compare by two simulated annotators, let them answer a few
tasks of other kinds and talk with the base model, freeze a snapshot, train a reward model, PPO and DPO, evaluate on
held-out labels, and sample from the new policy into a fresh queue.

Prints what it does, then a table, then one JSON line. Every figure is read from the API of the running site; nothing is
assumed. Any failure ends it with a message and exit status 1. The labels come from rules (feedback/simulation.py,
feedback/simulated_answers.py), so the figures show that the machinery works end to end; they say nothing about what
people prefer.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.own_site import OwnSite, SiteFailed, base_model
from feedback.first_guidelines import FIRST_GUIDELINES
from feedback.schemas import TaskKind, check_schema
from feedback.simulated_answers import next_words, simulated_answer
from feedback.simulation import RULES, preference

ROOT = Path(__file__).resolve().parent.parent

PROJECT = "demo"
PROMPTS = ROOT / "feedback" / "demo" / "prompts.jsonl"
GUIDELINES = ROOT / "feedback" / "demo" / "guidelines.md"
PILOT = "pilot"
OTHER_KINDS = (TaskKind.RATING, TaskKind.DEMONSTRATION, TaskKind.CORRECTION)
"""Kinds of task besides comparisons that two responses to a prompt are enough for."""


@dataclass(frozen=True)
class Sizes:
    """How much of everything: the default fits 15 minutes on two idle cores with SmolLM2-135M."""

    prompts: int | None = None
    """How many prompts to sample first; None for all."""
    new_prompts: int = 12
    """How many prompts the new policy answers."""
    talks: int = 1
    """How many talks every simulated annotator holds."""
    other_answers: int = 6
    """How many tasks of each other kind every simulated annotator answers."""
    sample: dict[str, Any] = field(
        default_factory=lambda: {"temperatures": [0.3, 1.0], "max_new_tokens": 64, "batch_size": 8}
    )
    reward: dict[str, Any] = field(
        default_factory=lambda: {"steps": 48, "batch_size": 4, "learning_rate": 3e-4, "lora_rank": 8, "lora_alpha": 16}
    )
    dpo: dict[str, Any] = field(
        default_factory=lambda: {"steps": 20, "batch_size": 4, "learning_rate": 2e-4, "lora_rank": 8, "lora_alpha": 16}
    )
    ppo: dict[str, Any] = field(
        default_factory=lambda: {
            "updates": 4,
            "batch_size": 8,
            "minibatch_size": 4,
            "ppo_epochs": 2,
            "learning_rate": 3e-4,
            "max_new_tokens": 48,
            "lora_rank": 8,
            "lora_alpha": 16,
        }
    )


POLL_SECONDS = 1.0
ANSWER_SECONDS = 180
TURNS = 2
"""Turns of a simulated annotator's talk."""


class DemoFailed(Exception):
    """The turn could not be finished; the message says where and why."""


@dataclass
class Client:
    """The API of the running site, for one token."""

    http: httpx.Client
    token: str = ""

    def call(self, method: str, path: str, *, expect: tuple[int, ...] = (200, 201), **kwargs: Any) -> httpx.Response:
        headers = {"Authorization": f"Token {self.token}"} if self.token else {}
        answer = self.http.request(method, f"/api/v1/{path}", headers=headers, **kwargs)
        if answer.status_code not in expect:
            raise DemoFailed(f"{method} /api/v1/{path} answered {answer.status_code}: {answer.text[:800]}")
        return answer

    def get(self, path: str, **params: Any) -> Any:
        return self.call("GET", path, params=params).json()

    def post(self, path: str, values: Any = None) -> Any:
        return self.call("POST", path, json=values or {}).json()

    def every(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """Return all rows of a paginated list."""
        rows: list[dict[str, Any]] = []
        while True:
            page = self.get(path, limit=200, offset=len(rows), **params)
            rows += page["results"]
            if len(rows) >= page["count"] or not page["results"]:
                return rows


@dataclass
class Annotator:
    """A simulated annotator: claims, answers what it is shown by its rule, submits."""

    client: Client
    rule: str
    seed: int
    labels: int = 0
    ties: int = 0
    seconds: list[float] = field(default_factory=list)

    def label(self, queue: str, at_most: int | None = None) -> int:
        """Label until the queue offers nothing, or `at_most` are done; return how many."""
        done = 0
        while at_most is None or done < at_most:
            started = time.monotonic()
            answer = self.client.call("POST", f"queues/{queue}/claim/", expect=(200, 204))
            if answer.status_code == 204:
                break
            task = answer.json()
            schema = check_schema(task["kind"], task["schema"])
            if task["kind"] == TaskKind.CONVERSATION:
                self.talk(task)
            texts = [response["text"] for response in task["responses"]]
            said = simulated_answer(RULES[self.rule], schema, task["prompt"]["messages"], texts, seed=self.seed)
            self.client.post(
                f"assignments/{task['assignment']}/submit/",
                {
                    "lease_token": task["lease_token"],
                    "submission_id": str(uuid.uuid4()),
                    "answer": said,
                    "rationale": "",
                    "flags": [],
                    "active_seconds": round(time.monotonic() - started, 3),
                },
            )
            self.seconds.append(time.monotonic() - started)
            self.labels += 1
            self.ties += said.get("preference") == 0
            done += 1
        return done

    def talk(self, task: dict[str, Any]) -> None:
        """Choose at every turn and go on from the choice, for TURNS turns; the prompt is the first one."""
        path, lease = f"assignments/{task['assignment']}/talk/", {"lease_token": task["lease_token"]}
        messages = list(task["prompt"]["messages"])
        for number in range(1, TURNS + 1):
            first, second = self.answers(path, number)
            step = preference(RULES[self.rule], messages, first, second, seed=self.seed)
            turn = self.client.post(f"{path}choose/", {**lease, "number": number, "preference": step})
            answer = turn["answers"][turn["went_on_with"]]["text"]
            if number == TURNS or not answer.strip():
                return
            words = next_words(messages, answer)
            messages += [{"role": "assistant", "content": answer}, {"role": "user", "content": words}]
            self.client.post(f"{path}say/", {**lease, "number": number + 1, "text": words})

    def answers(self, path: str, number: int) -> list[str]:
        """Wait until turn `number` has its two answers and return them."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < deadline:
            turn = self.client.get(path)["turns"][number - 1]
            if turn["state"] == "failed":
                raise DemoFailed(f"Turn {number} of a talk has got no answers; the site's log says why")
            if turn["answers"]:
                return [answer["text"] for answer in turn["answers"]]
            time.sleep(POLL_SECONDS / 2)
        raise DemoFailed(f"Turn {number} of a talk had no answers after {ANSWER_SECONDS} s")


def say(text: str) -> None:
    print(f"[{time.monotonic() - STARTED:6.0f} s] {text}", flush=True)


def wait_for_run(client: Client, run_id: str, *, while_waiting: Any = None) -> dict[str, Any]:
    """Poll a run until it ends, saying when its phase changes; raise DemoFailed unless it succeeded."""
    said = ""
    while True:
        run = client.get(f"runs/{run_id}/")
        progress = run.get("progress") or {}
        total = progress.get("total") or 0
        tenth = f"{10 * progress.get('done', 0) // total * 10} %" if total else ""
        now = f"{run['state']} {progress.get('phase', '')} {tenth}".strip()
        if now != said:
            say(f"  {run['kind']}: {now}")
            said = now
        if while_waiting is not None:
            while_waiting()
        if run["state"] == "succeeded":
            return run
        if run["state"] in ("failed", "cancelled"):
            raise DemoFailed(f"The {run['kind']} run ended as {run['state']}: {run.get('error') or 'no message'}")
        time.sleep(POLL_SECONDS)


def train(client: Client, kind: str, config: dict[str, Any], **inputs: Any) -> dict[str, Any]:
    """Start a run, wait for it, and return it with its `metrics`."""
    say(f"Starting the {kind} run ...")
    run = client.post(f"projects/{PROJECT}/runs/", {"kind": kind, "config": config, **inputs})
    run = wait_for_run(client, run["id"])
    run["metrics"] = metrics_of(client, run["id"])
    return run


def metrics_of(client: Client, run_id: str) -> list[dict[str, Any]]:
    """Return every step's metrics; raises DemoFailed when a step is missing or there twice."""
    rows: list[dict[str, Any]] = []
    while True:
        page = client.get(f"runs/{run_id}/metrics/", after=rows[-1]["step"] if rows else 0)
        rows += [{"step": row["step"], **row["values"]} for row in page["results"]]
        if not page["more"]:
            break
    steps = [row["step"] for row in rows]
    if steps != list(range(1, len(steps) + 1)):
        raise DemoFailed(f"The steps of run {run_id} have a gap or a repeat: {steps}")
    return rows


def seconds_per_step(metrics: list[dict[str, Any]]) -> float | None:
    """Return the mean wall time between the first and the last step; None for fewer than two steps."""
    if len(metrics) < 2:
        return None
    return round((metrics[-1]["time"] - metrics[0]["time"]) / (len(metrics) - 1), 2)


def ends(metrics: list[dict[str, Any]], name: str) -> list[float | None]:
    """Return the first and the last step's value of one metric."""
    if not metrics:
        raise DemoFailed(f"A run left no metrics; {name} was expected")
    if name not in metrics[0]:
        raise DemoFailed(f"There is no metric {name}; there are {', '.join(sorted(metrics[0]))}")
    return [metrics[0][name], metrics[-1][name]]


def checkpoint_of(client: Client, run: dict[str, Any]) -> dict[str, Any]:
    """Return the checkpoint that a training run left, with its lineage."""
    if not run["checkpoint"]:
        raise DemoFailed(f"The {run['kind']} run succeeded but left no checkpoint")
    checkpoint: dict[str, Any] = client.get(f"checkpoints/{run['checkpoint']}/")
    return checkpoint


def freeze(client: Client, values: dict[str, Any]) -> dict[str, Any]:
    """Freeze a snapshot, waiting for the clerk where the request did not take the time."""
    answer = client.call("POST", f"projects/{PROJECT}/snapshots/", json=values, expect=(201, 202))
    found: dict[str, Any] = answer.json()
    if answer.status_code == 201:
        return found
    while found["state"] in ("queued", "running"):
        time.sleep(0.5)
        found = client.get(f"jobs/{found['id']}/")
    if found["state"] != "succeeded":
        raise DemoFailed(f"The freeze {found['state']}: {found['error']}")
    snapshot: dict[str, Any] = client.get(f"snapshots/{found['result']['snapshot']}/")
    return snapshot


def turn(client: Client, http: httpx.Client, prompts: Path, sizes: Sizes) -> dict[str, Any]:
    """Make one turn of the loop and return what the JSON line says."""
    say("Importing prompts ...")
    with open(prompts, "rb") as file:
        report = client.call("POST", f"projects/{PROJECT}/prompts/import/", files={"file": (prompts.name, file)}).json()
    with open(prompts, "rb") as file:
        again = client.call("POST", f"projects/{PROJECT}/prompts/import/", files={"file": (prompts.name, file)}).json()
    if again["added"]:
        raise DemoFailed(f"Importing the same file again added {again['added']} prompts; it must add none")
    say(f"  {report['added']} prompts; the same file again added {again['added']}")

    base = client.post(f"projects/{PROJECT}/checkpoints/base/")

    annotators = []
    for seed, rule in enumerate(RULES):
        made = client.post(f"projects/{PROJECT}/simulated-annotators/", {"username": f"simulated-{rule}", "rule": rule})
        annotators.append(Annotator(Client(http, made["token"]), rule, seed))
    queue = client.post(
        f"projects/{PROJECT}/queues/",
        {
            "name": "Round 1",
            "guideline": GUIDELINES.read_text(encoding="utf-8"),
            "overlap": len(annotators),
        },
    )

    ids = [prompt["id"] for prompt in client.every(f"projects/{PROJECT}/prompts/")]
    asked = ids[: sizes.prompts]
    say(f"Sampling {len(asked)} prompts from {base['name']}; the simulated annotators label what has landed ...")
    sampling_started = time.monotonic()
    run = client.post(
        f"projects/{PROJECT}/runs/",
        {"kind": "sample", "config": sizes.sample, "policy": base["id"], "queue": queue["id"], "prompts": asked},
    )

    def label() -> int:
        return sum(annotator.label(queue["id"]) for annotator in annotators)

    wait_for_run(client, run["id"], while_waiting=label)
    sampling_seconds = time.monotonic() - sampling_started
    while label():
        pass
    labels, ties = sum(a.labels for a in annotators), sum(a.ties for a in annotators)
    if labels == 0:
        raise DemoFailed("Sampling succeeded, but the queue offered nothing to label")
    say(f"  {labels} labels, {ties} of them ties, by {len(annotators)} simulated annotators")

    others = {kind.value: answer_others(client, annotators, kind, sizes.other_answers) for kind in OTHER_KINDS}
    talks_with = {"policies": [base["id"]], "max_new_tokens": 48}
    others["conversation"] = answer_others(client, annotators, TaskKind.CONVERSATION, sizes.talks, talks_with)
    say("Freezing a snapshot ...")
    client.call("POST", f"projects/{PROJECT}/snapshots/", json={"name": "People only"}, expect=(400, 409, 422))
    say("  without include_simulated it is refused, as it must be: no person has labelled here")
    snapshot = freeze(client, {"name": "Round 1", "include_simulated": True})
    archive = client.call("GET", f"snapshots/{snapshot['id']}/download/").content
    say(f"  sha256 {snapshot['sha256']}; its zip has {len(archive)} bytes")

    reward = train(client, "reward", sizes.reward, policy=base["id"], snapshot=snapshot["id"])
    reward_checkpoint = checkpoint_of(client, reward)
    ppo = train(client, "ppo", sizes.ppo, policy=base["id"], reward=reward_checkpoint["id"])
    ppo_checkpoint = checkpoint_of(client, ppo)
    dpo = train(client, "dpo", sizes.dpo, policy=base["id"], snapshot=snapshot["id"])
    dpo_checkpoint = checkpoint_of(client, dpo)
    judged_reward = train(client, "evaluate", {}, reward=reward_checkpoint["id"], snapshot=snapshot["id"])
    judged_dpo = train(client, "evaluate", {}, policy=dpo_checkpoint["id"], snapshot=snapshot["id"])

    say("Sampling from the new PPO policy into a fresh queue ...")
    fresh = client.post(
        f"projects/{PROJECT}/queues/", {"name": "Round 2", "guideline": GUIDELINES.read_text(encoding="utf-8")}
    )
    new_sample = train(
        client, "sample", sizes.sample, policy=ppo_checkpoint["id"], queue=fresh["id"], prompts=ids[: sizes.new_prompts]
    )
    comparisons = client.get(f"queues/{fresh['id']}/")["progress"]["tasks"]
    if not comparisons:
        raise DemoFailed("The new policy's responses made no comparison in the fresh queue")

    lineage = ppo_checkpoint["lineage"]
    return {
        "base_model": base["name"],
        "prompts": len(asked),
        "labels": labels,
        "ties": ties,
        "simulated": True,
        "other_answers": others,
        "snapshot": {"sha256": snapshot["sha256"], "rows": snapshot["manifest"]["counts"]["rows"]},
        "reward_model": {**held_out(judged_reward), "loss": ends(reward["metrics"], "loss")},
        "ppo": {
            "updates": len(ppo["metrics"]),
            "score_mean": ends(ppo["metrics"], "score_mean"),
            "kl": ends(ppo["metrics"], "kl"),
        },
        "dpo": {
            **held_out(judged_dpo),
            "train_accuracy": ends(dpo["metrics"], "rewards_accuracy"),
            "loss": ends(dpo["metrics"], "loss"),
        },
        "new_queue": {"comparisons": comparisons, "run": new_sample["id"]},
        "lineage": {
            "checkpoint": ppo_checkpoint["id"],
            "run": ppo["id"],
            "snapshot_sha256": lineage["snapshot"]["sha256"],
            "judgments": lineage["judgments"],
        },
        "seconds_per_step": {
            "reward": seconds_per_step(reward["metrics"]),
            "ppo": seconds_per_step(ppo["metrics"]),
            "dpo": seconds_per_step(dpo["metrics"]),
            "response": round(sampling_seconds / (len(asked) * len(sizes.sample["temperatures"])), 2),
        },
    }


def answer_others(
    client: Client, annotators: list[Annotator], kind: TaskKind, each: int, schema: dict[str, Any] | None = None
) -> int:
    """Open a queue of another kind, fill it with what there is, and let everybody answer some; return how many."""
    say(f"A few tasks of the kind {kind} ...")
    queue = client.post(
        f"projects/{PROJECT}/queues/",
        {
            "name": f"A few {kind}s",
            "kind": kind.value,
            "guideline": FIRST_GUIDELINES[kind],
            "schema": schema or {},
        },
    )
    filled = client.post(f"queues/{queue['id']}/fill/")
    if not filled["tasks"]:
        raise DemoFailed(f"Nothing fills the queue of the kind {kind}: {filled}")
    answered = sum(annotator.label(queue["id"], at_most=each) for annotator in annotators)
    if answered != min(filled["tasks"], each * len(annotators)):
        raise DemoFailed(f"{answered} of {filled['tasks']} tasks of the kind {kind} were answered")
    return answered


def held_out(run: dict[str, Any]) -> dict[str, Any]:
    """Return the accuracy on held-out labels with its n and interval, as the evaluate run found it."""
    found = (run.get("outcome") or {}).get("evaluation") or {}
    if "n" not in found:
        raise DemoFailed(f"The evaluate run says nothing about held-out labels: {run.get('outcome')}")
    return {"accuracy": found.get("accuracy"), "n": found["n"], "low": found.get("low"), "high": found.get("high")}


def table(result: dict[str, Any]) -> str:
    def number(value: Any) -> str:
        return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)

    reward, ppo, dpo = result["reward_model"], result["ppo"], result["dpo"]
    rows = [
        ("base model", result["base_model"]),
        ("prompts", result["prompts"]),
        ("comparisons judged (simulated)", f"{result['labels']}, ties {result['ties']}"),
        ("other answers (simulated)", ", ".join(f"{count} {kind}" for kind, count in result["other_answers"].items())),
        ("rows of the snapshot", ", ".join(f"{sum(splits.values())} {table}" for table, splits
                                           in result["snapshot"]["rows"].items())),
        ("reward model, held out", f"accuracy {number(reward['accuracy'])}, n = {reward['n']}"),
        ("reward model, loss", f"{number(reward['loss'][0])} -> {number(reward['loss'][1])}"),
        ("PPO mean score", f"{number(ppo['score_mean'][0])} -> {number(ppo['score_mean'][1])}"),
        ("PPO KL to reference", f"{number(ppo['kl'][0])} -> {number(ppo['kl'][1])}"),
        ("DPO, held out", f"accuracy {number(dpo['accuracy'])}, n = {dpo['n']}"),
        ("DPO loss", f"{number(dpo['loss'][0])} -> {number(dpo['loss'][1])}"),
        ("comparisons in the new queue", result["new_queue"]["comparisons"]),
        ("lineage", f"policy -> snapshot {result['lineage']['snapshot_sha256'][:12]} -> "
                    f"{result['lineage']['judgments']} judgments"),
        *((f"seconds per {name} {'' if name == 'response' else 'step'}".strip(), number(value))
          for name, value in result["seconds_per_step"].items()),
        ("total seconds", number(result["seconds"])),
    ]  # fmt: skip
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=Path, default=PROMPTS, help="Prompts to import instead of the demo's.")
    parser.add_argument("--keep", action="store_true", help="Keep the temporary data directory and say where it is.")
    options = parser.parse_args()
    try:
        model = base_model(say)
        with OwnSite(base_model=model, talkers=1, keep=options.keep, say=say) as site:
            site.manage("migrate", "--verbosity", "0", "--no-input")
            password = uuid.uuid4().hex
            site.manage("createsuperuser", "--no-input", "--username", PILOT, "--email", "", password=password)
            site.manage("create_project", "Demo", "--slug", PROJECT, "--evaluation-percent", "25")
            site.start()
            with httpx.Client(base_url=site.url, timeout=60) as http:
                client = Client(http)
                client.token = client.post("token/", {"username": PILOT, "password": password})["token"]
                result = turn(client, http, options.prompts, Sizes())
        result["seconds"] = round(time.monotonic() - STARTED, 1)
    except (DemoFailed, SiteFailed, httpx.HTTPError) as error:
        print(f"The demo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; the site has been stopped.", file=sys.stderr)
        return 130
    print()
    print(table(result))
    print(json.dumps(result))
    return 0


STARTED = time.monotonic()
if __name__ == "__main__":
    sys.exit(main())
