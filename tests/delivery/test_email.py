"""Mails to real and to misbehaving servers."""

import logging
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import cast

import pytest
import trustme

from app.config import Settings, load
from app.delivery.channels import Channel
from app.delivery.channels.email import EmailChannel, EmailSettings
from app.delivery.parcel import CHUNK, Parcel
from app.errors import (
    ChannelRefused,
    ChannelUnavailable,
    CredentialsRefused,
    DeliveryError,
    LeaseLost,
    Misconfigured,
    OutcomeUnknown,
    ReceiverNotTrusted,
)
from tests.delivery.email_server import (
    DRIP,
    DROP,
    PASSWORD,
    POLITE,
    SENDER,
    STALL,
    TALK,
    TO,
    USERNAME,
    Answer,
    Mail,
    Mailbox,
    Scripted,
    ca_file,
    mail_server,
    payload,
    server_tls,
)
from tests.delivery.receiver import NAME, PARCEL, ignore, settings
from tests.servers import HOST, PATIENCE, free_port, wait_until

SMALL = Parcel(NAME, b"OrderId\r\nA-1001\r\n")
LOGIN = {"username": USERNAME, "password": PASSWORD}
COPY = "orders@shop.example"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who signs the servers' certificates."""
    return trustme.CA()


Connect = Callable[..., EmailChannel]


@pytest.fixture
def channel_to(authority: trustme.CA, tmp_path: Path) -> Connect:
    """Return a channel to a port of this host, with a login, and changes to its settings."""

    def connect(port: int, shared: Settings | None = None, **changes: object) -> EmailChannel:
        values = {"host": HOST, "port": port, "from_": SENDER, "to": TO, "ca_file": ca_file(authority, tmp_path)}
        return EmailChannel(EmailSettings.model_validate(values | LOGIN | changes), shared or settings(channel="email"))

    return connect


@pytest.fixture
def server(authority: trustme.CA) -> Iterator[tuple[Mailbox, int]]:
    """A real mail server: what it gets, and its port."""
    mailbox, port = Mailbox(), free_port()
    with mail_server(mailbox, port, server_tls(authority)):
        yield mailbox, port


@pytest.fixture
def scripted(authority: trustme.CA) -> Iterator[Callable[..., Scripted]]:
    """Start servers with scripts."""
    running: list[Scripted] = []

    def start(script: Mapping[str, Answer] | None = None, **certificate: object) -> Scripted:
        at_once = bool(certificate.pop("at_once", False))
        one = Scripted(server_tls(authority, **certificate), script or {}, at_once=at_once).__enter__()
        running.append(one)
        return one

    yield start
    for one in running:
        one.__exit__()


Start = Callable[..., Scripted]


def failure(channel: EmailChannel, parcel: Parcel = SMALL) -> DeliveryError:
    """Return how sending fails; what a log would show of it has no secret and no words of the server's."""
    with pytest.raises(DeliveryError) as failed:
        channel.send(parcel, ignore)
    told = "".join(traceback.format_exception(failed.value)) + repr(channel.settings)
    assert PASSWORD not in told
    assert "secret words" not in told
    assert str(failed.value).endswith(".")
    return failed.value


def received(server: tuple[Mailbox, int]) -> Mail:
    """Return the one mail that arrived."""
    (only,) = server[0].mails
    return only


# The mail ---------------------------------------------------------------------------------------------------------


def test_the_mail_is_what_impact_com_asks_for(server: tuple[Mailbox, int], channel_to: Connect) -> None:
    """One address in To and in the envelope, no subject, no words, and the file under its name."""
    begun = datetime.now(UTC) - timedelta(seconds=1)
    channel_to(server[1]).send(PARCEL, ignore)
    mail = received(server)
    assert (mail.sender, mail.receivers) == (SENDER, [TO])
    assert (mail.parsed["From"], mail.parsed["To"]) == (SENDER, TO)
    assert [name for name in ("Cc", "Bcc", "Subject") if name in mail.parsed] == []
    assert begun <= parsedate_to_datetime(mail.parsed["Date"]) <= datetime.now(UTC)
    words = mail.parsed.get_body()
    assert words is not None
    assert payload(words).strip() == b""
    assert mail.attachment.get_content_type() == "text/csv"
    assert mail.attachment.get_param("name") == mail.attachment.get_filename() == NAME
    assert mail.attachment.get_content_disposition() == "attachment"
    assert mail.attachment["Content-Transfer-Encoding"] == "base64"


AWKWARD = {
    "empty": b"",
    "all bytes": bytes(range(256)) * 20,
    "dots and line ends": b".\r\n..\r\n.\n\n.\r.\r\n" * 50,
    "as long as a piece": b"x" * CHUNK,
}


@pytest.mark.parametrize("content", AWKWARD.values(), ids=AWKWARD)
def test_any_content_arrives_to_the_byte(server: tuple[Mailbox, int], channel_to: Connect, content: bytes) -> None:
    """A mail changes nothing in a file."""
    channel_to(server[1]).send(Parcel(NAME, content), ignore)
    assert server[0].files() == {NAME: content}


def test_a_long_file_name_stays_in_one_piece(server: tuple[Mailbox, int], channel_to: Connect) -> None:
    """Not every reader of mails puts a name together that was cut in two."""
    name = f"2026-11-22_ActionData_{'e' * 32}_0123456789abcdef.csv"
    channel_to(server[1]).send(Parcel(name, b"x"), ignore)
    assert f'filename="{name}"'.encode() in received(server).raw
    assert f"<{name.removesuffix('.csv')}." in received(server).parsed["Message-ID"]


WORDS_OF_A_MERCHANT = [
    "Hello\n.\n..hidden\n.",
    "Grüße\n.\n" + "long " * 300,
    "caf\udce9",  # what the environment holds where it is not UTF-8
]


@pytest.mark.parametrize("words", WORDS_OF_A_MERCHANT, ids=range(len(WORDS_OF_A_MERCHANT)))
def test_subject_and_words_are_as_set(server: tuple[Mailbox, int], channel_to: Connect, words: str) -> None:
    """Also where a line begins with a dot, which ends a mail where it stands alone."""
    channel_to(server[1], subject="Conversions", body=words).send(SMALL, ignore)
    mail = received(server)
    body = mail.parsed.get_body()
    assert body is not None
    assert mail.parsed["Subject"] == "Conversions"
    assert body.get_content().splitlines() == words.replace("\udce9", "?").splitlines()
    assert payload(mail.attachment) == SMALL.content
    assert max(map(len, mail.raw.splitlines())) < 998


def test_a_repeated_file_can_be_recognised(server: tuple[Mailbox, int], channel_to: Connect) -> None:
    """The same name and bytes have the same Message-ID, at the sender's domain, and other bytes another."""
    channel = channel_to(server[1])
    for content in (b"1", b"1", b"2"):
        channel.send(Parcel(NAME, content), ignore)
    first, again, other = [mail.parsed["Message-ID"] for mail in server[0].mails]
    assert first == again != other
    assert first.startswith(f"<{NAME.removesuffix('.csv')}.")
    assert first.endswith("@shop.example>")


def test_others_get_a_copy_only_where_set(server: tuple[Mailbox, int], channel_to: Connect) -> None:
    """And To has one address even then."""
    channel_to(server[1], cc=f"{COPY}, second@shop.example").send(SMALL, ignore)
    mail = received(server)
    assert mail.receivers == [TO, COPY, "second@shop.example"]
    assert (mail.parsed["To"], mail.parsed["Cc"]) == (TO, f"{COPY}, second@shop.example")


def types(**addresses: str | None) -> dict[str, object]:
    """Return event types with addresses."""
    ids = {"campaign_id": 1, "action_tracker_id": 2}
    return {key: ids | {"channel": "email", "email_to": address} for key, address in addresses.items()}


def test_each_event_type_has_its_address(server: tuple[Mailbox, int], channel_to: Connect) -> None:
    """Files go to the event type's own address, else to the general one."""
    channel = channel_to(server[1], settings(event_types=types(leads="leads@impact.example", sales=None)))
    for key in ("leads", "sales", "gone"):
        channel.send(Parcel(f"{key}.csv", b"x", key), ignore)
    assert [mail.receivers for mail in server[0].mails] == [["leads@impact.example"], [TO], [TO]]


def test_a_file_whose_event_type_is_gone_goes_to_nobody(scripted: Start, channel_to: Connect) -> None:
    """Without a general address a person has to look."""
    there = scripted()
    channel = channel_to(there.port, settings(event_types=types(leads="leads@impact.example")), to=None)
    gone = failure(channel, Parcel(NAME, b"x", "gone"))
    assert type(gone) is ChannelRefused
    assert "CAPTURE_EMAIL_TO" in str(gone)
    assert there.said == []


@pytest.mark.parametrize("name", ["a\r\nBcc: thief@evil.example\r\n.csv", "büro.csv", 'a".csv', "a b.csv", "", ".csv"])
def test_a_file_name_brings_nothing_into_the_mail(scripted: Start, channel_to: Connect, name: str) -> None:
    """One that is not plain is refused before anything is sent."""
    there = scripted()
    assert type(failure(channel_to(there.port), Parcel(name, b"x"))) is ChannelRefused
    assert there.said == []


def test_nobody_can_be_asked(channel_to: Connect) -> None:
    """What became of a mail is not to be seen, so nothing is even tried."""
    answer: bool | None = cast("Channel", channel_to(free_port())).ask(PARCEL)
    assert answer is None


# Settings ---------------------------------------------------------------------------------------------------------


def test_settings_come_from_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also FROM, which is a word of Python's."""
    for name, value in {"HOST": "mail.shop.example", "FROM": SENDER, "TO": TO, "CC": f"{COPY},{TO}"}.items():
        monkeypatch.setenv(f"CAPTURE_EMAIL_{name}", value)
    monkeypatch.setenv("CAPTURE_CAMPAIGN_ID", "1")
    monkeypatch.setenv("CAPTURE_ACTION_TRACKER_ID", "2")
    _, found = load(Settings, EmailSettings)
    assert isinstance(found, EmailSettings)
    assert (found.host, found.from_, found.to, found.cc) == ("mail.shop.example", SENDER, TO, (COPY, TO))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FROM", "shop"),
        ("FROM", "Shop <shop@shop.example>"),
        ("TO", f"{TO},{COPY}"),
        ("TO", f"{TO}\nBcc: {COPY}"),
        ("CC", f"{COPY},nobody"),
        ("SUBJECT", "Hello\r\nBcc: thief@evil.example"),
        ("SUBJECT", "Grüße"),
        ("PORT", "0"),
        ("SECURITY", "ssl"),
        ("FROM_", SENDER),
        ("PASWORD", PASSWORD),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """By its variable."""
    monkeypatch.setenv(f"CAPTURE_EMAIL_{name}", value)
    with pytest.raises(Misconfigured, match=rf"^CAPTURE_EMAIL_{name}\b") as wrong:
        load(EmailSettings)
    assert PASSWORD not in str(wrong.value)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"host": ""}, "CAPTURE_EMAIL_HOST is missing"),
        ({"from_": None}, "CAPTURE_EMAIL_FROM is missing"),
        ({"to": None}, "CAPTURE_EMAIL_TO is missing"),
        ({"password": ""}, "CAPTURE_EMAIL_PASSWORD"),
        ({"username": ""}, "CAPTURE_EMAIL_USERNAME"),
        ({"security": "none"}, "CAPTURE_EMAIL_SECURITY"),
        ({"ca_file": "/nowhere/ca.pem"}, "CAPTURE_EMAIL_CA_FILE"),
        ({"ca_file": __file__}, "CAPTURE_EMAIL_CA_FILE"),
    ],
)
def test_settings_that_cannot_work_stop_the_start(channel_to: Connect, changes: dict[str, object], named: str) -> None:
    """With a sentence that names the variable; no login is ever set to go out in clear."""
    with pytest.raises(Misconfigured, match=named) as wrong:
        channel_to(1, **changes)
    assert PASSWORD not in str(wrong.value)


def test_only_who_leaves_by_mail_needs_an_address(channel_to: Connect) -> None:
    """Event types that leave otherwise are not asked for one, and the one that lacks it is named."""
    leads = types(leads="leads@impact.example")
    channel_to(1, settings(channel="folder", event_types=leads), to=None)
    with pytest.raises(Misconfigured, match="sales"):
        channel_to(1, settings(channel="folder", event_types=leads | types(sales=None)), to=None)


@pytest.mark.parametrize(("security", "port"), [("starttls", 587), ("tls", 465), ("none", 25)])
def test_each_kind_of_security_has_its_usual_port(channel_to: Connect, security: str, port: int) -> None:
    """Unless another is set."""
    assert channel_to(None, security=security, username="", password="").port == port


# Who the server is ------------------------------------------------------------------------------------------------

YESTERDAY = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.parametrize("certificate", [{"not_after": YESTERDAY}, {"identity": "other.example"}])
def test_a_wrong_certificate_gets_nothing(
    scripted: Start, channel_to: Connect, security: str, certificate: dict[str, object]
) -> None:
    """An expired one, and one of somebody else."""
    there = scripted(at_once=security == "tls", **certificate)
    assert type(failure(channel_to(there.port, security=security))) is ReceiverNotTrusted
    assert set(there.verbs) <= {"EHLO", "STARTTLS"}
    assert (there.logins, there.mails) == ([], [])


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_of_an_unknown_authority_gets_nothing(
    scripted: Start, channel_to: Connect, tmp_path: Path, security: str
) -> None:
    """Only the authorities of the system, or of the file that is set, are believed."""
    there = scripted(at_once=security == "tls")
    (tmp_path / "other").mkdir()
    for file in (None, ca_file(trustme.CA(), tmp_path / "other")):
        refused = failure(channel_to(there.port, security=security, ca_file=file))
        assert type(refused) is ReceiverNotTrusted
        assert "CAPTURE_EMAIL_CA_FILE" in str(refused)
    assert (there.logins, there.mails) == ([], [])


STRIPPED: list[dict[str, Answer]] = [
    {"EHLO": "250-scripted\r\n250 AUTH PLAIN LOGIN"},
    {"EHLO": "250 scripted"},
    {"STARTTLS": "454 not now, secret words"},
    {"STARTTLS": "501 no, secret words"},
    {"STARTTLS": "250 ok"},
    {"TLS": TALK},
]


@pytest.mark.parametrize("script", STRIPPED, ids=str)
def test_without_encryption_nothing_is_sent(scripted: Start, channel_to: Connect, script: dict[str, Answer]) -> None:
    """Somebody in between may have taken STARTTLS away, refused it, or answered it with anything."""
    there = scripted(script)
    assert type(failure(channel_to(there.port))) is ReceiverNotTrusted
    assert set(there.verbs) <= {"EHLO", "STARTTLS"}


def test_what_was_slipped_in_before_tls_is_not_believed(scripted: Start, channel_to: Connect) -> None:
    """Answers in clear behind the one to STARTTLS are thrown away."""
    there = scripted({"STARTTLS": "220 go on\r\n550 refused by somebody in between"})
    channel_to(there.port).send(SMALL, ignore)
    assert len(there.mails) == 1


def test_tls_from_the_first_byte(scripted: Start, channel_to: Connect) -> None:
    """Where a server expects it, with no STARTTLS after it."""
    there = scripted(at_once=True)
    channel_to(there.port, security="tls").send(SMALL, ignore)
    assert there.verbs == ["EHLO", "AUTH", "MAIL", "RCPT", "DATA", "QUIT"]
    assert payload(there.mails[0].attachment) == SMALL.content


def test_no_encryption_only_where_set(scripted: Start, channel_to: Connect) -> None:
    """For a relay on the same host: no TLS, and no login even if it is offered."""
    there = scripted({"EHLO": "250-scripted\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN"})
    channel_to(there.port, security="none", username="", password="").send(SMALL, ignore)
    assert there.verbs == ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]
    assert payload(there.mails[0].attachment) == SMALL.content


def test_a_private_host_is_refused_unless_allowed(scripted: Start, channel_to: Connect) -> None:
    """A name that leads inside is not followed."""
    there = scripted()
    refused = failure(channel_to(there.port, settings(channel="email", allow_private_hosts=False)))
    assert type(refused) is ChannelRefused
    assert there.said == []


# The login --------------------------------------------------------------------------------------------------------


def test_a_wrong_password_is_tried_once(server: tuple[Mailbox, int], channel_to: Connect) -> None:
    """However many ways of login a server offers, so that no account gets locked."""
    refused = failure(channel_to(server[1], password="wrong"))
    assert type(refused) is CredentialsRefused
    assert "535" in str(refused)
    assert "CAPTURE_EMAIL_PASSWORD" in str(refused)
    assert server[0].logins == [b"wrong"]
    assert server[0].mails == []


@pytest.mark.parametrize("offer", ["PLAIN", "LOGIN", "CRAM-MD5 LOGIN PLAIN", "XOAUTH2 LOGIN"])
@pytest.mark.parametrize("answer", ["235 welcome", f"535 secret words {PASSWORD} of {USERNAME}"])
def test_a_login_is_one_command(scripted: Start, channel_to: Connect, offer: str, answer: str) -> None:
    """Name and password arrive as they are set, once, after encryption has begun."""
    there = scripted({"EHLO in TLS": f"250-scripted\r\n250 AUTH {offer}", "AUTH": answer})
    channel = channel_to(there.port)
    if answer.startswith("235"):
        channel.send(SMALL, ignore)
    else:
        assert type(failure(channel)) is CredentialsRefused
    assert [login.strip("\0") for login in there.logins] == [f"{USERNAME}\0{PASSWORD}"]
    assert there.verbs.index("STARTTLS") < there.verbs.index("AUTH")
    assert len(there.mails) == answer.startswith("235")


@pytest.mark.parametrize("offer", ["250 scripted", "250-scripted\r\n250 AUTH GSSAPI"])
def test_a_server_without_a_known_login_is_told_to_a_person(scripted: Start, channel_to: Connect, offer: str) -> None:
    """A mail without the login that was set is none that anybody wanted."""
    there = scripted({"EHLO in TLS": offer})
    assert type(failure(channel_to(there.port))) is ChannelRefused
    assert there.mails == []


# What the server says ---------------------------------------------------------------------------------------------

STEPS = ["greeting", "EHLO", "EHLO in TLS", "AUTH", "MAIL", "RCPT", "DATA", "dot"]
WORDS = f"secret words {PASSWORD}"


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("code", [421, 450, 550, 552, 554])
def test_a_refusal_is_told_from_trouble_that_passes(scripted: Start, channel_to: Connect, step: str, code: int) -> None:
    """At every step: a code of 4 and two digits is tried again, one of 5 is told to a person, by its number alone."""
    there = scripted({step: f"{code}-{WORDS}\r\n{code} {WORDS}"})
    refused = failure(channel_to(there.port))
    lasting = CredentialsRefused if step == "AUTH" else ChannelRefused
    assert type(refused) is (ChannelUnavailable if code < 500 else lasting)
    assert str(code) in str(refused)
    assert len(there.mails) == (step == "dot")
    assert there.verbs[-1:] == ["QUIT"]


@pytest.mark.parametrize("code", [450, 550])
def test_nobody_gets_a_mail_of_which_a_copy_is_refused(scripted: Start, channel_to: Connect, code: int) -> None:
    """All receivers or none: else the mail would come twice to some."""
    there = scripted({f"rcpt TO:<{COPY}>": f"{code} {WORDS}"})
    refused = failure(channel_to(there.port, cc=COPY))
    assert type(refused) is (ChannelUnavailable if code < 500 else ChannelRefused)
    assert "CAPTURE_EMAIL_CC" in str(refused)
    assert "DATA" not in there.verbs


STRANGE = ["HTTP/1.1 400 Bad Request", "nonsense", "", "299 what", "150 wait", "x" * 9000]


@pytest.mark.parametrize("answer", STRANGE, ids=range(len(STRANGE)))
@pytest.mark.parametrize("step", STEPS)
def test_an_answer_that_means_nothing_is_no_success(
    scripted: Start, channel_to: Connect, step: str, answer: str
) -> None:
    """Before the end nothing arrived; after it nobody knows."""
    there = scripted({step: answer})
    expected = OutcomeUnknown if step == "dot" else ChannelUnavailable
    assert type(failure(channel_to(there.port))) is expected


def test_a_mail_over_the_announced_limit_is_not_begun(scripted: Start, channel_to: Connect) -> None:
    """A person is told both sizes."""
    there = scripted({"EHLO in TLS": "250-scripted\r\n250-AUTH PLAIN\r\n250 SIZE 1000"})
    refused = failure(channel_to(there.port), Parcel(NAME, b"x" * 800))
    assert type(refused) is ChannelRefused
    assert "1000 bytes" in str(refused)
    assert "MAIL" not in there.verbs


@pytest.mark.parametrize("limit", ["", " 0", " much", f" {'9' * 5000}", " 1000000"])
def test_no_limit_is_no_hindrance(scripted: Start, channel_to: Connect, limit: str) -> None:
    """Zero and nothing mean that there is none; and the size is announced to a server that wants it."""
    there = scripted({"EHLO in TLS": f"250-scripted\r\n250-AUTH PLAIN\r\n250 SIZE{limit}"})
    channel_to(there.port).send(SMALL, ignore)
    (sender,) = [line for line in there.said if line.startswith("mail")]
    assert sender == f"mail FROM:<{SENDER}> size={len(there.mails[0].raw)}"


# Broken connections -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["greeting", "EHLO", "STARTTLS", "TLS", *STEPS[2:-1]])
def test_a_connection_lost_before_the_end_is_tried_again(scripted: Start, channel_to: Connect, step: str) -> None:
    """Nothing arrived."""
    there = scripted({step: DROP})
    assert type(failure(channel_to(there.port))) is ChannelUnavailable
    assert there.mails == []


@pytest.mark.parametrize("step", [step for step in POLITE if step not in {"dot", "QUIT"}])
def test_half_an_answer_is_none(scripted: Start, channel_to: Connect, step: str) -> None:
    """Cut after whichever byte: what had been said by then decides nothing, not even that a server has no TLS."""
    answer = f"{POLITE[step]}\r\n".encode()
    servers = [scripted({step: answer[:length]}) for length in range(len(answer))]
    assert {type(failure(channel_to(there.port))) for there in servers} == {ChannelUnavailable}
    assert [there.mails for there in servers if there.mails] == []


def test_half_of_the_last_answer_leaves_it_open(scripted: Start, channel_to: Connect) -> None:
    """A mail is taken when the server has said so to the end."""
    answer = f"{POLITE['dot']}\r\n".encode()
    servers = [scripted({"dot": answer[:length]}) for length in range(len(answer))]
    assert {type(failure(channel_to(there.port))) for there in servers} == {OutcomeUnknown}


def test_a_mail_that_breaks_off_in_the_middle_is_tried_again(scripted: Start, channel_to: Connect) -> None:
    """It has no end, so no server takes it for one."""
    there = scripted({"body": DROP})
    large = Parcel(NAME, PARCEL.content * 24)  # more than the system takes before anybody reads it
    assert type(failure(channel_to(there.port), large)) is ChannelUnavailable
    assert there.mails == []


def test_without_the_last_answer_nobody_knows(scripted: Start, channel_to: Connect) -> None:
    """The whole mail is there and the connection ends: it may have arrived."""
    there = scripted({"dot": DROP})
    unknown = failure(channel_to(there.port), PARCEL)
    assert type(unknown) is OutcomeUnknown
    assert payload(there.mails[0].attachment) == PARCEL.content


HANGING = {
    **dict.fromkeys(["greeting", "EHLO", "STARTTLS", "TLS", "EHLO in TLS", "AUTH"], "login_seconds"),
    **dict.fromkeys(["MAIL", "RCPT", "DATA"], "transfer_seconds"),
}


def test_a_conversation_that_hangs_ends_in_time(scripted: Start, channel_to: Connect) -> None:
    """At whatever step; and is tried again, since nothing arrived."""
    servers = {step: scripted({step: STALL}) for step in HANGING}
    channels = [
        channel_to(servers[step].port, settings(channel="email", **{deadline: 1})) for step, deadline in HANGING.items()
    ]
    with ThreadPoolExecutor(len(channels)) as all_at_once:
        late = list(all_at_once.map(failure, channels))
    assert {type(one) for one in late} == {ChannelUnavailable}
    assert [str(one) for one in late if "in time" not in str(one)] == []


def test_a_server_that_stops_reading_ends_in_time(scripted: Start, channel_to: Connect) -> None:
    """With far more to be sent than a network holds on the way."""
    there = scripted({"body": STALL})
    large = Parcel(NAME, bytes(8 * 1024 * 1024))
    late = failure(channel_to(there.port, settings(channel="email", transfer_seconds=1)), large)
    assert type(late) is ChannelUnavailable
    assert there.mails == []


def test_a_server_that_never_confirms_ends_in_time(scripted: Start, channel_to: Connect) -> None:
    """And nobody knows whether it took the mail."""
    there = scripted({"dot": STALL})
    late = failure(channel_to(there.port, settings(channel="email", transfer_seconds=3)))
    assert type(late) is OutcomeUnknown
    assert "in time" in str(late)


def test_an_answer_that_never_ends_is_cut_off(scripted: Start, channel_to: Connect) -> None:
    """One that comes byte by byte by the deadline, one that comes fast before it fills the memory."""
    for misdeed, why in ((DRIP, "in time"), (TALK, "without end")):
        there = scripted({"greeting": misdeed})
        late = failure(channel_to(there.port, settings(channel="email", login_seconds=1 if misdeed is DRIP else 30)))
        assert type(late) is ChannelUnavailable
        assert why in str(late)


@pytest.mark.parametrize("answer", [DROP, STALL, "500 what", "nonsense"])
def test_what_follows_the_last_answer_does_not_matter(scripted: Start, channel_to: Connect, answer: Answer) -> None:
    """A mail that was taken has arrived, however the server parts, and nobody waits for that."""
    there, begun = scripted({"QUIT": answer}), time.monotonic()
    channel_to(there.port, settings(channel="email", transfer_seconds=3600)).send(SMALL, ignore)
    assert len(there.mails) == 1
    assert time.monotonic() - begun < PATIENCE


@pytest.mark.parametrize("trouble", [LeaseLost("Another worker has it."), OSError("the database is away")])
def test_who_must_stop_leaves_no_mail(scripted: Start, channel_to: Connect, trouble: Exception) -> None:
    """The connection ends without the end of the mail, even if only that is missing, and the reason goes through."""
    there = scripted()

    def stop(handed_over: int) -> None:
        if handed_over == len(PARCEL.content):
            raise trouble

    with pytest.raises(type(trouble)) as stopped:
        channel_to(there.port).send(PARCEL, stop)
    assert stopped.value is trouble
    wait_until(lambda: there.cut == 1, "the connection does not end")
    assert there.mails == []


def test_each_step_is_logged_and_nothing_secret(
    scripted: Start, channel_to: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """In the order in which things happen, with the file's name and counts."""
    there = scripted()
    with caplog.at_level(logging.DEBUG):
        channel_to(there.port).send(PARCEL, ignore)
    ours = [record for record in caplog.records if record.name.startswith("app.")]
    steps = list(dict.fromkeys(record.message for record in ours))
    before, after = ["channel.connecting", "channel.connected", "channel.logged_in"], ["file.written", "file.closed"]
    assert steps == [*before, "file.opened", "file.progress", *after]
    assert {vars(record)["file"] for record in ours} == {NAME}
    assert PASSWORD not in str([vars(record) for record in caplog.records])
