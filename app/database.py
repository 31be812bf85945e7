"""The one way to the database: an engine, write transactions and read snapshots, on SQLite and on PostgreSQL.

SQLite: write-ahead log with `synchronous=FULL` (an acknowledged commit survives a power cut), foreign keys on,
one writer at a time, also across processes. PostgreSQL: READ COMMITTED; a transaction whose process stands still is
ended by the server, so that nobody waits for it. What differs between the two stands here and nowhere else.
"""

import math
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from functools import cache, wraps
from pathlib import Path
from typing import Annotated, Any, Final, ParamSpec, TypeVar

import orjson
from fastapi import Depends, Request
from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    ColumnElement,
    DateTime,
    Dialect,
    Engine,
    FromClause,
    Integer,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    create_engine,
    event,
    func,
    literal,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InvalidatePoolError, OperationalError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.types import TypeDecorator
from sqlmodel import Session

from app.errors import Unavailable
from app.write_lock import WriteLock

P = ParamSpec("P")
R = TypeVar("R")

CONNECTIONS: Final = 10
"""What a process keeps open: a few for its writers and its worker's threads, the others for whoever reads."""
SPARE: Final = 5
"""So many more for a moment; docs/how-to/replicas.md says how many replicas PostgreSQL has room for."""
BUSY_SECONDS: Final = 5
CONNECT_SECONDS: Final = 3
SILENCE_SECONDS: Final = 10
"""After so long without a sign of the server's host, what waits for it fails; a server that hangs is waited for."""
LOG_SECONDS: Final = 60
IDLE_SECONDS: Final = 15
"""After so long in the middle of a transaction without a word, PostgreSQL ends it: its process stands still."""
UNUSED_SECONDS: Final = 1.0
"""After so long, a connection is tried before it is used: the server may have been started anew."""
TRIES: Final = 5
RETRYABLE: Final = frozenset({"40001", "40P01"})  # serialization failure, deadlock: the same again may succeed
STATEMENT_FAULTS: Final = frozenset(
    {
        *(sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH),
        *(sqlite3.SQLITE_MISUSE, sqlite3.SQLITE_RANGE),
    }
)
"""What SQLite says of a statement or its values, and not of itself."""
READ_ONLY: Final = "25006"  # a standby that is not the primary yet


ROW_ID: Final = BigInteger().with_variant(Integer, "sqlite")
"""The type of a table's own running number: SQLite counts only in a column called INTEGER."""


class UTCDateTime(TypeDecorator[datetime]):
    """An aware time, in UTC on both databases. A naive one is refused, not guessed."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store UTC; SQLite has no time zones, so it gets the naive UTC time."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without an offset cannot be stored")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002 (SQLAlchemy's signature)
    ) -> datetime | None:
        """Return an aware UTC time."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Database:
    """An engine and its two kinds of transaction."""

    def __init__(self, url: str, *, pool_size: int = CONNECTIONS, idle_seconds: int = IDLE_SECONDS) -> None:
        self.url = url
        self.is_sqlite = make_url(url).drivername == "sqlite"
        self.engine = _sqlite(url, pool_size) if self.is_sqlite else _postgresql(url, pool_size, idle_seconds)
        self.dialect = self.engine.dialect.name
        self._lock = WriteLock(Path(make_url(url).database or "")) if self.is_sqlite else None

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Open a write transaction; it is durable when the block has ended. Raises Unavailable when it cannot be."""
        with (
            self.writing(),
            translated(),
            Session(self.engine, autoflush=False, expire_on_commit=False) as session,
        ):
            if self.is_sqlite:
                session.connection().exec_driver_sql("BEGIN IMMEDIATE")
            yield session
            session.commit()

    @contextmanager
    def group(self) -> Iterator[Any]:
        """Give the driver's own cursor for recording many rows at once: what lies between costs more than they do.

        On SQLite it is in a write transaction, which is durable when the block has ended. On PostgreSQL each statement
        is durable by itself, so that a group that is one statement is sent and answered once. Raises Unavailable.
        """
        with self.writing(), translated(), self._wrapped(), closing(self.engine.raw_connection()) as connection:
            driver_connection: Any = connection.driver_connection
            cursor = connection.cursor()
            try:
                if self.is_sqlite:
                    cursor.execute("BEGIN IMMEDIATE")
                else:
                    driver_connection.autocommit = True  # until it is back in the pool
                yield cursor
                if self.is_sqlite:
                    cursor.execute("COMMIT")
            except Exception as error:
                if not self.is_sqlite and driver_connection.closed:
                    connection.invalidate(error)
                raise

    @contextmanager
    def _wrapped(self) -> Iterator[None]:
        """Raise a driver's error as SQLAlchemy has it, without the values, which hold ids of people."""
        driver: Any = self.engine.dialect.loaded_dbapi
        try:
            yield
        except driver.Error as error:
            dialect = self.engine.dialect
            raise DBAPIError.instance(None, None, error, driver.Error, hide_parameters=True, dialect=dialect) from error

    def writing(self) -> AbstractContextManager[None]:
        """Be the only writer of an embedded database; a server needs no such thing. Raises Unavailable."""
        return self._lock.hold(BUSY_SECONDS) if self._lock else nullcontext()

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """Open a read transaction that sees one state of the database throughout."""
        with translated(), Session(self.engine, autoflush=False) as session:
            if self.is_sqlite:
                session.connection().exec_driver_sql("BEGIN")
            else:
                session.connection(
                    execution_options={
                        "isolation_level": "REPEATABLE READ",
                        "postgresql_readonly": True,
                    }
                )
            yield session

    @contextmanager
    def overwriting(self, session: Session) -> Iterator[None]:
        """Let an embedded database write zeros over what is deleted or replaced meanwhile."""
        if self.is_sqlite:
            session.connection().exec_driver_sql("PRAGMA secure_delete=ON").close()
        yield
        if self.is_sqlite:
            session.connection().exec_driver_sql("PRAGMA secure_delete=OFF").close()

    def leave_no_trace(self, tables: Sequence[str]) -> None:
        """Write an embedded database anew: neither it nor its log holds bytes of what was deleted or overwritten then.

        Nobody else writes meanwhile. It needs as much free disk again as the database has, twice. A server gives the
        place in these tables free, to be written over. Raises Unavailable.
        """
        with self.writing(), translated(), self._wrapped(), closing(self.engine.raw_connection()) as connection:
            cursor = connection.cursor()
            if self.is_sqlite:
                cursor.execute("PRAGMA secure_delete=ON")
                cursor.execute("VACUUM")
                _empty_log(cursor)
                cursor.execute("PRAGMA secure_delete=OFF")
                return
            driver_connection: Any = connection.driver_connection
            driver_connection.autocommit = True  # until it is back in the pool
            for table in tables:
                cursor.execute(f"VACUUM {table}")

    def close(self) -> None:
        """Close every connection. SQLite makes a checkpoint when the last one goes, so this is writing too."""
        if self._lock is None:
            self.engine.dispose()
            return
        with suppress(Unavailable), self._lock.hold(BUSY_SECONDS):
            self.engine.dispose()
        self._lock.close()


def _empty_log(cursor: Any) -> None:
    """Write everything back from SQLite's log and cut it to nothing; whoever reads an older state is waited for."""
    end = time.monotonic() + LOG_SECONDS
    while cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        if time.monotonic() > end:
            raise Unavailable("Somebody goes on reading an older state of the database; repeat it a little later.")


def database_now(session: Session) -> datetime:
    """Return the database's clock, which leases go by, so that replicas with other clocks agree."""
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        return datetime.now(UTC)
    clock: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return clock.astimezone(UTC)


def only_by_keys(session: Session) -> None:
    """Let this transaction find rows by keys alone, whatever the statistics say, so that history costs it nothing.

    PostgreSQL would else read a table from end to end where it thinks that most of it is wanted. SQLite does so only
    where there is no key.
    """
    connection = session.connection()
    if connection.dialect.name != "sqlite":
        connection.execute(_ONLY_BY_KEYS)


def numbers(session: Session, **columns: Sequence[int]) -> FromClause:
    """Return a table of whole numbers that are sent with the statement, column by column."""
    dialect = session.connection().dialect.name
    sent = number_values(dialect, **columns)
    return _number_table(dialect, list(columns), {name: literal(text) for name, text in sent.items()})


def number_table(dialect: str, *names: str) -> FromClause:
    """Return a table whose numbers are sent as the parameters that `number_values` returns."""
    sent = number_values(dialect, **dict.fromkeys(names, ()))
    return _number_table(dialect, names, {name: bindparam(name, type_=Text) for name in sent})


def number_values(dialect: str, **columns: Sequence[int]) -> dict[str, str]:
    """Return the parameters for a table of numbers: texts, for which drivers take a hundredth of the time of lists."""
    if dialect == "sqlite":
        return {"numbers": orjson.dumps(list(zip(*columns.values(), strict=True))).decode()}
    return {f"{name}s": f"{{{orjson.dumps(values).decode()[1:-1]}}}" for name, values in columns.items()}


def _number_table(dialect: str, names: Sequence[str], sent: dict[str, Any]) -> FromClause:
    if dialect == "sqlite":
        rows = func.json_each(sent["numbers"]).table_valued("value")
        cells = (func.json_extract(rows.c.value, f"$[{place}]").label(name) for place, name in enumerate(names))
        return select(*cells).subquery("numbers")
    arrays = (cast(sent[f"{name}s"], ARRAY(BigInteger)) for name in names)
    return func.unnest(*arrays).table_valued(*names, name="numbers").render_derived()


def json_member(dialect: str, document: ColumnElement[Any], name: str) -> ColumnElement[Any]:
    """Return the text under a name of a JSON object that is kept as text, NULL if there is none."""
    if dialect == "sqlite":
        return func.json_extract(document, f'$."{name}"', type_=Text)
    return func.json_extract_path_text(cast(document, JSON), name, type_=Text)


_ONLY_BY_KEYS: Final = select(
    *(
        func.set_config(name, value, literal_column("true"))
        for name, value in (
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
            ("enable_seqscan", "off"),
            ("max_parallel_workers_per_gather", "0"),
            ("jit", "off"),
        )
    )
)


def insert_new(session: Session, table: Table) -> Any:
    """Return an INSERT of those rows that meet no unique key that is taken; the others are left out silently."""
    dialect = sqlite if session.connection().dialect.name == "sqlite" else postgresql
    return dialect.insert(table).on_conflict_do_nothing()


def insert_new_from(session: Session, table: Table, names: Sequence[str], rows: Select[Any]) -> Any:
    """Return the same INSERT of the rows of a query."""
    dialect = sqlite if session.connection().dialect.name == "sqlite" else postgresql
    return dialect.insert(table).from_select(list(names), rows).on_conflict_do_nothing()


def upserted(session: Session, table: Table, key: Sequence[str]) -> Any:
    """Return an INSERT that puts a row in place of the one that has the same unique key, which keeps its id."""
    dialect = sqlite if session.connection().dialect.name == "sqlite" else postgresql
    new = dialect.insert(table)
    values = {column.name: new.excluded[column.name] for column in table.columns if column.name not in {*key, "id"}}
    return new.on_conflict_do_update(index_elements=list(key), set_=values)


def time_text(moment: datetime) -> str:
    """Return a time as statements are given it in JSON: in UTC with its offset, which SQLite's must cut off."""
    return moment.astimezone(UTC).isoformat(" ", "microseconds")


WRITER_SLOT: Final = secrets.randbelow(256)
"""A number of this process. Running totals have a row for each writer, so that replicas do not wait for one another."""


def add_to(session: Session, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add numbers to running totals, each row in the place that its primary key names.

    A row that is added to is locked until the transaction ends: rows come in one order for everybody, and last.
    """
    if rows:
        connection = session.connection()
        # A driver takes several rows by another way, which costs more for one.
        connection.execute(_adding(connection.dialect.name, table), rows[0] if len(rows) == 1 else rows)


@cache
def _adding(dialect: str, table: Table) -> Any:
    new = (sqlite if dialect == "sqlite" else postgresql).insert(table)
    sums = {column.name: column + new.excluded[column.name] for column in table.columns if not column.primary_key}
    return new.on_conflict_do_update(index_elements=list(table.primary_key), set_=sums)


def retried(work: Callable[P, R]) -> Callable[P, R]:
    """Repeat `work` when the database gave up on its transaction for another's sake (deadlock, serialization)."""

    @wraps(work)
    def repeat(*args: P.args, **kwargs: P.kwargs) -> R:
        for _ in range(TRIES - 1):
            try:
                return work(*args, **kwargs)
            except Unavailable as exc:
                if not is_retryable(exc.__cause__):
                    raise
        return work(*args, **kwargs)

    return repeat


def is_retryable(error: BaseException | None) -> bool:
    """Say whether the very same transaction may succeed when it is tried again."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in RETRYABLE


def _is_away(error: DBAPIError) -> bool:
    """Say whether the database, not the statement, is what failed."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF not in STATEMENT_FAULTS
    read_only = getattr(error.orig, "sqlstate", None) == READ_ONLY
    return isinstance(error, OperationalError) or error.connection_invalidated or read_only


def refuses_values(error: Exception) -> bool:
    """Say whether the database, or its driver, found fault with the values of a statement: it will always do so."""
    if isinstance(error, DBAPIError):
        return isinstance(error, DataError | IntegrityError)
    return isinstance(error, StatementError | ValueError | OverflowError)


@contextmanager
def translated() -> Iterator[None]:
    """Turn what a database says when it is away, full or busy into Unavailable."""
    try:
        yield
    except PoolTimeoutError as exc:
        raise Unavailable("Every database connection is in use; repeat the call in a few seconds.") from exc
    except DBAPIError as exc:
        if _is_away(exc) or is_retryable(exc):
            raise Unavailable("The database cannot be used now; repeat the call in a few seconds.") from exc
        raise


def _sqlite(url: str, pool_size: int) -> Engine:
    Path(make_url(url).database or "").parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=SPARE,
        pool_timeout=BUSY_SECONDS,
        connect_args={"timeout": BUSY_SECONDS},
        hide_parameters=True,  # errors are logged, and parameters hold ids of people
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions by itself
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _postgresql(url: str, pool_size: int, idle_seconds: int) -> Engine:
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=SPARE,
        pool_timeout=BUSY_SECONDS,
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "tcp_user_timeout": SILENCE_SECONDS * 1000,
            "keepalives_idle": SILENCE_SECONDS // 2,
            "keepalives_interval": 1,
            "keepalives_count": SILENCE_SECONDS // 2,
            "options": f"-c timezone=UTC -c idle_in_transaction_session_timeout={idle_seconds}s",
        },
        hide_parameters=True,  # errors are logged, and parameters hold ids of people
    )

    driver: Any = engine.dialect.loaded_dbapi

    @event.listens_for(engine, "checkin")
    def note(connection: Any, record: Any) -> None:
        record.info["used_at"] = time.monotonic()
        if connection is not None and not connection.closed and connection.autocommit:
            connection.autocommit = False

    @event.listens_for(engine, "checkout")
    def look(connection: Any, record: Any, _proxy: Any) -> None:
        if time.monotonic() - record.info.get("used_at", math.inf) > UNUSED_SECONDS:
            try:
                engine.dialect.do_ping(connection)
            except driver.Error as exc:
                raise InvalidatePoolError from exc  # all of them are made anew

    return engine


def database_of(request: Request) -> Database:
    """Return the database of the service that got this request."""
    database: Database = request.app.state.database
    return database


DatabaseDep = Annotated[Database, Depends(database_of)]
