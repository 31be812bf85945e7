"""A service that may erase."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from app.event_type import EventType
from app.service import Service
from tests.privacy.persons import live


@pytest.fixture
def lived(service: Service, tmp_path: Path) -> Service:
    """The service on which a person has left data wherever one can."""
    journal = tmp_path / "journal"
    values = {
        "fingerprint_key": SecretStr("a secret of thirty-two characters"),
        "journal_path": journal,
        "event_types": {
            "default": EventType(campaign_id=1000, action_tracker_id=4321, columns=("Note", "CustomerPostCode"))
        },
    }
    settings = service.settings.model_copy(update=values)
    made = Service(settings, service.database, service.channels, service.clock, schema_is_checked=True)
    live(made)
    return made
