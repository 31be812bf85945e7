"""The two endpoints as FastAPI and SQLModel are usually written: `def` routes, a session and a commit each.

`PLAIN_DATABASE_URL` says where to; `PLAIN_JOURNAL=wal` sets SQLite to WAL and `synchronous=FULL`, without it SQLite is
as it comes. `PLAIN_KEY` is the key of POST /orders. Both calls are durable before the answer.
"""

import hmac
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Header, HTTPException, Query, Request, Response
from pydantic import AwareDatetime, BaseModel
from pydantic import Field as Limit
from sqlalchemy import Engine, event
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import registry
from sqlmodel import Field, Session, SQLModel, create_engine

COOKIE: Final = "Max-Age=2592000; Path=/; SameSite=Lax; Secure"
BUSY_SECONDS: Final = 30


class Table(SQLModel, registry=registry()):
    """Keeps these tables apart from the service's own."""


class Click(Table, table=True):
    """A landing."""

    __tablename__ = "plain_click"

    click_id: str = Field(primary_key=True)
    captured_at: datetime
    referrer: str | None
    user_agent: str | None


class Order(Table, table=True):
    """An order; the shop's id is unique."""

    __tablename__ = "plain_order"

    id: int | None = Field(default=None, primary_key=True)
    order_id: str = Field(unique=True)
    event_date: datetime
    currency: str
    click_id: str | None
    customer_id: str | None


class Item(Table, table=True):
    """A line of an order."""

    __tablename__ = "plain_item"

    id: int | None = Field(default=None, primary_key=True)
    order: int = Field(foreign_key="plain_order.id", index=True)
    sku: str
    category: str
    quantity: int
    amount: Decimal = Field(max_digits=12, decimal_places=2)


class ItemBody(BaseModel):
    """A line as it is posted."""

    sku: str
    category: str
    quantity: Annotated[int, Limit(ge=0)]
    amount: Annotated[Decimal, Limit(ge=0, max_digits=12, decimal_places=2)]


class OrderBody(BaseModel):
    """An order as it is posted, and answered."""

    order_id: Annotated[str, Limit(min_length=1, max_length=64)]
    event_date: AwareDatetime
    currency: Annotated[str, Limit(pattern="^[A-Z]{3}$")]
    click_id: str | None = None
    customer_id: str | None = None
    items: Annotated[list[ItemBody], Limit(min_length=1)]


def session_of(request: Request) -> Iterator[Session]:
    """Give a session of its own to each request."""
    with Session(request.app.state.engine) as session:
        yield session


def require_key(request: Request, authorization: Annotated[str, Header()] = "") -> None:
    """Refuse a call without the key."""
    if not hmac.compare_digest(authorization, f"Bearer {request.app.state.key}"):
        raise HTTPException(401)


SessionDep = Annotated[Session, Depends(session_of)]
ClickId = Annotated[str, Query(pattern=r"^[A-Za-z0-9._~:%+/=-]{1,64}$")]


def capture(
    session: SessionDep,
    im_ref: ClickId,
    referer: Annotated[str | None, Header()] = None,
    user_agent: Annotated[str | None, Header()] = None,
) -> Response:
    """Record a landing and set its cookies."""
    now = datetime.now(UTC)
    session.add(Click(click_id=im_ref, captured_at=now, referrer=referer, user_agent=user_agent))
    session.commit()
    response = Response(status_code=204, headers={"Cache-Control": "no-store", "Vary": "Origin"})
    response.headers.append("Set-Cookie", f"im_ref={im_ref}; {COOKIE}")
    response.headers.append("Set-Cookie", f"im_ref_at={int(now.timestamp())}; {COOKIE}")
    return response


def post_order(body: OrderBody, session: SessionDep) -> OrderBody:
    """Record an order with its items, once."""
    order = Order(**body.model_dump(exclude={"items"}))
    session.add(order)
    try:
        session.flush()  # without it the items may go first, which PostgreSQL refuses
    except IntegrityError:
        raise HTTPException(409, "There is an order with this id.") from None
    session.add_all(Item.model_validate({"order": order.id, **item.model_dump()}) for item in body.items)
    session.commit()
    return body


def create() -> FastAPI:
    """Return the application; its tables are made if they are not there."""
    app = FastAPI()
    app.state.key = os.environ["PLAIN_KEY"]
    app.state.engine = _engine(os.environ["PLAIN_DATABASE_URL"], wal=os.environ.get("PLAIN_JOURNAL") == "wal")
    Table.metadata.create_all(app.state.engine)
    app.get("/", status_code=204, response_class=Response)(lambda: None)
    app.get("/capture", status_code=204, response_class=Response)(capture)
    app.post("/orders", status_code=201, dependencies=[Depends(require_key)])(post_order)
    return app


def _engine(url: str, *, wal: bool) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA foreign_keys=ON")
        if wal:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")

    return engine
