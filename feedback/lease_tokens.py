"""The token of a lease: random, and bound to its slot and person, so that a late writer can show that it was theirs.

Which lease is live, the database knows. Of one that is gone it keeps nothing; the token itself tells that it was once
given out for this slot to this person, so what comes too late is kept as a draft, and what was made up is not.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import uuid

HALF = 8


def draw_token(*, salt: str, assignment_id: uuid.UUID, person: int) -> uuid.UUID:
    """Return a new token: eight random bytes, and eight by which `was_given_out` knows it again."""
    drawn = secrets.token_bytes(HALF)
    return uuid.UUID(bytes=drawn + seal(drawn, salt, assignment_id, person))


def was_given_out(token: uuid.UUID, *, salt: str, assignment_id: uuid.UUID, person: int) -> bool:
    drawn, sealed = token.bytes[:HALF], token.bytes[HALF:]
    return hmac.compare_digest(sealed, seal(drawn, salt, assignment_id, person))


def seal(drawn: bytes, salt: str, assignment_id: uuid.UUID, person: int) -> bytes:
    message = b"lease:" + assignment_id.bytes + str(person).encode() + b":" + drawn
    return hmac.new(salt.encode(), message, hashlib.sha256).digest()[:HALF]
