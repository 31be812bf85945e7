"""Alarms are posted to the operator's URL: by real HTTP, at least once, and the URL is told to nobody."""

import base64
import logging
from collections.abc import Iterator
from datetime import timedelta

import pytest
from pydantic import SecretStr, ValidationError
from sqlalchemy import update

from app import __version__
from app.alarms import store
from app.alarms.notify import post_owed
from app.alarms.watch import Watch
from app.config import Settings
from app.conversions.record import record
from app.errors import Unavailable
from app.ledger.export_routes import request_export
from app.main import create_app
from app.service import Service, utc_now
from tests.alarms.receiver import TOKEN, Receiver, listening
from tests.conftest import Clock
from tests.servers import free_port, served, wait_until
from tests.support import NOW, order, work

LATE = NOW + timedelta(hours=27)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """The operator's side."""
    with listening() as found:
        yield found


@pytest.fixture
def service(service: Service, receiver: Receiver) -> Service:
    """The service with somebody to tell, and an order for which no export came."""
    told = {"alarm_url": SecretStr(receiver.url), "alarm_disk_bytes": 0}
    service.settings = service.settings.model_copy(update=told)
    record(service.database, [order()], NOW)
    return service


def watching(service: Service) -> Watch:
    """Return what looks after alarms in a process on a host where all is well."""
    return Watch(service.database, service.settings, "host-1", list, service.require_usable)


def post(service: Service) -> None:
    """Post what is owed, as a process does every few seconds."""
    assert service.settings.alarm_url
    post_owed(service.database, service.settings.alarm_url)


def due_now(service: Service) -> None:
    """Let the time of the next try come."""
    with service.database.transaction() as session:
        session.connection().execute(update(store.ALARM).values(post_at=utc_now() - timedelta(days=1)))


def export(service: Service, clock: Clock) -> None:
    """Let a completed export end the alarm."""
    clock.now = LATE
    request_export(service.database)
    work(service)


def test_what_is_posted(service: Service, receiver: Receiver, clock: Clock) -> None:
    """The alarm with its sentence, and later that it is over, to the path of the URL."""
    watching(service).look(LATE)
    post(service)
    [(path, raised)] = receiver.heard
    assert path == f"/hook?token={TOKEN}"
    assert raised.pop("detail").startswith("No export was completed since 2026-11-22T12:00:00+00:00")
    told = {"id": "1", "kind": "no_export", "subject": "", "severity": "error", "since": LATE.isoformat()}
    made_by = {"service": "conversion-capture", "version": __version__}
    assert raised == told | made_by | {"state": "raised", "cleared_at": None}
    export(service, clock)
    watching(service).look(LATE + timedelta(minutes=1))
    due_now(service)
    post(service)
    [_, (_, cleared)] = receiver.heard
    over = {"state": "cleared", "cleared_at": (LATE + timedelta(minutes=1)).isoformat()}
    assert cleared == raised | over | {"detail": cleared["detail"]}
    due_now(service)
    post(service)
    assert len(receiver.heard) == 2


def test_one_process_posts_for_all(service: Service, receiver: Receiver) -> None:
    """While one is posting, or when it has, the others do not."""
    watching(service).look(LATE)
    with service.database.transaction() as session:
        row = store.next_owed(session)
        assert row
        assert store.claim_post(session, row)
        assert not store.claim_post(session, row)
    post(service)
    assert receiver.heard == []
    due_now(service)  # that one was killed in the middle of it
    post(service)
    post(service)
    assert receiver.told() == [("no_export", "", "raised")]


@pytest.mark.parametrize("status", [500, 307])
def test_what_was_not_taken_is_posted_later(service: Service, receiver: Receiver, status: int) -> None:
    """Any answer but success counts as not taken, and a redirect leads nowhere else."""
    watching(service).look(LATE)
    receiver.status = status
    post(service)
    post(service)  # not before its time
    assert receiver.told() == [("no_export", "", "raised")]
    assert "redirected" not in receiver.heard[0][0]
    receiver.status = 204
    due_now(service)
    post(service)
    due_now(service)
    post(service)
    assert receiver.told() == 2 * [("no_export", "", "raised")]


def test_a_receiver_that_is_away_hears_of_it_later(service: Service, clock: Clock) -> None:
    """Nothing listens at first; what is over by then is told once, as over, with when it began."""
    port = free_port()
    url = SecretStr(f"http://127.0.0.1:{port}/hook")
    service.settings = service.settings.model_copy(update={"alarm_url": url})
    watching(service).look(LATE)
    post(service)
    export(service, clock)
    watching(service).look(LATE + timedelta(minutes=1))
    with listening(port) as receiver:
        due_now(service)
        post(service)
    assert receiver.told() == [("no_export", "", "cleared")]
    assert receiver.heard[0][1]["since"] == LATE.isoformat()


def test_what_changes_while_it_is_posted_is_posted_too(service: Service, receiver: Receiver, clock: Clock) -> None:
    """The alarm is over before the receiver has answered: it hears of that as well."""
    watching(service).look(LATE)
    with service.database.transaction() as session:
        row = store.next_owed(session)
        assert row
        store.claim_post(session, row)
    export(service, clock)
    watching(service).look(LATE)
    with service.database.transaction() as session:
        store.posted(session, row)
    due_now(service)
    post(service)
    assert receiver.told() == [("no_export", "", "cleared")]


def test_an_outage_of_the_database_is_posted_while_it_lasts(service: Service, receiver: Receiver) -> None:
    """It cannot be put on record; it is posted until somebody has taken it, and its end like any other."""
    away = True

    def check() -> None:
        if away:
            raise Unavailable("The database cannot be used now.")

    watch = Watch(service.database, service.settings, "host-1", list, check)
    receiver.status = 500
    for seconds in (0, 60, 70, 80):
        if seconds == 70:
            receiver.status = 204
        with pytest.raises(Unavailable):
            watch.look(NOW + timedelta(seconds=seconds))
    assert receiver.told() == 2 * [("database_away", "host-1", "raised")]
    away = False
    watch.look(NOW + timedelta(minutes=5))
    post(service)
    assert receiver.told()[2:] == [("database_away", "host-1", "cleared")]


def test_the_url_is_told_to_nobody(
    service: Service, receiver: Receiver, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither by us nor by libraries, at any level, whether it is reached, refuses, redirects or is away."""
    caplog.set_level(logging.DEBUG)
    urls = [receiver.url, f"http://127.0.0.1:{free_port()}/{TOKEN}", f"https://127.0.0.1:{free_port()}/{TOKEN}"]
    urls += [f"http://{TOKEN}.invalid/", receiver.url.replace("http:", "https:"), f"http://[{TOKEN}]/"]
    watching(service).look(LATE)
    for url, status in [(one, 204) for one in urls[1:]] + [(receiver.url, 302), (receiver.url, 500), (urls[0], 204)]:
        receiver.status = status
        due_now(service)
        post_owed(service.database, SecretStr(url))
    assert receiver.told() == 3 * [("no_export", "", "raised")]
    everything = "".join(f"{one.getMessage()} {vars(one)}" for one in caplog.records) + "".join(capfd.readouterr())
    everything += caplog.text + repr(service.settings) + repr(service)
    for form in (TOKEN, base64.b64encode(f"user:{TOKEN}".encode()).decode()):
        assert form not in everything
    reasons = [vars(one)["reason"] for one in caplog.records if one.message == "alarm.not_posted"]
    assert len(reasons) == 7


@pytest.mark.parametrize(
    "url",
    [
        *(f"{TOKEN}.example/hook", f"ftp://{TOKEN}.example/", f"https:///{TOKEN}", f"https://alarms.example:{TOKEN}/"),
        *(
            f"https://alarms.example/{TOKEN}\n",
            f"https://alarms.example/ {TOKEN}",
            f"https://[{TOKEN}/",
            f"https://ä.example/{TOKEN}",
        ),
    ],
)
def test_a_wrong_url_stops_the_start(url: str) -> None:
    """With a sentence that does not repeat it."""
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"campaign_id": 1000, "action_tracker_id": 4321, "alarm_url": url})
    [fault] = caught.value.errors(include_input=False, include_url=False)
    assert (fault["loc"], TOKEN in fault["msg"]) == (("alarm_url",), False)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_every_process_watches(service: Service, receiver: Receiver, clock: Clock) -> None:
    """Also one without a worker: an order that nobody exports is told within seconds."""
    clock.now = LATE
    with served(create_app(service, with_worker=False)):
        wait_until(lambda: bool(receiver.heard), "no alarm was posted")
    assert receiver.told() == [("no_export", "", "raised")]
