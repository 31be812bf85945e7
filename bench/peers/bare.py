"""The floor of `/capture`: an ASGI application that reads nothing, keeps nothing, and answers as a landing is."""

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

START: Final = {
    "type": "http.response.start",
    "status": 204,
    "headers": [
        (b"vary", b"Origin"),
        (b"cache-control", b"no-store"),
        (b"set-cookie", b"im_ref=QiiWXOVnrQ3SQHl24jQjyxBG; Max-Age=2592000; Path=/; SameSite=Lax; Secure"),
        (b"set-cookie", b"im_ref_at=1795363222; Max-Age=2592000; Path=/; SameSite=Lax; Secure"),
    ],
}
BODY: Final = {"type": "http.response.body", "body": b""}


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a call; there is nothing to start or to stop."""
    if scope["type"] == "http":
        await send(START)
        await send(BODY)
        return
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


def create() -> ASGIApp:
    """Return the application."""
    return answer
