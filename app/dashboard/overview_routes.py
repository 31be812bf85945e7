"""HTTP of the overview."""

from fastapi import Request, Response

from app.dashboard.pages import page_router, render
from app.dashboard.sessions import SignedIn

router = page_router()


@router.get("")
def get_overview(request: Request, visitor: SignedIn) -> Response:  # noqa: ARG001 (who is signed in may see it)
    """Show what is to be done, and what the last days brought."""
    return render(request, "overview.html")
