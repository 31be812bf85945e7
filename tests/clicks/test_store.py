"""One row per click id, on a real database."""

from datetime import timedelta

from sqlalchemy import inspect

from app.clicks.click import ClickId
from app.clicks.store import Click, add_new, delete_by_ids
from tests.clicks.shop import ID, NOW, OTHER, Shop


def click(click_id: str, seconds: int = 0) -> Click:
    """Return a click that was captured some seconds after NOW."""
    return Click(click_id=click_id, captured_at=NOW + timedelta(seconds=seconds), source="get")


def test_a_click_is_recorded_once(shop: Shop) -> None:
    """Recording a click again, alone or beside new ones, changes nothing about it."""
    for group in ([click(ID)], [click(OTHER, 1), click(ID, 1), click(OTHER, 2)], []):
        with shop.database.transaction() as session:
            add_new(session, group)
    assert {(row.click_id, row.captured_at) for row in shop.rows()} == {
        (ID, NOW),
        (OTHER, NOW + timedelta(seconds=1)),
    }


def test_ids_that_differ_in_case_are_two(shop: Shop) -> None:
    """Click ids are case-sensitive."""
    with shop.database.transaction() as session:
        add_new(session, [click("abc"), click("ABC")])
    assert len(shop.rows()) == 2


def test_only_the_named_clicks_are_deleted(shop: Shop) -> None:
    """Forgetting one click leaves the others, and forgetting an unknown one is harmless."""
    with shop.database.transaction() as session:
        add_new(session, [click(ID), click(OTHER)])
        delete_by_ids(session, [ClickId(ID), ClickId("unknown")])
        delete_by_ids(session, [])
    assert shop.row().click_id == OTHER


def test_there_is_no_room_for_personal_data(shop: Shop) -> None:
    """What a row can hold is exactly this; an address of the network is not among it."""
    assert [column["name"] for column in inspect(shop.database.engine).get_columns("click")] == [
        "click_id",
        "captured_at",
        "landing_url",
        "referrer_origin",
        "user_agent_family",
        "source",
    ]
