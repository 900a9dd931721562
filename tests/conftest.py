"""What every test stands on: a data directory of its own, quiet libraries, people, and honest skips."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import translation

from tests.cluster import Cluster, NoCluster

DATA_DIR = Path(tempfile.mkdtemp(prefix=f"concord-{os.environ.get('PYTEST_XDIST_WORKER', 'tests')}-"))
# For the processes that tests start; and below for this one, where pytest-django has loaded the settings already.
os.environ.update(
    CONCORD_DATA_DIR=str(DATA_DIR),
    HF_DATASETS_CACHE=str(DATA_DIR / "datasets-cache"),
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    TOKENIZERS_PARALLELISM="false",
    OMP_NUM_THREADS="1",
    OMP_WAIT_POLICY="PASSIVE",
)
settings.DATA_DIR = DATA_DIR
(DATA_DIR / "static").mkdir()
settings.STATIC_ROOT = DATA_DIR / "static"
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
if "sqlite" in settings.DATABASES["default"]["ENGINE"]:
    # pytest-django finds a name for each of several processes, but knows only Django's own engine.
    settings.DATABASES["default"].setdefault("TEST", {})["NAME"] = ":memory:"
settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
settings.JOB_REQUEST_SECONDS = 600.0  # however busy the machine is, small work is done when a test's request returns

NO_SKIP = os.environ.get("CONCORD_NO_SKIP") == "1"
"""A skip is a failure: what a continuous-integration machine lacks shall be seen."""


SAMPLES = Path(
    os.environ.get("CONCORD_DATA")
    or os.environ.get("CONCORD_SHARED_DATA")
    or Path(__file__).resolve().parents[2] / "shared" / "data"
)
"""Published data sets that some machines have beside the repository. They are no part of it, so no test may need them:
where they are absent, the tests that read them are left out and the summary says so."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    dearest_files_first(items)
    if SAMPLES.is_dir():
        return
    left_out = [item for item in items if item.get_closest_marker("samples")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def dearest_files_first(items: list[pytest.Item]) -> None:
    """Sort, so that processes that share the files out end at about the same time: small ones fill the end."""
    slow, learning = ({item.path for item in items if item.get_closest_marker(mark)} for mark in ("slow", "torch"))
    items.sort(key=lambda item: 0 if item.path in slow else 1 if item.path in learning else 2)


def pytest_report_header() -> str:
    return f"samples: {SAMPLES if SAMPLES.is_dir() else f'none at {SAMPLES}; the tests that read them are left out'}"


def pytest_sessionfinish() -> None:
    shutil.rmtree(DATA_DIR, ignore_errors=True)


def chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("torch") and importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed; make install, or pip install -e '.[train]'")
    if item.get_closest_marker("browser"):
        if chromium() is None:
            pytest.skip("Chromium is not installed; on Debian: apt-get install chromium")
        if importlib.util.find_spec("playwright") is None:
            pytest.skip("Playwright is not installed; make install, or pip install -e '.[dev]'")


def fail_instead_of_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if NO_SKIP and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"CONCORD_NO_SKIP=1 makes this skip a failure: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    report = yield
    fail_instead_of_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    report = yield
    fail_instead_of_skip(report)
    return report


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Cluster]:
    """A PostgreSQL server of this test process; `new_database()` gives a DATABASE_URL."""
    try:
        cluster = Cluster()
    except NoCluster as reason:
        pytest.skip(str(reason))
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def postgres_url(postgres_cluster: Cluster) -> str:
    """DATABASE_URL of one empty database that all tests of this process share; `postgres_cluster` has fresh ones."""
    return postgres_cluster.new_database()


@pytest.fixture(autouse=True)
def _language() -> Iterator[None]:
    """Leave no test the language in which the one before it asked for a page."""
    yield
    translation.deactivate()


# People -----------------------------------------------------------------------------------------------


@pytest.fixture
def project(db):
    from tests.factories import make_project

    return make_project()


@pytest.fixture
def annotator(project):
    from tests.factories import make_member

    return make_member(project, "annotator", username="annotator")


@pytest.fixture
def curator(project):
    from tests.factories import make_member

    return make_member(project, "curator", username="curator")


@pytest.fixture
def ml_staff(project):
    from tests.factories import make_member

    return make_member(project, "ml_staff", username="ml")


@pytest.fixture
def project_admin(project):
    from tests.factories import make_member

    return make_member(project, "admin", username="project-admin")


@pytest.fixture
def outsider(db):
    """Somebody who curates another project."""
    from tests.factories import make_member, make_project

    return make_member(make_project(name="Elsewhere"), "curator", username="outsider")
