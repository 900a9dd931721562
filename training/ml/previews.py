"""Texts that a policy writes to a few prompts while it is trained, for people to read.

Written greedily, so the same weights write the same text and no random number is drawn: a run with previews ends with
the same weights as one without.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from training.ml.sampling import generate_tokens, readable
from training.ml.tuning import as_policy
from training.rundir import RunDirectory, append_lines, keep_lines, read_lines

MOST_PROMPTS = 4
MOST_TOKENS = 64


class Previews:
    def __init__(
        self,
        run: RunDirectory,
        tokenizer: PreTrainedTokenizerBase,
        prompts: Sequence[Sequence[int]],
        every: int,
        max_new_tokens: int = MOST_TOKENS,
    ) -> None:
        """`prompts` are token ids that end where the response begins; the first few are taken. `every` is in steps."""
        self.run = run
        self.tokenizer = tokenizer
        self.prompts = list(prompts[:MOST_PROMPTS])
        self.every = every if self.prompts else 0
        self.max_new_tokens = max_new_tokens

    def begin_at(self, step: int) -> None:
        """Drop what was written after `step`, which a resumed run will write again; at 0, what is of before, too."""
        path = self.run.previews_path
        if path.exists():
            keep_lines(path, [row for row in read_lines(path) if step > 0 and row["step"] <= step])

    def are_due(self, step: int, last: int) -> bool:
        """Tell whether texts are wanted after `step`: at the beginning, at every so many steps and at the `last`."""
        return bool(self.every) and (step % self.every == 0 or step == last)

    def write(self, model: PreTrainedModel, step: int) -> None:
        """Append the response to each prompt after `step`; 0 is the model before training."""
        with as_policy(model) as policy, torch.no_grad():
            responses = generate_tokens(
                policy,
                self.tokenizer,
                self.prompts,
                [0] * len(self.prompts),
                temperature=0.0,
                top_p=1.0,
                max_new_tokens=self.max_new_tokens,
            )
        append_lines(
            self.run.previews_path,
            [
                {
                    "step": step,
                    "place": place,
                    "prompt": readable(self.tokenizer, prompt),
                    "response": readable(self.tokenizer, tokens),
                }
                for place, (prompt, tokens) in enumerate(zip(self.prompts, responses, strict=True))
            ],
        )
