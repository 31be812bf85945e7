"""The key that fingerprints are put under: always the same one, since by another no order is known again."""

from typing import Final

from pydantic import SecretStr
from sqlmodel import Session

from app.conversions.fingerprint import sign_of
from app.errors import Misconfigured
from app.privacy import store

MISSING: Final = (
    "CAPTURE_FINGERPRINT_KEY is not set. Set it to a secret of at least 32 characters that all replicas share and that"
    " never changes (`python3 -c 'import secrets; print(secrets.token_hex(32))'` makes one): by it the same order is"
    " known again when its personal data are gone."
)
OTHER: Final = (
    "CAPTURE_FINGERPRINT_KEY is another one than was used before: orders whose personal data were removed are not known"
    " again by it, so that a repeat of one is refused as another order. Set the one that was used before."
)


def settled_key(session: Session, key: SecretStr | None) -> SecretStr:
    """Return the key, noted as the one that counts from now on. Raises Misconfigured if there is none or another."""
    if key is None:
        raise Misconfigured(MISSING)
    if store.note_sign(session, sign_of(key)) != sign_of(key):
        raise Misconfigured(OTHER)
    return key


def what_is_wrong(session: Session, key: SecretStr | None) -> str | None:
    """Return what is wrong with the key, or None; without a fingerprint under one, none is needed."""
    sign = store.sign_in_use(session)
    if sign is None or (key is not None and sign == sign_of(key)):
        return None
    return MISSING if key is None else OTHER
