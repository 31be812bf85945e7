"""Forms: small, from a page of ours, and from the session that they were made for."""

import hmac
from typing import Annotated, Final
from urllib.parse import parse_qs, urlsplit

from fastapi import Depends, Request

from app.dashboard.sessions import SignedIn
from app.errors import Forbidden, MalformedRequest
from app.web import KIB, limited_body

LIMIT: Final = 16 * KIB
MOST_FIELDS: Final = 200
FIELD: Final = "token"
HEADER: Final = "x-form-token"
"""Where the session's token for forms stands; pages whose script sends it have it in a header."""
MEDIA_TYPE: Final = "application/x-www-form-urlencoded"
_Body = Annotated[bytes, Depends(limited_body(LIMIT))]


class Form:
    """What was filled in: text, as it was typed."""

    def __init__(self, fields: dict[str, list[str]]) -> None:
        self._fields = fields

    def get(self, name: str) -> str:
        """Return a field, empty if it is not there; of several the first."""
        return self._fields.get(name, [""])[0]

    def all(self, name: str) -> list[str]:
        """Return every value of a field, such as the boxes that were ticked."""
        return self._fields.get(name, [])


def sent(request: Request, body: _Body) -> Form:
    """Return a form that a page of ours has sent. Raises Forbidden, MalformedRequest, TooLarge."""
    if not is_from_here(request):
        raise Forbidden(
            "This form was not sent by a page of the dashboard, and nothing was done. Open the dashboard itself, in a"
            " browser that is up to date, and send it from there.",
            code="FORM_FROM_ELSEWHERE",
        )
    return read(request.headers.get("content-type", ""), body)


def read(media_type: str, body: bytes) -> Form:
    """Return the fields of a form's body. Raises MalformedRequest."""
    if not body:
        return Form({})
    if media_type.partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise MalformedRequest(f"Send a form as `{MEDIA_TYPE}`.")
    try:
        text = body.decode("ascii")
        fields = parse_qs(
            text, keep_blank_values=True, strict_parsing=bool(text), errors="strict", max_num_fields=MOST_FIELDS
        )
    except ValueError:
        raise MalformedRequest("This form cannot be read; load the page again and send it once more.") from None
    return Form(fields)


def is_from_here(request: Request) -> bool:
    """Say whether a page of this origin sent the call, by what browsers say of it and pages cannot alter."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = urlsplit(request.headers.get("origin", ""))
    return bool(origin.netloc) and origin.netloc == request.headers.get("host")


Sent = Annotated[Form, Depends(sent)]
"""A form of somebody who need not be signed in."""


def posted(request: Request, visitor: SignedIn, form: Sent) -> Form:
    """Return a form that was made for this session. Raises Forbidden, MalformedRequest, SignInNeeded, TooLarge."""
    given = request.headers.get(HEADER) or form.get(FIELD)
    if not hmac.compare_digest(given.encode(), visitor.form_token.encode()):
        raise Forbidden(
            "This form was made before you signed in, or before your rights changed, and nothing was done. Load the"
            " page again and send it once more.",
            code="FORM_OUTDATED",
        )
    return form


Posted = Annotated[Form, Depends(posted)]
"""A form of somebody who is signed in: what changes something takes it."""
