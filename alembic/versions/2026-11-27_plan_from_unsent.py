"""Let what waits say by itself how many lines it has, how old it is, and its currency."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

BACKFILL = """
    UPDATE unsent SET
        lines = (SELECT count(*) FROM item WHERE item.revision_id = unsent.revision_id),
        event_at = (SELECT revision.event_at FROM revision WHERE revision.id = unsent.revision_id),
        currency = (SELECT revision.currency FROM revision WHERE revision.id = unsent.revision_id)
"""


def upgrade() -> None:
    op.add_column("unsent", sa.Column("lines", sa.Integer(), nullable=True))
    op.add_column("unsent", sa.Column("event_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("unsent", sa.Column("currency", sa.String(), nullable=True))
    op.execute(BACKFILL)


def downgrade() -> None:
    with op.batch_alter_table("unsent") as unsent:
        for name in ("currency", "event_at", "lines"):
            unsent.drop_column(name)
