"""People and what they say: prompts, responses, queues, judgments, reviews and snapshots."""
