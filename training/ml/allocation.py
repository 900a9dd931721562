"""How this process asks the system for memory.

Every forward pass with gradients allocates the same large tensors that the backward pass before it has freed. glibc
gives those back to the system and gets them again page by page, each page cleared anew; on a processor that was a sixth
of the work of PPO on SmolLM2-135M. Here freed memory is kept for the next step instead.
"""

from __future__ import annotations

import contextlib
import ctypes

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""glibc's malloc.h."""
NEVER = 2**31 - 1
AT_ONCE = 64 * 1024 * 1024


def keep_freed_memory() -> bool:
    """Let freed memory stay with this process; return whether the system's allocator can be told so (glibc's can)."""
    with contextlib.suppress(OSError, AttributeError):
        tell = ctypes.CDLL(None).mallopt
        return all(
            tell(name, value) == 1 for name, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, NEVER), (M_TOP_PAD, AT_ONCE))
        )
    return False
