"""Add what people see and may ask for: search, what each day's orders have come to, sign-in, consent, removed data."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

TABLES = (
    "order_term",
    "terms_filed",
    "day_standing",
    "day_counted",
    "browser_session",
    "fingerprint_key",
    "cleared",
    "traces",
)


def upgrade() -> None:
    op.add_column("click", sa.Column("consent", sa.String(length=16), nullable=True))
    op.add_column("new_click", sa.Column("consent", sa.String(length=16), nullable=True))
    op.add_column("batch", sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("batch", sa.Column("removed_why", sa.String(), nullable=True))
    op.create_table(
        "order_term",
        sa.Column("term", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("revision_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["revision_id"],
            ["revision.id"],
        ),
        sa.PrimaryKeyConstraint("term", "revision_id"),
    )
    op.create_table(
        "terms_filed",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("begins", sa.BigInteger(), nullable=False),
        sa.Column("seen", sa.BigInteger(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("left_out_by_reason", "left_out", ["reason", "revision_id"], unique=False)
    op.create_index("orders_by_reason", "submission_error", ["reason", "revision_id"], unique=False)
    op.create_table(
        "day_standing",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("event_type", sa.String(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("orders", sa.BigInteger(), nullable=False),
        sa.Column("with_click_id", sa.BigInteger(), nullable=False),
        sa.Column("billions", sa.BigInteger(), nullable=False),
        sa.Column("rest", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "event_type", "currency", "state"),
    )
    op.create_table(
        "day_counted",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("counted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("day"),
    )
    op.create_index("days_when_due", "day_counted", ["due_at"], unique=False)
    op.create_table(
        "browser_session",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("key_hashes", sa.String(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("token_hash"),
    )
    op.create_index("sessions_by_end", "browser_session", ["ends_at"], unique=False)
    op.create_table(
        "fingerprint_key",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sign", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "cleared",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("up_to", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "traces",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def downgrade() -> None:
    op.drop_index("orders_by_reason", "submission_error")
    op.drop_index("left_out_by_reason", "left_out")
    for table in reversed(TABLES):
        op.drop_table(table)
    for table, column in (
        ("batch", "removed_why"),
        ("batch", "removed_at"),
        ("new_click", "consent"),
        ("click", "consent"),
    ):
        op.drop_column(table, column)
