"""One row per click id, on a real database."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import inspect

from app.clicks.click import MAX_LANDING_URL, MAX_ORIGIN, ClickId
from app.clicks.store import NewClick, Note, add_new, delete_by_ids, note_from_json, note_to_json, write_all
from app.clicks.visitor import MAX_FAMILY
from tests.clicks.shop import ID, NOW, OTHER, Shop


def click(click_id: str, seconds: int = 0) -> NewClick:
    """Return a click that was captured some seconds after NOW."""
    return NewClick(click_id=click_id, captured_at=NOW + timedelta(seconds=seconds), source="get")


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


def test_notes_take_effect_in_their_order(shop: Shop) -> None:
    """In one transaction as one by one: what came last about a click counts, and the first capture of it stays."""
    forget_id, forget_both = (
        Note(forget=frozenset({ClickId(ID)})),
        Note(forget=frozenset({ClickId(ID), ClickId(OTHER)})),
    )
    with shop.database.transaction() as session:
        write_all(session, [Note(click(ID, 1)), Note(click(OTHER, 2)), forget_id, Note(click(OTHER, 3)), forget_id])
    assert (shop.row().click_id, shop.row().captured_at) == (OTHER, NOW + timedelta(seconds=2))
    with shop.database.transaction() as session:
        write_all(session, [forget_both, Note(click(ID, 4)), Note(click(ID, 5)), Note()])
    assert (shop.row().click_id, shop.row().captured_at) == (ID, NOW + timedelta(seconds=4))


@given(
    st.text(min_size=1, max_size=64),
    st.datetimes(timezones=st.just(UTC)),
    st.text(max_size=16),
    st.none() | st.text(max_size=MAX_LANDING_URL),
    st.none() | st.text(max_size=MAX_ORIGIN),
    st.none() | st.text(max_size=MAX_FAMILY),
)
def test_a_note_comes_out_of_the_spool_as_it_went_in(
    click_id: str, at: datetime, source: str, url: str | None, origin: str | None, family: str | None
) -> None:
    """Every field of a click, and the clicks of a withdrawal, on one line of plain ASCII."""
    kept = NewClick(
        click_id=click_id,
        captured_at=at,
        landing_url=url,
        referrer_origin=origin,
        user_agent_family=family,
        source=source,
    )
    for note in (Note(kept), Note(forget=frozenset({ClickId(click_id), ClickId(ID)}))):
        line = note_to_json(note)
        assert line.isascii()
        assert b"\n" not in line
        read = note_from_json(line)
        assert read.forget == note.forget
        assert read.record == note.record


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"1", b'{"record":{"click_id":1},"forget":[]}', b'{"record":1}'])
def test_what_is_no_note_is_told(text: bytes) -> None:
    """A line that something else wrote is not half understood."""
    with pytest.raises(ValueError, match="not a note"):
        note_from_json(text)
