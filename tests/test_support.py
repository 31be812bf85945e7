"""The tools of the tests can say no."""

import pytest

from tests.support import parse_rfc4180


def test_the_reader_reads_what_rfc_4180_allows() -> None:
    """Commas, quotes and line breaks within quotes are part of a cell."""
    assert list(parse_rfc4180(b'a,"b,""c""\r\n",\r\n,d\r\n')) == [["a", 'b,"c"\r\n', ""], ["", "d"]]


@pytest.mark.parametrize("wrong", [b"a,b", b"a\nb\r\n", b'a"b\r\n', b'"a"b\r\n', b'"a\r\n', b"a\rb\r\n", b'""a"\r\n'])
def test_the_reader_refuses_everything_else(wrong: bytes) -> None:
    """The negative control of every test that reads our files: a file that is not RFC 4180 does not pass."""
    with pytest.raises(ValueError):  # noqa: PT011 (it says nothing else)
        list(parse_rfc4180(wrong))
