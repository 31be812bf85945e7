"""Add corrections, what they leave of an order, and where they stand in files."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "correction",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("conversion_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("reverses", sa.Boolean(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revision_id", sa.BigInteger(), nullable=True),
        sa.Column("idempotency_key", sa.String(), nullable=True),
        sa.Column("request", sa.String(), nullable=False),
        sa.Column("answer", sa.String(), nullable=False),
        sa.CheckConstraint("kind IN ('modification', 'reversal', 'refund')", name="correction_kind"),
        sa.ForeignKeyConstraint(["conversion_id"], ["conversion.id"]),
        sa.ForeignKeyConstraint(["revision_id"], ["revision.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("conversion_id", "number", name="one_correction_per_number"),
        sa.UniqueConstraint("conversion_id", "idempotency_key", name="one_correction_per_key"),
    )
    op.create_table(
        "correction_item",
        sa.Column("correction_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("sku", sa.String(), nullable=False),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["correction_id"], ["correction.id"]),
        sa.PrimaryKeyConstraint("correction_id", "position"),
    )
    op.create_table(
        "unsent_correction",
        sa.Column("correction_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("conversion_id", sa.BigInteger(), nullable=False),
        sa.Column("event_type", sa.String(), nullable=False),
        sa.Column("level", sa.String(), nullable=False),
        sa.Column("lines", sa.Integer(), nullable=False),
        sa.Column("hold_reason", sa.String(), nullable=True),
        sa.CheckConstraint("level IN ('item', 'order')", name="correction_level"),
        sa.ForeignKeyConstraint(["conversion_id"], ["conversion.id"]),
        sa.ForeignKeyConstraint(["correction_id"], ["correction.id"]),
        sa.PrimaryKeyConstraint("correction_id"),
        sa.UniqueConstraint("conversion_id"),
    )
    op.create_index("unsent_corrections_in_order", "unsent_correction", ["event_type", "correction_id"])
    op.create_table(
        "cancelled",
        sa.Column("revision_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("correction_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["correction_id"], ["correction.id"]),
        sa.ForeignKeyConstraint(["revision_id"], ["revision.id"]),
        sa.PrimaryKeyConstraint("revision_id"),
    )
    op.create_table(
        "action",
        sa.Column("conversion_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("action_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["conversion_id"], ["conversion.id"]),
        sa.PrimaryKeyConstraint("conversion_id"),
    )
    op.create_table(
        "correction_line",
        sa.Column("correction_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("first_line", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["batch"], ["batch.id"]),
        sa.ForeignKeyConstraint(["correction_id"], ["correction.id"]),
        sa.PrimaryKeyConstraint("correction_id"),
    )
    op.create_index("corrections_of_batch", "correction_line", ["batch", "first_line"])
    with op.batch_alter_table("batch") as batch:
        batch.drop_constraint("batch_kind", type_="check")
        batch.create_check_constraint("batch_kind", "kind IN ('conversions', 'modifications')")


def downgrade() -> None:
    with op.batch_alter_table("batch") as batch:
        batch.drop_constraint("batch_kind", type_="check")
        batch.create_check_constraint("batch_kind", "kind IN ('conversions')")
    for table in ("correction_line", "action", "cancelled", "unsent_correction", "correction_item", "correction"):
        op.drop_table(table)
