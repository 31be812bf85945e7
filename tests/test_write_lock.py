"""One writer at a time on an embedded database, whichever process it is in."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from app.database import Database
from app.errors import Unavailable
from app.write_lock import WriteLock
from tests.servers import wait_until

ROOT = Path(__file__).parent.parent
WRITER = """
import sys
from app.database import Database
database = Database(sys.argv[1])
for _ in range(200):
    with database.transaction() as session:
        session.connection().exec_driver_sql("INSERT INTO filler VALUES (randomblob(20000))")
database.close()
"""
HOLDER = """
import sys, pathlib
from app.write_lock import WriteLock
with WriteLock(pathlib.Path(sys.argv[1])).hold(5):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_processes_never_hold_it_at_once(tmp_path: Path) -> None:
    """While another process writes, this one waits, says in a sentence that it did, and goes on when that has ended."""
    path = tmp_path / "ledger.db"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        lock = WriteLock(path)
        with pytest.raises(Unavailable, match="busy"), lock.hold(0.1):
            pytest.fail("two at once")
        holder.kill()  # however a process ends, it holds nothing any more
        holder.wait()
        with lock.hold(5):
            pass
        lock.close()


def test_threads_of_one_process_take_turns(tmp_path: Path) -> None:
    """Nobody is inside while another is."""
    lock, inside, most = WriteLock(tmp_path / "ledger.db"), [0], [0]

    def write() -> None:
        for _ in range(50):
            with lock.hold(60):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    lock.close()


def test_writers_and_checkpoints_of_several_processes_leave_the_database_intact(tmp_path: Path) -> None:
    """Three processes write enough for many checkpoints: every row is there, and the database is in order."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    database = Database(url)
    with database.transaction() as session:
        session.connection().exec_driver_sql("CREATE TABLE filler (content BLOB)")
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, url], cwd=ROOT) for _ in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    with database.snapshot() as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM filler").scalar_one() == 600
        assert session.connection().exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
    database.close()


def test_a_database_whose_folder_is_gone_is_away(tmp_path: Path) -> None:
    """The lock's file cannot be made: that is said in a sentence, and is no crash."""
    (tmp_path / "folder").write_text("a file")
    with pytest.raises(Unavailable, match="cannot be opened"), WriteLock(tmp_path / "folder" / "x.db").hold(0.1):
        pytest.fail("held nothing")


def test_a_reader_waits_for_no_writer(tmp_path: Path) -> None:
    """Looking at an order goes on while one is written."""
    database = Database(f"sqlite:///{tmp_path / 'ledger.db'}")
    read = threading.Event()

    def look() -> None:
        with database.snapshot() as session:
            session.connection().exec_driver_sql("SELECT 1").scalar_one()
        read.set()

    with database.transaction() as session:
        session.connection().exec_driver_sql("CREATE TABLE one (two INTEGER)")
        threading.Thread(target=look, daemon=True).start()
        wait_until(read.is_set, "the reader waits for the writer")
    database.close()
