"""Secrets stay where they are: nothing that the service says or keeps holds one, not even encoded."""

import secrets
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import httpx
import psycopg
import pytest

from app.config import load
from app.database import Database
from app.delivery.channels import CHANNELS
from app.errors import Failure
from app.migrations import migrate
from app.security import hash_of
from app.service import assemble
from tests.canary import CLASSES, Run, environment_of, files_below, forms, found, new, secret_settings
from tests.conftest import driver
from tests.delivery import email_server, ftp_server, sftp_server
from tests.servers import HOST, Postgres, free_port, wait_until
from tests.support import bearer, body

PAGES = ("/livez", "/readyz", "/readyz/orders", "/metrics", "/alarms", "/docs", "/openapi.json", "/batches", "/orders")
COMMANDS = (("--help",), ("doctor", "--json"), ("export", "--dry-run"))
SENT = ("ftp", "ftps", "sftp", "email")


@dataclass
class Receivers:
    """Servers for every channel: how they are reached, and what arrived there."""

    environment: dict[str, str]
    arrived: Any


@pytest.fixture
def receivers(tmp_path: Path) -> Iterator[Receivers]:
    """Receivers on this host, apart from the merchant's own folder."""
    with ExitStack() as stack:
        places = {name: tmp_path / "receivers" / name for name in SENT}
        for place in places.values():
            place.mkdir(parents=True)
        ftp = stack.enter_context(ftp_server.ftp(places["ftp"]))
        ftps = stack.enter_context(ftp_server.ftps(places["ftps"]))
        mail = stack.enter_context(email_server.email(places["email"]))
        sftp = stack.enter_context(sftp_server.scripted_server(places["sftp"]))
        known: list[Any] = [ftp.channel, ftps.channel, mail.channel]
        environment = {name: value for one in known for name, value in environment_of(one.settings).items()}
        environment |= {
            "CAPTURE_SFTP_HOST": HOST,
            "CAPTURE_SFTP_PORT": str(sftp.port),
            "CAPTURE_SFTP_USERNAME": sftp_server.USER,
            "CAPTURE_SFTP_PASSWORD": sftp_server.PASSWORD,
            "CAPTURE_SFTP_HOST_KEYS": sftp_server.public_line(sftp.host_key),
        }
        yield Receivers(
            environment, lambda: sum(bool(one()) for one in (ftp.files, ftps.files, mail.files, sftp.files))
        )


@pytest.fixture(params=["sqlite", "postgres"])
def run(request: pytest.FixtureRequest, tmp_path: Path, receivers: Receivers) -> Iterator[Run]:
    """A service with a secret in every setting that takes one, each channel in use, and every login about to fail."""
    folder = tmp_path / "merchant"
    folder.mkdir()
    hidden = {name: new(name) for name in secret_settings()} | {f"key {one}": new(one) for one in RIGHTS}
    environment = receivers.environment | hidden_settings(hidden) | given(folder)
    hidden |= {f"right {name}": receivers.environment[name] for name in receivers.environment if "PASSWORD" in name}
    environment |= key_file(tmp_path, hidden) | {"CAPTURE_SFTP_PASSWORD": ""}
    with ExitStack() as stack:
        if request.param == "postgres":
            server: Postgres = request.getfixturevalue("postgres")
            url = stack.enter_context(server.new_database())
            environment["CAPTURE_DATABASE_URL"] = with_password(url, hidden["CAPTURE_DATABASE_URL"])
            database = Database(driver(url))
            migrate(database)
            database.close()
        else:
            environment["CAPTURE_DATABASE_URL"] = f"sqlite:///{folder / 'shop.db'}"
        yield Run(folder, environment, hidden)


RIGHTS = ("ORDER", "EXPORT", "READ")


def hidden_settings(hidden: dict[str, str]) -> dict[str, str]:
    """Return the secret settings; what must look like an address holds its secret where a token would be."""
    settings = {name: secret for name, secret in hidden.items() if name in secret_settings()}
    token = settings["CAPTURE_ALARM_URL"]
    return (
        settings
        | {"CAPTURE_ALARM_URL": f"http://user:{token}@{HOST}:{free_port()}/hook?token={token}"}
        | {"CAPTURE_IMPACT_ACCOUNT_SID": "IR1000", "CAPTURE_IMPACT_API_URL": f"https://{HOST}:{free_port()}"}
        | {f"CAPTURE_{right}_KEYS": f"sha256:{hash_of(hidden[f'key {right}'])}" for right in RIGHTS}
    )


def given(folder: Path) -> dict[str, str]:
    """Return the other settings: an event type for each channel."""
    lines = [
        f'[{name}]\ncampaign_id = 1000\naction_tracker_id = {number}\nchannel = "{name}"\n'
        for number, name in enumerate(CHANNELS, 4321)
    ]
    (folder / "event-types.toml").write_text("\n".join(lines), "utf-8")
    return {
        "CAPTURE_CAMPAIGN_ID": "1000",
        "CAPTURE_ACTION_TRACKER_ID": "4321",
        "CAPTURE_EVENT_TYPES": "event-types.toml",
        "CAPTURE_ALLOW_PRIVATE_HOSTS": "true",
        "CAPTURE_DRAIN_SECONDS": "0",
        "PATH": "/usr/bin:/bin",
    }


def key_file(folder: Path, hidden: dict[str, str]) -> dict[str, str]:
    """Write a key, closed by the passphrase, that no server knows; a line of it is secret too, and so is the seed."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    closed = key.export_private_key(passphrase=hidden["CAPTURE_SFTP_KEY_PASSPHRASE"])
    (folder / "id").write_bytes(closed)
    (folder / "id").chmod(0o600)
    hidden["key file"] = closed.decode().splitlines()[3]
    hidden["key itself"] = key.export_private_key().decode().splitlines()[3]
    return {"CAPTURE_SFTP_KEY_FILE": str(folder / "id")}


def with_password(url: str, password: str) -> str:
    """Make an account with a password, and return the database's URL for it."""
    name = f"canary_{secrets.token_hex(4)}"
    execute(url, f"CREATE ROLE {name} SUPERUSER LOGIN PASSWORD '{password}'")
    return f"postgresql://{name}:{password}@{url.partition('@')[2]}"


def execute(url: str, *statements: Any) -> None:
    """Run statements as the server's owner."""
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.long
def test_no_secret_is_seen_again(run: Run, receivers: Receivers) -> None:
    """Landings, orders, refused logins, deliveries, commands, health, a database that fails: 0 hits anywhere."""
    database_url = run.environment["CAPTURE_DATABASE_URL"]
    with run.serving() as client:
        sell(run, client)
        ended = client.post("/exports", params={"wait": 60}, headers=bearer(run.keys["EXPORT"]))
        assert ended.status_code == 200
        assert len(ended.json()["batches"]) == len(CHANNELS)
        assert receivers.arrived() == 0
        look_around(run, client)
    for command in COMMANDS:
        run.command(*command)
    with run.serving(**receivers.environment, CAPTURE_SFTP_KEY_FILE="", CAPTURE_SFTP_KEY_PASSPHRASE="") as client:
        for batch in client.get("/batches", headers=bearer(run.keys["READ"])).json()["items"]:
            client.post(f"/batches/{batch['id']}/redelivery", headers=bearer(run.keys["EXPORT"]))
        wait_until(lambda: receivers.arrived() == len(SENT), "the files do not arrive")
        look_around(run, client)
        break_database(database_url)
        assert client.post("/orders", json=body("late"), headers=bearer(run.keys["ORDER"])).status_code >= 500
        assert "Traceback" in "".join(path.read_text("utf-8") for path in run.folder.glob("log-*"))
        run.see("database", dump(database_url))
    everything = run.seen | files_below(run.folder) | files_below(run.folder.parent / "receivers")
    assert found(run.secrets, everything) == []
    run.see("planted", b"..." + min(forms(run.secrets["CAPTURE_ALARM_URL"])) + b"...")
    assert len(found(run.secrets, run.seen)) == 1


def sell(run: Run, client: httpx.Client) -> None:
    """Land, and order by every channel; also with a wrong key, without one, and what is no order."""
    client.get("/capture", params={"im_ref": "L-1"})
    for name in CHANNELS:
        order = body(f"A-{name}", event_type=name)
        assert client.post("/orders", json=order, headers=bearer(run.keys["ORDER"])).status_code == 201
    for key in (*run.keys.values(), "wrong"):
        client.post("/orders", content=b"{", headers=bearer(key))
        client.post("/exports", params={"wait": "x"}, headers=bearer(key))


def look_around(run: Run, client: httpx.Client) -> None:
    """Ask for everything that can be read."""
    for page in PAGES:
        client.get(page, headers=bearer(run.keys["READ"]))
    for batch in client.get("/batches", headers=bearer(run.keys["READ"])).json()["items"]:
        client.get(f"/batches/{batch['id']}", headers=bearer(run.keys["READ"]))


def break_database(url: str) -> None:
    """Take a table away."""
    import sqlalchemy  # noqa: PLC0415 (for this alone)

    engine = sqlalchemy.create_engine(driver(url))
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE item RENAME TO items")
    engine.dispose()


def dump(url: str) -> bytes:
    """Return every row of a PostgreSQL database as text; a SQLite database is a file that is searched as it is."""
    if url.startswith("sqlite"):
        return b""
    with closing(psycopg.connect(url)) as connection:
        tables = connection.execute("SELECT relname FROM pg_stat_user_tables").fetchall()
        query = psycopg.sql.SQL("SELECT t::text FROM {} t")
        rows = [row for (name,) in tables for row in connection.execute(query.format(psycopg.sql.Identifier(name)))]
    assert len(rows) > len(CHANNELS)
    return repr(rows).encode()


# Wrong settings ---------------------------------------------------------------------------------------------------

WRONG = (
    {"CAPTURE_DATABASE_URL": "postgresql://user:CANARY@host:CANARY/name"},
    {"CAPTURE_DATABASE_URL": "postgresql://user:CANARY@host"},
    {"CAPTURE_DATABASE_URL": "mysql://user:CANARY@host/name"},
    {"CAPTURE_ALARM_URL": "http://[CANARY"},
    {"CAPTURE_ALARM_URL": "ftp://user:CANARY@host:CANARY/"},
    {"CAPTURE_ORDER_KEYS": "CANARY", "CAPTURE_EXPORT_KEYS": "sha256:CANARY", "CAPTURE_READ_KEYS": "a,CANARY"},
    {"CAPTURE_SFTP_HOST_KEYS": "ssh-ed25519 CANARY"},
    {"CAPTURE_SFTP_PASSWORT": "CANARY"},
    {"CAPTURE_CHANNEL": "sftp", "CAPTURE_SFTP_HOST": "host", "CAPTURE_SFTP_PASSWORD": "CANARY"},
    {"CAPTURE_CHANNEL": "ftp", "CAPTURE_FTP_PASSWORD": "CANARY"},
    {"CAPTURE_CHANNEL": "ftps", "CAPTURE_FTPS_PASSWORD": "CANARY\r\nQUIT"},
    {"CAPTURE_CHANNEL": "email", "CAPTURE_EMAIL_PASSWORD": "CANARY"},
)


def said(error: BaseException) -> dict[str, bytes]:
    """Return every way in which a failure is shown."""
    traces = "".join(traceback.format_exception(error))
    return {"sentence": str(error).encode(), "repr": repr(error).encode(), "traceback": traces.encode()}


@pytest.mark.parametrize("wrong", WRONG, ids=" ".join)
def test_a_wrong_setting_stops_the_start_and_is_not_repeated(
    wrong: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence names the variable and not its value, wherever the secret was put by mistake."""
    hidden = {name: new(name) for name in secret_settings()} | {"mistake": new("mistake")}
    for name, value in (hidden_settings(hidden | KEYS) | GIVEN | wrong).items():
        monkeypatch.setenv(name, value.replace("CANARY", hidden["mistake"]))
    with pytest.raises(Failure) as caught:
        assemble()
    assert found(hidden, said(caught.value)) == []


def test_settings_show_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever prints or dumps the settings, or one of them, sees stars."""
    hidden = {name: new(name) for name in secret_settings()}
    assert len(hidden) >= 7, "the settings that are secret are not found"
    database = {"CAPTURE_DATABASE_URL": f"postgresql://user:{hidden['CAPTURE_DATABASE_URL']}@host/name"}
    for name, value in (hidden_settings(hidden | KEYS) | GIVEN | database).items():
        monkeypatch.setenv(name, value)
    shown = {type(one).__name__: f"{one!r} {one} {one.model_dump()} {one.model_dump_json()}" for one in load(*CLASSES)}
    assert found(hidden, {name: text.encode() for name, text in shown.items()}) == []


KEYS = {f"key {right}": "a caller's key" for right in RIGHTS}
GIVEN = {
    "CAPTURE_CAMPAIGN_ID": "1000",
    "CAPTURE_ACTION_TRACKER_ID": "4321",
    "CAPTURE_DATABASE_URL": "sqlite:///unused.db",
}
