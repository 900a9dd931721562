"""Runs, checkpoints and the workers that carry them out. Django without torch; torch lives in `training.ml`."""
