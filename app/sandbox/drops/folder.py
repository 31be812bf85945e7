"""The folder that is pulled, and the one into which results are written."""

import csv
import threading
import time
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from app.sandbox.desk import Desk
from app.sandbox.submissions import FileSubmission, Refusal
from app.sandbox.views import file_view, refusal_view

LOOK_EVERY_SECONDS: Final = 0.1
PART: Final = ".part"


class FolderDrop:
    """Pulls at the start and at each interval, until it is closed; a file that has not changed is pulled once."""

    def __init__(self, desk: Desk, account: str) -> None:
        self._desk, self._account = desk, account
        for folder in filter(None, (desk.options.pull_folder, desk.options.results_folder)):
            folder.mkdir(parents=True, exist_ok=True)
        self._seen: dict[str, tuple[int, int]] = {}
        self._told: set[str] = set()
        self._over = threading.Event()
        self._one = threading.Lock()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, once the results of what is complete are written."""
        self._over.set()
        self._thread.join()
        self.tell()

    def pull(self) -> None:
        """Look into the folder now."""
        folder, pattern = self._desk.options.pull_folder, self._desk.options.pull_pattern
        if folder is None:
            return
        with self._one:
            for file in sorted(folder.iterdir()):
                if file.is_file() and fnmatchcase(file.name, pattern) and file.suffix != PART:
                    self._pull(file)

    def tell(self) -> None:
        """Write the results of what has become complete."""
        folder = self._desk.options.results_folder
        if folder is None:
            return
        with self._one, self._desk.lock:
            now = self._desk.now()
            for file in list(self._desk.files.values()):
                if file.is_done and file.id not in self._told:
                    summary = file_view(file, self._account, self._desk.options, now)
                    _write(folder / f"receipt_{_csv_name(file)}", tuple(summary), [summary])
                    _write(folder / f"result_{_csv_name(file)}", _COLUMNS, map(refusal_view, file.refusals))
                    self._told.add(file.id)

    def _watch(self) -> None:
        next_pull = time.monotonic()
        while not self._over.wait(LOOK_EVERY_SECONDS):
            if time.monotonic() >= next_pull:
                self.pull()
                next_pull = time.monotonic() + self._desk.options.pull_seconds
            self.tell()

    def _pull(self, file: Path) -> None:
        try:
            found, content = file.stat(), file.read_bytes()
        except OSError:
            return  # taken away in this moment, or not for us
        mark = (found.st_mtime_ns, found.st_size)
        if self._seen.get(file.name) != mark:
            self._seen[file.name] = mark
            self._desk.receive(file.name, content, "pull")


_COLUMNS: Final = tuple(refusal_view(Refusal(0, "", "", "", "", "", "", "", "")))


def _csv_name(file: FileSubmission) -> str:
    return f"{Path(file.name).stem}.csv"


def _write(path: Path, columns: tuple[str, ...], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a CSV file that appears whole."""
    part = path.with_name(f"{path.name}{PART}")
    with part.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, columns, lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(dict(row) for row in rows)
    part.replace(path)
