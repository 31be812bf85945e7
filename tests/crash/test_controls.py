"""The negative controls: a service without one of its safeguards loses or doubles, and the harness sees it."""

import shutil
import signal

import pytest

from tests.crash.shop import NewShop, Shop
from tests.crash.test_kill import KILLED
from tests.crash.test_oracle import WITHOUT_KEY, alter


def killed_and_resumed(shop: Shop, step: str, flaw: str | None) -> None:
    """Kill a worker that has a flaw, and let another one, which has it too, finish."""
    assert shop.run(signal.SIGKILL.name, step, "1", flaw=flaw) == KILLED
    shop.end_leases()
    shutil.rmtree(shop.journal, ignore_errors=True)  # from which the next worker would notice, and send nothing
    assert shop.run(flaw=flaw) == 0


@pytest.mark.parametrize("way", ["email", "ftps"])
@pytest.mark.parametrize("flaw", [None, "record_after_the_upload"])
def test_an_attempt_recorded_after_the_upload_is_noticed(new_shop: NewShop, way: str, flaw: str | None) -> None:
    """A file that came twice has two attempts on record, unless they are recorded too late."""
    shop = new_shop("sqlite", way)
    killed_and_resumed(shop, "delivery.sent", flaw)
    complaints = shop.tally().wrong
    assert any("arrived 2 times in 1 attempts" in one for one in complaints) == (flaw is not None)


def test_without_the_unique_key_orders_would_be_doubled(new_shop: NewShop) -> None:
    """An exporter that forgets to take orders off the list sends them again, and the key of batch_line prevents it."""
    shop = new_shop("sqlite")
    alter(shop, WITHOUT_KEY)
    killed_and_resumed(shop, "batch.committed", "leave_on_the_list")
    assert shop.tally().doubled > 0
    assert any("is in 2 places" in one for one in shop.faults(at_rest=False))


def test_with_the_unique_key_they_are_not(new_shop: NewShop) -> None:
    """The same exporter fails, and each order is in one file."""
    shop = new_shop("sqlite")
    assert shop.run(signal.SIGKILL.name, "batch.committed", "1", flaw="leave_on_the_list") == KILLED
    shop.end_leases()
    assert shop.run(flaw="leave_on_the_list") == 1  # IntegrityError, which nothing here expects
    assert shop.tally().doubled == 0
