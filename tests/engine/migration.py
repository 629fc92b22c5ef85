"""The example's database migration in a repository, and what its database must hold after each of its scripts.

Owns the expected dumps, made without the example's own `db.py`. Must not know what befalls a run.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.conftest import PROJECT
from tests.repo import Repo

EXAMPLE = PROJECT / "examples/migration"
LEDGER = "create table if not exists migrations (name text primary key);"
UPS = sorted((EXAMPLE / "migrations").glob("*.up.sql"))
STEPS = [path.name[:3] for path in UPS]
BROKEN = UPS[2].read_text() + "insert into nowhere values (1);\n"
"""Script 3, which fails after it has done all of its work."""


def name(script: Path) -> str:
    """What a script is called in the ledger."""
    return script.name.removesuffix(".up.sql")


def write_migration(repo: Repo) -> None:
    """The example as it is."""
    for path in EXAMPLE.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            repo.write(str(path.relative_to(EXAMPLE)), path.read_bytes())


def expected(scripts: int) -> str:
    """The dump of a SQLite database to which the first so many scripts were applied, once each and in order."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute(LEDGER)
        for script in UPS[:scripts]:
            database.executescript(script.read_text())
            database.execute("insert into migrations values (?)", (name(script),))
        database.commit()
        return dumped(database)


def dump(repo: Repo) -> str:
    """The dump of the database that the migration works on."""
    with closing(sqlite3.connect(repo.path / "db/app.sqlite3")) as database:
        return dumped(database)


def dumped(database: sqlite3.Connection) -> str:
    return "\n".join(database.iterdump())
