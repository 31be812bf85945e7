"""Whether the service lives, can take clicks, and can take orders."""

import shutil
from pathlib import Path
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel
from sqlalchemy.engine import make_url

from app.database import Database, DatabaseDep
from app.errors import Unavailable
from app.migrations import Schema, look

router = APIRouter(tags=["operation"])

DISK_FLOOR_BYTES: Final = 64 * 1024 * 1024


class Life(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """What works. `ready` is what the status says: 200 if true, 503 if not."""

    ready: bool
    stopping: bool
    database: Literal["ok", "away"]
    database_schema: Schema | None
    disk_free_bytes: int | None
    disk: Literal["ok", "nearly full", "not known"]


def stopping(request: Request) -> bool:
    """Say whether the process has been told to stop."""
    told: bool = request.app.state.stopping()
    return told


Stopping = Annotated[bool, Depends(stopping)]


@router.get("/livez")
def livez() -> Life:
    """Say that the process answers."""
    return Life()


@router.get("/readyz", responses={503: {"model": Readiness, "description": "It is stopping."}})
def readyz(database: DatabaseDep, told: Stopping, response: Response) -> Readiness:
    """Say whether clicks can be taken: also while the database is away, since a landing page must not wait for it."""
    return _answer(_look(database, ready=not told, told=told), response)


@router.get("/readyz/orders", responses={503: {"model": Readiness, "description": "Orders cannot be taken now."}})
def readyz_orders(database: DatabaseDep, told: Stopping, response: Response) -> Readiness:
    """Say whether orders can be taken: the database is there with the schema of this version, and the disk has room."""
    found = _look(database, ready=True, told=told)
    usable = found.database_schema is Schema.CURRENT and found.disk != "nearly full" and not told
    return _answer(found.model_copy(update={"ready": usable}), response)


def _answer(readiness: Readiness, response: Response) -> Readiness:
    response.status_code = 200 if readiness.ready else 503
    response.headers["Cache-Control"] = "no-store"
    return readiness


def _look(database: Database, *, ready: bool, told: bool) -> Readiness:
    schema: Schema | None
    try:
        schema = look(database)
    except Unavailable:
        schema = None
    free = _disk_free(database)
    return Readiness(
        ready=ready,
        stopping=told,
        database="away" if schema is None else "ok",
        database_schema=schema,
        disk_free_bytes=free,
        disk="not known" if free is None else "ok" if free >= DISK_FLOOR_BYTES else "nearly full",
    )


def _disk_free(database: Database) -> int | None:
    """Return the room beside an embedded database; a server's disk is not ours to see."""
    if not database.is_sqlite:
        return None
    try:
        return shutil.disk_usage(Path(make_url(database.url).database or ".").resolve().parent).free
    except OSError:
        return None
