"""Let what comes to its end be found: held orders by their age, and orders that were corrected often."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

OFTEN = sa.text("number >= 900")


def upgrade() -> None:
    with op.batch_alter_table("left_out") as left_out:
        left_out.add_column(sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("left_out_until", "left_out", ["state", "expires_at"])
    op.create_index(
        "orders_corrected_often", "correction", ["number", "conversion_id"], sqlite_where=OFTEN, postgresql_where=OFTEN
    )


def downgrade() -> None:
    op.drop_index("orders_corrected_often", "correction")
    op.drop_index("left_out_until", "left_out")
    with op.batch_alter_table("left_out") as left_out:
        left_out.drop_column("expires_at")
