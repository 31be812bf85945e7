"""Add the table to which a crowd of clicks is appended."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "new_click",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("click_id", sa.String(length=64), nullable=False),
        sa.Column("captured_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("landing_url", sa.String(length=2000), nullable=True),
        sa.Column("referrer_origin", sa.String(length=300), nullable=True),
        sa.Column("user_agent_family", sa.String(length=100), nullable=True),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def downgrade() -> None:
    op.execute(
        "INSERT INTO click (click_id, captured_at, landing_url, referrer_origin, user_agent_family, source)"
        " SELECT click_id, captured_at, landing_url, referrer_origin, user_agent_family, source FROM new_click"
        " WHERE true ORDER BY id ON CONFLICT DO NOTHING"
    )
    op.drop_table("new_click")
