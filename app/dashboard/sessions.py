"""Signing in and out: a browser shows a key once, and a token of its own from then on."""

import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.responses import Response

from app.config import Settings
from app.dashboard import session_store as store
from app.dashboard.pages import HOME, SignInNeeded
from app.dashboard.visitor import Visitor, is_within, token_hash
from app.database import Database, DatabaseDep
from app.errors import Denied, Forbidden
from app.security import Right, hash_of, rights_of, rights_of_hash
from app.web import Now, SettingsDep

COOKIE: Final = "capture_dashboard"


def visitor_of(database: Database, settings: Settings, token: str | None, now: datetime) -> Visitor | None:
    """Return who has this token, or None if it is unknown, has ended, or its keys do not open the dashboard now."""
    if not token:
        return None
    with database.snapshot() as session:
        row = store.find(session, token_hash(token))
    if row is None or row.ends_at <= now:
        return None
    hashes = frozenset(row.key_hashes.split(","))
    rights = frozenset(right for one in hashes for right in rights_of_hash(one, settings))
    return Visitor(token, hashes, rights, row.ends_at) if Right.READ in rights else None


def signed_in(request: Request, database: DatabaseDep, settings: SettingsDep, now: Now) -> Visitor:
    """Return who is signed in, for the page and its frame. Raises SignInNeeded."""
    visitor = visitor_of(database, settings, request.cookies.get(COOKIE), now)
    if visitor is None:
        path = f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path
        raise SignInNeeded(path if request.method == "GET" and path != HOME and is_within(path) else None)
    request.state.visitor = visitor
    return visitor


SignedIn = Annotated[Visitor, Depends(signed_in)]


def sign_in(database: Database, settings: Settings, key: str, before: str | None, now: datetime) -> Visitor:
    """Begin a session for whoever shows a read key; the one `before`, if there was one, ends. Raises Denied."""
    rights = rights_of(key, settings)
    if not rights:
        raise Denied("This key is not known here: its SHA-256 must stand in `CAPTURE_READ_KEYS`.")
    if Right.READ not in rights:
        raise Forbidden(
            "This key may not read: sign in with one from `CAPTURE_READ_KEYS`, and add this one to your session then."
        )
    return _begin(database, {hash_of(key)}, rights, (now, now + timedelta(hours=settings.dashboard_hours)), before)


def add_key(database: Database, settings: Settings, visitor: Visitor, key: str, now: datetime) -> Visitor:
    """Let a session do what another key may do as well, under a new token, until it would have ended. Raises Denied."""
    rights = rights_of(key, settings)
    if not rights:
        raise Denied(
            "This key is not known here: its SHA-256 must stand in `CAPTURE_EXPORT_KEYS` or `CAPTURE_ORDER_KEYS`."
        )
    hashes = visitor.key_hashes | {hash_of(key)}
    return _begin(database, hashes, visitor.rights | rights, (now, visitor.ends_at), visitor.token)


def sign_out(database: Database, visitor: Visitor) -> None:
    """End a session for good: its token opens nothing any more, wherever it may have been copied to."""
    with database.transaction() as session:
        store.end(session, token_hash(visitor.token))


def give_token(response: Response, visitor: Visitor, now: datetime) -> Response:
    """Put the token into the browser: no script sees it, no other site's page and no unencrypted connection has it."""
    response.set_cookie(
        COOKIE,
        visitor.token,
        max_age=int((visitor.ends_at - now).total_seconds()),
        path=HOME,
        secure=True,
        httponly=True,
        samesite="strict",
    )
    return response


def take_token(response: Response) -> Response:
    """Take the token out of the browser."""
    response.delete_cookie(COOKIE, path=HOME, secure=True, httponly=True, samesite="strict")
    return response


def _begin(
    database: Database,
    hashes: Collection[str],
    rights: Collection[Right],
    term: tuple[datetime, datetime],
    before: str | None,
) -> Visitor:
    token = secrets.token_urlsafe(32)
    with database.transaction() as session:
        store.begin(session, token_hash(token), hashes, *term)
        if before:
            store.end(session, token_hash(before))
    return Visitor(token, frozenset(hashes), frozenset(rights), term[1])
