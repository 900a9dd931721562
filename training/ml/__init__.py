"""Torch without Django: `python -m training.ml RUN_DIR` is the whole interface."""


class CannotRun(ValueError):
    """What a run asks for cannot be done; the message is for people and becomes the run's error.txt."""


class Paused(Exception):
    """The run ends here for a while, after `step` steps, and can go on; it is no error."""

    def __init__(self, step: int = 0) -> None:
        super().__init__(f"paused after step {step}")
        self.step = step
