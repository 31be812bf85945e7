"""The doctor names what is wrong with an installation and how to put it right, changes nothing, and tells no secret."""

import json
from datetime import time, timedelta
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import insert, update
from typer.testing import CliRunner, Result

from app.batches.store import UNDELIVERED
from app.cli import cli
from app.conversions.order import Order
from app.conversions.record import record
from app.database import Database
from app.delivery.channels.folder import FolderChannel, FolderSettings
from app.delivery.store import TROUBLE
from app.doctor import examine as doctor
from app.doctor.database import has_wal_race
from app.doctor.finding import Asked, Finding, Status
from app.ledger.export_routes import request_export
from app.service import Service, utc_now
from tests.conftest import SettingsFactory
from tests.delivery.impact import ACCOUNT, Impact, api
from tests.support import NOW, order, work
from tests.test_cli import run as process

ON_ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For promises that no database can break."""
CANARY = "canary-secret"


def found(service: Service, name: str) -> list[Finding]:
    """Return the findings of a name."""
    return [one for one in doctor.examine(service) if one.name == name]


def statuses(service: Service, name: str) -> set[str]:
    """Return how bad those are."""
    return {one.status.value for one in found(service, name)}


@pytest.fixture
def service(service: Service) -> Service:
    """The service with the time of day, since clocks are compared, and a shop whose pages may call."""
    service.clock = utc_now
    service.settings = service.settings.model_copy(update={"storefront_origins": ("https://www.shop.example",)})
    return service


def run(*arguments: str, **settings: str) -> Result:
    """Run the console command with these settings."""
    ids = {"CAPTURE_CAMPAIGN_ID": "1000", "CAPTURE_ACTION_TRACKER_ID": "4321"}
    return CliRunner().invoke(cli, arguments, env={**ids, **settings})


def fresh(order_id: str = "A") -> Order:
    """Return an order that is an hour old by the real time."""
    return order(order_id, event_date=utc_now() - timedelta(hours=1))


def export(service: Service) -> None:
    """Let an order leave."""
    record(service.database, [fresh()], utc_now())
    request_export(service.database)
    work(service)


def test_all_is_well(service: Service) -> None:
    """Nothing is found where nothing is wrong, on either database, before and after files have left."""
    assert {one.status for one in doctor.examine(service)} == {Status.OK}
    export(service)
    told, failed = doctor.report(service, as_json=False)
    assert (failed, {one.status for one in doctor.examine(service)}) == (False, {Status.OK}), told
    assert ("SQLite" in told) is service.database.is_sqlite
    assert ("PostgreSQL" in told) is not service.database.is_sqlite


@ON_ONE_DATABASE
def test_every_line_and_every_field_is_told(service: Service) -> None:
    """People get a line for each finding, programs the same as JSON."""
    export(service)
    text, document = (doctor.report(service, as_json=as_json)[0] for as_json in (False, True))
    told = json.loads(document)
    assert {tuple(one) for one in told["findings"]} == {("name", "status", "detail", "repair")}
    lines = text.splitlines()
    assert len(lines) == len(told["settings"]) + len(told["findings"])
    for one in [one for one in told["findings"] if one["name"] != "disk"]:  # its room changes from moment to moment
        assert f"{one['status']:<8} {one['name']}: {one['detail']} {one['repair']}".rstrip() in lines
    assert told["settings"]["CAPTURE_LEASE_SECONDS"] == "15"
    assert told["settings"]["CAPTURE_FOLDER_PATH"] == "var/outbox"


@ON_ONE_DATABASE
def test_no_secret_is_told(service: Service) -> None:
    """Neither passwords, nor keys, nor what stands behind an address."""
    for name in ("postgresql+psycopg://user:{0}@db.example/shop", "postgresql+psycopg://u@db.example/s?password={0}"):
        secret = {"database_url": SecretStr(name.format(CANARY)), "alarm_url": SecretStr(f"https://hook/{CANARY}")}
        service.settings = service.settings.model_copy(update=secret)
        told = "".join(doctor.report(service, as_json=as_json)[0] for as_json in (False, True))
        assert "db.example" in told
        assert CANARY not in told
        assert not [key for key in service.settings.export_keys if key in told]


@ON_ONE_DATABASE
def test_secrets_of_channels_are_not_told(monkeypatch: pytest.MonkeyPatch, service: Service) -> None:
    """Their settings are shown with stars where a secret is."""
    for name in ("CAPTURE_EMAIL_PASSWORD", "CAPTURE_SFTP_PASSWORD", "CAPTURE_FTPS_PASSWORD"):
        monkeypatch.setenv(name, CANARY)
    some = FolderChannel(FolderSettings())
    service.channels = dict.fromkeys(("email", "sftp", "ftps"), some)
    told, _ = doctor.report(service, as_json=False)
    assert CANARY not in told
    assert {"CAPTURE_EMAIL_PASSWORD=***", "CAPTURE_SFTP_PASSWORD=***", "CAPTURE_FTPS_PASSWORD=***"} <= {*told.split()}


@ON_ONE_DATABASE
def test_every_failure_says_what_to_do(service: Service, tmp_path: Path) -> None:
    """A finding that is not ok comes with a repair or a sentence that holds it."""
    export(service)
    with service.database.transaction() as session:
        session.connection().exec_driver_sql("DELETE FROM attempt")
    spool = tmp_path / "a file"
    spool.write_text("in the way")
    service.settings = service.settings.model_copy(update={"spool_path": spool, "export_keys": ()})
    wrong = [one for one in doctor.examine(service) if one.status is not Status.OK]
    assert {one.name for one in wrong} == {"keys", "disk", "journal"}
    assert all(one.repair.endswith(".") and one.detail.endswith(".") for one in wrong)


def test_a_restored_backup_shows(service: Service, outbox: Path) -> None:
    """Which files have left that the database does not know, how much is in them, and how to go on."""
    export(service)
    [file] = outbox.iterdir()
    with service.database.transaction() as session:
        session.connection().exec_driver_sql("DELETE FROM attempt")
    [finding] = found(service, "journal")
    assert (finding.status, doctor.report(service, as_json=False)[1]) == (Status.FAILURE, True)
    assert f"{file.name} (kept " in finding.detail
    assert "2 rows of 1 orders" in finding.detail
    assert "conversion-capture recover" in finding.repair


@ON_ONE_DATABASE
def test_a_journal_that_has_gone_shows(service: Service, tmp_path: Path) -> None:
    """A volume that was not mounted would make a host blind."""
    export(service)
    service.hold.journal.path.rename(tmp_path / "gone")
    assert statuses(service, "journal") == {"warning"}
    service.hold.journal.path.write_text("a file where the folder should be")
    assert statuses(service, "journal") == {"failure"}


def test_a_stopped_channel_shows(service: Service) -> None:
    """Why nothing leaves by it; one whose logins are refused, but not often enough yet, is a warning."""
    row = {"channel": "folder", "denials": 1, "code": "CREDENTIALS_REFUSED", "detail": "The password is refused."}
    with service.database.transaction() as session:
        session.connection().execute(insert(TROUBLE), [row])
    assert statuses(service, "channel") == {"warning"}
    with service.database.transaction() as session:
        session.connection().execute(update(TROUBLE).values(denials=3, stopped_at=NOW))
    [finding] = found(service, "channel")
    assert (finding.status, "The password is refused." in finding.detail) == (Status.FAILURE, True)


@pytest.mark.parametrize("stuck", ["failed", "unknown"])
def test_a_batch_that_waits_for_a_person_shows(service: Service, outbox: Path, stuck: str) -> None:
    """By its file's name."""
    outbox.write_text("no folder")
    export(service)
    assert statuses(service, "deliveries") == {"ok"}
    with service.database.transaction() as session:
        session.connection().execute(update(UNDELIVERED).values(stuck=stuck))
        [name] = session.connection().exec_driver_sql("SELECT filename FROM batch").scalars()
    [finding] = found(service, "deliveries")
    assert (finding.status, f"{name} ({stuck})" in finding.detail) == (Status.FAILURE, True)


@ON_ONE_DATABASE
def test_the_next_pull_is_told(service: Service) -> None:
    """When impact.com, which fetches once a day, should have fetched what lies in the folder."""
    assert "No file" in found(service, "pull")[0].detail
    export(service)
    service.settings = service.settings.model_copy(update={"folder_pulled_at": time(4, 30)})
    assert found(service, "pull")[0].detail.endswith(" 04:30.")
    service.channels = {}
    assert found(service, "pull") == []


def test_a_clock_that_is_wrong_shows(service: Service) -> None:
    """By how much it differs from the database's."""
    service.clock = lambda: utc_now() + timedelta(minutes=2)
    [finding] = found(service, "clock")
    assert (finding.status, "differ by 1" in finding.detail) == (Status.WARNING, True)


@ON_ONE_DATABASE
@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, "ok"),
        ({"read_keys": ("same",), "export_keys": ("same",)}, "failure"),
        ({"read_keys": ("other", "same"), "order_keys": ("same",)}, "failure"),
        ({"order_keys": ("same",), "export_keys": ("same",)}, "warning"),
        ({"order_keys": ()}, "warning"),
        ({"read_keys": ()}, "warning"),
    ],
)
def test_keys_that_are_missing_or_shared_show(service: Service, changes: dict[str, object], status: str) -> None:
    """A key in a cron job should not record orders, and one that signs an analyst in should do nothing but read."""
    service.settings = service.settings.model_copy(update=changes)
    assert statuses(service, "keys") == {status}


@ON_ONE_DATABASE
@pytest.mark.parametrize("variable", ["spool_path", "journal_path"])
def test_a_place_that_cannot_be_written_shows(make_settings: SettingsFactory, service: Service, variable: str) -> None:
    """By the setting that names it."""
    Path("file").write_text("in the way")
    service.settings = make_settings(**{variable: Path("file/inner")})
    [finding] = [one for one in found(service, "disk") if one.status is not Status.OK]
    assert (finding.status, f"CAPTURE_{variable.upper()}" in finding.repair) == (Status.FAILURE, True)


@ON_ONE_DATABASE
def test_little_room_shows(service: Service) -> None:
    """Before anything fails for want of it."""
    service.settings = service.settings.model_copy(update={"alarm_disk_bytes": 10**18})
    assert statuses(service, "disk") == {"warning"}


@pytest.mark.parametrize(
    ("version", "has"),
    [
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 53, 0), False),
    ],
)
def test_versions_of_sqlite_with_a_race_are_known(version: tuple[int, int, int], *, has: bool) -> None:
    """As SQLite's own release notes have it."""
    assert has_wal_race(version) is has


@ON_ONE_DATABASE
def test_a_database_that_is_away_shows(service: Service) -> None:
    """The rest is told all the same, and nothing else is asked of it."""
    away = Database("postgresql+psycopg://nobody:secret@127.0.0.1:9/nothing")
    service.database = away
    assert statuses(service, "database") == {"failure"}
    assert statuses(service, "keys") == {"ok"}
    assert found(service, "journal") == []
    away.close()


def test_a_schema_of_another_version_shows(service: Service) -> None:
    """It is not changed."""
    with service.database.transaction() as session:
        session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = 'newer'")
        session.connection().exec_driver_sql("UPDATE compatibility SET oldest = 'newer'")
        session.connection().exec_driver_sql("ALTER TABLE undelivered RENAME TO gone")
    assert statuses(service, "schema") == {"failure"}
    assert statuses(service, "deliveries_that_wait") == {"failure"}


def test_looking_changes_nothing(sqlite_url: str) -> None:
    """Not a byte of the database, no file beside it; where there is no database, none is made. Exit status 1 tells."""
    told = run("doctor", CAPTURE_DATABASE_URL="sqlite:///none.db")
    assert (told.exit_code, told.stderr, "There is no none.db yet" in told.stdout) == (1, "", True)
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    before = path.read_bytes()
    told = run("doctor", "--json", CAPTURE_DATABASE_URL=sqlite_url)
    assert (told.exit_code, told.stderr) == (0, "")
    assert [one["status"] for one in json.loads(told.stdout)["findings"] if one["name"] == "journal"] == ["ok"]
    assert path.read_bytes() == before
    assert [one.name for one in Path().iterdir() if not one.name.endswith(".lock")] == [path.name]


def test_the_drill_at_the_command_line(sqlite_url: str) -> None:
    """A copy is put back: `export` says that nothing leaves, `doctor` and `recover` show the way, and it goes on."""
    path, copy = Path(sqlite_url.removeprefix("sqlite:///")), Path("backup.db")
    settings = {"CAPTURE_DATABASE_URL": sqlite_url, "CAPTURE_FOLDER_PATH": "out"}
    post(sqlite_url, fresh("A"))
    copy.write_bytes(path.read_bytes())
    post(sqlite_url, lost := fresh("B"))
    assert json.loads(process("export", "--wait", **settings).stdout)["exported"] == 2  # which closes its database

    path.write_bytes(copy.read_bytes())
    held, seen, refused = (run(*one, **settings) for one in (("export", "--wait"), ("doctor",), ("recover",)))
    assert (held.exit_code, "conversion-capture doctor" in str(held.exception)) == (1, True)
    assert (seen.exit_code, "conversion-capture recover" in seen.stdout) == (1, True)
    assert (refused.exit_code, refused.stdout.splitlines()[2:]) == (1, ["    B", "0 kept files were recorded, 1 not."])

    post(sqlite_url, lost)
    told = [run(*one, **settings) for one in (("recover", "--dry-run"), ("recover",), ("recover",))]
    assert [one.stdout.splitlines()[-1] for one in told] == [
        "1 kept files would be recorded, 0 not.",
        "1 kept files were recorded, 0 not.",
        "0 kept files were recorded, 0 not.",
    ]
    assert json.loads(run("export", "--wait", **settings).stdout)["exported"] == 0
    assert len(list(Path("out").iterdir())) == 1
    seen = run("doctor", **settings)
    assert (seen.exit_code, "POST /batches/{id}/confirmation" in seen.stdout) == (1, True)


def post(url: str, one: Order) -> None:
    """Record an order, as the service does."""
    database = Database(url)
    record(database, [one], utc_now())
    database.close()


@pytest.mark.parametrize(
    ("answer", "status", "told"),
    [
        (httpx.Response(200, json={"FTPFileSubmissions": []}, headers={"X-RateLimit-Limit": "1000"}), "ok", "takes"),
        (httpx.Response(401), "failure", "refuses the account's token"),
        (httpx.Response(500), "warning", "takes no calls now"),
    ],
)
def test_the_api_is_asked_once(service: Service, answer: httpx.Response, status: str, told: str) -> None:
    """Whether it takes the token, and how the budget stands; one call, of which no secret is told."""
    service.settings = service.settings.model_copy(update=ACCOUNT | {"impact_auth_token": SecretStr(CANARY)})
    impact = Impact(answer=lambda _order_id: answer)
    service.api = api(impact, service)
    [one] = found(service, "api")
    [budget] = found(service, "api budget")
    assert (one.status.value, told in one.detail) == (status, True)
    assert "of 500 calls of the hour are spent, 100 are kept for reading" in budget.detail
    assert ("impact.com's limit is 1000" in budget.detail) is (status == "ok")
    assert {name for _, name, _ in impact.calls} == {"FTPFileSubmissions"}
    assert CANARY not in doctor.report(service, as_json=True)[0]


@ON_ONE_DATABASE
def test_the_clock_is_compared_with_impact_coms_for_nothing(service: Service) -> None:
    """Its answer tells the time; and without the network it is not asked at all."""
    service.settings = service.settings.model_copy(update=ACCOUNT | {"impact_auth_token": SecretStr(CANARY)})
    date = (utc_now() - timedelta(minutes=3)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    answer = httpx.Response(200, json={"FTPFileSubmissions": []}, headers={"Date": date})
    impact = Impact(answer=lambda _order_id: answer)
    service.api = api(impact, service)
    clocks = [one for one in doctor.examine(service) if one.name == "clock"]
    assert [(one.status.value, "impact.com's" in one.detail) for one in clocks] == [("ok", False), ("warning", True)]
    asked = len(impact.calls)
    names = {one.name for one in doctor.examine(service, Asked(network=False))}
    assert ("api" in names, "probe" in names, len(impact.calls)) == (False, False, asked)
