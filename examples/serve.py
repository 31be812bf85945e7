"""Serve with the demo's ids and a key of its own, unless `.env` or the environment says otherwise."""

import hashlib
import os
import secrets
import sys
from collections.abc import Collection
from pathlib import Path

from dotenv import dotenv_values

KEY_FILE = Path("var/serve.key")
READ_KEY_FILE = Path("var/serve.read.key")
IDS = {"CAPTURE_CAMPAIGN_ID": "1000", "CAPTURE_ACTION_TRACKER_ID": "4321"}
KEYS = ("CAPTURE_ORDER_KEYS", "CAPTURE_EXPORT_KEYS", "CAPTURE_READ_KEYS")


def own_key(file: Path) -> str:
    """Return the key in a file, made at the first call and readable by its owner only."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(32) + "\n", encoding="utf-8")
    return file.read_text(encoding="utf-8").strip()


def own_settings(said: Collection[str], key: str, read_key: str) -> dict[str, str]:
    """Say what is added to the settings already `said`; ids and keys are each taken whole or not at all."""
    added: dict[str, str] = {}
    if not any(name in said for name in (*IDS, "CAPTURE_EVENT_TYPES")):
        added |= IDS
    if not any(name in said for name in KEYS):
        added |= dict.fromkeys(KEYS, _hash(key)) | {"CAPTURE_READ_KEYS": _hash(read_key)}
    return added


def _hash(key: str) -> str:
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def main() -> None:
    """Become the service."""
    key, read_key = own_key(KEY_FILE), own_key(READ_KEY_FILE)
    added = own_settings({name.upper() for name in (*os.environ, *dotenv_values(".env"))}, key, read_key)
    if "CAPTURE_ORDER_KEYS" in added:
        print(f"key for orders and exports (kept in {KEY_FILE}): {key}", flush=True)
        print(f"key for the dashboard (kept in {READ_KEY_FILE}): {read_key}", flush=True)
    command = Path(sys.executable).with_name("conversion-capture")
    os.execve(command, [str(command), "serve", *sys.argv[1:]], os.environ | added)  # noqa: S606


if __name__ == "__main__":
    main()
