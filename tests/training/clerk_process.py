"""`manage.py clerk` with work of its own: counts to `to`, one row per step, and sleeps between them.

python -m tests.training.clerk_process --poll 0.05
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any


def count(run: Any) -> dict[str, Any]:
    from feedback.models import Prompt

    for number in range(run.cursor.get("next", 0), run.params["to"]):
        with run.step(cursor={"next": number + 1}, done=number + 1):
            Prompt.objects.create(
                project=run.job.project,
                messages=[{"role": "user", "content": str(number)}],
                digest=f"{run.job.pk}{number}",
            )
        run.progress(number + 1, run.params["to"], f"Row {number + 1}")
        time.sleep(run.params.get("pause", 0.02))
    return {"rows": run.params["to"]}


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rlhf_site.settings")
    import django

    django.setup()
    from django.core.management import call_command

    from feedback import job_kinds

    job_kinds.WORK["scan"] = "tests.training.clerk_process.count"
    call_command("clerk", *sys.argv[1:])
