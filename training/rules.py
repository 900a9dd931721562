"""Who may read runs and checkpoints, and who may start and cancel runs. Ask through `feedback.access`."""

from __future__ import annotations

import rules

from feedback.models import Role
from feedback.rules import has_role, is_staff, is_superuser

rules.add_perm("training.read", is_staff)
rules.add_perm("training.run", has_role(Role.ML_STAFF, Role.ADMIN) | is_superuser)
