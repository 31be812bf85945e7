"""The simulation of a day: nothing gets lost in it, its bounds hold, and the page quotes what it says."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.scale import PAGE, quoted
from bench.simulate import DAY, MEASURED, Costs, Lane, Plant, Sale, Shop, needs, poisson, simulate

COSTS = Costs(
    landing_us=100,
    order_us=400,
    landing_database_us=50,
    order_database_us=200,
    row_us=20,
    logged_per_landing=400,
    logged_per_order=2_000,
)
SHOP = Shop(landings=50_000, orders=5_000, sales=(Sale(10, 20, 40, 60),))


@given(
    st.lists(st.tuples(st.integers(0, 500), st.floats(0, 300)), max_size=60),
    st.integers(0, 400),
)
def test_whoever_comes_is_served_refused_or_waiting(seconds: list[tuple[int, float]], bound: int) -> None:
    """At any moment, whatever comes and however much can be served; and nobody waits beyond the bound."""
    lane, able = Lane(), 0.0
    for now, (arriving, capacity) in enumerate(seconds):
        served = lane.second(now, arriving, capacity, bound)
        able += capacity
        assert lane.arrived == lane.served + lane.refused + lane.waiting
        assert 0 <= lane.waiting <= bound
        assert served <= capacity + 1
    assert lane.served <= able + 1
    assert lane.most_waiting <= bound


def test_who_waits_is_served_in_the_order_of_coming() -> None:
    """The longest wait is that of the last one in the queue, in whole seconds."""
    lane = Lane()
    for now, arriving in enumerate((30, 0, 0, 0)):
        lane.second(now, arriving, 10, 100)
    assert (lane.served, lane.longest_wait, lane.most_waiting) == (30, 2, 20)


@settings(max_examples=5)
@given(st.integers(0, 10**6), st.sampled_from((0.1, 1, 30)), st.integers(1, 3))
def test_a_day_loses_nothing(seed: int, scale: float, replicas: int) -> None:
    """Every landing and order ends somewhere, every order served is in a file or left over, every file arrives."""
    plant = Plant(replicas=replicas, exports=12)
    day = simulate(SHOP.times(scale), plant, COSTS, seed)
    for lane in (day.landings, day.orders):
        assert lane.arrived == lane.served + lane.refused + lane.waiting
        assert lane.waiting <= lane.most_waiting <= replicas * plant.queue
    assert day.exported + day.to_export == day.orders.served
    assert day.delivered == day.files
    assert day.calls == day.calls_due == day.files * len(plant.looks)
    assert day.most_calls_in_an_hour <= plant.budget_per_hour
    assert day.longest_standstill == plant.lease + day.longest_file_seconds


def test_the_same_seed_is_the_same_day() -> None:
    """A figure of the page can be looked up again; another seed is another day of the same kind."""
    first, again, other = (simulate(SHOP, Plant(), COSTS, seed) for seed in (1, 1, 2))
    assert first == again
    assert first.orders.arrived != other.orders.arrived


def test_as_many_come_as_are_expected() -> None:
    """By the curve of the day and its sales, few or many at a time."""
    chance = random.Random(1)
    for mean in (0.3, 20, 1_000):
        drawn = [poisson(chance, mean) for _ in range(4_000)]
        assert sum(drawn) / len(drawn) == pytest.approx(mean, rel=0.06)
    expected = sum(SHOP.rates(second)[1] for second in range(DAY))
    assert simulate(SHOP, Plant(), COSTS).orders.arrived == pytest.approx(expected, rel=0.02)
    assert SHOP.peak == SHOP.rates(10 * 3600)


def test_orders_go_before_landings() -> None:
    """Where there is room for only one of them, it is the landings that are refused."""
    day = simulate(SHOP.times(600), Plant(queue=100), COSTS)
    assert day.orders.refused == 0
    assert day.landings.refused > 0


def test_what_there_is_least_of_comes_first() -> None:
    """Ten times the shop needs ten times as much of everything, and what costs more gives way sooner."""
    once, ten = needs(SHOP, Plant(), COSTS), needs(SHOP.times(10), Plant(), COSTS)
    by_name = {one.what: one.needed for one in once}
    assert all(
        one.needed == pytest.approx(10 * by_name[one.what]) for one in ten if one.what != "connections to PostgreSQL"
    )
    assert all(one.times >= next_.times for one, next_ in pairwise(ten))
    slow = replace(COSTS, row_us=10**9)
    assert needs(SHOP, Plant(), slow)[0].what == "the one exporter"


def test_the_page_quotes_what_was_measured_and_simulated() -> None:
    """No figure of docs/explanation/scale.md is older than its costs.json or the code: `make scale` writes them."""
    page = PAGE.read_text("utf-8")
    assert quoted(page, MEASURED.read_text("utf-8")) == page
