"""The schema of an SQL registry, and the way from an older one to it. Imports Alembic only where it runs."""

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection

SCHEMA = "r0003"  # the newest migration; a test compares

_migrating = threading.Lock()  # Alembic has one context for all threads
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_migrating.acquire, after_in_parent=_migrating.release, after_in_child=_migrating.release
    )


def upgrade(connection: "Connection") -> None:
    """Bring the tables to the newest schema. Where the connection is in a transaction already, that one is to commit it."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    with _migrating:
        command.upgrade(config, "head")
