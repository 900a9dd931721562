"""What a new queue's guidelines say at first, for each kind of task; a curator goes on from there."""

from __future__ import annotations

from collections.abc import Mapping

from feedback.schemas import TaskKind

COMPARISON = """\
# What to compare

Read the prompt, then both responses. Choose the one that would help the person who asked more.

1. **Right before nice.** A response with a false statement loses against one without.
2. **Does what was asked.** Length, form and language as the prompt wants them.
3. **Clear.** No repetition, no filler.

## How strongly

- **Slightly better**: you had to look twice.
- **Better**: you can name the reason.
- **Much better**: the other one fails.

Use **tie** only when you would be content with either.
"""

RANKING = """\
# What to rank

Read the prompt, then all responses. Put the one first that would help the person who asked most.

1. **Right before nice.** A response with a false statement stands below one without.
2. **Does what was asked.** Length, form and language as the prompt wants them.
3. **Clear.** No repetition, no filler.

Two responses share a rank only when you would be content with either. Leave out as **not rankable** what cannot be
compared at all: an empty response, or one in a language that you do not read.
"""

RATING = """\
# What to rate

Read the prompt, then the response. Rate every attribute for itself: a response can be kind and wrong.

- Use the **whole scale**. The middle is for what is neither good nor bad, not for what you have not read.
- Rate what is there, not what you would have written.
- The words at the ends of each scale say what they mean.

All in all: would you be glad to get this answer?
"""

DEMONSTRATION = """\
# What to write

Write the answer that an ideal assistant would give.

1. **Do what was asked**, in the language and the form of the prompt.
2. **Be right.** Look up what you do not know; leave out what you cannot check.
3. **As long as it needs to be.** Answer first, then the reasons.

Write it yourself. Text that another assistant wrote is of no use here.
"""

CORRECTION = """\
# What to correct

Change the response until you would send it yourself, and no more than that.

1. **Mistakes first**: false statements, what was not done, what was not asked.
2. **Then the words**: repetition, filler, unclear sentences.
3. **Keep what is good.** Your changes teach; a text written anew teaches less.

If nothing is wrong, leave it as it is and submit.
"""

CONVERSATION = """\
# How to talk

Talk with the assistant as somebody who really wants help. At every turn two answers come; choose the better one, and
the talk goes on with it.

1. **Have a goal** before you begin, and follow it over several turns.
2. **Right before nice.** An answer with a false statement loses against one without.
3. Ask back where an answer is unclear; try what a careful person would try.

Give no personal data, neither yours nor anybody else's.
"""

FIRST_GUIDELINES: Mapping[str, str] = {
    TaskKind.COMPARISON: COMPARISON,
    TaskKind.RANKING: RANKING,
    TaskKind.RATING: RATING,
    TaskKind.DEMONSTRATION: DEMONSTRATION,
    TaskKind.CORRECTION: CORRECTION,
    TaskKind.CONVERSATION: CONVERSATION,
}
