"""Let a revision name the parent of its order, for chained actions."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    # Without foreign keys, so that no database looks at a row of the history or writes it anew.
    op.add_column("revision", sa.Column("parent_event_type", sa.String(), nullable=True))
    op.add_column("revision", sa.Column("parent_order_id", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("revision", "parent_order_id")
    op.drop_column("revision", "parent_event_type")
