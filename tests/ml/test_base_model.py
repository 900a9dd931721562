"""Converting a base model: what is refused. (The conversion itself needs the wheel; `make run` does it.)"""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from training.ml.base_model import BadBaseModel, convert, main

pytestmark = pytest.mark.torch


def quiet(_: str) -> None:
    return None


def wheel(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("_", "."), content)
    return path


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadBaseModel, match=r"nowhere\.whl is not a file"):
        convert(tmp_path / "nowhere.whl", tmp_path / "out", quiet)


def test_a_torn_wheel_is_refused(tmp_path):
    path = tmp_path / "torn.whl"
    path.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(BadBaseModel, match="not a whole wheel"):
        convert(path, tmp_path / "out", quiet)


def test_a_wheel_without_a_model_is_refused(tmp_path):
    with pytest.raises(BadBaseModel, match="holds 0 GGUF files"):
        convert(wheel(tmp_path / "empty.whl", readme_txt=b"hello"), tmp_path / "out", quiet)


def test_a_file_that_only_says_gguf_is_refused(tmp_path):
    with pytest.raises(BadBaseModel, match="first bytes are not GGUF"):
        convert(wheel(tmp_path / "fake.whl", model_gguf=b"hello"), tmp_path / "out", quiet)


def test_a_broken_gguf_is_refused_and_leaves_nothing(tmp_path):
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF" + b"\x00" * 64)
    assert main([str(path), str(tmp_path / "models" / "out")]) == 1
    assert list((tmp_path / "models").iterdir()) == []


def test_a_model_that_is_there_is_left_alone(tmp_path, tiny_path, capsys):
    before = sorted((path.name, path.stat().st_mtime_ns) for path in tiny_path.iterdir())
    assert main([str(tmp_path / "nowhere.whl"), str(tiny_path)]) == 0
    assert "already" in capsys.readouterr().out
    assert sorted((path.name, path.stat().st_mtime_ns) for path in tiny_path.iterdir()) == before
