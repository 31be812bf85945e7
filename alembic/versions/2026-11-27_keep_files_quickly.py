"""Keep files quickly: PostgreSQL's own compression of a file takes a tenth of an export.

LZ4 takes a fraction of that, where the server was built with it; else files are kept as they are. A database that
stores rows in another way than PostgreSQL knows neither and keeps its own. Files that are there stay as they are.
"""

from collections.abc import Sequence

from alembic import op
from sqlalchemy.exc import DBAPIError

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

WAYS = ("COMPRESSION lz4", "STORAGE EXTERNAL")
NOT_KNOWN = {"0A000", "42601"}  # feature not supported, syntax error


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        return
    for way in WAYS:
        try:
            with connection.begin_nested():
                connection.exec_driver_sql(f"ALTER TABLE batch_content ALTER COLUMN content SET {way}")
        except DBAPIError as refused:
            if getattr(refused.orig, "sqlstate", None) not in NOT_KNOWN:
                raise
        else:
            return


def downgrade() -> None:
    """Leave it: a file is read in whatever way it is kept."""
