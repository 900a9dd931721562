"""What a useful label of a person costs: rate times hours over what their labels say. For those who may see pay."""

from __future__ import annotations

from dataclasses import dataclass

from feedback.models import AnnotatorProfile, Project, User
from feedback.quality.people import PersonRow


@dataclass(frozen=True)
class Cost:
    rate: float
    currency: str
    hours: float
    """Active time of their judgments that count."""
    labels: int
    useful: float | None
    """So many perfect labels would say as much."""

    @property
    def pay(self) -> float:
        return self.rate * self.hours

    @property
    def per_label(self) -> float | None:
        return self.pay / self.labels if self.labels else None

    @property
    def per_useful_label(self) -> float | None:
        return self.pay / self.useful if self.useful else None


def cost_of(*, project: Project, person: User, row: PersonRow) -> Cost | None:
    """Return what the person's labels cost; None while no rate is stored for them."""
    profile = AnnotatorProfile.objects.filter(user=person).first()
    if profile is None or profile.hourly_rate is None:
        return None
    figures = row.figures
    return Cost(
        rate=float(profile.hourly_rate),
        currency=profile.currency,
        hours=figures["hours"],
        labels=figures["labels"] or figures["judgments"],
        useful=figures["useful"],
    )
