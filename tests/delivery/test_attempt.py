"""What follows an attempt to deliver."""

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.delivery.attempt import AttemptStatus, BatchState, after, batch_state, next_pull, wait
from app.errors import (
    ChannelRefused,
    ChannelUnavailable,
    CredentialsRefused,
    DeliveryError,
    OutcomeUnknown,
    ReceiverNotTrusted,
)

CHANCES = st.floats(0, 1, exclude_max=True)


@given(chance=CHANCES)
def test_the_first_new_try_comes_soon_and_later_ones_at_growing_intervals(chance: float) -> None:
    """Within five seconds, then ever longer, never more than a quarter of an hour, for as long as it takes."""
    waits = [wait(tries, chance) for tries in range(1, 30)]
    assert timedelta(seconds=2) < waits[0] <= timedelta(seconds=5)
    assert waits == sorted(waits)
    assert timedelta(minutes=11) < waits[-1] <= timedelta(minutes=15)
    assert wait(10**6, chance) == waits[-1]


def test_replicas_do_not_come_back_all_at_once() -> None:
    """Chance makes a wait shorter, by up to a quarter."""
    assert wait(5, 0.99) < wait(5, 0.5) < wait(5, 0)
    assert wait(5, 0.99) > wait(5, 0) * 0.75


@pytest.mark.parametrize(
    ("error", "status", "again", "denials", "stops"),
    [
        (ChannelUnavailable, AttemptStatus.FAILED, True, 0, False),
        (OutcomeUnknown, AttemptStatus.UNKNOWN, True, 0, False),
        (CredentialsRefused, AttemptStatus.FAILED, True, 1, False),
        (ReceiverNotTrusted, AttemptStatus.FAILED, True, 0, True),
        (ChannelRefused, AttemptStatus.FAILED, False, 0, False),
    ],
)
def test_what_follows_a_failure(
    error: type[DeliveryError], status: AttemptStatus, again: bool, denials: int, stops: bool
) -> None:
    """Another try, a person, or a channel that is used no more; its code and its sentence are kept."""
    outcome = after(error("It went wrong."), 1, 100, 0.5)
    assert (outcome.status, outcome.wait is not None, outcome.denials, outcome.stops) == (status, again, denials, stops)
    assert (outcome.code, outcome.detail) == (error.code, "It went wrong.")
    assert after(error("It went wrong."), 100, 100, 0.5).wait is None  # the last try is the last


@pytest.mark.parametrize(
    ("attempts", "stuck", "state"),
    [
        ([], False, BatchState.RENDERED),
        (["started"], False, BatchState.SENDING),
        (["failed"], False, BatchState.SENDING),
        (["failed", "started"], False, BatchState.SENDING),
        (["failed", "failed"], True, BatchState.FAILED),
        (["unknown"], False, BatchState.UNKNOWN),
        (["unknown", "started"], False, BatchState.UNKNOWN),
        (["unknown", "failed"], True, BatchState.UNKNOWN),
        (["unknown", "delivered"], False, BatchState.DELIVERED),
        (["delivered", "failed"], True, BatchState.DELIVERED),
    ],
)
def test_the_attempts_say_where_a_batch_is(attempts: list[str], stuck: bool, state: BatchState) -> None:
    """What arrived stays there when a redelivery fails; what may have arrived is unknown until one surely has."""
    assert batch_state(attempts, stuck=stuck) is state


NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("daily_at", "pull"),
    [
        (None, NOON + timedelta(days=1)),
        (time(13, 0), NOON + timedelta(hours=1)),
        (time(12, 0), NOON + timedelta(days=1)),
        (time(4, 30), NOON + timedelta(hours=16, minutes=30)),
    ],
)
def test_the_next_pull_is_told(daily_at: time | None, pull: datetime) -> None:
    """impact.com fetches every 24 hours: at the time that is set, else within a day."""
    assert next_pull(NOON, daily_at) == pull
    assert next_pull(NOON.astimezone().replace(microsecond=0), daily_at) == pull
