"""What the settings alone say of the cookie and of the pages that may call, and every channel tried."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from app.cli import cli
from app.delivery.channels import Channel
from app.delivery.channels.email import EmailChannel
from app.delivery.channels.folder import FolderChannel, FolderSettings
from app.doctor.examine import examine
from app.doctor.finding import Asked, Finding, Status
from app.doctor.site import Names, cap
from app.service import Service, utc_now
from tests.clicks.test_proxies import serving
from tests.conftest import SettingsFactory
from tests.delivery.email_server import email
from tests.delivery.ftp_server import channel as ftp_channel
from tests.delivery.ftp_server import kept
from tests.delivery.receiver import own_settings, settings
from tests.delivery.sftp_server import scripted_server
from tests.test_cli import run

TRACKING = "https://track.shop.co.uk"
SHOP = ("https://www.shop.co.uk",)


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """One database: what is looked at here depends on none."""
    return sqlite_url


@pytest.fixture
def service(service: Service) -> Service:
    """The service with the time of day, since clocks are compared."""
    service.clock = utc_now
    return service


def wrong(service: Service, asked: Asked, name: str) -> list[Finding]:
    """Return what is amiss by a name."""
    return [one for one in examine(service, asked) if one.name == name and one.status is not Status.OK]


COOKIES: Mapping[str, tuple[dict[str, object], str, str]] = {
    "public suffix": ({"cookie_domain": ("co.uk",)}, "failure", "co.uk is a public suffix"),
    "one of several": ({"cookie_domain": ("shop.co.uk", "github.io")}, "failure", "github.io is a public suffix"),
    "other domain": ({"cookie_domain": ("shop.example",)}, "failure", "track.shop.co.uk lies below none"),
    "other pages": (
        {"cookie_domain": ("track.shop.co.uk",)},
        "warning",
        "Pages of https://www.shop.co.uk lie",
    ),
    "prefix without Secure": ({"cookie_name": "__Host-im_ref", "cookie_secure": False}, "failure", "only with Secure"),
    "not Secure": ({"cookie_secure": False}, "warning", "anybody on the way can read"),
}


@pytest.mark.parametrize(("changes", "status", "word"), COOKIES.values(), ids=COOKIES)
def test_a_cookie_that_no_browser_would_keep_is_found(
    make_settings: SettingsFactory, service: Service, changes: dict[str, object], status: str, word: str
) -> None:
    """Before a visitor comes, from the settings and the service's address alone."""
    service.settings = make_settings(storefront_origins=SHOP, **changes)
    found = wrong(service, Asked(network=False, tracking=TRACKING), "cookie domain")
    assert [one.status.value for one in found if word in one.detail] == [status], found


@pytest.mark.parametrize("tracking", ["http://127.0.0.1:8000", "https://tracker"])
def test_a_host_that_shares_no_domain_is_found(service: Service, tracking: str) -> None:
    """An address or a plain name has a cookie of its own, which no shop sees."""
    [found] = wrong(service, Asked(network=False, tracking=tracking), "cookie domain")
    assert (found.status, "alone" in found.detail) == (Status.WARNING, True)


PAGES: Mapping[str, tuple[tuple[str, ...], str, str]] = {
    "none": ((), "warning", "CAPTURE_STOREFRONT_ORIGINS names no page"),
    "http": ((*SHOP, "http://www.shop.co.uk"), "warning", "http://www.shop.co.uk are not encrypted"),
    "another shop": (
        (*SHOP, "https://www.other.co.uk"),
        "failure",
        "www.other.co.uk the cookie of track.shop.co.uk is",
    ),
}


@pytest.mark.parametrize(("origins", "status", "word"), PAGES.values(), ids=PAGES)
def test_pages_that_cannot_call_are_found(service: Service, origins: tuple[str, ...], status: str, word: str) -> None:
    """None named, one that keeps no Secure cookie, one for which the cookie is a third party's."""
    service.settings = service.settings.model_copy(update={"storefront_origins": origins})
    found = wrong(service, Asked(network=False, tracking=TRACKING), "cors")
    assert [(one.status.value, word in one.detail) for one in found] == [(status, True)], found


@pytest.mark.parametrize(
    ("shop", "service", "word"),
    [
        (("203.0.113.1",), ("203.0.0.9",), ""),
        (("203.0.113.1",), ("203.1.113.1",), "is unlike the shop's"),
        (("203.0.113.1", "198.51.100.7"), ("198.51.3.4",), ""),
        (("2001:db8:1:2::1",), ("2001:db8:1:2:3::4",), ""),
        (("2001:db8:1:2::1",), ("2001:db8:1:3::4",), "is unlike the shop's"),
        (("203.0.113.1",), ("2001:db8::1",), "is unlike the shop's"),
    ],
)
def test_addresses_are_compared_as_safari_does(shop: tuple[str, ...], service: tuple[str, ...], word: str) -> None:
    """The first half of an IPv4 address, the network of an IPv6 one; one pair that is alike is enough."""
    shops, services = (
        Names(host, host, [ip_address(one) for one in addresses])
        for host, addresses in (("www.shop.example", shop), ("track.shop.example", service))
    )
    assert (word in cap(shops, services), bool(cap(shops, services))) == (True, bool(word))


@pytest.mark.parametrize(
    ("name", "canonical", "is_capped"),
    [
        ("cdn of another site", "x.cdn.test", True),
        ("name of the shop's own", "lb.shop.example", False),
        ("the shop's own CNAME", "shop.hoster.test", False),
        ("another host of the shop's hoster", "edge-7.hoster.test", False),
    ],
)
def test_a_cname_counts_where_it_leads_away(name: str, canonical: str, is_capped: bool) -> None:
    """Not where it stays in the shop's site, or leads to whom the shop itself does; addresses are not compared then."""
    shop = Names("www.shop.example", "shop.hoster.test", [ip_address("203.0.113.1")])
    service = Names("track.shop.example", canonical, [ip_address("198.51.100.1")])
    assert bool(cap(shop, service)) is is_capped, name


# Channels ---------------------------------------------------------------------------------------------------------


@contextmanager
def folder_in_the_way(tmp_path: Path) -> Iterator[Channel]:
    """A folder whose place a file has."""
    (tmp_path / "file").write_text("in the way")
    yield FolderChannel(FolderSettings(path=tmp_path / "file" / "outbox"))


@contextmanager
def wrong_password_for_mails(tmp_path: Path) -> Iterator[Channel]:
    """A mail server that knows another password."""
    with email(tmp_path) as receiver:
        own = own_settings(receiver.channel).model_copy(update={"password": SecretStr("wrong")})
        yield EmailChannel(own, settings(channel="email"))


@contextmanager
def wrong_password_for_files(tmp_path: Path) -> Iterator[Channel]:
    """An SFTP server that knows another password."""
    with scripted_server(tmp_path) as server:
        yield server.channel(password="wrong")


@contextmanager
def another_host_key(tmp_path: Path) -> Iterator[Channel]:
    """An SFTP server that shows a key that nobody has confirmed."""
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    with scripted_server(tmp_path) as server:
        yield server.channel(host_keys=(key,))


@contextmanager
def no_directory(tmp_path: Path) -> Iterator[Channel]:
    """An FTP server without the directory."""
    with kept(tmp_path, None) as receiver:
        yield ftp_channel(own_settings(receiver.channel).port, directory="nowhere")


@contextmanager
def nobody(tmp_path: Path) -> Iterator[Channel]:
    """A port at which nobody listens."""
    yield ftp_channel(1)


RECEIVERS: Mapping[str, tuple[Callable[[Path], AbstractContextManager[Channel]], str, str]] = {
    "folder": (folder_in_the_way, "warning", "cannot be written to"),
    "email": (wrong_password_for_mails, "failure", "CAPTURE_EMAIL_PASSWORD"),
    "sftp": (wrong_password_for_files, "failure", "refused the login"),
    "host key": (another_host_key, "failure", "CAPTURE_SFTP_HOST_KEYS"),
    "directory": (no_directory, "failure", "CAPTURE_FTP_DIRECTORY"),
    "nobody": (nobody, "warning", "cannot be reached"),
}


@pytest.mark.parametrize(("receiver", "status", "word"), RECEIVERS.values(), ids=RECEIVERS)
def test_a_receiver_that_would_take_nothing_is_found(
    service: Service,
    tmp_path: Path,
    receiver: Callable[[Path], AbstractContextManager[Channel]],
    status: str,
    word: str,
) -> None:
    """Each channel says what is wrong before the first file; without the network nothing is tried, and that is said."""
    with receiver(tmp_path) as channel:
        service.channels = {"some": channel}
        [found] = wrong(service, Asked(), "probe")
        assert (found.status.value, word in found.detail, found.repair[-1]) == (status, True, "."), found
    assert wrong(service, Asked(network=False), "probe") == []
    assert "network" in {one.name for one in examine(service, Asked(network=False))}


# The command ------------------------------------------------------------------------------------------------------


class Page(BaseHTTPRequestHandler):
    """A shop that forgets the query when it adds a slash."""

    def do_GET(self) -> None:
        """Answer."""
        path, _, _query = self.path.partition("?")
        self.send_response(200 if path.endswith("/") else 301)
        if not path.endswith("/"):
            self.send_header("Location", f"{path}/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def shop_page() -> Iterator[str]:
    """The shop, on this host."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/boots"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_command_looks_at_a_real_shop(tmp_path: Path, shop_page: str) -> None:
    """The real service, a real page: the redirect that loses the click is named, and the exit status says failure."""
    given = {
        "CAPTURE_STOREFRONT_ORIGINS": shop_page.removesuffix("/boots"),
        "CAPTURE_ALLOW_PRIVATE_HOSTS": "true",
        "CAPTURE_DATABASE_URL": f"sqlite:///{tmp_path}/proxies.db",
    }
    with serving(tmp_path / "log", CAPTURE_RATE_LIMIT="100/day", **given) as client:
        done = run("doctor", "--json", "--storefront", shop_page, "--tracking", str(client.base_url), **given)
    found = json.loads(done.stdout)["findings"]
    [lost] = [one for one in found if one["name"] == "redirects" and one["status"] == "failure"]
    assert f"{shop_page} redirects to {shop_page}/ (301) without it." in lost["detail"]
    assert {one["name"]: one["status"] for one in found}["cookie"] == "ok"
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("address", ["shop.example", "ftp://shop.example", "https://u:secret@shop.example", "https://"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    """With a sentence that shows how to write it, and does not repeat a password."""
    done = CliRunner().invoke(cli, ("doctor", "--storefront", address))
    assert (done.exit_code, "https://www.shop.example/boots" in done.stderr, "secret" in done.output) == (
        2,
        True,
        False,
    )
