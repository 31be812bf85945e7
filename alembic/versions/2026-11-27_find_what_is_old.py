"""Let clicks and alarms that are old, and exports that left out orders for their age, be found without a search."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

EXPIRED = sa.text("expired > 0")


def upgrade() -> None:
    op.create_index(op.f("ix_click_captured_at"), "click", ["captured_at"], unique=False)
    op.create_index("alarms_over", "alarm", ["cleared_at"], unique=False)
    op.create_index("exports_that_expired", "export", ["requested_at"], sqlite_where=EXPIRED, postgresql_where=EXPIRED)


def downgrade() -> None:
    op.drop_index("exports_that_expired", table_name="export")
    op.drop_index("alarms_over", table_name="alarm")
    op.drop_index(op.f("ix_click_captured_at"), table_name="click")
