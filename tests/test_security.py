"""Keys open what they are for, and nothing else."""

import hashlib
import statistics
import time
from typing import Any

import pytest

from app.config import Settings
from app.security import Right, hash_of, new_key, rights_of


def configured(**keys: Any) -> Settings:
    """Return settings with these keys, given by right."""
    hashes = {f"{right}_keys": tuple(f"sha256:{hash_of(key)}" for key in texts) for right, texts in keys.items()}
    return Settings.model_validate({"campaign_id": 1, "action_tracker_id": 2, **hashes})


def test_a_new_key_is_long_random_and_stored_as_its_hash_only() -> None:
    """Whoever reads the settings cannot use them as keys."""
    made = {new_key() for _ in range(100)}
    assert len(made) == 100
    for key, stored in made:
        assert len(key) >= 43  # 256 bits in base 64
        assert stored == f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"
        assert key not in stored


def test_a_key_has_the_rights_of_the_settings_it_stands_in() -> None:
    """One key may stand in several, and several in one, as during a rotation."""
    settings = configured(order=["old", "new"], export=["cron", "new"], read=["eyes"])
    assert rights_of("old", settings) == {Right.ORDER}
    assert rights_of("new", settings) == {Right.ORDER, Right.EXPORT}
    assert rights_of("cron", settings) == {Right.EXPORT}
    assert rights_of("eyes", settings) == {Right.READ}


@pytest.mark.parametrize(
    "key", ["", "OLD", "old ", " old", "ol", "oldd", "\udcff", "é", hash_of("old"), f"sha256:{hash_of('old')}"]
)
def test_anything_else_opens_nothing(key: str) -> None:
    """Neither parts of a key, nor its hash out of stolen settings."""
    assert rights_of(key, configured(order=["old"])) == set()


def test_without_keys_nothing_is_open() -> None:
    """The default is closed: not even the empty key opens anything."""
    assert rights_of("", configured()) == set()


def test_a_nearly_right_key_takes_as_long_as_a_wrong_one() -> None:
    """The time of an answer does not tell how much of a key, or of its hash, was right."""
    settings = configured(order=["right"], export=["other"], read=["third"])
    wrong, near = "a" * 43, "right"[:-1] + "u"
    times: dict[str, list[int]] = {wrong: [], near: [], "right": []}
    for _ in range(2_000):
        for key, taken in times.items():
            began = time.perf_counter_ns()
            rights_of(key, settings)
            taken.append(time.perf_counter_ns() - began)
    medians = [statistics.median(taken) for taken in times.values()]
    assert max(medians) < 2 * min(medians)
