"""The example's migration on PostgreSQL: the same file, the same course, the expected database every time."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.migration import BROKEN, LEDGER, UPS, name, write_migration
from tests.engine.server import Server, running
from tests.engine.strikes import Strikes
from tests.repo import Repo

pytestmark = pytest.mark.sweep


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One for all."""
    with running() as found:
        yield found


def fresh(server: Server) -> str:
    """A new database with something in it that is not the migration's."""
    database = f"app_{uuid.uuid4().hex}"
    server.ask("postgres", "-c", f"create database {database}")
    server.ask(database, "-c", "create table legacy as select 1 as one", "-c", LEDGER)
    return database


def expected(server: Server, scripts: int) -> str:
    """The dump of a database to which psql applied the first so many scripts."""
    database = fresh(server)
    for script in UPS[:scripts]:
        server.ask(database, "-f", str(script), "-c", f"insert into migrations values ('{name(script)}')")
    return server.dump(database)


def test_the_same_file_migrates_postgresql_mended_validated_compensated_and_killed(
    repo: Repo, server: Server, tmp_path: Path
) -> None:
    write_migration(repo)
    valid = (repo.path / "validation.sql").read_bytes()
    repo.write("validation.sql", "select 'FAIL', 'never good';\n")
    repo.write(f"migrations/{UPS[2].name}", BROKEN)
    strikes = Strikes(repo, tmp_path)
    database = fresh(server)
    param = ("--set", f"DB_URL={server.url(database)}")

    strikes.killed("after apply 002", "run", *param, group=True)
    assert server.dump(database) == expected(server, 2), "committed, and in no checkpoint"
    assert "nowhere" in strikes.run("run", ok=1).stderr
    assert server.dump(database) == expected(server, 2), "nothing of script 3 stayed, nothing of 2 is there twice"

    repo.write(f"migrations/{UPS[2].name}", UPS[2].read_bytes())
    strikes.killed("after revert 002", "run", group=False)
    assert server.dump(database) == expected(server, 1)
    assert "validate failed" in strikes.run("run", ok=1).stderr
    assert server.dump(database) == expected(server, 0)

    repo.write("validation.sql", valid)
    strikes.run("run")
    assert server.dump(database) == expected(server, 5)
    assert (repo.path / "mail/sent.txt").read_text() == "migrated\n"
    assert "legacy" in (repo.path / "backup/before.sql").read_text()


def test_a_rollback_on_postgresql_reverts_what_was_applied_newest_first(
    repo: Repo, server: Server, tmp_path: Path
) -> None:
    write_migration(repo)
    repo.write(f"migrations/{UPS[2].name}", BROKEN)
    strikes = Strikes(repo, tmp_path)
    database = fresh(server)
    strikes.run("run", "--set", f"DB_URL={server.url(database)}", ok=1)
    strikes.run("rollback", "backup", "--compensate")
    assert server.dump(database) == expected(server, 0)
    steps = [line.rpartition(" ")[0] for line in strikes.log.read_text().splitlines()]
    assert steps == ["apply 001", "apply 002", "apply 003", "revert 002", "revert 001"]
