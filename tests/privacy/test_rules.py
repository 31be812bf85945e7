"""What is personal, and how it is taken out of files, sentences and the spool."""

from pathlib import Path

import pytest

from app.batches.batch import AgeLimit, render
from app.clicks.click import ClickId
from app.clicks.spool import Spool, line_of
from app.clicks.store import NewClick, Note, note_to_json
from app.database import Database
from app.delivery.kept import read_kept
from app.event_type import EventType
from app.impact.columns import EXTRA, FILE_COLUMNS, OPTIONAL_COLUMNS
from app.privacy.emptied import Theirs, empty
from app.privacy.personal import STAYS, is_personal, personal_values, without_personal, without_values
from app.privacy.spooled import forget_in_spool, spooled
from tests.support import NOW, order

PERSONAL = (
    *("ClickId", "CustomerId", "CustomerEmail", "CustomerCity", "CustomerPostCode", "CustomerRegion", "IpAddress"),
    *("PhoneNumber", "CallerId", "UserAgent", "Latitude", "Longitude", "PageUrl", "ReferringUrl", "Note", "Text1"),
    *("Text50", "Numeric1", "Date1", "CustomProfileId", "AppleIfa", "AndroidId", "GoogAId", "ItemText_1", "SubId1"),
)


def test_every_parameter_is_personal_but_those_that_are_known_not_to_be() -> None:
    """What is new in the catalogue is removed until somebody has thought about it."""
    assert all(map(is_personal, PERSONAL))
    assert is_personal("SomethingNew")
    known = {*EXTRA, *OPTIONAL_COLUMNS, *(name for columns in FILE_COLUMNS.values() for name in columns), "EventCode"}
    assert known >= STAYS


def test_the_sale_stays_in_what_an_order_carries() -> None:
    """Shipping and tax are the shop's; nothing is left where there was nothing else."""
    assert without_personal('{"Note": "x", "OrderShipping": "4.90"}') == '{"OrderShipping": "4.90"}'
    assert without_personal('{"Note": "x"}') is None
    assert without_personal(None) is None
    assert personal_values('{"Note": "x", "OrderShipping": "4.90"}') == {"x"}


def test_a_value_is_cut_out_of_a_sentence_only_where_it_stands_by_itself() -> None:
    """A short id takes no other word apart."""
    assert without_values("ClickId 'a-1' of a-10, (a-1)", {"a-1"}) == "ClickId '[removed]' of a-10, ([removed])"
    assert without_values("nothing", {"a-1", ""}) == "nothing"


def rendered(columns: tuple[str, ...] = ("Note",)) -> bytes:
    """Return a file of two orders, one of them with a line break and quotes in it."""
    event_type = EventType(campaign_id=1, action_tracker_id=2, columns=columns)
    first = order('A, "1"', customer_id="cus-1", extra={"Note": 'two\nlines, "quoted"'})
    second = order("B", customer_id="cus-10", click_id="click-10", items=1)
    return render("", [first, second], event_type, AgeLimit(88, 398), NOW).content


@pytest.mark.parametrize(
    "theirs",
    [
        Theirs(order_ids={'A, "1"'}),
        Theirs(click_ids={"click-1"}),
        Theirs(customer_ids={"cus-1"}),
    ],
)
def test_only_the_persons_cells_of_a_file_are_emptied(theirs: Theirs) -> None:
    """Each line stays where it was, so that the journal still says which orders left, and with what amounts."""
    name = "2026-11-22_ActionData_default_" + "0" * 32 + ".csv"
    content = rendered()
    emptied = empty(content, theirs)
    assert (emptied.lines, emptied.click_ids) == (2, frozenset({"click-1"}))
    before, after = read_kept(name, content), read_kept(name, emptied.content)
    assert (after.first_lines, after.said, after.rows) == (before.first_lines, before.said, before.rows)
    assert emptied.content.endswith(content[content.index(b"1,2,", content.index(b"quoted")) :].split(b"\r\n", 1)[1])
    assert empty(emptied.content, theirs).lines == 0
    assert empty(content, Theirs(everyone=True)).lines == 3
    assert empty(content, Theirs(order_ids={"C"})).content == content


def test_a_spool_is_written_over_where_it_stands(database: Database, tmp_path: Path) -> None:
    """What a process that goes on appending knows of its file stays true, and nothing of anybody else is lost."""
    spool = Spool(tmp_path, 1 << 20)
    hers, others = ClickId("clk-1"), ClickId("clk-12")
    notes = [
        Note(NewClick(hers, NOW, "https://shop.example/")),
        Note(NewClick(others, NOW)),
        Note(forget=frozenset({hers, others})),
    ]
    spool.append([(note_to_json(note), False) for note in notes])
    [path] = tmp_path.glob("*.spool")
    damaged = line_of(note_to_json(notes[0])).replace(b"shop", b"shap")
    with path.open("ab") as file:
        file.write(damaged)
    size = path.stat().st_size
    assert len(list(spooled(tmp_path, {hers}))) == 2
    with database.transaction() as session:
        assert forget_in_spool(session, tmp_path, {hers}) == 2
    assert path.stat().st_size == size
    assert b'clk-1"' not in path.read_bytes()
    spool.append([(note_to_json(notes[1]), False)])
    assert list(spooled(tmp_path, {others})) == [notes[1], Note(forget=frozenset({others})), notes[1]]
    assert list(spooled(tmp_path, {hers})) == []
    spool.close()
