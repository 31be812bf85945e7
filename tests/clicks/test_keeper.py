"""Notes reach the database once and in their order, whatever it does meanwhile, and no visitor waits for it."""

import asyncio
import logging
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import OperationalError

from app import metrics
from app.clicks.click import ClickId
from app.clicks.keeper import Keeper
from app.clicks.replay import Replay
from app.clicks.spool import Spool
from app.clicks.store import CLICK, NEW_CLICK, NewClick, Note
from app.database import Database
from app.errors import Unavailable
from app.migrations import look, require_usable
from tests.clicks.shop import NOW
from tests.servers import PATIENCE

SOON = 4.5  # seconds; a tenth is meant, but the machine may be busy; SQLite itself gives up after five


def click(click_id: str, seconds: int = 0) -> Note:
    """Return a click to record, captured some seconds after NOW."""
    return Note(record=NewClick(click_id=click_id, captured_at=NOW + timedelta(seconds=seconds), source="get"))


def withdrawal(*click_ids: str) -> Note:
    """Return clicks to forget."""
    return Note(forget=frozenset(map(ClickId, click_ids)))


def rows(database: Database) -> dict[str, datetime]:
    """Return what is on record, filed or not yet."""
    with database.snapshot() as session:
        found = [row for table in (CLICK, NEW_CLICK) for row in session.connection().execute(select(table)).all()]
    return {one.click_id: one.captured_at for one in found}


def segments(database: Database) -> list[tuple[str, int]]:
    """Return which segments the database knows."""
    with database.snapshot() as session:
        return [(row[0], row[1]) for row in session.connection().execute(text("SELECT * FROM spool_segment"))]


def keeper_of(database: Database, folder: Path, limit: int = 10**6) -> Keeper:
    """Return a keeper as the service puts it together."""
    spool = Spool(folder, limit)
    return Keeper(Replay(database, spool, lambda: require_usable(look(database))), spool)


@asynccontextmanager
async def started(keeper: Keeper) -> AsyncIterator[Keeper]:
    """Let it work inside the block."""
    await keeper.start()
    try:
        yield keeper
    finally:
        await keeper.close()


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """Let another process hold the database's lock, so that nothing can be written inside the block."""
    if database.is_sqlite:
        with closing(sqlite3.connect(database.url.removeprefix("sqlite:///"), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
        return
    with database.engine.connect() as other_session:
        while not _has_locked(other_session):
            time.sleep(0.001)
        yield
        other_session.rollback()


def _has_locked(session: Connection) -> bool:
    """Take both tables at once or none: who holds one and waits for the other may be waited for by the service."""
    try:
        session.execute(text("LOCK TABLE click, new_click IN ACCESS EXCLUSIVE MODE NOWAIT"))
    except OperationalError:
        session.rollback()
        return False
    return True


async def soon(work: Awaitable[None]) -> None:
    """Wait for something that must not take long."""
    began = time.monotonic()
    await work
    assert time.monotonic() - began < SOON


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that takes as long as it takes."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


def settled(keeper: Keeper, folder: Path) -> Callable[[], bool]:
    """Say whether everything is in the database and nothing is left on the disk."""
    return lambda: keeper.spool_state.state == "empty" and not list(folder.iterdir())


def numbers() -> dict[str, int]:
    """Return the counters of what became of notes."""
    samples = metrics.exposition([]).decode().splitlines()
    counts = [line.rpartition(" ") for line in samples if line.startswith("capture_notes_total")]
    return {name.split('"')[1]: round(float(number)) for name, _, number in counts}


def test_a_note_is_in_the_database_when_the_visitor_is_answered(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the database is there the spool is not used at all."""
    monkeypatch.setattr("app.clicks.keeper.PATIENCE", PATIENCE)  # on a busy machine it may seem to be away

    async def life() -> None:
        async with started(keeper_of(database, tmp_path / "spool")) as keeper:
            for number in range(3):
                await keeper.keep(click(f"C-{number}"))
                assert len(rows(database)) == number + 1
            await keeper.keep(withdrawal("C-0", "C-2", "unknown"))
            assert list(rows(database)) == ["C-1"]
            await asyncio.gather(*(keeper.keep(click(f"D-{number}")) for number in range(200)))
            assert len(rows(database)) == 201

    asyncio.run(life())
    assert list((tmp_path / "spool").iterdir()) == []
    assert segments(database) == []


def test_nobody_waits_for_a_locked_database(database: Database, tmp_path: Path) -> None:
    """Visitors are answered soon, their notes are on the disk, and in the database when it can be written again."""
    folder = tmp_path / "spool"

    async def life() -> None:
        async with started(keeper_of(database, folder)) as keeper:
            await keeper.keep(click("before"))
            await until(settled(keeper, folder))  # on a busy machine it may have gone through the spool
            with locked(database):
                for number in range(5):
                    await soon(keeper.keep(click(f"C-{number}")))
                await soon(keeper.keep(withdrawal("before", "C-1")))
                assert (keeper.spool_state.state, keeper.spool_state.waiting, keeper.can_take) == ("waiting", 6, True)
                (file,) = folder.iterdir()
                assert file.read_bytes().count(b"\n") == 6
            await until(settled(keeper, folder))
            assert set(rows(database)) == {"C-0", "C-2", "C-3", "C-4"}
            await keeper.keep(click("after"))
            assert "after" in rows(database)

    asyncio.run(life())
    assert segments(database) == []


def test_the_order_holds_across_every_turn(database: Database, tmp_path: Path) -> None:
    """A withdrawal after a click wins and a click after a withdrawal stays, on whichever way each of them went."""
    chance, folder, before = random.Random(26), tmp_path / "spool", numbers()
    day = [(number, click(f"C-{number}", number)) for number in range(1_000)]
    day += [(number + chance.randrange(6), withdrawal(f"C-{number}")) for number in range(1, 1_000, 2)]
    day.sort(key=lambda one: one[0])  # a withdrawal in the same moment as its click comes after it
    late: list[asyncio.Task[None]] = []

    async def visits(keeper: Keeper) -> None:
        visiting = []
        for _, note in day:
            visiting.append(asyncio.create_task(keeper.keep(note)))
            await asyncio.sleep(0.001)
        while min(gone()["stored"], gone()["replayed"]) <= 10:  # on a busy computer a day may be over too soon
            number = 1_000 + 2 * len(late)
            late.append(asyncio.create_task(keeper.keep(click(f"C-{number}", number))))
            await asyncio.sleep(0.001)
        await asyncio.gather(*visiting, *late)

    def gone() -> dict[str, int]:
        return {fate: number - before[fate] for fate, number in numbers().items()}

    def is_direct(stored: int) -> bool:
        return numbers()["stored"] > stored

    async def life() -> None:
        async with started(keeper_of(database, folder)) as keeper:
            visiting = asyncio.create_task(visits(keeper))
            while not visiting.done():
                with locked(database):
                    await asyncio.sleep(0.11)
                stored = numbers()["stored"]
                await until(lambda stored=stored: visiting.done() or is_direct(stored))  # type: ignore[misc]
                await asyncio.sleep(0.03 * chance.random())
            await visiting
            await until(settled(keeper, folder))

    asyncio.run(life())
    kept = range(0, 1_000 + 2 * len(late), 2)
    assert rows(database) == {f"C-{number}": NOW + timedelta(seconds=number) for number in kept}
    assert segments(database) == []
    assert min(gone()["stored"], gone()["replayed"]) > 10, gone()  # both ways


def test_a_note_that_the_database_refuses_stops_no_other(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is named in the log by its kind alone, straight and from the spool; its neighbours are stored."""
    bad = Note(record=NewClick(click_id="secret", captured_at=NOW.replace(tzinfo=None), source="get"))
    folder = tmp_path / "spool"

    async def life() -> None:
        async with started(keeper_of(database, folder)) as keeper:
            await asyncio.gather(*(keeper.keep(note) for note in (click("A"), bad, click("B"))))
            assert set(rows(database)) == {"A", "B"}
            with locked(database):
                await asyncio.gather(*(keeper.keep(note) for note in (click("C"), bad, click("D"))))
            await until(settled(keeper, folder))
            assert set(rows(database)) == {"A", "B", "C", "D"}

    asyncio.run(life())
    assert [record.getMessage() for record in caplog.records].count("note.refused") >= 2
    assert "secret" not in caplog.text


def test_what_nothing_can_take_is_counted_and_told_once(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With the database locked and no disk, visitors are answered all the same, and a flood does not fill the log."""
    (tmp_path / "file").write_text("in the way")
    before = numbers()

    async def life() -> None:
        async with started(keeper_of(database, tmp_path / "file" / "spool")) as keeper:
            assert (keeper.can_take, keeper.spool_state.state) == (True, "unwritable")
            with locked(database):
                await asyncio.gather(*(keeper.keep(click(f"secret-{number}")) for number in range(50)))
                for number in range(50):
                    await soon(keeper.keep(click(f"secret-{number}")))
                assert not keeper.can_take
            await until(lambda: keeper.can_take)
            await keeper.keep(click("again"))
            assert "again" in rows(database)

    asyncio.run(life())
    assert numbers()["lost"] - before["lost"] == 100
    told = [record for record in caplog.records if record.getMessage() == "notes.lost"]
    assert [(record.levelno, getattr(record, "reason", "")) for record in told] == [(logging.ERROR, "File exists")]
    assert "secret" not in caplog.text


def test_a_crowd_is_shed_before_it_fills_the_memory(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """More landings than can wait: some wait for the database, some for the disk, the rest is answered and owned up to.

    Each is on record or counted as lost, and the log says so once.
    """
    monkeypatch.setattr("app.clicks.keeper.CROWD", 40)
    before, folder = numbers(), tmp_path / "spool"

    async def life() -> None:
        async with started(keeper_of(database, folder)) as keeper:
            await soon(asyncio.gather(*(keeper.keep(click(f"C-{number}")) for number in range(300))))  # type: ignore[arg-type]
            await until(settled(keeper, folder))

    asyncio.run(life())
    lost = numbers()["lost"] - before["lost"]
    assert 0 < lost < 300
    assert len(rows(database)) == 300 - lost
    assert [getattr(one, "reason", "") for one in caplog.records if one.getMessage() == "notes.lost"] == ["slow"]


def test_a_crowd_is_filed_when_it_is_over(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Appended while they come, the clicks are in their place soon after, by this process or by the next one."""
    monkeypatch.setattr("app.clicks.keeper.PATIENCE", PATIENCE)
    folder = tmp_path / "spool"

    def waiting() -> int:
        with database.snapshot() as session:
            return len(session.connection().execute(select(NEW_CLICK.c.id)).all())

    async def life(number: int) -> None:
        async with started(keeper_of(database, folder)) as keeper:
            await asyncio.gather(*(keeper.keep(click(f"C-{one}")) for one in range(number)))
            if not number:
                await until(lambda: waiting() == 0)

    with monkeypatch.context() as patched:
        patched.setattr("app.clicks.replay.Replay.file", lambda replay: setattr(replay, "has_crowd", False))
        asyncio.run(life(600))
    assert waiting() > 500
    asyncio.run(life(0))
    with database.snapshot() as session:
        assert len(session.connection().execute(select(CLICK.c.click_id)).all()) == 600


def test_a_slow_database_costs_nothing_where_there_is_no_spool(database: Database, tmp_path: Path) -> None:
    """On a host without a disk to write to, a lock of a moment is waited for rather than clicks being lost."""
    (tmp_path / "file").write_text("in the way")
    before = numbers()

    async def life() -> None:
        async with started(keeper_of(database, tmp_path / "file" / "spool")) as keeper:
            with locked(database):
                landing = asyncio.create_task(keeper.keep(click("A")))
                await asyncio.sleep(0.3)
            await landing
            assert set(rows(database)) == {"A"}

    asyncio.run(life())
    assert numbers()["lost"] == before["lost"]


def test_a_visitor_who_goes_away_is_remembered(database: Database, tmp_path: Path) -> None:
    """A request that is cancelled while its note is on its way takes nothing back."""
    folder = tmp_path / "spool"

    async def life() -> None:
        async with started(keeper_of(database, folder)) as keeper:
            with locked(database):
                for name in ("waiting for the database", "waiting for the spool"):
                    landing = asyncio.create_task(keeper.keep(click(name)))
                    await asyncio.sleep(0)
                    landing.cancel()
                    await asyncio.wait({landing})
                    await asyncio.sleep(0.2)
            await until(settled(keeper, folder))

    asyncio.run(life())
    assert set(rows(database)) == {"waiting for the database", "waiting for the spool"}


def test_an_end_leaves_what_waits_to_the_next_start(database: Database, tmp_path: Path) -> None:
    """Told to stop while the database is locked, the service has notes on the disk before it ends, for the next one."""
    folder = tmp_path / "spool"

    async def life(*notes: Note) -> None:
        async with started(keeper_of(database, folder)) as keeper:
            if not notes:
                await until(settled(keeper, folder))
            for note in notes:
                asyncio.get_running_loop().create_task(keeper.keep(note))
            await asyncio.sleep(0)

    with locked(database):
        asyncio.run(life(click("A"), click("B"), withdrawal("A")))
        asyncio.run(life(click("C")))
    asyncio.run(life())
    assert set(rows(database)) == {"B", "C"}


def test_a_schema_that_is_not_known_gets_no_notes(database: Database, tmp_path: Path) -> None:
    """They wait in the spool until the version that knows it, or the old schema, is there again."""
    folder = tmp_path / "spool"

    def set_version(version: str) -> None:
        with database.transaction() as session:
            session.connection().execute(text("UPDATE alembic_version SET version_num = :v"), {"v": version})
            session.connection().execute(text("UPDATE compatibility SET oldest = :v"), {"v": version})

    with database.snapshot() as session:
        known = session.connection().execute(text("SELECT version_num FROM alembic_version")).scalar_one()

    async def life() -> None:
        set_version("newer")
        async with started(keeper_of(database, folder)) as keeper:
            await keeper.keep(click("A"))
            assert (rows(database), keeper.spool_state.waiting) == ({}, 1)
            set_version(known)
            await until(settled(keeper, folder))

    asyncio.run(life())
    assert set(rows(database)) == {"A"}


def test_a_database_that_is_away_at_the_start_is_found_later(sqlite_url: str, tmp_path: Path) -> None:
    """The service need not be started again, and two processes on one host replay what each of them took."""
    database, folder, away = Database(sqlite_url), tmp_path / "spool", True

    def check() -> None:
        if away:
            raise Unavailable("The database is away.")

    def new() -> Keeper:
        spool = Spool(folder, 10**6)
        return Keeper(Replay(database, spool, check), spool)

    async def life() -> None:
        nonlocal away
        async with started(new()) as one, started(new()) as other:
            for number in range(10):
                await soon((one, other)[number % 2].keep(click(f"C-{number}")))
            away = False
            await until(lambda: settled(one, folder)() and settled(other, folder)())

    asyncio.run(life())
    assert set(rows(database)) == {f"C-{number}" for number in range(10)}
    database.close()


def test_the_segments_of_a_dead_process_are_found_while_this_one_is_idle(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has to land, and nothing has to be started again, for what it left to be replayed."""
    monkeypatch.setattr("app.clicks.keeper.TIDY_SECONDS", 0.1)
    folder = tmp_path / "spool"
    dead = Spool(folder, 10**6)
    dead.append([(NOTE, False)])

    async def life() -> None:
        async with started(keeper_of(database, folder)) as keeper:
            await asyncio.sleep(0.2)
            assert rows(database) == {}
            dead.close()
            await until(settled(keeper, folder))

    asyncio.run(life())
    assert set(rows(database)) == {"dead"}


NOTE: Any = b'{"record":{"click_id":"dead","captured_at":"2026-11-20T18:00:22Z","source":"get"},"forget":[]}'
