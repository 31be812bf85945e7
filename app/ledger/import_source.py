"""A file of orders that was read as a whole: what it is, and how its orders are read one after the other."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

from app.conversions.csv_records import Form, Lines, Records
from app.conversions.mapping import Mapping
from app.conversions.order_file import Chunk, CsvOrders, NdjsonOrders, Reading, find_apart
from app.conversions.table import EventTypes, Table
from app.errors import InvalidFile
from app.ledger.rejects import CsvWriter, NdjsonWriter, Writer

Format = Literal["csv", "ndjson"]


@dataclass(frozen=True, slots=True)
class Source:
    """`orders` reads the file again, from an offset and its line on; `offset` and `line` are where its orders begin."""

    orders: Callable[[BinaryIO, int, int], Iterator[Chunk]]
    writer: Writer
    offset: int
    line: int


def recognised(content: BinaryIO) -> Format:
    """Say by a file's first character whether it is JSON."""
    content.seek(0)
    return "ndjson" if content.read(1024).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{") else "csv"


def look_at_ndjson(content: BinaryIO, size: int, reading: Reading) -> Source:
    """Read bodies line by line. Raises InvalidFile if they are no lines."""
    lines = Lines(content, size=size)
    while lines.read():
        pass

    def orders(file: BinaryIO, offset: int, line: int) -> Iterator[Chunk]:
        return iter(NdjsonOrders(Lines(file, size=size, offset=offset, line=line), reading))

    return Source(orders, NdjsonWriter(), 0, 1)


def look_at_csv(
    content: BinaryIO, size: int, mapping: Mapping | None, event_types: EventTypes, reading: Reading
) -> Source:
    """Read the header, and find orders whose lines are apart. Raises InvalidFile."""
    form = mapping.form if mapping else Form()
    records = Records(content, form, size=size)
    table = Table(_header(records), mapping, event_types, reading.event_type)
    offset, line = records.offset, records.line
    apart = find_apart(records, table) if table.is_item_level else set()
    while records.read():
        pass

    def orders(file: BinaryIO, offset: int, line: int) -> Iterator[Chunk]:
        return iter(CsvOrders(Records(file, form, size=size, offset=offset, line=line), table, reading, apart))

    return Source(orders, CsvWriter(table, form), offset, line)


def _header(records: Records) -> list[str]:
    """Return the first record. Raises InvalidFile if it cannot be one."""
    block = records.read()
    if block is None or block.broken.get(0):
        about = block.broken[0].detail if block else "There is no header line."
        raise InvalidFile(f"The first line must name the columns. {about}")
    if len(block.rows) > 1:
        records.put_back(block, 1)
    return block.rows[0]
