"""What every refusal of a value has in common."""

from __future__ import annotations


class Refusal(ValueError):
    """Something cannot be done as asked: `field` says which value is wrong, `message` why and what would be right."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message
