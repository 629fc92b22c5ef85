"""A database migration as a saga, killed at its steps: the database is the expected one every time.

The database is outside the workspace, so no checkpoint brings it back: the workflow's own commands apply and revert.
Its steps strike their own runner (`strikes.py`); its dumps are compared with ones made by other means.
"""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.engine.migration import BROKEN, STEPS, UPS, dump, expected, write_migration
from tests.engine.strikes import Strikes
from tests.repo import Repo

pytestmark = pytest.mark.sweep

POINTS = ("before", "inside", "after")
"""Of a script: before the database is opened, in the middle of the transaction, after it was committed."""
VALID = "validation.sql"
INVALID = "select 'FAIL', 'never good';\n"


@pytest.fixture
def strikes(repo: Repo, tmp_path: Path) -> Strikes:
    """The example in a repository, ready to be struck in."""
    write_migration(repo)
    return Strikes(repo, tmp_path)


def state(repo: Repo) -> Any:
    """The newest manifest, by plain git."""
    return json.loads(repo.git("show", "gitckpt/migration:.gitckpt/state.json"))


def statuses(repo: Repo) -> dict[str, str]:
    """Each phase with its status."""
    return {name: phase["status"] for name, phase in state(repo)["phases"].items()}


def tried(strikes: Strikes) -> list[str]:
    """What was tried on the database: `apply 001`, in order."""
    return [line.rpartition(" ")[0] for line in strikes.log.read_text().splitlines()]


def keys(strikes: Strikes) -> dict[str, set[str]]:
    """The idempotency keys that each step was tried with."""
    found: dict[str, set[str]] = {}
    for line in strikes.log.read_text().splitlines():
        step, _, key = line.rpartition(" ")
        found.setdefault(step, set()).add(key)
    return found


def applied(*numbers: int) -> list[str]:
    return [f"apply {STEPS[n - 1]}" for n in numbers]


def reverted(*numbers: int) -> list[str]:
    return [f"revert {STEPS[n - 1]}" for n in numbers]


def killed_while_applied(strikes: Strikes, strokes: list[tuple[str, int]]) -> None:
    for number, (point, script) in enumerate(strokes):
        strikes.killed(f"{point} {applied(script)[0]}", "run", group=number % 2 == 0)
        assert dump(strikes.repo) == expected(script if point == "after" else script - 1), (point, script)
        assert not (strikes.repo.path / "mail").exists()


def mended_while_killed(strikes: Strikes, before: list[tuple[str, int]], after: list[tuple[str, int]]) -> None:
    """Script 3 fails after some blows, is mended, and the migration ends after some more."""
    repo = strikes.repo
    repo.write(f"migrations/{UPS[2].name}", BROKEN)
    killed_while_applied(strikes, before)
    assert "nowhere" in strikes.run("run", ok=1).stderr
    assert dump(repo) == expected(2), "nothing of script 3 stayed"
    done = tried(strikes)
    repo.write(f"migrations/{UPS[2].name}", UPS[2].read_bytes())
    killed_while_applied(strikes, after)
    strikes.run("run")
    assert dump(repo) == expected(5)
    assert not set(tried(strikes)[len(done) :]) & set(applied(1, 2)), "1 and 2 are not run again"
    assert list(dict.fromkeys(tried(strikes))) == applied(1, 2, 3, 4, 5), "in order, none left out"
    assert all(len(found) == 1 for found in keys(strikes).values()), "tried again under the same key"
    assert (repo.path / "mail/sent.txt").read_text() == "migrated\n"
    assert (repo.path / "backup/before.sql").read_text() == expected(0) + "\n"


def test_script_3_of_5_fails_is_mended_and_1_and_2_are_not_run_again_whatever_is_killed(strikes: Strikes) -> None:
    mended_while_killed(strikes, before=[("after", 1), ("inside", 2)], after=[("after", 3)])
    back = strikes.run("rollback", "backup")
    assert "Outside this folder nothing is undone of migrate" in back.stdout, "announce is the pivot"
    assert dump(strikes.repo) == expected(5)


@pytest.mark.full
def test_a_migration_killed_before_inside_and_after_every_script_ends_with_the_expected_database(
    strikes: Strikes,
) -> None:
    every = [(point, script) for script, point in product(range(1, 6), POINTS)]
    # Script 3 is broken at first: what is after its commit comes when it is mended.
    mended_while_killed(strikes, before=every[:7], after=every[6:])


def killed_while_reverted(strikes: Strikes, strokes: list[tuple[str, int]], *command: str) -> None:
    """The command given again after each blow, until the next blow falls."""
    for number, (point, script) in enumerate(strokes):
        strikes.killed(f"{point} {reverted(script)[0]}", *command, group=number % 2 == 0)
        assert dump(strikes.repo) == expected(script - 1 if point == "after" else script), (point, script)


def validation_killed(strikes: Strikes, strokes: list[tuple[str, int]]) -> None:
    repo = strikes.repo
    valid = (repo.path / VALID).read_bytes()
    repo.write(VALID, INVALID)
    killed_while_reverted(strikes, strokes, "run")
    assert "validate failed" in strikes.run("run", ok=1).stderr
    assert dump(repo) == expected(0)
    assert list(dict.fromkeys(tried(strikes))) == [*applied(1, 2, 3, 4, 5), *reverted(5, 4, 3, 2, 1)]
    assert {"migrate": "compensated", "validate": "failed", "announce": "pending"}.items() <= statuses(repo).items()
    assert not (repo.path / "mail").exists()
    first = keys(strikes)
    assert all(len(found) == 1 for found in first.values()), "tried again under the same key"
    repo.write(VALID, valid)
    strikes.run("run")
    assert dump(repo) == expected(5)
    assert {step: len(keys(strikes)[step]) for step in applied(1, 5)} == dict.fromkeys(applied(1, 5), 2), (
        "a new request"
    )


def test_a_validation_that_fails_reverts_all_scripts_although_it_is_killed_meanwhile(strikes: Strikes) -> None:
    validation_killed(strikes, [("inside", 5), ("after", 1)])


@pytest.mark.full
def test_a_validation_that_fails_reverts_all_scripts_killed_before_inside_and_after_every_one(
    strikes: Strikes,
) -> None:
    validation_killed(strikes, [(point, script) for script, point in product(range(5, 0, -1), POINTS)])


def rollback_killed(strikes: Strikes, strokes: list[tuple[str, int]]) -> None:
    """Script 3 fails, and what was done is given up."""
    repo = strikes.repo
    repo.write(f"migrations/{UPS[2].name}", BROKEN)
    strikes.run("run", ok=1)
    refused = strikes.run("rollback", "backup", ok=2).stderr
    assert 'migrate: python3 db.py revert "${SCRIPT%.up.sql}.down.sql"  (for each of 2 items)' in refused
    assert dump(repo) == expected(2), "nobody said what is to become of it"
    back = ("rollback", "backup", "--compensate")
    killed_while_reverted(strikes, strokes, *back)
    strikes.run(*back)
    assert dump(repo) == expected(0)
    assert list(dict.fromkeys(tried(strikes))) == [*applied(1, 2, 3), *reverted(2, 1)]
    assert statuses(repo)["migrate"] == "pending"
    assert (state(repo)["goal"]["kind"], state(repo)["outside"]) == ("finish", [])


def test_script_3_of_5_fails_and_a_rollback_compensates_2_and_1_in_reverse_although_it_is_killed(
    strikes: Strikes,
) -> None:
    rollback_killed(strikes, [("inside", 2), ("after", 1)])


@pytest.mark.full
def test_a_rollback_killed_before_inside_and_after_every_compensation_arrives(strikes: Strikes) -> None:
    rollback_killed(strikes, [(point, script) for script, point in product((2, 1), POINTS)])
    strikes.repo.write(f"migrations/{UPS[2].name}", UPS[2].read_bytes())
    strikes.run("run")
    assert dump(strikes.repo) == expected(5)


def test_a_compensation_that_fails_is_mended_and_the_rollback_goes_on_with_it(strikes: Strikes) -> None:
    repo = strikes.repo
    repo.write(VALID, INVALID)
    down = "migrations/004_cents.down.sql"
    right = (repo.path / down).read_bytes()
    repo.write(down, "update nowhere set cents = 0;\n")
    assert "nowhere" in strikes.run("run", ok=1).stderr
    assert dump(repo) == expected(4), "5 is reverted, and nothing below 4 before 4 is"
    repo.write(down, right)
    strikes.run("rollback", "backup", "--compensate")
    assert dump(repo) == expected(0)
    assert tried(strikes) == [*applied(1, 2, 3, 4, 5), *reverted(5, 4, 4, 3, 2, 1)]


def test_a_compensation_that_cannot_be_mended_is_given_up_and_listed_as_outside(strikes: Strikes) -> None:
    repo = strikes.repo
    repo.write(f"migrations/{UPS[2].name}", BROKEN)
    repo.write("migrations/001_customers.down.sql", "drop table nowhere;\n")
    strikes.run("run", ok=1)
    stopped = strikes.run("rollback", "backup", "--compensate", ok=1).stderr
    assert "--no-compensate" in stopped
    assert dump(repo) == expected(1), "2 is reverted, 1 cannot be"
    given_up = strikes.run("rollback", "backup", "--no-compensate").stdout
    assert "Outside this folder nothing is undone of migrate" in given_up
    assert dump(repo) == expected(1)
    assert state(repo)["outside"] == ["migrate"]
    assert state(repo)["goal"]["kind"] == "finish"
    assert json.loads(strikes.run("status", "--json").stdout)["outside"] == ["migrate"]
