"""A call of impact.com's API says exactly what became of it: taken, refused, not taken, or not known."""

import json
import logging
import os
import random
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import (
    ApiRefused,
    ApiUnavailable,
    ChannelRefused,
    CredentialsRefused,
    DeliveryError,
    OutcomeUnknown,
    ReceiverNotTrusted,
)
from app.impact.answers import object_of, queued_uri_of, reasons_of
from app.impact.client import MOST_BYTES, Account, Client
from app.impact.connection import Connection
from tests.delivery.ftp_server import certificate
from tests.impact.scripted import SID, TOKEN, URI, Heard, Scripted, answer, queued, reset, serving
from tests.servers import HOST, free_port

FIELDS = {"OrderId": "A-1001", "Note": "a b&c=ü+"}
OWN = f"/Advertisers/{SID}/"


@pytest.fixture
def api() -> Iterator[Scripted]:
    """impact.com's API."""
    with serving() as scripted:
        yield scripted


# What is sent -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("body", ["form", "json"])
def test_a_change_is_asked_for_with_all_that_the_api_wants(api: Scripted, method: str, body: str) -> None:
    """Basic auth, the version, the fields as a form or as JSON, with DELETE too; the answer is where to look."""
    client = Client(api.account(body=body))
    assert client.submit(method, "Actions", FIELDS) == URI  # type: ignore[arg-type]
    [heard] = api.heard
    assert (heard.method, heard.target) == (method, f"{OWN}Actions")
    assert heard.headers["authorization"] == f"Basic {b64encode(f'{SID}:{TOKEN}'.encode()).decode()}"
    assert (heard.headers["ir-version"], heard.headers["accept"]) == ("14", "application/json")
    assert (heard.fields if body == "form" else json.loads(heard.body)) == FIELDS


def test_a_list_is_read_page_after_page_under_the_account(api: Scripted) -> None:
    """Numbers may come as texts; a following page is an address of impact.com's own."""
    api.script = lambda _heard, _connection: answer(200, {"@page": "1", "Actions": [{"Id": 7}]})
    client = Client(api.account())
    assert client.get("Actions", {"CampaignId": "1000"}).body["@page"] == "1"
    client.get(f"{OWN}Actions?Page=2&CampaignId=1000")
    client.get(f"{api.url}{OWN}Actions/1000.4636.158133")
    assert [one.target.removeprefix(OWN) for one in api.heard] == [
        "Actions?CampaignId=1000",
        "Actions?Page=2&CampaignId=1000",
        "Actions/1000.4636.158133",
    ]


@pytest.mark.parametrize(
    "uri",
    [
        "/Advertisers/Other/Actions",
        "https://elsewhere.example/Advertisers/IRsid/Actions",
        "//elsewhere.example/x",
        f"{OWN}../Other/Actions",
        f"{OWN}%2e%2e/Other/Actions",
        f"{OWN}%252e%252e/Other/Actions",
        f"{OWN}/elsewhere",
        f"{OWN}a b",
        "Actions\r\nHost: elsewhere",
        "Actions\\..\\..",
    ],
)
def test_the_token_is_sent_to_nothing_but_the_account(api: Scripted, uri: str) -> None:
    """An address that an answer gives is followed only within the account."""
    with pytest.raises(ApiRefused, match="outside the account"):
        Client(api.account()).get(uri)
    assert api.heard == []


# What an answer means ---------------------------------------------------------------------------------------------


REFUSAL = {
    "Status": "ERROR",
    "Message": "Validation",
    "Errors": [{"Field": "CampaignId", "Message": "CAMPAIGN_NOT_FOUND"}],
}
LOWER = {"status": "error", "errors": [{"field": "EventDate", "level": "ERROR", "message": "wrong format: 2026"}]}


@pytest.mark.parametrize(
    ("told", "submitted", "read"),
    [
        (answer(400, REFUSAL), ApiRefused, ApiRefused),
        (answer(400, LOWER), ApiRefused, ApiRefused),
        (answer(400, b"<html>Bad"), ApiRefused, ApiRefused),
        (answer(402, {"Message": "failed"}), ApiRefused, ApiRefused),
        (answer(404), ApiRefused, ApiRefused),
        (answer(405), ApiRefused, ApiRefused),
        (answer(413), ApiRefused, ApiRefused),
        (answer(301, Location="https://elsewhere.example/"), ApiRefused, ApiRefused),
        (answer(307, Location="/Advertisers/IRsid/Conversions"), ApiRefused, ApiRefused),
        (answer(401), CredentialsRefused, CredentialsRefused),
        (answer(403), CredentialsRefused, CredentialsRefused),
        (answer(429), ApiUnavailable, ApiUnavailable),
        (answer(500, b"<html>"), ApiUnavailable, ApiUnavailable),
        (answer(502), ApiUnavailable, ApiUnavailable),
        (answer(520), ApiUnavailable, ApiUnavailable),
        (answer(503, b"x" * (MOST_BYTES + 1)), ApiUnavailable, ApiUnavailable),
        (answer(200), OutcomeUnknown, ApiUnavailable),
        (answer(200, b"<html>Welcome</html>"), OutcomeUnknown, ApiUnavailable),
        (answer(200, b'{"Status": "QUEUED", "Queu'), OutcomeUnknown, ApiUnavailable),
        (answer(200, [1]), OutcomeUnknown, ApiUnavailable),
        (answer(200, None), OutcomeUnknown, ApiUnavailable),
        (answer(200, b"[" * 100_000), OutcomeUnknown, ApiUnavailable),
        (answer(200, {"Status": "QUEUED"}), OutcomeUnknown, None),
        (answer(200, {"QueuedUri": 7}), OutcomeUnknown, None),
        (answer(200, {"QueuedUri": "/Advertisers/Other/APISubmissions/A-1"}), OutcomeUnknown, None),
        (answer(200, {"QueuedUri": "https://elsewhere.example/x"}), OutcomeUnknown, None),
        (answer(200, REFUSAL), ApiRefused, None),
        (answer(200, b" " * (MOST_BYTES + 1)), OutcomeUnknown, ApiUnavailable),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", OutcomeUnknown, ApiUnavailable),
        (b"SSH-2.0-server\r\n\r\n", OutcomeUnknown, ApiUnavailable),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 100_000, OutcomeUnknown, ApiUnavailable),
        (b"HTTP/1.1 400 Bad\r\nContent-Length: 100\r\n\r\n{", ApiRefused, ApiRefused),
        (b"", OutcomeUnknown, ApiUnavailable),
        (queued(), None, None),
        (queued("APISubmissions/A-1"), None, None),
        (answer(201, b"\xef\xbb\xbf" + json.dumps({"QueuedUri": URI}).encode()), None, None),
        (answer(200, json.dumps({"QueuedUri": URI, "Note": "ü"}, ensure_ascii=False).encode("utf-16")), None, None),
        (answer(200, json.dumps({"QueuedUri": URI, "Note": "ü"}, ensure_ascii=False).encode("latin-1")), None, None),
    ],
)
def test_every_answer_is_told_apart(
    api: Scripted, told: bytes, submitted: type[DeliveryError] | None, read: type[DeliveryError] | None
) -> None:
    """A change is taken, refused, certainly not taken, or not known to have been; what is read is there or is not."""
    api.script = lambda _heard, _connection: told
    client = Client(api.account())
    assert outcome(lambda: client.submit("POST", "Conversions", FIELDS)) is submitted
    assert outcome(lambda: client.get("APISubmissions/A-1")) is read
    assert len(api.heard) == 2  # nobody was asked again, and no redirect was followed


def outcome(call: Callable[[], object]) -> type[BaseException] | None:
    """Return what a call raises."""
    try:
        call()
    except DeliveryError as error:
        return type(error)
    return None


def test_what_is_refused_says_why_and_repeats_nothing(api: Scripted) -> None:
    """Codes where impact.com names some, else its sentence about each field, kept short; a log gets neither value."""
    client = Client(api.account())
    api.script = lambda _heard, _connection: answer(400, REFUSAL)
    with pytest.raises(ApiRefused) as known:
        client.submit("POST", "Conversions", FIELDS)
    assert (known.value.reasons, known.value.http_status) == (("CAMPAIGN_NOT_FOUND",), 400)
    assert "CAMPAIGN_NOT_FOUND" in str(known.value)
    errors = [{"field": "CustomerId", "message": "jane@shop.example\x1b[31m" + "!" * 1_000}] * 2
    api.script = lambda _heard, _connection: answer(400, {"errors": errors})
    with pytest.raises(ApiRefused) as unknown:
        client.submit("POST", "Conversions", FIELDS)
    [reason] = unknown.value.reasons
    assert reason.startswith("CustomerId: jane@shop.example [31m")
    assert (len(reason), "CustomerId" in str(unknown.value), "jane" in str(unknown.value)) == (200, True, False)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(["Errors", "errors", "Field", "message", "Message", "QueuedUri"]) | st.text(), x
            )
        ),
    )
)
def test_no_json_is_too_strange(body: object) -> None:
    """Whatever comes, there are reasons or none, and a place to look or none."""
    content = json.dumps(body).encode()
    reasons_of(object_of(content) or {})
    assert outcome(lambda: queued_uri_of(200, content)) in {None, OutcomeUnknown, ApiRefused}


@given(st.binary(max_size=200))
def test_no_bytes_are_too_strange(content: bytes) -> None:
    """What is no JSON object is none, and nothing worse."""
    assert object_of(content) is None or isinstance(object_of(content), dict)


# The network ------------------------------------------------------------------------------------------------------


def test_nothing_has_left_when_nobody_is_there() -> None:
    """A refused connection is tried again later: the call was certainly not taken."""
    account = Account(f"http://{HOST}:{free_port()}", SID, TOKEN, allow_private=True)
    assert outcome(lambda: Client(account).submit("POST", "Conversions", FIELDS)) is ApiUnavailable


def _silent(_heard: Heard, connection: socket.socket) -> None:
    connection.settimeout(10)
    connection.recv(1)


def _dripping(_heard: Heard, connection: socket.socket) -> None:
    for byte in queued():
        connection.sendall(bytes([byte]))
        time.sleep(0.02)


def _cut(_heard: Heard, connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-")
    reset(connection)


@pytest.mark.parametrize("script", [_silent, _dripping, _cut])
def test_what_was_sent_and_not_answered_is_not_known(api: Scripted, script: Callable[..., None]) -> None:
    """Silence, an answer that never ends, a cut: impact.com may have taken it; each ends at the deadline, however slow.

    What was only to be read is read again later.
    """
    api.script = script
    client = Client(api.account(seconds=0.4))
    began = time.monotonic()
    assert outcome(lambda: client.submit("POST", "Conversions", FIELDS)) is OutcomeUnknown
    assert outcome(lambda: client.get("Actions")) is ApiUnavailable
    assert time.monotonic() - began < 2


def test_private_addresses_are_called_only_where_that_is_allowed(api: Scripted) -> None:
    """Whoever may change a name server's answer does not get the token."""
    client = Client(api.account(allow_private=False))
    with pytest.raises(ChannelRefused, match="CAPTURE_ALLOW_PRIVATE_HOSTS"):
        client.submit("POST", "Conversions", FIELDS)
    assert outcome(lambda: client.get("Actions")) is ApiUnavailable
    assert api.heard == []


def test_the_other_side_has_to_prove_who_it_is(tmp_path: Path) -> None:
    """With an issuer that is believed the call is made; with any other, the token stays here."""
    server, issuer = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server)
    with serving(context) as api:
        believed = Connection(5, allow_private=True, context=ssl.create_default_context(cafile=issuer))
        assert Client(api.account(), believed).submit("POST", "Conversions", FIELDS) == URI
        assert outcome(lambda: Client(api.account()).submit("POST", "Conversions", FIELDS)) is ReceiverNotTrusted
        assert outcome(lambda: Client(api.account()).get("Actions")) is ApiUnavailable
        assert len(api.heard) == 1


def test_what_does_not_speak_tls_gets_nothing(api: Scripted) -> None:
    """A call that could not be encrypted was not made."""
    account = api.account()
    encrypted = Account(account.url.replace("http:", "https:"), SID, TOKEN, allow_private=True, seconds=5)
    assert outcome(lambda: Client(encrypted).submit("POST", "Conversions", FIELDS)) is ApiUnavailable


def test_a_log_says_nothing_of_whom_a_call_is_about(api: Scripted, caplog: pytest.LogCaptureFixture) -> None:
    """Method, kind, status and time: no token, account, id or field."""
    client = Client(api.account())
    with caplog.at_level(logging.DEBUG):
        client.submit("POST", "Conversions", FIELDS)
        client.get("APISubmissions/A-1", {"OrderId": "A-1001"})
    told = "".join(str(vars(record)) for record in caplog.records)
    assert [secret for secret in (TOKEN, SID, "A-1", "/Advertisers") if secret in told] == []
    assert [vars(one)["path"] for one in caplog.records if one.msg == "api.called"] == ["Conversions", "APISubmissions"]


# Many calls -------------------------------------------------------------------------------------------------------

ANSWERS: dict[str, tuple[Callable[..., bytes | None], type[DeliveryError] | None]] = {
    "taken": (lambda *_: queued(), None),
    "500": (lambda *_: answer(500, b"<html>"), ApiUnavailable),
    "429": (lambda *_: answer(429), ApiUnavailable),
    "401": (lambda *_: answer(401), CredentialsRefused),
    "400": (lambda *_: answer(400, REFUSAL), ApiRefused),
    "redirect": (lambda *_: answer(302, Location="https://elsewhere.example/"), ApiRefused),
    "html": (lambda *_: answer(200, b"<html>Welcome"), OutcomeUnknown),
    "cut": (_cut, OutcomeUnknown),
    "closed": (lambda *_: b"", OutcomeUnknown),
    "nonsense": (lambda *_: b"\x00\xff\r\n\r\n", OutcomeUnknown),
    "long": (lambda *_: answer(200, b" " * (MOST_BYTES + 1)), OutcomeUnknown),
}


def test_many_mixed_answers_are_each_told_apart(api: Scripted) -> None:
    """Whatever came before: each call says what became of it, the taken ones are counted, and no connection stays."""
    chance, script = random.Random(39), dict[str, str]()
    api.script = lambda heard, connection: ANSWERS[script[heard.fields["OrderId"]]][0](heard, connection)
    client = Client(api.account())
    for number in range(10_000 if os.environ.get("SOAK") else 2_000):
        name = "taken" if chance.random() < 0.5 else chance.choice([*ANSWERS])
        script[str(number)] = name
        told = outcome(lambda: client.submit("POST", "Conversions", {"OrderId": str(number)}))  # noqa: B023
        assert told is ANSWERS[name][1], name
    assert len(api.heard) == len(script)
