"""Pages of runs and checkpoints."""
