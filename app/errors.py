"""Every failure of the service, as a tree, with its HTTP status.

`code` is impact.com's own where it has one (its lists of error reasons and file submission errors), else a name
of ours in the same spelling. A message says what is wrong and what to do, and never repeats a secret.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any, ClassVar

PROBLEM_JSON = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with an input; `pointer` is an RFC 6901 JSON pointer into it."""

    code: str
    detail: str
    pointer: str = ""


def pointer_to(*place: str | int) -> str:
    """Return the RFC 6901 JSON pointer to a place: keys and indexes from the root on."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in place)


class Failure(Exception):
    """The root. `str()` is one plain sentence that says what to do."""

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    code: str = "INTERNAL_ERROR"

    def __init__(self, detail: str, *, code: str | None = None) -> None:
        super().__init__(detail)
        self.code = code or type(self).code

    @property
    def headers(self) -> dict[str, str]:
        """HTTP headers that belong to the refusal."""
        return {}

    def problem(self) -> dict[str, Any]:
        """Return the RFC 9457 problem details."""
        return problem(self.status, self.code, str(self))


class MalformedRequest(Failure):
    """The request itself cannot be understood."""

    status = HTTPStatus.BAD_REQUEST
    code = "MALFORMED"


class InvalidInput(Failure):
    """The body was understood and is wrong; every fault of it is listed."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "INVALID"

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(f"{fault.pointer or 'body'}: {fault.detail}" for fault in faults[:3]))
        self.faults = tuple(faults)
        self.code = faults[0].code if len({fault.code for fault in faults}) == 1 else type(self).code

    def problem(self) -> dict[str, Any]:
        """Return the problem details with one entry per fault."""
        errors = [{"code": fault.code, "detail": fault.detail, "pointer": fault.pointer} for fault in self.faults]
        return problem(self.status, self.code, str(self)) | {"errors": errors}


class InvalidFile(Failure):
    """A file cannot be read as what it should be, as a whole."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "FILE_INVALID"


class Denied(Failure):
    """No key, or one that nobody knows."""

    status = HTTPStatus.UNAUTHORIZED
    code = "KEY_UNKNOWN"

    @property
    def headers(self) -> dict[str, str]:
        """Name the scheme, as RFC 9110 requires of a 401."""
        return {"WWW-Authenticate": "Bearer"}


class Forbidden(Failure):
    """A known key or origin without this right."""

    status = HTTPStatus.FORBIDDEN
    code = "KEY_WITHOUT_RIGHT"


class NotFound(Failure):
    """There is no such thing."""

    status = HTTPStatus.NOT_FOUND
    code = "NOT_FOUND"


class ContentRemoved(Failure):
    """It was there, and is gone for good."""

    status = HTTPStatus.GONE
    code = "CONTENT_REMOVED"


class Conflict(Failure):
    """What is asked contradicts what is recorded."""

    status = HTTPStatus.CONFLICT
    code = "CONFLICT"


class TooLarge(Failure):
    """The body is over its limit."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "TOO_LARGE"


class WrongMediaType(Failure):
    """The body's Content-Type is not one that is read here."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "WRONG_MEDIA_TYPE"


class Unavailable(Failure):
    """Something the service needs is away; the same call may succeed later."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "UNAVAILABLE"
    retry_after_seconds = 5

    @property
    def headers(self) -> dict[str, str]:
        """Say when to come back."""
        return {"Retry-After": str(self.retry_after_seconds)}


class Misconfigured(Failure):
    """A setting is missing or wrong; the service does not start."""

    code = "MISCONFIGURED"


class LeaseLost(Failure):
    """Another worker has taken the work over; what this one was about to record is refused."""

    code = "LEASE_LOST"


class DeliveryError(Failure):
    """A file did not get through."""

    code = "DELIVERY_FAILED"


class ChannelUnavailable(DeliveryError):
    """The receiver cannot be reached or has no room: try again."""


class ChannelRefused(DeliveryError):
    """The file must not or will not be taken: a person has to look."""

    code = "DELIVERY_REFUSED"


class CredentialsRefused(ChannelRefused):
    """User, password or key were refused: a few more tries, and then none, so that no account gets locked."""

    code = "CREDENTIALS_REFUSED"


class ReceiverNotTrusted(ChannelRefused):
    """The receiver could not prove who it is: nothing was sent to it, and nothing will be until a person has looked."""

    code = "RECEIVER_NOT_TRUSTED"


class OutcomeUnknown(DeliveryError):
    """Everything was handed over and the answer is missing: the file may have arrived."""

    code = "OUTCOME_UNKNOWN"


class ApiUnavailable(ChannelUnavailable):
    """impact.com's API has not taken a call, and may later: not before `wait` is over, where that is known.

    `doubtful`: it failed over the call, or something before it did, so that the call may have been taken all the same.
    """

    code = "API_UNAVAILABLE"

    def __init__(
        self, detail: str, *, wait: timedelta | None = None, code: str | None = None, doubtful: bool = False
    ) -> None:
        super().__init__(detail, code=code)
        self.wait, self.doubtful = wait, doubtful


class BudgetSpent(ApiUnavailable):
    """No call of impact.com's API may be made now, by our budget or by its limit: nothing was tried, nothing failed."""

    code = "API_BUDGET_SPENT"


class ApiRefused(ChannelRefused):
    """impact.com's API has refused a call and will again. `status` of HTTP; `reasons` are its codes or sentences."""

    code = "API_REFUSED"

    def __init__(self, detail: str, *, http_status: int, reasons: Sequence[str] = ()) -> None:
        super().__init__(detail)
        self.http_status = http_status
        self.reasons = tuple(reasons)


def problem(status: HTTPStatus, code: str, detail: str) -> dict[str, Any]:
    """Return RFC 9457 problem details with our `code`."""
    return {
        "type": "about:blank",
        "title": status.phrase,
        "status": int(status),
        "detail": detail,
        "code": code,
    }
