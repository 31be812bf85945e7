"""The overview: what it says of yesterday and today, what is to be done first, and the charts with their numbers."""

import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert

from app.alarms.alarm import Alarm, Held, Kind, Severity
from app.alarms.store import raise_alarm
from app.conversions.record import record
from app.dashboard import charts, todo
from app.dashboard.days import GROUPS, STATES, Day, span
from app.dashboard.words import coded, moment, money, number, said, share
from app.database import Database
from app.ledger.export_routes import request_export
from app.ledger.standings_store import COUNTED, STANDING
from app.ledger.state import OrderState
from app.service import Service
from tests.conftest import Clock
from tests.dashboard.person import sign_in
from tests.support import order, work


@pytest.fixture
def clock(clock: Clock) -> Clock:
    """The time of day, which pages go by."""
    clock.now = datetime.now(UTC)
    return clock


def text_of(client: TestClient, path: str = "/dashboard") -> str:
    """Return a page's words, with plain blanks between them."""
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())


def count_day(database: Database, day: datetime, states: dict[str, tuple[str, int, int]]) -> None:
    """Have a day counted, as a worker does: of each state currency, number of orders and amount."""
    rows = [
        {"day": day.date(), "event_type": "default", "currency": currency, "state": state, "orders": orders}
        | {"with_click_id": orders, "billions": amount // 10**9, "rest": amount % 10**9}
        for state, (currency, orders, amount) in states.items()
    ]
    counted = {"day": day.date(), "counted_at": day, "due_at": day, "token": 1}
    with database.transaction() as session:
        session.connection().execute(insert(STANDING), rows)
        session.connection().execute(insert(COUNTED), [counted])


def test_a_new_shop_has_nothing_to_do(client: TestClient) -> None:
    """It is said plainly, and nothing looks like a number that is not known."""
    sign_in(client)
    text = text_of(client)
    assert "Nothing. No alarm holds" in text
    assert "None has run yet." in text
    assert text.count("No orders") == 2


def test_yesterday_is_told_by_what_has_become_of_it(client: TestClient, database: Database, clock: Clock) -> None:
    """How many of its orders arrived, in which states they are, and when that was counted; amounts of any size."""
    yesterday = clock.now - timedelta(days=1)
    record(database, [order(f"A-{one}", click_id=f"c{one}") for one in range(3)], yesterday)
    huge = 12_345_678_901_234_567_890
    states = {"accepted": ("USD", 1, huge), "rejected": ("EUR", 1, 700), "held": ("USD", 1, 1)}
    count_day(database, yesterday, states)
    sign_in(client)
    text = text_of(client)
    assert "2 of 3 orders arrived 1 accepted 1 held 1 rejected" in text
    assert f'href="/dashboard/orders?state=rejected&amp;first={yesterday.date()}"' in client.get("/dashboard").text
    assert f"counted {yesterday:%Y-%m-%d %H:%M}" in text
    assert "123 456 789 012 345 678.90" in text
    assert "Revenue in EUR per day" in text
    assert "Revenue in USD per day" in text


def test_a_busy_quarter_is_light(client: TestClient, database: Database, clock: Clock) -> None:
    """Ninety days of orders in every state and two currencies, with all that belongs to the page: under 100 KB."""
    for ago in range(90):
        states = {
            state.value: ("USD" if number % 2 else "EUR", 1_234, 10**9) for number, state in enumerate(OrderState)
        }
        count_day(database, clock.now - timedelta(days=ago), states)
    sign_in(client)
    page = client.get("/dashboard?days=90")
    paths = re.findall(r'(?:src|href)="(/dashboard/(?:static|charts)/[^"]+)"', page.text)
    assert len(paths) == 9
    answers = [page, *(client.get(path) for path in paths)]
    assert sum(int(answer.headers["content-length"]) for answer in answers) < 90_000


def test_before_a_day_was_counted_nothing_is_claimed(client: TestClient, database: Database, clock: Clock) -> None:
    """Orders are told as recorded, and that the rest follows."""
    record(database, [order("A-1"), order("A-2", click_id=None, promo_code="BEN")], clock.now)
    sign_in(client)
    text = text_of(client)
    assert "2 orders What has become of them is counted by the worker" in text
    assert "50.0 % of 2 recorded with a click id" in text


def test_what_waits_leaves_and_is_held_is_told(client: TestClient, service: Service, clock: Clock) -> None:
    """With the last export, the last delivery, and a link to the orders that wait for a person."""
    record(service.database, [order("A-1", age=timedelta(days=6)), order("A-2", click_id=None)], clock.now)
    sign_in(client)
    assert "Waits for the next export 1 order 0 refunds or changes" in text_of(client)
    request_export(service.database)
    work(service)
    text = text_of(client)
    assert "Held orders: 1" in text
    assert "1 order sent, 1 held, 0 too old" in text
    assert "by folder 1 order" in text
    assert 'href="/dashboard/submissions/held"' in client.get("/dashboard").text


def test_alarms_come_first_with_what_to_do(client: TestClient, database: Database, clock: Clock) -> None:
    """Errors before warnings, each with the page where it is done; what they say is text, whatever is in it."""
    with database.transaction() as session:
        for kind, subject in ((Kind.DISK_NEARLY_FULL, "host"), (Kind.DELIVERY_FAILED, "b-1")):
            raise_alarm(session, Alarm(kind, subject, "<script>`x`</script>"), clock.now, owed=False)
    sign_in(client)
    page = client.get("/dashboard").text
    assert page.index("A batch was not delivered") < page.index("A disk is nearly full")
    assert 'href="/dashboard/batches/b-1"' in page
    assert "&lt;script&gt;<code>x</code>&lt;/script&gt;" in page


@pytest.mark.parametrize("kind", Kind)
def test_every_alarm_has_words_for_people(kind: Kind) -> None:
    """A new kind is not forgotten, and one of a newer version is shown all the same."""
    held = Held(1, kind.value, "x", datetime.now(UTC), "The sentence.", Severity.ERROR, datetime.now(UTC))
    task = todo.of_alarm(held)
    assert kind in todo._WORDS
    assert (task.what != "", task.do != "", task.detail) == (True, True, "The sentence.")
    newer = todo.of_alarm(Held(1, "of_tomorrow", "x", held.since, "So it is.", "error", held.since))
    assert (newer.what, newer.detail) == ("Of tomorrow", "So it is.")


def test_every_state_is_in_a_chart() -> None:
    """Amounts of all states are in one group each, so that a chart shows the whole revenue."""
    assert sorted(STATES) == sorted(state.value for state in OrderState)
    assert len(STATES) == sum(len(group) for group in GROUPS.values())


def test_a_chart_holds_what_the_table_says(client: TestClient) -> None:
    """As many bars as numbers, as high as they are; nothing in it that runs or is loaded; light and dark."""
    labels = [str(one) for one in range(4)]
    drawn = charts.bars(labels, [charts.Series("a<b", [0, 1, 2, 4]), charts.Series("c", [1, 1, 1, 1])])
    root = ET.fromstring(drawn)  # noqa: S314 (it is our own)
    heights = [
        round(float(rect.get("height", "")), 1) for rect in root.iter() if "rect" in rect.get("class", "").split()
    ]
    assert len(heights) == 8
    assert heights[2] == pytest.approx(2 * heights[1], abs=0.2)
    assert {one.tag.rpartition("}")[2] for one in root.iter()} <= {"svg", "defs", "style", "g", "rect", "path", "text"}
    text = drawn.decode()
    assert re.findall(r"https?://(?!www\.w3\.org/)", text) == []
    assert "prefers-color-scheme:" in text.replace(" ", "")
    assert "a&lt;b" in text


def test_a_share_is_broken_where_there_was_no_order() -> None:
    """A day without orders has no share, which is not 0 %."""
    drawn = charts.shares(["1", "2", "3"], charts.Series("share", [500, None, 1000])).decode()
    assert drawn.count("<circle") == 2


@pytest.mark.parametrize(
    ("top", "expected"), [(0, [0, 1]), (5, [0, 1, 2, 3, 4, 5]), (6, [0, 2, 4, 6]), (101, [0, 50, 100, 150])]
)
def test_axes_have_round_numbers(top: int, expected: list[int]) -> None:
    """Whole ones, few of them, up to the highest bar."""
    assert charts.ticks(top) == expected


def test_numbers_are_written_for_people() -> None:
    """Thousands apart, shares that are neither nothing nor all unless they are, times to be read by machines too."""
    thin = "\N{NARROW NO-BREAK SPACE}"
    assert [number(1234567), number(None)] == [f"1{thin}234{thin}567", "–"]
    assert [money("1234.50"), money("-1234"), money("0.05")] == [f"1{thin}234.50", f"-1{thin}234", "0.05"]
    assert [share(0, 9), share(1, 100_000), share(99_999, 100_000), share(9, 9), share(1, 3), share(0, 0)] == [
        *(f"0.0{thin}%", f"0.1{thin}%", f"99.9{thin}%", f"100.0{thin}%", f"33.3{thin}%", "–")
    ]
    assert moment(datetime(2026, 3, 1, 9, 5, tzinfo=UTC)) == (
        '<time datetime="2026-03-01T09:05:00+00:00">2026-03-01 09:05</time>'
    )
    assert said("<\u202ex") == "<bdi>&lt;\u202ex</bdi>"
    assert coded("run `a<b` & c") == "run <code>a&lt;b</code> &amp; c"
    assert charts.brief(250_000_000, 2) == f"2.5{thin}M"


def test_days_are_in_their_order() -> None:
    """Up to the last one, across the end of a month, and a day without orders is one."""
    last = datetime(2026, 3, 1, tzinfo=UTC).date()
    assert [one.isoformat() for one in span(last, 3)] == ["2026-02-27", "2026-02-28", "2026-03-01"]
    assert (Day(last).arrived, Day(last).counted, Day(last).shown_states) == (0, 0, [])
