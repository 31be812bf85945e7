"""Every table of the service, gathered for the migrations."""

from typing import Final

from sqlmodel import SQLModel

from app import migrations as _migrations
from app.actions import store as _actions
from app.alarms import store as _alarms
from app.batches import store as _batches
from app.clicks import snippet_store as _snippets
from app.clicks import store as _clicks
from app.conversions import corrections_store as _corrections
from app.conversions import moved_store as _moved
from app.conversions import store as _conversions
from app.conversions import terms_store as _terms
from app.conversions import totals_store as _totals
from app.dashboard import session_store as _sessions
from app.delivery import budget_store as _budget
from app.delivery import calls_store as _calls
from app.delivery import store as _delivery
from app.ledger import standings_store as _standings
from app.privacy import store as _privacy
from app.submissions import store as _submissions

METADATA: Final = SQLModel.metadata

STORES: Final = (
    _migrations,
    _clicks,
    _snippets,
    _conversions,
    _corrections,
    _moved,
    _totals,
    _batches,
    _delivery,
    _calls,
    _budget,
    _submissions,
    _actions,
    _alarms,
    _terms,
    _standings,
    _privacy,
    _sessions,
)
"""Importing a store is what puts its tables into METADATA."""
