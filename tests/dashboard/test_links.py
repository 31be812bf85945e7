"""Every order has an address, whatever its id is."""

from urllib.parse import unquote, urlsplit

from hypothesis import example, given
from hypothesis import strategies as st

from app.conversions.order import is_order_id
from app.dashboard.links import HOME, order_path, with_query


@given(st.text(min_size=1, max_size=64).filter(is_order_id))
@example("a/b?c#d")
@example("%2F")
@example("' onmouseover=")
def test_an_order_id_comes_back_as_it_was(order_id: str) -> None:
    """Encoded once, in one step of the path, in ASCII."""
    path = order_path("default", order_id)
    assert path.isascii()
    parts = urlsplit(path)
    if order_id not in {".", ".."}:
        assert (parts.query, parts.fragment) == ("", "")
        assert [unquote(part) for part in parts.path.split("/")] == ["", "dashboard", "orders", "default", order_id]


def test_an_order_id_that_a_browser_would_take_for_a_step_goes_into_the_query() -> None:
    """Browsers resolve `..` in paths, encoded or not."""
    assert order_path("default", "..") == f"{HOME}/orders/default?order_id=.."


def test_what_says_nothing_is_left_out_of_a_query() -> None:
    """An address is as short as it can be."""
    assert with_query("/x", state=None, from_="", after=7, reason="a&b") == "/x?after=7&reason=a%26b"
