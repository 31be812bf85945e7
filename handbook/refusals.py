"""The refusals that every call may meet, from the tree of failures."""

from collections.abc import Iterator
from http import HTTPStatus

from app import errors
from app import main as _every_module_that_can_fail  # noqa: F401 # a class is known once it is imported
from handbook.page import code, table

INSIDE = (errors.DeliveryError, errors.LeaseLost, errors.Misconfigured)
"""What no call is answered with."""


def attempt_table() -> str:
    """Return the code and the meaning of each kind of failure of a delivery."""
    kinds = (*_all(errors.DeliveryError), errors.DeliveryError)  # the last one of a code is the most general
    rows = {one.code: (code(one.code), (one.__doc__ or "").partition("\n")[0]) for one in kinds}
    return table(("code", "meaning"), (rows[one] for one in sorted(rows)))


def refusal_table() -> str:
    """Return the code, the status and the meaning of each kind of refusal of the application."""
    kinds = sorted(filter(_is_answered, _all(errors.Failure)), key=lambda one: (one.status, one.code))
    rows = ((code(one.code), str(int(one.status)), (one.__doc__ or "").partition("\n")[0]) for one in kinds)
    return table(("code", "status", "meaning"), rows)


def _is_answered(kind: type[errors.Failure]) -> bool:
    return not issubclass(kind, INSIDE) and kind.status != HTTPStatus.INTERNAL_SERVER_ERROR


def _all(kind: type[errors.Failure]) -> Iterator[type[errors.Failure]]:
    for one in kind.__subclasses__():
        yield one
        yield from _all(one)
