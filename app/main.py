"""The HTTP service: routers, refusals, health, and the worker beside them."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

from app import __version__, health, metrics
from app.alarms import routes as alarms
from app.clicks import routes as clicks
from app.clicks import snippet_routes
from app.clicks.keeper import Keeper
from app.clicks.limiter import RateLimit
from app.clicks.release import Releases
from app.clicks.replay import Replay
from app.clicks.spool import Spool
from app.clicks.visitor import warm_up
from app.conversions.recorder import Recorder
from app.dashboard import routes as dashboard
from app.dashboard.session_routes import TRIES
from app.figures import Figures
from app.ledger import correction_routes, export_routes, order_routes, reconcile_routes, total_routes
from app.ledger.intake import Intake
from app.service import Service, assemble
from app.submissions import routes as submissions
from app.thin import Application
from app.web import RawOrderPaths, RequestLog, install_refusals
from app.worker import Worker

DRAIN_SECONDS: Final = 20.0
GARBAGE: Final = 20_000
"""Objects made and not freed before the garbage collector looks at them; a call frees nearly all of its own itself."""


def create_app(service: Service | None = None, *, with_worker: bool = True) -> FastAPI:
    """Return the application. Without a `service` it is assembled from the environment. Raises Misconfigured."""
    service = service or assemble()
    worker = Worker(service, works=with_worker)
    spool = Spool(service.settings.spool_path, service.settings.spool_max_bytes)
    keeper = Keeper(Replay(service.database, spool, service.require_usable), spool)
    recorder = Recorder(service.database, service.settings.fingerprint_key)
    lookout, figures = health.Lookout(service.database, service.hold), Figures(service)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(service.prepare_if_possible)
        await run_in_threadpool(warm_up)  # else the first visitor waits, and a server-side shop may give up on us
        leave_alone_what_stays()
        await keeper.start()
        recorder.start()
        worker.start()
        counting = asyncio.create_task(metrics.hand_over_now_and_then())
        yield
        service.stopping.set()
        await keeper.close()
        await recorder.close()
        await run_in_threadpool(worker.stop, DRAIN_SECONDS)
        counting.cancel()
        metrics.hand_over()
        await run_in_threadpool(lookout.close)
        await run_in_threadpool(figures.close)
        service.database.close()

    app = _application(lifespan)
    app.state.settings = service.settings
    app.state.database = service.database
    app.state.lookout = lookout
    app.state.figures = figures
    app.state.hold = service.hold
    app.state.rate_limit = RateLimit(service.settings.rate_limit) if service.settings.rate_limit else None
    app.state.sign_ins = RateLimit(TRIES)
    app.state.keep = keeper.keep
    app.state.intake = Intake(service.settings, service.database, recorder.record)
    app.state.releases = Releases(service.database)
    app.state.keeper = keeper
    app.state.wake = service.bell.ring
    app.state.stopping = service.stopping.is_set
    return app


def leave_alone_what_stays() -> None:
    """Tell the garbage collector that what there is now stays: else it looks through all of it while visitors wait."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE, *gc.get_threshold()[1:])


def openapi() -> dict[str, Any]:
    """Return the OpenAPI document, which depends on no setting."""
    return _application().openapi()


def _application(lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None = None) -> Application:
    app = Application(
        title="conversion-capture",
        version=__version__,
        summary="Keeps impact.com click ids and reports orders as conversions.",
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=lifespan,
    )
    orders = (order_routes, correction_routes, export_routes, submissions, total_routes, reconcile_routes)
    for room in (health, clicks, snippet_routes, *orders, alarms, dashboard):
        app.include_router(room.router)
        app.add_thin_routes(room.router)
    app.add_middleware(RawOrderPaths)
    app.add_middleware(RequestLog)
    install_refusals(app)
    return app
