from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from feedback.gold_rotation import rotate_all_gold


class Command(BaseCommand):
    help = "Take gold out of use that is beyond a limit of its queue's rules; for a timer."

    def handle(self, *args: Any, **options: Any) -> None:
        for retirement in rotate_all_gold(timezone.now()):
            gold = retirement.gold
            self.stdout.write(f"{gold.queue.name}: gold task {gold.task_id} is out of use: {retirement.note}")
