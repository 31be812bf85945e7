"""HTTP of signing in and out, and of adding a key's rights to a session."""

from http import HTTPStatus
from time import time
from typing import Annotated, Final

from fastapi import Depends, Query, Request, Response

from app.clicks.limiter import RateLimit
from app.config import Settings
from app.dashboard.forms import Posted, Sent
from app.dashboard.pages import HOME, SIGN_IN, go_to, page_router, render
from app.dashboard.sessions import (
    COOKIE,
    SignedIn,
    add_key,
    give_token,
    sign_in,
    sign_out,
    take_token,
    visitor_of,
)
from app.dashboard.visitor import is_within
from app.database import DatabaseDep
from app.errors import Denied, Failure, Forbidden
from app.web import Now, SettingsDep

router = page_router()

TRIES: Final = "10/minute"
"""Keys that a client may try, in one process: none can be guessed, and nobody need hash thousands."""
RIGHTS: Final = "/dashboard/rights"
LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
"""The hosts from which browsers take a secure cookie also without encryption."""


async def bounded(request: Request) -> None:
    """Count a try of a client. Raises RateLimited."""
    limit: RateLimit = request.app.state.sign_ins
    refused = await limit.over(request.client.host if request.client else "", time())
    if refused:
        raise refused


Bounded = Depends(bounded)


def token_in(request: Request) -> str | None:
    """Return the token that the browser has, whatever it is worth."""
    return request.cookies.get(COOKIE)


Token = Annotated[str | None, Depends(token_in)]
Back = Annotated[str, Query(alias="to", max_length=2_000)]


@router.get("/sign-in")
def get_sign_in(
    request: Request, database: DatabaseDep, settings: SettingsDep, now: Now, token: Token, back: Back = ""
) -> Response:
    """Show the form, or go on if there is nothing to sign in for."""
    to = back if is_within(back) else HOME
    if visitor_of(database, settings, token, now):
        return go_to(request, to)
    return _form(request, settings, to)


@router.post("/sign-in", dependencies=[Bounded])
def post_sign_in(
    request: Request, form: Sent, database: DatabaseDep, settings: SettingsDep, now: Now, token: Token
) -> Response:
    """Begin a session, under a token that nobody had before."""
    to = form.get("to") if is_within(form.get("to")) else HOME
    try:
        visitor = sign_in(database, settings, form.get("key").strip(), token, now)
    except (Denied, Forbidden) as refused:
        return _form(request, settings, to, refused)
    return give_token(go_to(request, to), visitor, now)


def _form(request: Request, settings: Settings, to: str, refused: Failure | None = None) -> Response:
    """Return the page with the form. A browser that comes from another site keeps the token of a session to itself."""
    return render(
        request,
        "sign_in.html",
        refused.status if refused else HTTPStatus.OK,
        to=to,
        refused=str(refused) if refused else None,
        go_on=request.headers.get("sec-fetch-site") == "cross-site",
        has_keys=bool(settings.read_keys),
        is_open=request.url.scheme != "https" and request.url.hostname not in LOOPBACK,
    )


@router.post("/sign-out")
def post_sign_out(request: Request, form: Posted, visitor: SignedIn, database: DatabaseDep) -> Response:  # noqa: ARG001 (the form's token is checked)
    """End the session."""
    sign_out(database, visitor)
    return take_token(go_to(request, SIGN_IN))


@router.get("/rights")
def get_rights(request: Request, visitor: SignedIn, back: Back = "") -> Response:  # noqa: ARG001 (who is signed in may see it)
    """Show what the session may do, and the form that adds to it, which leads back to the page that asked for it."""
    return render(request, "rights.html", to=back if is_within(back) else RIGHTS, refused=None)


@router.post("/rights", dependencies=[Bounded])
def post_rights(
    request: Request, form: Posted, visitor: SignedIn, database: DatabaseDep, settings: SettingsDep, now: Now
) -> Response:
    """Add what another key may do."""
    to = form.get("to") if is_within(form.get("to")) else RIGHTS
    try:
        visitor = add_key(database, settings, visitor, form.get("key").strip(), now)
    except Denied as refused:
        return render(request, "rights.html", refused.status, to=to, refused=str(refused))
    return give_token(go_to(request, to), visitor, now)
