"""Add what each day brought, counted from what is there."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

DAY = {"sqlite": "date({})", "postgresql": "CAST({} AT TIME ZONE 'UTC' AS DATE)"}
CLICKS = "INSERT INTO daily_clicks (day, slot, clicks) SELECT {day}, 0, count(*) FROM click GROUP BY 1"
ORDERS = """
    INSERT INTO daily_total (day, event_type, currency, slot, orders, with_click_id, held, billions, rest)
    SELECT {day}, event_type, currency, 0, count(*), count(click_id),
        sum(CASE WHEN coalesce(click_id, promo_code, media_id) IS NULL THEN 1 ELSE 0 END), sum(billions), sum(rest)
    FROM (
        SELECT conversion.recorded_at, event_type, currency, click_id, promo_code, media_id,
            (SELECT sum(amount / 1000000000) FROM item WHERE revision_id = revision.id) AS billions,
            (SELECT sum(amount % 1000000000) FROM item WHERE revision_id = revision.id) AS rest
        FROM conversion JOIN revision ON revision.conversion_id = conversion.id AND revision.number = 1
    ) AS recorded
    GROUP BY 1, event_type, currency
"""


def upgrade() -> None:
    op.create_table(
        "daily_clicks",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("clicks", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "slot"),
    )
    op.create_table(
        "daily_total",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("event_type", sa.String(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("orders", sa.BigInteger(), nullable=False),
        sa.Column("with_click_id", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("billions", sa.BigInteger(), nullable=False),
        sa.Column("rest", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "event_type", "currency", "slot"),
    )
    day = DAY[op.get_bind().dialect.name]
    op.execute(CLICKS.format(day=day.format("captured_at")))
    op.execute(ORDERS.format(day=day.format("recorded_at")))


def downgrade() -> None:
    op.drop_table("daily_total")
    op.drop_table("daily_clicks")
