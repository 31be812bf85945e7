"""Who may call what: keys by right, compared in constant time.

A key is random text of at least 128 bits; the settings hold only the SHA-256 of its UTF-8 bytes, so that a copy of the
settings opens nothing.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.config import Settings
from app.errors import Denied, Forbidden
from app.web import require_each_once

bearer = HTTPBearer(
    auto_error=False,
    description="A key made by `conversion-capture keys new`. A call takes one with any of the rights named with it.",
)


class Right(StrEnum):
    """What a key may do. The value names the setting `CAPTURE_<RIGHT>_KEYS`."""

    ORDER = "order"
    EXPORT = "export"
    READ = "read"


def new_key() -> tuple[str, str]:
    """Return a fresh key (256 bits) and the `sha256:<hex>` that goes into the settings."""
    key = secrets.token_urlsafe(32)
    return key, f"sha256:{hash_of(key)}"


def hash_of(key: str) -> str:
    """Return the SHA-256 of a key, in hex."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def rights_of(key: str, settings: Settings) -> set[Right]:
    """Return what `key` may do."""
    return rights_of_hash(hash_of(key), settings)


def rights_of_hash(digest: str, settings: Settings) -> set[Right]:
    """Return what the key with this SHA-256 may do. Every known key is compared, whichever matches."""
    known = ((Right.ORDER, settings.order_keys), (Right.EXPORT, settings.export_keys), (Right.READ, settings.read_keys))
    return {right for right, hashes in known for one in hashes if hmac.compare_digest(digest, one)}


def key_of(authorization: bytes) -> str | None:
    """Return the key of an Authorization header, or None if it holds none (RFC 6750)."""
    scheme, _, key = authorization.decode("latin-1").partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None


def authorise(key: str | None, settings: Settings, *rights: Right) -> None:
    """Let a call pass if its key has one of `rights`. Raises Denied, Forbidden."""
    held = rights_of(key, settings) if key is not None else set()
    if held.intersection(rights):
        return
    names = " or ".join(f"CAPTURE_{right.upper()}_KEYS" for right in rights)
    if key is None:
        raise Denied("Send a key as `Authorization: Bearer KEY`.", code="KEY_MISSING")
    if held:
        raise Forbidden(f"This key may not do that; it takes one from {names}.")
    raise Denied(f"This key is not known here; its SHA-256 must stand in {names}.")


def requires(*rights: Right) -> Callable[..., None]:
    """Return a dependency that lets a call pass if its key has one of `rights`: else 401 or 403.

    A call that gives a parameter twice passes neither, but is told so only if its key does: 422.

    The OpenAPI document names them with the call, as the roles of its security requirement.
    """
    credential = Security(bearer, scopes=[right.value for right in rights])

    def check(
        request: Request,
        credentials: Annotated[HTTPAuthorizationCredentials | None, credential] = None,
    ) -> None:
        authorise(credentials.credentials if credentials else None, request.app.state.settings, *rights)
        require_each_once(request)

    return check
