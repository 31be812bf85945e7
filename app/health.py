"""Whether the service lives, can take clicks, and can take orders; and its numbers.

Nothing here waits for a thread that orders use, or for long: a database that hangs must not make the service look dead.
"""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from pydantic import BaseModel
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from app import metrics
from app.clicks.keeper import Keeper
from app.clicks.spool import SpoolState
from app.database import Database
from app.delivery.hold import Hold
from app.errors import ChannelUnavailable, Unavailable
from app.lane import Lane
from app.migrations import Schema, look

router = APIRouter(tags=["operation"])

DISK_FLOOR_BYTES: Final = 64 * 1024 * 1024
LOOK_SECONDS: Final = 0.8


class Life(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Spooled(BaseModel):
    """What waits on this host until the database is back; `clicks` of this process, `bytes` of all on this host."""

    state: Literal["empty", "waiting", "full", "unwritable"]
    clicks: int
    bytes: int
    limit_bytes: int


class Readiness(BaseModel):
    """What works. `ready` is what the status says: 200 if true, 503 if not.

    `exports` are held, whatever the status, while the database knows less than what has left: an old one was restored.
    """

    ready: bool
    stopping: bool
    database: Literal["ok", "away"]
    database_schema: Schema | None
    disk_free_bytes: int | None
    disk: Literal["ok", "nearly full", "not known"]
    spool: Spooled
    exports: Literal["open", "held", "not known"]


class Sight(NamedTuple):
    """What is seen of the database: its schema, None if it is away or hangs, and what else is known just now."""

    schema: Schema | None = None
    disk_free: int | None = None
    held: bool | None = None


class Lookout:
    """Looks at the database from a thread of its own, one look at a time."""

    def __init__(self, database: Database, hold: Hold) -> None:
        self._database, self._hold = database, hold
        self._lane = Lane("lookout")
        self._looking: asyncio.Future[Sight] | None = None

    async def look(self) -> Sight:
        """Return what is seen of the database, soon in any case."""
        if self._looking is None or self._looking.done():
            self._looking = self._lane.run(self._look)
        done, _ = await asyncio.wait({self._looking}, timeout=LOOK_SECONDS)
        return self._looking.result() if done else Sight()

    def close(self) -> None:
        """End the thread; a look that it has begun is waited for a moment, so that its connection is closed too."""
        self._lane.close()
        self._lane.join()

    def _look(self) -> Sight:
        free = _disk_free(self._database)
        try:
            schema = look(self._database)
            return Sight(schema, free, self._is_held() if schema.is_usable else None)
        except (Unavailable, SQLAlchemyError):
            return Sight(disk_free=free)

    def _is_held(self) -> bool:
        try:
            return bool(self._hold.lost(self._database))
        except ChannelUnavailable:  # what has left cannot be known
            return True


async def stopping(request: Request) -> bool:
    """Say whether the process has been told to stop."""
    told: bool = request.app.state.stopping()
    return told


async def keeper(request: Request) -> Keeper:
    """Return what keeps the clicks."""
    found: Keeper = request.app.state.keeper
    return found


async def sight(request: Request) -> Sight:
    """Look at the database."""
    lookout: Lookout = request.app.state.lookout
    return await lookout.look()


Stopping = Annotated[bool, Depends(stopping)]
KeeperDep = Annotated[Keeper, Depends(keeper)]
SightDep = Annotated[Sight, Depends(sight)]


@router.get("/livez")
async def livez() -> Life:
    """Say that the process answers."""
    return Life()


@router.get("/readyz", responses={503: {"model": Readiness, "description": "It is stopping, or would lose clicks."}})
async def readyz(seen: SightDep, keeper: KeeperDep, told: Stopping, response: Response) -> Readiness:
    """Say whether clicks can be taken: also while the database is away, since a landing page must not wait for it."""
    takes = (seen.schema is not None and seen.schema.is_usable) or keeper.can_take
    return _answer(_readiness(seen, keeper.spool_state, ready=takes and not told, told=told), response)


@router.get("/readyz/orders", responses={503: {"model": Readiness, "description": "Orders cannot be taken now."}})
async def readyz_orders(seen: SightDep, keeper: KeeperDep, told: Stopping, response: Response) -> Readiness:
    """Say whether orders can be taken: the database is there with the schema of this version, and the disk has room."""
    found = _readiness(seen, keeper.spool_state, ready=True, told=told)
    schema = found.database_schema
    usable = schema is not None and schema.is_usable and found.disk != "nearly full" and not told
    return _answer(found.model_copy(update={"ready": usable}), response)


@router.get("/metrics", response_class=PlainTextResponse)
async def show_metrics(request: Request, seen: SightDep, keeper: KeeperDep) -> Response:
    """Tell the numbers of this process, and those that the database holds for all, in Prometheus' text format."""
    spool, figures = keeper.spool_state, request.app.state.figures
    metrics.show_spool(spool.waiting, spool.size, spool.limit)
    content = metrics.exposition([*_seen(seen), *await figures.look()])
    return Response(content, headers={"Cache-Control": "no-store"}, media_type=metrics.CONTENT_TYPE)


def _seen(seen: Sight) -> Iterator[Metric]:
    """Yield what is seen of the database; what is not known is left out."""
    told, usable = "1 while the database is there and this version's; else 0.", seen.schema and seen.schema.is_usable
    yield GaugeMetricFamily("capture_database_usable", told, value=bool(usable))
    if seen.held is not None:
        told = "1 while nothing is batched or delivered, since the database knows less than what has left; else 0."
        yield GaugeMetricFamily("capture_exports_held", told, value=seen.held)


def _answer(readiness: Readiness, response: Response) -> Readiness:
    response.status_code = 200 if readiness.ready else 503
    response.headers["Cache-Control"] = "no-store"
    return readiness


def _readiness(seen: Sight, spool: SpoolState, *, ready: bool, told: bool) -> Readiness:
    schema, free, held = seen
    return Readiness(
        ready=ready,
        stopping=told,
        database="away" if schema is None else "ok",
        database_schema=schema,
        disk_free_bytes=free,
        disk="not known" if free is None else "ok" if free >= DISK_FLOOR_BYTES else "nearly full",
        spool=Spooled(state=spool.state, clicks=spool.waiting, bytes=spool.size, limit_bytes=spool.limit),
        exports="not known" if held is None else "held" if held else "open",
    )


def _disk_free(database: Database) -> int | None:
    """Return the room beside an embedded database; a server's disk is not ours to see."""
    if not database.is_sqlite:
        return None
    try:
        return shutil.disk_usage(Path(make_url(database.url).database or ".").resolve().parent).free
    except OSError:
        return None
