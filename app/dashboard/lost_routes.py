"""HTTP of the dashboard's paths that lead nowhere; it comes after all others."""

from fastapi import Request, Response

from app.dashboard.pages import page_router
from app.dashboard.sessions import SignedIn
from app.errors import NotFound

router = page_router()


@router.api_route("/{rest:path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def lost(request: Request, visitor: SignedIn, rest: str) -> Response:  # noqa: ARG001 (whatever it is)
    """Say that there is no such page."""
    raise NotFound("There is no such page. The menu above leads to those that there are.")
