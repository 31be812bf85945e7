"""Release snippets: what a page may pin by its hash is on record first, and found again by every later version."""

import asyncio
import logging
from datetime import datetime
from typing import Final

from starlette.concurrency import run_in_threadpool

from app.clicks.snippet import Snippet
from app.clicks.snippet_store import add_snippet, find_snippet
from app.database import Database, retried
from app.errors import Failure, NotFound

MOST_KEPT: Final = 64

log = logging.getLogger(__name__)


@retried
def release(database: Database, snippet: Snippet, now: datetime) -> None:
    """Put a snippet on record. Raises Unavailable."""
    with database.transaction() as session:
        add_snippet(session, snippet, now)


class Releases:
    """The released snippets as one process sees them: asked for once, remembered from then on."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.known: dict[str, Snippet] = {}
        self.releasing: asyncio.Task[None] | None = None

    def note(self, snippet: Snippet, now: datetime) -> None:
        """Release a snippet that is being served, without making anybody wait for the database."""
        if snippet.name not in self.known and self.releasing is None:
            self.releasing = asyncio.create_task(self._release(snippet, now))

    async def _release(self, snippet: Snippet, now: datetime) -> None:
        try:
            await run_in_threadpool(release, self.database, snippet, now)
            self._remember(snippet)
        except Failure as failure:  # the next one who asks for it makes another try
            log.warning("snippet_not_released", extra={"detail": str(failure)})
        finally:
            self.releasing = None

    async def find(self, name: str) -> Snippet:
        """Return a snippet that was released under this name. Raises NotFound, Unavailable."""
        snippet = self.known.get(name) or await run_in_threadpool(self._look, name)
        if snippet is None:
            raise NotFound("No snippet of this name was released here; `conversion-capture snippet` names the current.")
        self._remember(snippet)
        return snippet

    def _look(self, name: str) -> Snippet | None:
        with self.database.snapshot() as session:
            return find_snippet(session, name)

    def _remember(self, snippet: Snippet) -> None:
        while len(self.known) >= MOST_KEPT:
            self.known.pop(next(iter(self.known)))
        self.known[snippet.name] = snippet
