"""Pages: one set of templates, and the same frame and the same headers for every answer, refusals too."""

from collections.abc import Callable, Coroutine
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from app.dashboard.assets import address
from app.dashboard.links import LINKS
from app.dashboard.words import FILTERS
from app.errors import Denied, Failure
from app.security import Right
from app.web import log_failure, unexpected

if TYPE_CHECKING:
    from jinja2 import Environment

HOME: Final = "/dashboard"
SIGN_IN: Final = "/dashboard/sign-in"
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""What every answer has, unless it says otherwise itself."""


INSTEAD: Final = {"HX-Reselect": "[role=alert]", "HX-Reswap": "innerHTML"}
"""What lets a refusal be seen where a part of a page was asked for, whatever that would have picked of the answer."""


class SignInNeeded(Denied):
    """Nobody is signed in, or no more; `back` is the page that was asked for, if it can be asked for again."""

    code = "SIGN_IN_NEEDED"

    def __init__(self, back: str | None) -> None:
        super().__init__("Sign in first.")
        self.back = back


@cache
def _templates() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 (only who looks at pages needs it)

    folder = Path(__file__).with_name("templates")
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    environment.globals.update(static=address, Right=Right, **LINKS)
    return environment


def render(request: Request, template: str, status: int = HTTPStatus.OK, **values: Any) -> HTMLResponse:
    """Return a page. Every template knows the `visitor` who is signed in, if one is, and the `path` of the page."""
    visitor = getattr(request.state, "visitor", None)
    shown = _templates().get_template(template).render(visitor=visitor, path=request.url.path, **values)
    return HTMLResponse(shown, status)


def is_part(request: Request) -> bool:
    """Say whether the page's script asks, which puts the answer into the page that is there."""
    return "hx-request" in request.headers


def go_to(request: Request, path: str) -> Response:
    """Send the browser on to another page, which it asks for by GET."""
    if is_part(request):
        return Response(status_code=HTTPStatus.NO_CONTENT, headers={"HX-Redirect": path})
    return RedirectResponse(path, HTTPStatus.SEE_OTHER)


Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class PageRoute(APIRoute):
    """A route whose refusals are pages too, and whose every answer has the headers of the dashboard."""

    def get_route_handler(self) -> Handler:
        answer = super().get_route_handler()

        async def as_page(request: Request) -> Response:
            try:
                response = await answer(request)
            except Exception as error:  # noqa: BLE001 (a person gets a page, the log gets the rest)
                response = refusal(request, error)
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            return response

        return as_page


def page_router() -> APIRouter:
    """Return a router for pages of the dashboard; its paths begin below /dashboard."""
    return APIRouter(prefix=HOME, route_class=PageRoute, include_in_schema=False)


def refusal(request: Request, error: Exception) -> Response:
    """Return the page that says what is wrong and what to do."""
    if isinstance(error, SignInNeeded):
        return _to_sign_in(request, error)
    status, detail, headers = _told(error)
    template = "refusal_part.html" if is_part(request) else "refusal.html"
    response = render(request, template, status, reason=status, detail=detail)
    response.headers.update(headers | (INSTEAD if is_part(request) else {}))
    return response


def _to_sign_in(request: Request, error: SignInNeeded) -> Response:
    path = f"{SIGN_IN}?to={quote(error.back, safe='')}" if error.back else SIGN_IN
    if is_part(request):
        return Response(status_code=HTTPStatus.UNAUTHORIZED, headers={"HX-Redirect": path})
    return RedirectResponse(path, HTTPStatus.SEE_OTHER)


def _told(error: Exception) -> tuple[HTTPStatus, str, dict[str, str]]:
    """Return status, sentence and headers of a refusal, and log what is the service's own fault."""
    if isinstance(error, Failure):
        log_failure(error)
        return error.status, str(error), error.headers
    if isinstance(error, RequestValidationError):
        named = ", ".join(sorted({str(one["loc"][-1]) for one in error.errors()}))
        return HTTPStatus.UNPROCESSABLE_ENTITY, f"Something in the page's address is not right: {named}.", {}
    if isinstance(error, HTTPException):
        status = HTTPStatus(error.status_code)
        return status, f"{status.description or status.phrase}.", dict(error.headers or {})
    return HTTPStatus.INTERNAL_SERVER_ERROR, str(unexpected(error)["detail"]), {}
