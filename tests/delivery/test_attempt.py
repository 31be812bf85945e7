"""What follows an attempt to deliver."""

from datetime import timedelta

import pytest

from app.delivery.attempt import BatchState, batch_state, next_try
from tests.support import NOW


def test_the_first_new_try_comes_soon_and_later_ones_at_growing_intervals() -> None:
    """Within five seconds, then ever longer, never more than a quarter of an hour, for as long as it takes."""
    waits = [next_try(number, NOW) - NOW for number in range(1, 30)]
    assert waits[0] <= timedelta(seconds=5)
    assert waits == sorted(waits)
    assert waits[1] == 2 * waits[0]
    assert waits[-1] == max(waits) == timedelta(minutes=15)
    assert next_try(10**6, NOW) - NOW == timedelta(minutes=15)


@pytest.mark.parametrize(
    ("attempts", "state"),
    [
        ([], BatchState.RENDERED),
        (["started"], BatchState.SENDING),
        (["unknown"], BatchState.SENDING),
        (["failed"], BatchState.FAILED),
        (["failed", "started"], BatchState.SENDING),
        (["unknown", "delivered"], BatchState.DELIVERED),
        (["delivered", "failed"], BatchState.DELIVERED),
    ],
)
def test_the_attempts_say_where_a_batch_is(attempts: list[str], state: BatchState) -> None:
    """Rendered, being sent, failed for now, or there; what arrived stays there when a redelivery fails."""
    assert batch_state(attempts) is state
