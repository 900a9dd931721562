"""Torch without Django: `python -m training.ml RUN_DIR` is the whole interface."""
