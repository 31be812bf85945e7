"""One small service with the capture routes alone, on a real SQLite file."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from sqlmodel import SQLModel

from app.clicks.routes import router
from app.clicks.store import Note
from app.database import Database
from app.errors import PROBLEM_JSON, Failure
from tests.clicks.shop import Shop, Visitor, settings_with


def _problem(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Failure)
    return JSONResponse(error.problem(), int(error.status), error.headers, PROBLEM_JSON)


@pytest.fixture(scope="session")
def whole_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The service, once for all tests of this folder."""
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('clicks')}/clicks.db")
    names = ("click", "new_click", "daily_clicks")
    SQLModel.metadata.create_all(database.engine, [SQLModel.metadata.tables[name] for name in names])
    app = FastAPI()
    app.include_router(router)
    app.add_exception_handler(Failure, _problem)
    app.state.settings = settings_with()
    shop = Shop(app.state.settings, database, Visitor(app))

    async def keep(note: Note) -> None:
        shop.keep(note)

    app.state.keep = keep
    app.state.rate_limit = None
    app.state.stopping = lambda: False
    yield shop
    database.close()


@pytest.fixture
def shop(whole_shop: Shop) -> Iterator[Shop]:
    """The service without any click and without any cookie."""
    yield whole_shop
    whole_shop.forget_all()
    whole_shop.client.cookies.clear()
