"""Compares what the service did with what it should have done; every function returns one sentence per disagreement."""

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from examples.expected import COLUMNS, REPEATED, Group, Line, Row, faults_of, rows_of, totals

SENT: Final = "delivered"
STATES: Final = ("pending", "held", "expired", "batched", "delivered", "accepted", "partly_accepted", "rejected")
"""What an order can be here."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service said to one line."""

    status: int
    problem: Mapping[str, Any] = field(default_factory=dict)
    replayed: bool | None = None
    """Whether it was marked as a repeat; None where no header could say it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as the service describes it, its file in the outbox, and the file as the service hands it out."""

    facts: Mapping[str, Any]
    content: bytes
    download: bytes

    @property
    def name(self) -> str:
        """The file's name."""
        return str(self.facts["filename"])


def accepted(lines: Iterable[Line]) -> list[Line]:
    """Return the lines that are recorded as orders."""
    return [line for line in lines if line.group.state]


def sent(lines: Iterable[Line]) -> list[Line]:
    """Return the lines whose orders belong in the files."""
    return [line for line in lines if line.group.state == SENT]


def check_answers(lines: Sequence[Line], answers: Sequence[Answer]) -> list[str]:
    """Compare the answer to each line."""
    found: list[str] = []
    for line, answer in zip(lines, answers, strict=True):
        about = f"Line {line.number} (order {line.order['order_id']})"
        if answer.status != line.group.status:
            said = answer.problem.get("detail", "")
            found.append(f"{about} was answered {answer.status}, not {line.group.status}. {said}".strip())
        elif answer.replayed not in {None, line.group is REPEATED}:
            found.append(f"{about} has the header Idempotent-Replayed wrong.")
        elif line.group.status >= 400 and not answer.problem.get("code"):
            found.append(f"{about} was refused without a code.")
        elif named(answer) != faults_of(line.order):
            found.append(f"{about} has faults at {faults_of(line.order)}, and the answer names {named(answer)}.")
    return found


def named(answer: Answer) -> list[str]:
    """Return where the faults are that a refusal names, as JSON pointers."""
    return sorted(error["pointer"] for error in answer.problem.get("errors", ()))


def check_states(
    lines: Sequence[Line],
    listed: Sequence[tuple[str, str]],
    by_state: Mapping[str, int],
    refused: Container[str] = (),
) -> list[str]:
    """Compare the orders (id and state) that the service lists: each is there once, and in one state.

    All that were sent are accepted, those that are `refused` aside.
    """
    found = [
        f"Order {one} is listed {count} times." for one, count in Counter(o for o, _ in listed).items() if count > 1
    ]
    states = dict(listed)
    for line in accepted(lines):
        order_id = line.order["order_id"]
        answer = "rejected" if order_id in refused else "accepted"
        state, expected = states.pop(order_id, "not listed"), answer if line.group.state == SENT else line.group.state
        if state != expected:
            found.append(f"Order {order_id} is {state}, not {expected}.")
    found += [f"Order {one} is listed and was never accepted." for one in states]
    counted = Counter(state for _, state in listed)
    if dict(counted) != {state: count for state, count in by_state.items() if count}:
        found.append(f"Lists by state count {dict(by_state)}, the whole list {dict(counted)}.")
    return found


def check_export(lines: Sequence[Line], export: Mapping[str, Any], again: Mapping[str, Any]) -> list[str]:
    """Compare the counts of the export, and see that a second one sends nothing."""
    expected = {
        "state": "done",
        "exported": len(sent(lines)),
        "held": sum(line.group.state == "held" for line in lines),
        "expired": sum(line.group.state == "expired" for line in lines),
    }
    found = [
        f"The export says {name} {export.get(name)}, not {value}."
        for name, value in expected.items()
        if export.get(name) != value
    ]
    if again.get("batches") or again.get("exported"):
        found.append("A second export sent something again.")
    return found


def check_batches(lines: Sequence[Line], batches: Sequence[Batch], outbox: Iterable[str]) -> list[str]:
    """Compare the files with their descriptions, and the outbox with the list of batches."""
    found: list[str] = []
    for batch in batches:
        if batch.facts["sha256"] != hashlib.sha256(batch.content).hexdigest() or batch.content != batch.download:
            found.append(f"{batch.name} is not the file that the service describes and hands out.")
        if batch.facts["rows"] != len(read_rows(batch.content)):
            found.append(f"{batch.name} is described as having {batch.facts['rows']} rows.")
    if sum(batch.facts["orders"] for batch in batches) != len(sent(lines)):
        found.append("The batches do not count as many orders as were to be sent.")
    if sorted(outbox) != sorted(batch.name for batch in batches):
        found.append("The outbox holds other files than the list of batches names.")
    return found


def read_rows(content: bytes) -> list[Row]:
    """Return a file's lines as its columns name them."""
    return list(csv.DictReader(io.StringIO(content.decode("utf-8"), newline=""), strict=True))


def check_rows(lines: Sequence[Line], files: Iterable[bytes]) -> list[str]:
    """Compare every line of the files, in their order, value by value."""
    expected = [row for line in sent(lines) for row in rows_of(line.order)]
    actual = [row for content in files for row in read_rows(content)]
    found = [] if len(expected) == len(actual) else [f"The files have {len(actual)} lines, not {len(expected)}."]
    for wanted, row in zip(expected, actual, strict=False):
        if tuple(row)[: len(COLUMNS)] != COLUMNS:
            return [*found, f"The header is {','.join(row)}."]
        wrong = [name for name, value in wanted.items() if row.get(name, "") != value]
        if wrong:
            found.append(f"Order {wanted['OrderId']}, SKU {wanted['Sku']}: {', '.join(wrong)} differ in the file.")
    return found


def check_money(lines: Sequence[Line], files: Iterable[bytes]) -> list[str]:
    """Compare the sums per currency: what was accepted is in the files, held or expired, and nothing else is."""
    found: list[str] = []
    in_files = money_in(files)
    if in_files != totals(line.order for line in sent(lines)):
        found.append("The files' amounts do not add up to those of the orders that were sent.")
    kept = totals(line.order for line in accepted(lines) if line.group.state != SENT)
    together = {
        currency: in_files.get(currency, Decimal(0)) + kept.get(currency, Decimal(0)) for currency in in_files | kept
    }
    if together != totals(line.order for line in accepted(lines)):
        found.append("Sent, held and expired amounts do not add up to what was accepted.")
    return found


def money_in(files: Iterable[bytes]) -> dict[str, Decimal]:
    """Return the sum of each currency over the files' lines, in alphabetical order."""
    sums: dict[str, Decimal] = {}
    for content in files:
        for row in read_rows(content):
            sums[row["CurrencyCode"]] = sums.get(row["CurrencyCode"], Decimal(0)) + Decimal(row["Amount"])
    return dict(sorted(sums.items()))


def codes(lines: Sequence[Line], answers: Sequence[Answer], group: Group) -> list[str]:
    """Return the codes of all faults that the service named to a group's lines."""
    problems = [answer.problem for line, answer in zip(lines, answers, strict=True) if line.group is group]
    return sorted({error["code"] for problem in problems for error in problem.get("errors", ())})
