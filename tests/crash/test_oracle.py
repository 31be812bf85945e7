"""The judge of the crash tests can say no: each thing that must not happen is done here, and found."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from tests.crash.shop import Shop
from tests.crash.test_kill import recover

ONE = "(SELECT min(revision_id) FROM batch_line)"
"""Stands for <one> below: an order that was sent."""
WITHOUT_KEY = """
CREATE TABLE copy AS SELECT * FROM batch_line;
DROP TABLE batch_line;
ALTER TABLE copy RENAME TO batch_line;
"""
ON_TWO_BATCHES = """
INSERT INTO batch_line SELECT revision_id, (SELECT max(batch) FROM batch_line), 99
FROM batch_line WHERE revision_id = <one>
"""
RECORDED_TWICE = """
CREATE TABLE copy AS SELECT * FROM conversion;
DROP TABLE conversion;
ALTER TABLE copy RENAME TO conversion;
INSERT INTO conversion SELECT id + 1000, event_type, order_id, recorded_at FROM conversion LIMIT 1
"""
ALSO_IN_ANOTHER_FILE = """
INSERT INTO batch_line SELECT <one>, <batch>, <line>;
UPDATE batch SET rows = rows + 1, sha256 = '<sha256>' WHERE id = <batch>;
UPDATE batch_content SET content = X'<content>' WHERE batch = <batch>
"""


@pytest.fixture
def sold(new_shop: Callable[[str], Shop]) -> Shop:
    """A shop whose export went well."""
    shop = new_shop("sqlite")
    recover(shop)
    assert shop.faults(at_rest=True) == []
    return shop


def alter(shop: Shop, script: str, **values: object) -> None:
    """Run SQL that the service would never run."""
    for name, value in {"one": ONE, **values}.items():
        script = script.replace(f"<{name}>", str(value))
    with closing(sqlite3.connect(shop.url.removeprefix("sqlite:///"))) as connection:
        connection.executescript(script)


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        (WITHOUT_KEY + ON_TWO_BATCHES, "is in 2 places: delivered, delivered"),
        ("INSERT INTO unsent (revision_id, event_type) VALUES (<one>, '')", "is in 2 places: delivered, pending"),
        ("INSERT INTO left_out VALUES (<one>, 1, 'held', '', '', NULL)", "is in 2 places: delivered, held"),
        ("DELETE FROM batch_line WHERE revision_id = <one>", "is in 0 places"),
        ("DELETE FROM left_out WHERE state = 'expired'", "is in 0 places"),
        ("UPDATE left_out SET state = 'expired'", "is expired, not held"),
        ("UPDATE batch_line SET first_line = 9 WHERE revision_id = <one>", "has other lines than its batch"),
        ("DELETE FROM conversion WHERE id = 1", "was acknowledged and is missing"),
        (RECORDED_TWICE, "is recorded 2 times"),
        ("UPDATE item SET amount = amount + 1 WHERE revision_id = <one>", "are not the recorded ones"),
        ("UPDATE item SET amount = amount + 1 WHERE revision_id = <one>", "are not those of the files"),
        ("UPDATE batch_content SET content = CAST(content || X'0D0A' AS BLOB) WHERE batch = 1", "stored content of"),
        ("UPDATE attempt SET status = 'unknown' WHERE batch = 1", "is unknown, not delivered"),
        (
            "INSERT INTO undelivered (batch, due_at, token) VALUES (1, '2026-01-01', 7)",
            "1 exports or deliveries",
        ),
    ],
)
def test_a_wrong_ledger_is_found(sold: Shop, script: str, complaint: str) -> None:
    """An order that is lost, doubled, in two places, or of another amount does not go unnoticed."""
    alter(sold, script)
    assert any(complaint in fault for fault in sold.faults(at_rest=True))


def _first(folder: Path) -> Path:
    return min(folder.iterdir())


def _alter_a_byte(folder: Path) -> None:
    content = bytearray(_first(folder).read_bytes())
    content[-3] ^= 1
    _first(folder).write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (_alter_a_byte, "differs from its batch"),
        (lambda folder: _first(folder).write_bytes(_first(folder).read_bytes()[:-40]), "cannot be read"),
        (lambda folder: _first(folder).unlink(), "was delivered and is not there"),
        (lambda folder: _first(folder).with_suffix(".csv.part").touch(), "was left behind"),
        (lambda folder: _first(folder).with_name("other.csv").write_bytes(_first(folder).read_bytes()), "is no batch"),
    ],
)
def test_a_wrong_folder_is_found(sold: Shop, damage: Callable[[Path], object], complaint: str) -> None:
    """A file that is altered, cut, missing, unfinished or in the way does not go unnoticed."""
    damage(sold.outbox)
    assert any(complaint in fault for fault in sold.faults(at_rest=True))


def test_an_order_in_two_files_is_found_even_if_all_else_agrees(sold: Shop) -> None:
    """The files are read as their receiver reads them, and not only compared with what is stored."""
    batches = sold.facts().batches
    number, other = [one for one, batch in batches.items() if batch["event_type"] == "default"][:2]
    row = batches[number]["content"].split(b"\r\n")[1] + b"\r\n"
    content: bytes = batches[other]["content"] + row
    (sold.outbox / batches[other]["filename"]).write_bytes(content)
    place = {"batch": other, "line": content.count(b"\r\n")}
    alter(sold, WITHOUT_KEY + ALSO_IN_ANOTHER_FILE, **place, sha256=sha256(content).hexdigest(), content=content.hex())
    faults = sold.faults(at_rest=True)
    assert any("stands in 2 places of the files" in fault for fault in faults)
    assert not any("differs" in fault or "other lines" in fault for fault in faults)


def test_a_worker_that_is_never_killed_is_told_from_one_that_is(new_shop: Callable[[str], Shop]) -> None:
    """A crash test whose step is never reached does not pass as one that was."""
    assert new_shop("sqlite").run("SIGKILL", "no.such.step", "1") == 0
