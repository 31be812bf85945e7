"""Runs the migrations on the connection that the service hands over, or on CAPTURE_DATABASE_URL."""

from alembic import context
from sqlalchemy import Connection

from app.config import Settings, load
from app.database import Database
from app.tables import METADATA


def run(connection: Connection) -> None:
    """Migrate, leaving the transaction to whoever opened the connection."""
    context.configure(connection=connection, target_metadata=METADATA, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


handed_over = context.config.attributes.get("connection")
if handed_over is not None:
    run(handed_over)
else:
    [settings] = load(Settings)
    with Database(settings.database_url.get_secret_value()).engine.begin() as own:
        run(own)
