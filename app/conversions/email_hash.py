"""An e-mail address as its hash, the only form in which one is kept or told.

Facts: impact.com takes SHA-1 or SHA-256 in hex and no address. What is done to an address before it is hashed, its
pages do not say. Here it is as little as makes one customer one hash, so that a shop gets the same with three functions
of any language. Dots and plus tags stay: what they mean is each provider's affair, and two addresses may be two people.
"""

import hashlib
import re
import unicodedata
from typing import Final

MAX_ADDRESS: Final = 320
"""Characters: 64 before the @, 255 behind it (RFC 5321)."""
_ADDRESS: Final = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")


def normalised(address: str) -> str:
    """Return an address in Unicode's form NFC, without white space around it, in lower case."""
    return unicodedata.normalize("NFC", address).strip().lower()


def hash_of_email(address: str) -> str | None:
    """Return the SHA-256 of a normalised address in hex, or None if it is not one address."""
    text = normalised(address)
    if len(text) > MAX_ADDRESS or not text.isprintable() or not _ADDRESS.fullmatch(text):
        return None
    return hashlib.sha256(text.encode()).hexdigest()
