"""Write a reward model that is an adapter as a whole sequence classifier, which TRL's PPO wants.

python -m benchmarks.training_whole_reward SETTINGS.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from training.ml.models import load_tokenizer
from training.ml.reward_models import load_scorer
from training.rundir import ModelSource


def main() -> int:
    asked = json.loads(Path(sys.argv[1]).read_text())
    source = ModelSource(asked["base"], tuple(asked["adapters"]))
    tokenizer = load_tokenizer(source)
    (member,) = load_scorer(source, tokenizer).members
    assert member.peft is not None, "the benchmark's reward model is an adapter"
    whole = member.peft.merge_and_unload()
    whole.config.pad_token_id = tokenizer.pad_token_id
    whole.save_pretrained(asked["out"])
    print(json.dumps({"out": asked["out"]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
