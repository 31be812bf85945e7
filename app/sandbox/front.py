"""Answers a call: who is it, may he, how often, and what becomes of it."""

import base64
import binascii
import hmac
import json
import math
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from app.sandbox.api import ROUTES
from app.sandbox.desk import Desk
from app.sandbox.faults import Misdeed, UnknownFault
from app.sandbox.options import names
from app.sandbox.page import show
from app.sandbox.state import state
from app.sandbox.wire import JSON, Answer, Call, Refused, Request, as_json, error, fields_of

STATE, FAULTS, PAGE = "/sandbox/state", "/sandbox/faults", "/"
"""What the sandbox has beside impact.com's calls."""


class Front:
    """The door of the HTTP API. `account` and `token` are what it asks for."""

    def __init__(self, desk: Desk, account: str, token: str) -> None:
        self.desk, self.account, self._token = desk, account, token
        self._denied = frozenset(names(desk.options.deny))
        self._window_began: datetime | None = None
        self._spent = 0

    def is_of_the_api(self, path: str) -> bool:
        """Say whether a path is one of impact.com's, and not of the sandbox's own."""
        return path not in {STATE, FAULTS, PAGE}

    def misdeed(self, method: str, path: str) -> Misdeed | None:
        """Return the fault that is planted for a call."""
        with self.desk.lock:
            return self.desk.works.faults.misdeed(method, path) if self.is_of_the_api(path) else None

    def limit(self, path: str) -> tuple[Answer | None, dict[str, str]]:
        """Count a call; return the refusal if there were too many, and the headers that tell how many are left."""
        if not self.is_of_the_api(path):
            return None, {}
        with self.desk.lock:
            now, options = self.desk.now(), self.desk.options
            self.desk.minutes[now.isoformat(timespec="minutes")] += 1
            window = timedelta(seconds=options.rate_window_seconds)
            if self._window_began is None or now - self._window_began >= window:
                self._window_began, self._spent = now, 0
            self._spent += 1
            resets_at = self._window_began + window
            reset = math.ceil((resets_at - now).total_seconds())
            reset = reset if options.rate_reset == "seconds" else math.ceil(resets_at.timestamp())
            left = options.rate_limit - self._spent
            headers = {
                "X-RateLimit-Limit": str(options.rate_limit),
                "X-RateLimit-Remaining": str(max(left, 0)),
                "X-RateLimit-Reset": str(reset),
            }
            return (self.refusal(HTTPStatus.TOO_MANY_REQUESTS, "Too many requests.") if left < 0 else None), headers

    def answer(self, call: Call) -> Answer:
        """Answer a call."""
        is_conversion = call.path.endswith("/Conversions")
        try:
            self._know(call.headers.get("authorization", ""))
            with self.desk.lock:
                return self._call(call) if self.is_of_the_api(call.path) else self._own(call)
        except Refused as refused:
            told = {"WWW-Authenticate": 'Basic realm="sandbox"'} if refused.status == HTTPStatus.UNAUTHORIZED else {}
            body = error(refused, self.desk.options, is_conversion=is_conversion)
            return Answer(refused.status, body, headers=told)

    def refusal(self, status: int, message: str) -> Answer:
        """Return an error that has nothing to do with what was asked."""
        told = Refused(HTTPStatus.INTERNAL_SERVER_ERROR, message)
        return Answer(status, error(told, self.desk.options, is_conversion=False))

    def _know(self, authorization: str) -> None:
        scheme, _, value = authorization.partition(" ")
        try:
            given = base64.b64decode(value, validate=True) if scheme.lower() == "basic" else b""
        except (ValueError, binascii.Error):
            given = b""
        if not hmac.compare_digest(given, f"{self.account}:{self._token}".encode()):
            raise Refused(HTTPStatus.UNAUTHORIZED, "AccountSID or AuthToken is wrong.")

    def _call(self, call: Call) -> Answer:
        _, root, account, path = [*call.path.split("/", 3), "", "", ""][:4]
        if root != "Advertisers" or not path:
            raise Refused(HTTPStatus.NOT_FOUND, "There is nothing here.")
        if unquote(account) != self.account:
            raise Refused(HTTPStatus.FORBIDDEN, "This account is not yours.")
        for route in ROUTES:
            if match := route.path.fullmatch(path.removesuffix(".json")):
                if call.method not in route.methods:
                    raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"{call.method} is not allowed here.")
                if route.scope in self._denied:
                    raise Refused(HTTPStatus.FORBIDDEN, f"The token has no scope for {route.scope}.")
                request = Request(call.method, path, self.account, call.query, fields_of(call))
                told = route.methods[call.method](self.desk, request, *map(unquote, match.groups()))
                return Answer(HTTPStatus.OK, as_json(told, self.desk.options))
        raise Refused(HTTPStatus.NOT_FOUND, "There is nothing here.")

    # The sandbox's own ------------------------------------------------------------------------------------------------

    def _own(self, call: Call) -> Answer:
        if call.path == FAULTS and call.method in {"POST", "DELETE"}:
            if call.method == "DELETE":
                self.desk.works.faults.clear()
            else:
                self._plant(call)
            return Answer(HTTPStatus.NO_CONTENT, b"")
        if call.path == FAULTS or call.method != "GET":
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"{call.method} is not allowed here.")
        told = state(self.desk)
        if call.path == PAGE:
            safe = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}
            return Answer(HTTPStatus.OK, show(told).encode(), "text/html; charset=utf-8", safe)
        return Answer(HTTPStatus.OK, json.dumps(told, indent=1).encode())

    def _plant(self, call: Call) -> None:
        if call.kind != JSON:  # which no foreign page can send unasked
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send {JSON}.")
        try:
            plant_all(self.desk, json.loads(call.body))
        except ValueError as trouble:
            raise Refused(HTTPStatus.BAD_REQUEST, f"This is no fault that can be planted: {trouble}.") from None


def plant_all(desk: Desk, wishes: Any) -> None:
    """Plant one fault or a list of them. Raises UnknownFault."""
    several = wishes if isinstance(wishes, list) else [wishes]
    for wish in several:
        if not isinstance(wish, dict):
            raise UnknownFault("a fault is a JSON object")
        desk.plant(wish)
