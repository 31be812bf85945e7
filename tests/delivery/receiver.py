"""The other side of a channel, as the contract of every channel needs it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from app.config import Settings
from app.delivery.channels import Channel
from app.delivery.parcel import Parcel

NAME = "2026-11-22_ActionData_default_0123456789abcdef.csv"
PARCEL = Parcel(NAME, "OrderId\r\nü,1\r\n".encode() * 50_000)


@dataclass
class Receiver:
    """A channel to a receiver, what arrived there, and how the receiver goes away and comes back.

    `files` holds what a reader of the receiver finds, name to content; `forget` takes one away, as who fetched it may.
    `arrived`, where the receiver can tell: name and bytes of each file that came, also of one that came again.
    """

    channel: Channel
    files: Callable[[], dict[str, bytes]]
    break_down: Callable[[], None]
    repair: Callable[[], None]
    forget: Callable[[str], None]
    arrived: Callable[[], list[tuple[str, bytes]]] | None = None


def settings(**changes: object) -> Settings:
    """Return shared settings that let channels reach servers on this host, with short deadlines, and changes."""
    values = {"campaign_id": 1000, "action_tracker_id": 4321, "database_url": SecretStr("sqlite:///unused.db")}
    near = {"allow_private_hosts": True, "connect_seconds": 5, "login_seconds": 10, "transfer_seconds": 30}
    return Settings.model_validate(values | near | changes)


def own_settings(channel: Any) -> Any:
    """Return a channel's own settings."""
    return channel.settings


def environment(channel: Channel) -> dict[str, str]:
    """Return the variables with which a process sends by a channel."""
    own = own_settings(channel)
    prefix = own.model_config.get("env_prefix", "")
    values = {name: _text(value) for name, value in own if value is not None}
    chosen = {"CAPTURE_CHANNEL": prefix.split("_")[1].lower(), "CAPTURE_ALLOW_PRIVATE_HOSTS": "true"}
    return chosen | {f"{prefix}{name.strip('_')}".upper(): text for name, text in values.items() if text}


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def ignore(_handed_over: int) -> None:
    """Be a `progress` that nobody looks at."""
