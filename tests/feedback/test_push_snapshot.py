"""Pushing a snapshot to a hub: a local server speaks the endpoints that huggingface_hub calls."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from feedback.exports.hub import PushRefused, check_push
from feedback.jobs import start_and_carry_out
from feedback.models import AuditEvent, Job
from tests.factories import make_snapshot

pytestmark = [pytest.mark.django_db, pytest.mark.torch]


class Hub(ThreadingHTTPServer):
    """Keeps what is committed; refuses every token but `right`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.created: list[dict[str, Any]] = []


class Handler(BaseHTTPRequestHandler):
    server: Hub

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/datasets/team/votes"

    def do_POST(self) -> None:
        body = self.read()
        if self.headers.get("Authorization") != "Bearer right":
            return self.answer(401, {"error": "Invalid credentials"})
        if self.path == "/api/repos/create":
            self.server.created.append(json.loads(body))
            return self.answer(200, {"url": self.address, "name": "team/votes"})
        if "/preupload/" in self.path:
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            return self.answer(200, {"files": files})
        if "/commit/" in self.path:
            for line in body.splitlines():
                said = json.loads(line)
                if said["key"] == "file":
                    self.server.files[said["value"]["path"]] = base64.b64decode(said["value"]["content"])
            commit = {"commitUrl": f"{self.address}/commit/1", "commitOid": "1", "pullRequestUrl": None}
            return self.answer(200, {**commit, "success": True})
        if self.path == "/api/validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []})
        return self.answer(404, {"error": f"no {self.path}"})

    def do_GET(self) -> None:
        self.answer(404, {"error": f"no {self.path}"})

    def read(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline().strip() or b"0", 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def answer(self, status: int, content: dict[str, Any]) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hub(settings, monkeypatch) -> Iterator[Hub]:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    settings.HUB_ENDPOINT, settings.HUB_TOKEN = f"http://127.0.0.1:{server.server_port}", "right"
    yield server
    server.shutdown()
    server.server_close()


def push(snapshot, curator, **params) -> Job:
    values = {"snapshot": str(snapshot.pk), "repository": "team/votes", "private": True, **params}
    return start_and_carry_out(
        project=snapshot.project, kind=Job.Kind.PUSH, params=values, created_by=curator, seconds=60
    )


def test_a_pushed_snapshot_is_a_dataset_repository_with_its_card(project, curator, hub):
    snapshot = make_snapshot(project)
    job = push(snapshot, curator)
    assert job.state == "succeeded", job.error
    (made,) = hub.created
    assert (made["type"], made["visibility"]) == ("dataset", "private")
    assert set(hub.files) == {"README.md", "data/preference/train.parquet", "data/preference/evaluation.parquet"}
    for name, content in hub.files.items():
        assert content == (snapshot.directory / name).read_bytes()
    assert job.result["pushed"] == f"http://127.0.0.1:{hub.server_port}/datasets/team/votes"
    assert AuditEvent.objects.get(action="snapshot.push").after["repository"] == "team/votes"


def test_a_token_that_the_hub_does_not_know_is_said_to_be_wrong(project, curator, hub, settings):
    settings.HUB_TOKEN = "wrong"
    job = push(make_snapshot(project), curator)
    assert job.state == "failed"
    assert "does not know the token" in job.error
    assert not hub.files


def test_a_hub_that_is_not_there_is_said_not_to_be_reached(project, curator, settings):
    settings.HUB_ENDPOINT, settings.HUB_TOKEN = "http://127.0.0.1:9", "right"
    job = push(make_snapshot(project), curator)
    assert job.state == "failed"
    assert "http://127.0.0.1:9" in job.error


def test_without_a_token_nothing_is_started_and_the_refusal_says_who_sets_it(settings):
    settings.HUB_TOKEN = ""
    with pytest.raises(PushRefused, match="CONCORD_HUB_TOKEN"):
        check_push("team/votes")


@pytest.mark.parametrize(
    "name", ["", "votes", "team/", "team/votes/more", "../votes", "team/vo tes", "team/..", "té/am"]
)
def test_a_name_that_is_no_repository_is_refused(settings, name):
    settings.HUB_TOKEN = "right"
    with pytest.raises(PushRefused, match="owner/name"):
        check_push(name)


def test_a_damaged_snapshot_is_not_pushed(project, curator, hub):
    snapshot = make_snapshot(project)
    (snapshot.directory / "README.md").write_text("changed")
    job = push(snapshot, curator)
    assert (job.state, hub.files) == ("failed", {})
    assert "damaged" in job.error
