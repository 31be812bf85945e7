"""Serve with the demo's ids and a key of its own, unless `.env` or the environment says otherwise."""

import hashlib
import os
import secrets
import sys
from collections.abc import Collection
from pathlib import Path

from dotenv import dotenv_values

KEY_FILE = Path("var/serve.key")
IDS = {"CAPTURE_CAMPAIGN_ID": "1000", "CAPTURE_ACTION_TRACKER_ID": "4321"}
KEYS = ("CAPTURE_ORDER_KEYS", "CAPTURE_EXPORT_KEYS", "CAPTURE_READ_KEYS")


def own_key() -> str:
    """Return the key in `var/serve.key`, made at the first call and readable by its owner only."""
    if not KEY_FILE.exists():
        KEY_FILE.parent.mkdir(parents=True, exist_ok=True)
        KEY_FILE.touch(mode=0o600)
        KEY_FILE.write_text(secrets.token_urlsafe(32) + "\n", encoding="utf-8")
    return KEY_FILE.read_text(encoding="utf-8").strip()


def own_settings(said: Collection[str], key: str) -> dict[str, str]:
    """Say what is added to the settings already `said`; ids and keys are each taken whole or not at all."""
    added: dict[str, str] = {}
    if not any(name in said for name in (*IDS, "CAPTURE_EVENT_TYPES")):
        added |= IDS
    if not any(name in said for name in KEYS):
        digest = "sha256:" + hashlib.sha256(key.encode()).hexdigest()
        added |= dict.fromkeys(KEYS, digest)
    return added


def main() -> None:
    """Become the service."""
    key = own_key()
    added = own_settings({name.upper() for name in (*os.environ, *dotenv_values(".env"))}, key)
    if "CAPTURE_ORDER_KEYS" in added:
        print(f"key for orders, exports and the dashboard (kept in {KEY_FILE}): {key}", flush=True)
    command = Path(sys.executable).with_name("conversion-capture")
    os.execve(command, [str(command), "serve", *sys.argv[1:]], os.environ | added)  # noqa: S606


if __name__ == "__main__":
    main()
