"""A pyftpdlib server in a process of its own, which can be killed; its only argument is JSON of what `serve` takes."""

import json
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

from pyftpdlib.authorizers import DummyAuthorizer  # type: ignore[import-untyped] # it comes without types
from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler  # type: ignore[import-untyped] # it comes without types
from pyftpdlib.servers import FTPServer  # type: ignore[import-untyped] # it comes without types


def serve(root: str, port: int, username: str, password: str, **options: Any) -> None:
    """Serve a folder to one user.

    `certificate`: with TLS for everything. `rights`: fewer than all. `moved_to`: a folder to which each file goes at
    once. `log`: a file for name and bytes of each that it takes for whole. `logins`: a file for a mark per wrong login.
    `data_ports`: where data connections come to.
    """
    certificate, log, moved_to = options.get("certificate"), options.get("log"), options.get("moved_to")
    authorizer = DummyAuthorizer()
    authorizer.add_user(username, password, root, perm=options.get("rights", "elradfmwMT"))

    class Handler(TLS_FTPHandler if certificate else FTPHandler):  # type: ignore[misc] # one or the other
        """What a server of this kind does."""

        def on_file_received(self, file: str) -> None:
            """Note it, and move it away, as some receivers do."""
            if log:
                with Path(log).open("a", encoding="utf-8") as notes:
                    notes.write(json.dumps((Path(file).name, b64encode(Path(file).read_bytes()).decode())) + "\n")
            if moved_to:
                Path(file).replace(Path(moved_to) / Path(file).name)

        def on_login_failed(self, *_: str) -> None:
            """Leave a mark."""
            if "logins" in options:
                with Path(options["logins"]).open("a") as marks:
                    marks.write("x")

    Handler.authorizer, Handler.auth_failed_timeout = authorizer, 0
    Handler.passive_ports = options.get("data_ports")
    if certificate:
        Handler.certfile = certificate
        Handler.tls_control_required = Handler.tls_data_required = True
    FTPServer(("127.0.0.1", port), Handler).serve_forever(handle_exit=False)


if __name__ == "__main__":
    serve(**json.loads(sys.argv[1]))
