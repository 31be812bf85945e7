"""One row per click id, on a real database."""

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, inspect, select

from app.clicks.click import MAX_LANDING_URL, MAX_ORIGIN, ClickId
from app.clicks.store import (
    CLICK,
    NewClick,
    Note,
    add_new,
    append,
    delete_by_ids,
    file_some,
    note_from_json,
    note_to_json,
    write,
    write_all,
)
from app.clicks.visitor import MAX_FAMILY
from app.database import Database
from tests.clicks.shop import ID, NOW, OTHER, Shop
from tests.servers import PATIENCE


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


def test_more_clicks_are_deleted_than_a_statement_can_name(shop: Shop) -> None:
    """Whoever erases a whole list of people has a long one."""
    with shop.database.transaction() as session:
        add_new(session, [click(ID)])
        delete_by_ids(session, [ClickId(ID), *(ClickId(f"click-{number}") for number in range(66_000))])
    assert shop.rows() == []


def test_there_is_no_room_for_personal_data(shop: Shop) -> None:
    """What a row can hold is exactly this; an address of the network is not among it."""
    assert [column["name"] for column in inspect(shop.database.engine).get_columns("click")] == [
        "click_id",
        "captured_at",
        "landing_url",
        "referrer_origin",
        "user_agent_family",
        "source",
        "consent",
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
    st.sampled_from([None, "granted", "implied"]),
)
def test_a_note_comes_out_of_the_spool_as_it_went_in(
    click_id: str,
    at: datetime,
    source: str,
    url: str | None,
    origin: str | None,
    family: str | None,
    consent: str | None,
) -> None:
    """Every field of a click, and the clicks of a withdrawal, on one line of plain ASCII."""
    kept = NewClick(
        click_id=click_id,
        captured_at=at,
        landing_url=url,
        referrer_origin=origin,
        user_agent_family=family,
        source=source,
        consent=consent,
    )
    for note in (Note(kept), Note(forget=frozenset({ClickId(click_id), ClickId(ID)}))):
        line = note_to_json(note)
        assert line.isascii()
        assert b"\n" not in line
        read = note_from_json(line)
        assert read.forget == note.forget
        assert read.record == note.record


RELEASED = ("click_id", "captured_at", "landing_url", "referrer_origin", "user_agent_family", "source")
"""What a record in the spool has had since the first release."""


def test_two_versions_replay_each_other_s_spool() -> None:
    """A line has the record of the first release, whatever stands beside it; and one without consent is taken."""
    line = json.loads(note_to_json(Note(click(ID)._replace(consent="granted"))))
    assert tuple(line["record"]) == RELEASED
    older = json.dumps({"record": line["record"], "forget": []}).encode()
    assert note_from_json(older) == Note(click(ID))


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"1", b'{"record":{"click_id":1},"forget":[]}', b'{"record":1}'])
def test_what_is_no_note_is_told(text: bytes) -> None:
    """A line that something else wrote is not half understood."""
    with pytest.raises(ValueError, match="not a note"):
        note_from_json(text)


# A crowd ----------------------------------------------------------------------------------------------------------


def appended(database: Database, *clicks: NewClick) -> None:
    """Append clicks as the keeper does when many come at once."""
    with database.group() as cursor:
        append(cursor, database.dialect, clicks)


def filed(database: Database) -> dict[str, tuple[object, ...]]:
    """Return what is filed."""
    with database.snapshot() as session:
        return {row.click_id: tuple(row) for row in session.connection().execute(select(CLICK))}


def file_all(database: Database, step: int = 3) -> None:
    """File everything, a few at a time."""
    more = True
    while more:
        with database.transaction() as session:
            more = file_some(session, step)


def test_a_crowd_is_filed_as_if_each_had_come_alone(database: Database) -> None:
    """Every field as it came; of several with one id, and of one that is on record, the first counts.

    But a consent that any of them brings stays.
    """
    visitor = "https://blog.example", "Mobile Safari", "redirect", "granted"
    odd = NewClick("a/b==", NOW, "https://shop.example/ä", *visitor)
    with database.transaction() as session:
        write(session, Note(click("known", 1)))
    appended(database, click("B", 5), odd, click("known", 9), click("B", 7))
    consents = [click("known", 9)._replace(consent="granted"), click("B", 8)._replace(consent="granted")]
    appended(database, click("B", 6), *consents, *(click(f"C-{number}", number) for number in range(20)))
    assert set(filed(database)) == {"known"}
    file_all(database)
    found = filed(database)
    assert set(found) == {"known", "B", "a/b==", *(f"C-{number}" for number in range(20))}
    assert found["a/b=="] == tuple(odd)
    assert found["known"][1] == NOW + timedelta(seconds=1)
    assert found["B"][1] == NOW + timedelta(seconds=5)
    assert {name: row[-1] for name, row in found.items() if row[-1]} == dict.fromkeys(
        ["known", "B", "a/b=="], "granted"
    )
    with database.transaction() as session:
        assert not file_some(session, 10)


def test_a_refusal_forgets_a_click_that_is_not_filed_yet(database: Database) -> None:
    """Wherever it lies, and also what comes again after it stays."""
    appended(database, click("A", 1), click("B", 2), click("A", 3))
    with database.transaction() as session:
        write(session, Note(forget=frozenset({ClickId("A")})))
    appended(database, click("A", 4))
    file_all(database)
    assert {name: row[1] for name, row in filed(database).items()} == {
        "A": NOW + timedelta(seconds=4),
        "B": NOW + timedelta(seconds=2),
    }


def test_a_refusal_waits_for_whoever_files_the_click_just_now(database: Database) -> None:
    """Another process has it in its hands; it is forgotten all the same."""
    appended(database, click("A"), click("B"))
    began, refused = threading.Event(), []

    def refuse() -> None:
        began.set()
        with database.transaction() as session:
            write(session, Note(forget=frozenset({ClickId("A")})))
        refused.append(True)

    thread = threading.Thread(target=refuse)
    with database.transaction() as session:
        assert file_some(session, 10)
        thread.start()
        assert began.wait(PATIENCE)
        thread.join(0.3)
        assert refused == []
    thread.join(PATIENCE)
    assert set(filed(database)) == {"B"}


@given(
    st.lists(
        st.builds(
            NewClick,
            st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8),
            st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.timezones()),  # noqa: DTZ001
            st.none() | st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=40),
            st.none() | st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=40),
            st.none() | st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=40),
            st.sampled_from(["get", "post", "redirect"]),
            st.sampled_from([None, "granted", "implied"]),
        ),
        unique_by=lambda one: one.click_id,
        max_size=5,
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=50)
def test_both_ways_write_the_same(database: Database, clicks: list[NewClick]) -> None:
    """A click looks the same on record, whether it came alone or in a crowd."""
    found = []
    for crowd in (False, True):
        with database.transaction() as session:
            session.connection().execute(delete(CLICK))
            if not crowd:
                write_all(session, [Note(one) for one in clicks])
        if crowd and clicks:
            appended(database, *clicks)
            file_all(database)
        found.append(filed(database))
    assert found[0] == found[1]


def test_a_time_without_an_offset_is_not_guessed(database: Database) -> None:
    """Neither way."""
    with pytest.raises(ValueError, match="offset"):
        appended(database, NewClick("A", NOW.replace(tzinfo=None)))
    assert filed(database) == {}
