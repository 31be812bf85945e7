"""nginx and Caddy with the recipe's configuration, on a free port, with nothing of theirs outside the test's folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.recipes.recipe import PAGE, blocks, changed, running
from tests.servers import HOST, free_port
from tests.system import program

NGINX = """
daemon off;
master_process off;
pid nginx.pid;
error_log log/main.log info;
{user}
events {{}}
http {{
    client_body_temp_path temp;
    proxy_temp_path temp;
    fastcgi_temp_path temp;
    uwsgi_temp_path temp;
    scgi_temp_path temp;
    access_log off;
    include conf.d/conversion-capture.conf;
    {servers}
}}
"""
SHOP_SERVER = """
    server {{
        listen {host}:{port};
        root shop;
        {locations}
        location ~ \\.(js|css)$ {{
            expires 30d;
        }}
    }}
"""


@dataclass(frozen=True)
class Proxy:
    """A web server before the service; `folder` holds the shop's pages and all that is logged."""

    port: int
    folder: Path

    def logged(self) -> str:
        """Return everything that the web server has written anywhere."""
        files = [self.folder / "output.log", *(self.folder / "log").iterdir()]
        return "".join(file.read_text("utf-8", "replace") for file in files)


def prepared(folder: Path) -> None:
    """Make the folders, and the shop's page."""
    for name in ("shop", "log", "temp", "conf.d", "snippets"):
        (folder / name).mkdir(parents=True)
    (folder / "shop" / "index.html").write_text(PAGE, "utf-8")


@contextmanager
def nginx(folder: Path, service_port: int) -> Iterator[Proxy]:
    """The same-origin proxy with nginx."""
    port, locations = free_port(), blocks("reverse-proxy.md")["server.conf"]
    servers = SHOP_SERVER.format(host=HOST, port=port, locations=locations)
    with shop_nginx(folder, service_port, servers, port) as proxy:
        yield proxy


@contextmanager
def shop_nginx(folder: Path, service_port: int, servers: str, port: int) -> Iterator[Proxy]:
    """Start nginx with these servers, which listen on `port`, and the two shared files of the recipe."""
    prepared(folder)
    files = blocks("reverse-proxy.md")
    upstream, said = "conf.d/conversion-capture.conf", "snippets/conversion-capture.conf"
    (folder / upstream).write_text(changed(files[upstream], {"127.0.0.1:8000": f"{HOST}:{service_port}"}), "utf-8")
    (folder / said).write_text(changed(files[said], {"/var/log/nginx/": f"{folder}/log/"}), "utf-8")
    user = "user root;" if os.geteuid() == 0 else ""  # pytest's folders are closed to other accounts
    (folder / "nginx.conf").write_text(NGINX.format(user=user, servers=servers), "utf-8")
    command = [program("nginx"), "-p", f"{folder}/", "-c", "nginx.conf", "-e", "log/main.log"]
    with running(command, port, folder / "output.log"):
        yield Proxy(port, folder)


@contextmanager
def caddy(folder: Path, service_port: int) -> Iterator[Proxy]:
    """The same-origin proxy with Caddy."""
    prepared(folder)
    port = free_port()
    changes = {
        "\n{\n\tlog {": "\n{\n\tadmin off\n\tlog {",
        "www.shop.example {": f"http://:{port} {{\n\tbind {HOST}",
        "127.0.0.1:8000": f"{HOST}:{service_port}",
        "/var/log/caddy/": f"{folder}/log/",
        "/srv/shop": folder / "shop",
    }
    (folder / "Caddyfile").write_text(changed(blocks("reverse-proxy.md")["Caddyfile"], changes), "utf-8")
    command = [program("caddy"), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
    with running(command, port, folder / "output.log"):
        yield Proxy(port, folder)


PROXIES = {"nginx": nginx, "caddy": caddy}
