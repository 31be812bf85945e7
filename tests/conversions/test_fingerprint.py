"""An order whose personal fields are gone is known again by whoever has the key, and by nobody else."""

from pydantic import SecretStr
from sqlalchemy import update

from app.conversions.fingerprint import is_among, is_keyed, keyed, sign_of
from app.conversions.record import foretell, record
from app.conversions.store import REVISION
from app.database import Database
from tests.support import NOW, order

KEY, OTHER = SecretStr("k" * 32), SecretStr("o" * 32)


def test_a_fingerprint_under_a_key_tells_nothing_without_it() -> None:
    """The same order under another key is another text, and doing it twice changes nothing."""
    plain = order().fingerprint()
    assert keyed(plain, KEY) != keyed(plain, OTHER)
    assert keyed(keyed(plain, KEY), KEY) == keyed(plain, KEY)
    assert is_keyed(keyed(plain, KEY))
    assert not is_keyed(plain)
    assert plain not in keyed(plain, KEY)
    assert sign_of(KEY) != sign_of(OTHER)


def test_a_body_is_found_among_plain_and_keyed_fingerprints() -> None:
    """With the right key alone, once its own is under a key."""
    plain, others = order().fingerprint(), {order("B").fingerprint()}
    assert is_among(plain, {plain} | others, None)
    assert is_among(plain, {keyed(plain, KEY)} | others, KEY)
    assert not is_among(plain, {keyed(plain, KEY)} | others, None)
    assert not is_among(plain, {keyed(plain, OTHER)} | others, KEY)
    assert not is_among(plain, others, KEY)


def test_a_repeat_is_a_repeat_and_another_body_a_conflict_when_the_fields_are_gone(database: Database) -> None:
    """Whoever sends the order again is told that it is there, in a dry run too."""
    record(database, [order()], NOW, KEY)
    with database.transaction() as session:
        mine = update(REVISION).values(fingerprint=keyed(order().fingerprint(), KEY), click_id=None)
        session.connection().execute(mine)
    again, other = [order()], [order(click_id="click-2")]
    assert [one.outcome for one in record(database, again, NOW, KEY)] == ["replayed"]
    assert [one.outcome for one in record(database, other, NOW, KEY)] == ["conflict"]
    assert foretell(database, again, KEY) == ["replayed"]
    assert [one.outcome for one in record(database, again, NOW)] == ["conflict"]
