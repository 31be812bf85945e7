"""The service at a sub-domain of the shop, behind nginx with TLS."""

import ssl
from collections.abc import Iterator

import httpx
import pytest
import trustme

from tests.recipes.proxies import Proxy, shop_nginx
from tests.recipes.recipe import Running, blocks, changed, service
from tests.servers import HOST, free_port

pytestmark = pytest.mark.system

NAME = "track.shop.example"
SHOPS = ("https://www.shop.example", "https://shop.example")
STRANGERS = (
    "https://www.shop.example.evil.example",
    "https://evil-shop.example",
    "https://track.shop.example.",
    "http://www.shop.example",
    "https://www.shop.example:8443",
    "null",
)


@pytest.fixture(scope="module")
def shop_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The service with the settings of the recipe."""
    name, _, value = blocks("subdomain.md")[".env"].strip().partition("=")
    assert name == "CAPTURE_STOREFRONT_ORIGINS"
    with service(tmp_path_factory.mktemp("service"), storefront_origins=value) as started:
        yield started


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who signs the certificate."""
    return trustme.CA()


@pytest.fixture(scope="module")
def proxy(shop_service: Running, authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The web server of the sub-domain."""
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    certificate = authority.issue_cert(NAME)
    certificate.private_key_pem.write_to_path(folder / "key")
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(folder / "pem", append=True)
    changes = {
        "listen 443 ": f"listen {HOST}:{port} ",
        "/etc/ssl/track.shop.example.pem": folder / "pem",
        "/etc/ssl/track.shop.example.key": folder / "key",
    }
    servers = changed(blocks("subdomain.md")["server.conf"], changes)
    with shop_nginx(folder / "server", shop_service.port, servers, port) as started:
        yield started


@pytest.fixture
def browser(proxy: Proxy, authority: trustme.CA) -> Iterator[httpx.Client]:
    """What talks to the sub-domain as a browser's page does."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with httpx.Client(verify=context, base_url=f"https://{HOST}:{proxy.port}", headers={"Host": NAME}) as client:
        yield client


TLS = {"sni_hostname": NAME}


@pytest.mark.parametrize("origin", SHOPS)
def test_pages_of_the_shop_may_call(browser: httpx.Client, origin: str) -> None:
    """With cookies and without a preflight; the cookie is for the whole shop."""
    headers = {"Origin": origin, "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Content-Type": "text/plain"}
    answer = browser.post("/capture", content='{"im_ref": "a+b%2B"}', headers=headers, extensions=TLS)
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    cookies = answer.headers.get_list("Set-Cookie")[-2:]
    assert cookies[0].startswith("im_ref=a+b%2B; Max-Age=2592000; Path=/; Domain=shop.example;")
    assert all(one.endswith("; Secure") for one in cookies)
    preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    assert browser.options("/capture", headers=preflight, extensions=TLS).status_code == 204


@pytest.mark.parametrize("origin", STRANGERS)
def test_pages_of_others_may_not(browser: httpx.Client, shop_service: Running, origin: str) -> None:
    """No cookie, no record, and nothing that lets them read the answer."""
    answer = browser.get("/capture?im_ref=planted", headers={"Origin": origin}, extensions=TLS)
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "planted" not in shop_service.clicks()


@pytest.mark.parametrize("path", ["/", "/orders", "/exports", "/metrics", "/docs", "/openapi.json", "/readyz/orders"])
def test_everything_else_stays_inside(browser: httpx.Client, path: str) -> None:
    """The sub-domain has the visitors' paths alone."""
    answer = browser.get(path, extensions=TLS)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "text/html")
