"""HTTP API of runs and checkpoints."""
