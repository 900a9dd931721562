"""The import rules of ARCHITECTURE.md: rlhf_site -> training -> feedback, and torch only below training/ml."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ML_PACKAGES = {"torch", "transformers", "trl", "peft", "datasets", "accelerate", "gguf", "safetensors", "tokenizers"}
LEAVES = ("feedback/contract.py", "training/configs", "training/rundir.py")
"""Standard library only: they are read on both sides of the wall between Django and torch."""
FORBIDDEN_NAMES = {"services.py", "utils.py", "helpers.py", "signals.py", "managers.py"}
LINES_LIMIT = 400


def sources(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert found, f"no source file below {folders}"
    return [path for path in found if "migrations" not in path.parts]


def is_below(path: Path, folder: str) -> bool:
    return path.is_relative_to(ROOT / folder)


def imports(path: Path) -> Iterator[str]:
    """Yield the dotted name of everything that the file imports anywhere, for type checking too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import; say the whole name"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def offences(paths: list[Path], is_forbidden) -> list[str]:
    return sorted(
        {f"{path.relative_to(ROOT)} imports {name}" for path in paths for name in imports(path) if is_forbidden(name)}
    )


def top(name: str) -> str:
    return name.split(".", 1)[0]


def loaded_modules(code: str) -> set[str]:
    """Run `code` in a fresh interpreter and return the top-level names of everything that it loaded."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "rlhf_site.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


# In a fresh interpreter ---------------------------------------------------------------------------------


def test_the_site_with_settings_and_urls_loads_no_ml_package():
    loaded = loaded_modules(
        "import django\ndjango.setup()\nfrom django.urls import get_resolver\nget_resolver().url_patterns\n"
        "import rlhf_site.wsgi"
    )
    assert "rlhf_site" in loaded
    assert not loaded & ML_PACKAGES


def test_management_commands_and_the_worker_load_no_ml_package():
    commands = [path.stem for path in sources("training/management/commands", "feedback/management/commands")]
    loaded = loaded_modules(
        "import django\ndjango.setup()\nfrom django.core.management import load_command_class, get_commands\n"
        f"[load_command_class(get_commands()[name], name) for name in {[c for c in commands if c != '__init__']}]"
    )
    assert not loaded & ML_PACKAGES


@pytest.mark.torch
def test_training_ml_loads_no_django():
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sources("training/ml")
    ]
    loaded = loaded_modules("\n".join(f"import {name}" for name in names))
    assert "torch" in loaded
    assert not loaded & {"django", "rest_framework", "rules", "rlhf_site"}


def test_programs_outside_the_site_can_simulate_an_annotator_without_its_settings():
    loaded = loaded_modules(
        "import os\ndel os.environ['DJANGO_SETTINGS_MODULE']\n"
        "import feedback.first_guidelines, feedback.simulated_answers, feedback.simulation"
    )
    assert not loaded & {"rest_framework", "rlhf_site", "training"}


# In the sources -----------------------------------------------------------------------------------------


def test_feedback_imports_neither_training_nor_the_site():
    assert offences(sources("feedback"), lambda name: top(name) in ("training", "rlhf_site")) == []


def test_training_does_not_import_the_site():
    assert offences(sources("training"), lambda name: top(name) == "rlhf_site") == []


def test_ml_packages_are_imported_below_training_ml_only():
    paths = [path for path in sources("feedback", "training", "rlhf_site") if not is_below(path, "training/ml")]
    assert offences(paths, lambda name: top(name) in ML_PACKAGES) == []


def test_the_site_does_not_import_training_ml():
    paths = [path for path in sources("feedback", "training", "rlhf_site") if not is_below(path, "training/ml")]
    assert offences(paths, lambda name: name == "training.ml" or name.startswith("training.ml.")) == []


def test_training_ml_knows_three_leaves_and_no_django():
    allowed = ("feedback.contract", "training.configs", "training.rundir", "training.ml")

    def is_forbidden(name: str) -> bool:
        if name in ("feedback", "training"):
            return False  # `from training import rundir` names the package first, then the leaf
        if top(name) in ("feedback", "training"):
            return not any(name == leaf or name.startswith(f"{leaf}.") for leaf in allowed)
        return top(name) in ("django", "rest_framework", "rules", "rlhf_site")

    assert offences(sources("training/ml"), is_forbidden) == []


def test_the_leaves_need_the_standard_library_only():
    paths = [path for leaf in LEAVES for path in (sources(leaf) if (ROOT / leaf).is_dir() else [ROOT / leaf])]

    def is_forbidden(name: str) -> bool:
        if name == "training.configs" or name.startswith("training.configs."):
            return False
        return top(name) not in sys.stdlib_module_names

    assert offences(paths, is_forbidden) == []


def test_domain_modules_never_see_a_request_a_form_or_a_serializer():
    http = {"views", "api", "urls.py", "templatetags", "admin.py"}
    paths = [
        path
        for path in sources("feedback", "training")
        if not is_below(path, "training/ml") and not http & set(path.parts) and not path.name.endswith("forms.py")
    ]

    def is_forbidden(name: str) -> bool:
        if name == "django.http.Http404":
            return False  # access.py says it for pages and API alike
        return name.startswith(("django.http.", "django.forms", "django.views", "django.shortcuts", "rest_framework"))

    assert offences(paths, is_forbidden) == []


def test_pages_and_api_are_two_doors_and_neither_leads_through_the_other():
    doors = {"views": "api", "api": "views"}
    for app in ("feedback", "training"):
        for door, other in doors.items():
            forbidden = tuple(f"{one}.{other}" for one in ("feedback", "training"))
            assert offences(sources(f"{app}/{door}"), lambda name, wrong=forbidden: name.startswith(wrong)) == []


def test_no_file_has_a_name_that_says_nothing():
    assert [path for path in sources("feedback", "training", "rlhf_site") if path.name in FORBIDDEN_NAMES] == []


def test_no_file_holds_two_ideas():
    long = {
        str(path.relative_to(ROOT)): count
        for path in sources("feedback", "training", "rlhf_site")
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > LINES_LIMIT
    }
    assert long == {}


def test_every_dependency_is_named_in_the_code():
    modules: dict[str, set[str]] = {}
    for module, distributions in importlib.metadata.packages_distributions().items():
        for distribution in distributions:
            modules.setdefault(canonical(distribution), set()).add(module)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources("feedback", "training", "rlhf_site"))
    words = set(re.findall(r"\w+", code))
    wanted = {canonical(re.split(r"[\[><=]", one)[0]) for one in project["dependencies"]}
    assert {one for one in wanted if not modules[one] & words} == set()


def canonical(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def test_nothing_listens_to_signals():
    banned = ("django.db.models.signals", "django.dispatch")
    assert offences(sources("feedback", "training", "rlhf_site"), lambda name: name.startswith(banned)) == []


def test_only_an_erasure_and_a_withdrawal_change_rows_that_are_written_once():
    users = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.glob("feedback/**/*.py")
        if "import wipe" in path.read_text() or "append_only.wipe" in path.read_text()
    }
    assert users == {"feedback/erasing_parts.py", "feedback/withdrawing.py"}
