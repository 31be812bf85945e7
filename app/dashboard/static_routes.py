"""HTTP of what pages load beside their text. Public: there is nothing of a shop in it."""

from typing import Final

from fastapi import Request, Response

from app.dashboard.assets import assets
from app.dashboard.pages import page_router
from app.errors import NotFound
from app.web import accepts_gzip

router = page_router()

FOR_EVER: Final = "public, max-age=31536000, immutable"


@router.get("/static/{name}")
async def get_static(request: Request, name: str) -> Response:
    """Return a file by the name that it has for its content."""
    asset = assets().get(name)
    if asset is None:
        raise NotFound("There is no such file; it belongs to another version. Load the page again.")
    headers = {"Cache-Control": FOR_EVER, "Vary": "Accept-Encoding"}
    if not accepts_gzip(request.headers.get("accept-encoding", "")):
        return Response(asset.content, headers=headers, media_type=asset.media_type)
    headers["Content-Encoding"] = "gzip"
    return Response(asset.compressed, headers=headers, media_type=asset.media_type)
