"""Add alarms."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "alarm",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cleared_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("owed", sa.String(), nullable=True),
        sa.Column("post_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("owed IN ('raised', 'cleared')", name="alarm_owed"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("slot", "kind", "subject", name="one_alarm_at_a_time"),
    )
    op.create_index("alarms_owed", "alarm", ["owed", "id"], unique=False)


def downgrade() -> None:
    op.drop_index("alarms_owed", table_name="alarm")
    op.drop_table("alarm")
