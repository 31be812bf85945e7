"""Add what retries, channels and progress of deliveries are told by, and which versions may work with a schema."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "channel_trouble",
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("denials", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("channel"),
    )
    op.create_table(
        "compatibility", sa.Column("oldest", sa.String(), nullable=False), sa.PrimaryKeyConstraint("oldest")
    )
    op.execute("INSERT INTO compatibility (oldest) VALUES ('0004')")
    with op.batch_alter_table("attempt") as attempt:
        attempt.add_column(sa.Column("code", sa.String(), nullable=True))
        attempt.add_column(sa.Column("sent_bytes", sa.Integer(), nullable=True))
    with op.batch_alter_table("undelivered") as undelivered:
        undelivered.add_column(sa.Column("since", sa.Integer(), nullable=False, server_default="0"))
        undelivered.add_column(sa.Column("stuck", sa.String(), nullable=True))
        undelivered.create_check_constraint("undelivered_stuck", "stuck IN ('failed', 'unknown')")


def downgrade() -> None:
    with op.batch_alter_table("undelivered") as undelivered:
        undelivered.drop_constraint("undelivered_stuck", type_="check")
        undelivered.drop_column("stuck")
        undelivered.drop_column("since")
    with op.batch_alter_table("attempt") as attempt:
        attempt.drop_column("sent_bytes")
        attempt.drop_column("code")
    op.drop_table("compatibility")
    op.drop_table("channel_trouble")
