"""Add orders that a rule gave to another event type, and let what an export left out be found by the export."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "moved",
        sa.Column("conversion_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("event_type", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["conversion_id"], ["conversion.id"]),
        sa.PrimaryKeyConstraint("conversion_id"),
    )
    op.create_index("left_out_by_export", "left_out", ["export_id", "revision_id"])


def downgrade() -> None:
    op.drop_index("left_out_by_export", table_name="left_out")
    op.drop_table("moved")
