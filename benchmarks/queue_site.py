"""A site of its own on a database of its own, as `manage.py up` serves it, and what both cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks.machine import cpu_seconds, descendants
from benchmarks.own_site import OwnSite
from tests.cluster import Cluster

DATABASES = ("sqlite", "postgres")


@dataclass(frozen=True)
class ServedDatabase:
    site: OwnSite
    cluster: Cluster | None

    def cpu_seconds(self) -> float:
        """Return the processor time so far of the site's processes and of the database's, PostgreSQL's backends too."""
        assert self.site.process is not None, "a site that was started"
        pids = descendants(self.site.process.pid)
        if self.cluster is not None:
            pids |= descendants(self.cluster.server.pid)
        return cpu_seconds(pids)

    def kill(self, *, with_database: bool) -> None:
        """Kill every process of the site at once; when asked, PostgreSQL's too, and start it again.

        In the main thread only: the kernel ends PostgreSQL with the thread that started it.
        """
        self.site.kill()
        if with_database and self.cluster is not None:
            self.cluster.kill()
            self.cluster.start()


@contextmanager
def served_database(database: str, say: Callable[[str], None]) -> Iterator[ServedDatabase]:
    """Prepare an empty database and a site on it, not started yet; both are gone at the end.

    PostgreSQL keeps its own settings: a commit waits for the disk, as SQLite's does.
    """
    with ExitStack() as stack:
        cluster = None
        if database == "postgres":
            cluster = Cluster(durable=True)
            stack.callback(cluster.stop)
        url = cluster.new_database() if cluster is not None else ""
        site = stack.enter_context(OwnSite(database_url=url, workers=0, say=say))
        site.manage("migrate", "--verbosity", "0")
        yield ServedDatabase(site, cluster)
