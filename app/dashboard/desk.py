"""What nearly every page needs: who asks, and the service that answers."""

from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Request, Response

from app.config import Settings
from app.dashboard.pages import go_to, render
from app.dashboard.sessions import SignedIn
from app.dashboard.visitor import Visitor
from app.database import Database, DatabaseDep
from app.errors import Forbidden
from app.security import Right
from app.web import Now, SettingsDep


@dataclass(frozen=True, slots=True)
class Desk:
    """A call of somebody who is signed in."""

    request: Request
    visitor: Visitor
    database: Database
    settings: Settings
    now: datetime

    def page(self, template: str, status: int = HTTPStatus.OK, **values: Any) -> Response:
        """Return a page."""
        return render(self.request, template, status, **values)

    def go_to(self, path: str) -> Response:
        """Send the browser on to another page."""
        return go_to(self.request, path)

    def wake_worker(self) -> None:
        """Tell the worker that there is something to do."""
        self.request.app.state.wake()

    def require(self, right: Right) -> None:
        """Go on only if the session has a right. Raises Forbidden."""
        if not self.visitor.may(right):
            raise Forbidden(
                f"This takes a key from `CAPTURE_{right.upper()}_KEYS`, and your session has none: add one on the page"
                " Rights. Nothing was done."
            )


def desk(request: Request, visitor: SignedIn, database: DatabaseDep, settings: SettingsDep, now: Now) -> Desk:
    """Return the call."""
    return Desk(request, visitor, database, settings, now)


DeskDep = Annotated[Desk, Depends(desk)]
