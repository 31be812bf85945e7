"""What guards an order against a second one when its personal fields are gone: its fingerprint under a key.

A plain fingerprint would tell who guesses the customer id that he has guessed right; one under a key tells nobody who
has not the key.
"""

import hashlib
import hmac
from collections.abc import Collection
from typing import Final

from pydantic import SecretStr

PREFIX: Final = "keyed:"
_SIGNED: Final = "conversion-capture"


def is_keyed(fingerprint: str) -> bool:
    """Say whether a fingerprint is under a key, so that the personal fields of its revision are gone."""
    return fingerprint.startswith(PREFIX)


def keyed(fingerprint: str, key: SecretStr) -> str:
    """Return a fingerprint under a key; one that is so already stays as it is."""
    return fingerprint if is_keyed(fingerprint) else PREFIX + _hmac(fingerprint, key)


def sign_of(key: SecretStr) -> str:
    """Return what tells a key from another one, and does not tell the key."""
    return _hmac(_SIGNED, key)


def is_among(fingerprint: str, known: Collection[str], key: SecretStr | None) -> bool:
    """Say whether a body is one of those that are known, be it by a fingerprint under the key."""
    if fingerprint in known:
        return True
    return key is not None and any(map(is_keyed, known)) and keyed(fingerprint, key) in known


def _hmac(text: str, key: SecretStr) -> str:
    return hmac.new(key.get_secret_value().encode(), text.encode(), hashlib.sha256).hexdigest()
