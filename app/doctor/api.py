"""impact.com's API: whether it takes the account's token, and what is left of the budget of calls."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from app.delivery import budget_store
from app.delivery.api import share_of
from app.delivery.budget import remaining_of
from app.doctor.finding import Finding, Status
from app.doctor.times import drift
from app.errors import CredentialsRefused, DeliveryError
from app.service import Service

CHEAP: Final = "FTPFileSubmissions"
_LOOK_BACK: Final = timedelta(minutes=1)
_REPAIR: Final = "impact.com shows both under Settings → API; the token has to be one that may read submissions."


def api(service: Service) -> Iterator[Finding]:
    """Ask for the files of the last minute, which takes one call, and tell how the budget stands."""
    if service.api is None:
        return
    now = service.clock()
    window = {"SubmissionDateStart": now - _LOOK_BACK, "SubmissionDateEnd": now}
    query = {name: moment.isoformat(timespec="seconds") for name, moment in window.items()}
    try:
        answer = service.api.answer(CHEAP, query)
    except CredentialsRefused as refused:
        yield Finding("api", Status.FAILURE, str(refused), _REPAIR)
    except DeliveryError as error:
        yield Finding("api", Status.WARNING, str(error), "Orders and questions that go by its calls wait meanwhile.")
    else:
        yield Finding("api", Status.OK, "impact.com's API takes the account's token.")
        yield from drift("impact.com's", answer.headers, service.clock())
    yield Finding("api budget", Status.OK, _budget(service))


def _budget(service: Service) -> str:
    now, share = service.clock(), share_of(service.settings)
    with service.database.snapshot() as session:
        standing = budget_store.standing(session, now)
    spent = sum(standing.spent.values())
    told = f"{spent} of {share.calls} calls of the hour are spent, {share.reserve} are kept for reading"
    limit, remaining = standing.told.limit, remaining_of(standing.told, now)
    limits = [f"impact.com's limit is {limit}"] if limit is not None else []
    limits += [f"{remaining} of it are left"] if remaining is not None else []
    return f"{'; '.join([told, *limits])}."
