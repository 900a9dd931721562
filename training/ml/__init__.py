"""Torch without Django: `python -m training.ml RUN_DIR` is the whole interface."""


class CannotRun(ValueError):
    """What a run asks for cannot be done; the message is for people and becomes the run's error.txt."""
