"""What others found on preference data: the band beside which a project's agreement is shown. Never a gate."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    who: str
    what: str
    low: float
    high: float
    source: str

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2


DECISIVE = (
    Published("Anthropic HH", "researchers with crowd workers", 0.63, 0.63, "Bai et al. 2022"),
    Published("AlpacaFarm", "one vote with the majority of the others", 0.657, 0.657, "Dubois et al. 2023"),
    Published("Summaries", "researchers with each other", 0.69, 0.77, "Stiennon et al. 2020"),
    Published("InstructGPT", "trained labellers", 0.711, 0.741, "Ouyang et al. 2022"),
    Published("InstructGPT", "labellers held out", 0.76, 0.786, "Ouyang et al. 2022"),
    Published("MT-Bench", "experts, ties left out", 0.81, 0.81, "Zheng et al. 2023"),
    Published("Chatbot Arena", "crowd with experts", 0.728, 0.831, "Chiang et al. 2024"),
    Published("Chatbot Arena", "experts with experts, 3 to 5 minutes each", 0.794, 0.898, "Chiang et al. 2024"),
)
"""Share of pairs of votes for the same response, of votes that name a better one."""

SCALES = (
    Published("Llama 2", "helpfulness, seven points", 0.37, 0.55, "Touvron et al. 2023"),
    Published("HelpSteer2", "before stricter guidelines", 0.465, 0.472, "Wang et al. 2024"),
    Published("HelpSteer2", "after stricter guidelines", 0.706, 0.715, "Wang et al. 2024"),
    Published("Llama 2", "safety", 0.92, 0.92, "Touvron et al. 2023"),
)
"""Gwet's AC2 (Llama 2) or Cohen's kappa (HelpSteer2) with quadratic weights."""

USUAL_DECISIVE = (0.63, 0.83)
"""Where crowd and trained labellers lie: Anthropic HH to Chatbot Arena's crowd."""
USUAL_SCALE = (0.37, 0.72)
"""From Llama 2's helpfulness to HelpSteer2 after its guidelines were made stricter."""
