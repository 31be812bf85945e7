"""The snippet over HTTP: `/capture.js` as it is now, and `/capture-<hash>.js` as it was released. Public."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request, Response

from app.clicks.release import Releases
from app.clicks.snippet import Snippet, Written, snippet
from app.config import Settings
from app.web import Now, SettingsDep, accepts_gzip, problems

router = APIRouter(tags=["Capture"])

FRESH: Final = "public, max-age=3600, stale-while-revalidate=86400"
FOR_EVER: Final = "public, max-age=31536000, immutable"
MEDIA_TYPE: Final = "text/javascript; charset=utf-8"
# Shop pages load it from another origin; with `integrity` the browser asks for CORS.
READABLE: Final = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept-Encoding",
}
SCRIPT: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The script.", "content": {"text/javascript": {"schema": {"type": "string"}}}},
    304: {"description": "It is the one that the caller has."},
}


def current_snippet(settings: Settings) -> Snippet:
    """Return the snippet for these settings."""
    return snippet(
        Written(
            cookie_name=settings.cookie_name,
            cookie_days=settings.cookie_days,
            cookie_domain=settings.cookie_domain,
            cookie_secure=settings.cookie_secure,
            cookie_httponly=settings.cookie_httponly,
            parameters=settings.parameters,
            linked_domains=settings.linked_domains,
            consent=settings.consent,
            honor_gpc=settings.honor_gpc,
        )
    )


@router.get("/capture.js", summary="The browser snippet", response_class=Response, responses=SCRIPT)
async def get_snippet(request: Request, settings: SettingsDep) -> Response:
    """Return the snippet with this service's settings written in; pages load it by one script element."""
    return _answer(request, current_snippet(settings), FRESH)


@router.get(
    "/capture-{name}.js",
    summary="A released snippet",
    response_class=Response,
    responses=SCRIPT | problems(404, 422, 503),
)
async def get_released_snippet(
    request: Request, settings: SettingsDep, now: Now, name: Annotated[str, Path(pattern="^[0-9a-f]{20}$")]
) -> Response:
    """Return the snippet of exactly this content, for pages that pin it by `integrity`; released ones stay."""
    releases: Releases = request.app.state.releases
    current = current_snippet(settings)
    if name != current.name:
        return _answer(request, await releases.find(name), FOR_EVER)
    releases.note(current, now)
    return _answer(request, current, FOR_EVER)


def _answer(request: Request, script: Snippet, cache_control: str) -> Response:
    compressed = accepts_gzip(request.headers.get("accept-encoding", ""))
    tag = f'"{script.name}{"-gzip" if compressed else ""}"'
    headers = READABLE | {"Cache-Control": cache_control, "ETag": tag}
    if tag in [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=headers)
    if compressed:
        headers["Content-Encoding"] = "gzip"
    return Response(script.compressed if compressed else script.content, headers=headers, media_type=MEDIA_TYPE)
