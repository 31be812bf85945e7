"""Whoever asks what is kept of them is told all of it."""

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select
from typer.testing import CliRunner, Result

from app.batches.store import BATCH, UNDELIVERED
from app.cli import cli as commands
from app.conversions.store import CONVERSION
from app.conversions.wish import Kind
from app.database import Database
from app.ledger.corrections import Request, accept
from app.privacy.erase import Erasure, Person
from app.privacy.person import tell
from app.purge import means_of
from app.service import Service
from app.tables import METADATA
from tests.privacy.persons import CUSTOMER, EVERYTHING, OTHER_CLICK, OTHER_CUSTOMER, SPOOLED_CLICK, hits, pulled
from tests.support import NOW

ON_ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
ADA = Person(frozenset({CUSTOMER}), frozenset({SPOOLED_CLICK}))
DERIVED = {"revision.fingerprint", "order_term.term", "order_term.revision_id", "batch_content.content", "traces.id"}
NOT_HERS = {"fingerprint_key.sign", "fingerprint_key.id", "batch.removed_at", "batch.removed_why"}


def cells(database: Database) -> dict[tuple[str, Any], Any]:
    """Return every cell of every table by its column and row."""
    found = {}
    with database.snapshot() as session:
        for table in METADATA.sorted_tables:
            for row in session.connection().execute(select(table)):
                key = tuple(row._mapping[column] for column in table.primary_key)
                for column in table.columns:
                    found[f"{table.name}.{column.name}", key] = row._mapping[column]
    return found


def test_all_that_an_erasure_would_remove_is_told(lived: Service, tmp_path: Path) -> None:
    """Cell by cell: what was there before and not after stands in what the person gets, and nothing of others does."""
    pulled(lived)
    text = json.dumps(tell(means_of(lived), ADA, NOW), default=str, ensure_ascii=False)
    told = json.loads(text)
    assert set(hits(lived, tmp_path)) == set(EVERYTHING)
    assert all(json.dumps(one)[1:-1] in text for one in EVERYTHING)
    assert len(told["spool"]) == 2
    assert OTHER_CUSTOMER not in text
    assert OTHER_CLICK not in text
    before = cells(lived.database)
    assert list(Erasure(means_of(lived), ADA, lived.clock()).steps())
    after = cells(lived.database)
    gone = {key: value for key, value in before.items() if after.get(key) != value and key[0] not in DERIVED | NOT_HERS}
    assert {name for name, _ in gone} >= {"revision.click_id", "click.click_id", "new_click.click_id", "call.detail"}
    said = set(_texts(told))
    missing = [name for (name, _), value in gone.items() if value is not None and str(value) not in said]
    assert set(missing) <= {"new_click.id", "unsent.hold_reason", "export.token"}


def _texts(told: Any) -> Any:
    if isinstance(told, dict):
        for one in told.values():
            yield from _texts(one)
    elif isinstance(told, list):
        for one in told:
            yield from _texts(one)
    else:
        yield str(told)


@ON_ONE_DATABASE
def test_each_order_tells_its_life(lived: Service) -> None:
    """Its revisions, lines, deliveries to whom and when, answers, corrections."""
    body = b'{"reason": "ITEM_RETURNED", "items": [{"sku": "SKU-0"}]}'
    request = Request("default", "sent", Kind.REVERSAL, body)
    accept(lived.database, lived.settings, request, NOW)
    told = tell(means_of(lived), ADA, NOW)
    orders = {one["order_id"]: one for one in told["orders"]}
    assert orders.keys() == {"sent", "changed", "waits", "waits with code", "third", "not filed"}
    assert len(orders["changed"]["revisions"]) == 2
    assert [one["kind"] for one in orders["sent"]["corrections"]] == ["reversal"]
    line = next(one for one in told["files"][0]["lines"] if one["OrderId"] == "sent")
    assert orders["sent"]["revisions"][0]["items"][0]["amount"] == line["Amount"]
    assert all("." in item["amount"] for item in orders["sent"]["corrections"][0]["items"])
    [file] = told["files"]
    assert (file["lies_in_journal"], file["lies_in_folder"]) == (True, True)
    assert [one["channel"] for one in file["deliveries"]] == ["folder"]
    assert {line["OrderId"] for line in file["lines"]} == {"sent", "changed"}
    [stands] = orders["sent"]["revisions"][0]["stands_in"]
    assert stands == {"filename": file["filename"], "first_line": 2}
    assert orders["sent"]["revisions"][0]["answers"]


@pytest.fixture
def cli(lived: Service, outbox: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command in this process, with the settings of the service."""
    settings = lived.settings
    environment = {
        "CAPTURE_CAMPAIGN_ID": "1000",
        "CAPTURE_ACTION_TRACKER_ID": "4321",
        "CAPTURE_DATABASE_URL": lived.database.url,
        "CAPTURE_SPOOL_PATH": str(settings.spool_path),
        "CAPTURE_JOURNAL_PATH": str(settings.journal_path),
        "CAPTURE_FOLDER_PATH": str(outbox),
        "CAPTURE_FINGERPRINT_KEY": "a secret of thirty-two characters",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    lived.database.close()
    return lambda *arguments, **how: CliRunner().invoke(commands, list(arguments), **how)


@ON_ONE_DATABASE
def test_what_is_kept_is_a_file_for_its_owner_alone(cli: Callable[..., Result], tmp_path: Path) -> None:
    """Ids come from a file, so that they need not stand in a shell's history; no file is overwritten."""
    ids, answer = tmp_path / "ids", tmp_path / "person.json"
    ids.write_text(f"{CUSTOMER}\n\n", "utf-8")
    told = cli("person", "--customers-from", str(ids), "--output", str(answer))
    assert (told.exit_code, told.output) == (0, "5 orders, 2 clicks and 1 file told of.\n")
    assert stat.S_IMODE(answer.stat().st_mode) == 0o600
    assert CUSTOMER in answer.read_text("utf-8")
    again = cli("person", "--customer", CUSTOMER, "--output", str(answer))
    assert "cannot be written anew" in str(again.exception)


@ON_ONE_DATABASE
def test_the_command_erases_and_prints_no_id(cli: Callable[..., Result], lived: Service, outbox: Path) -> None:
    """Numbers alone; ids may be piped in. Nothing found is no failure, and nobody named is wrong usage."""
    [file] = outbox.iterdir()
    file.unlink()  # impact.com has fetched it
    ids = f"{CUSTOMER}\r\n"
    dry = cli("erase", "--customers-from", "-", "--dry-run", input=ids)
    assert (dry.exit_code, "Nothing was changed." in dry.output) == (0, True)
    done = cli("erase", "--customers-from", "-", input=ids)
    assert (done.exit_code, "5 orders cleared, 2 clicks deleted" in done.output) == (0, True)
    assert "1 order that had not left" in done.output
    assert not any(one in done.output + dry.output for one in EVERYTHING)
    nothing = cli("erase", "--customers-from", "-", "--compact", input=ids)
    assert (nothing.exit_code, "Nothing is kept" in nothing.output) == (0, True)
    with lived.database.snapshot() as session:
        assert len(session.connection().execute(select(CONVERSION)).all()) == 8


@ON_ONE_DATABASE
def test_whoever_names_nobody_is_told_how_to(cli: Callable[..., Result], tmp_path: Path) -> None:
    """So is who names a file that is not there, or an id that nothing can hold."""
    assert cli("erase").exit_code == 2
    assert cli("erase", "--customer", "a\x00b").exit_code == 2
    missing = cli("erase", "--clicks-from", str(tmp_path / "none"))
    assert "cannot be read as ids" in str(missing.exception)


@ON_ONE_DATABASE
def test_a_file_under_way_is_named_and_the_exit_status_says_that_it_is_not_finished(
    cli: Callable[..., Result], lived: Service
) -> None:
    """The sentence says when to repeat the command."""
    with lived.database.transaction() as session:
        [batch] = session.connection().execute(select(BATCH)).all()
        session.connection().execute(insert(UNDELIVERED).values(batch=batch.id, due_at=NOW))
    told = cli("erase", "--customer", CUSTOMER)
    assert told.exit_code == 1
    assert f"Repeat the command when these batches have arrived: {batch.batch_id}." in told.output
