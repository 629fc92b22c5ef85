"""The hundred and first attempt of a phase takes the first one's ref, and the first can still be looked at."""

from __future__ import annotations

from gitckpt.store.attempts import REFS
from tests.repo import Repo

ATTEMPTS = "refs/gitckpt/demo/attempts/load"


def test_an_attempt_that_gives_up_its_ref_is_still_found_by_its_name(repo: Repo) -> None:
    repo.write("gitckpt.yaml", "version: 1\nworkflow: demo\nphases: {load: {run: 'date +%s%N | tee left; exit 3'}}\n")
    repo.run("run", ok=1)
    first = repo.git("rev-parse", f"{ATTEMPTS}/1")
    for number in range(1001, 1000 + REFS):
        repo.write(f".git/{ATTEMPTS}/{number}", f"{first}\n")
    said = repo.run("output", "load@1").stdout
    repo.run("run", ok=1)
    names = repo.git("for-each-ref", "--format=%(refname)", ATTEMPTS).split()
    assert len(names) == REFS
    assert f"{ATTEMPTS}/1" not in names
    assert repo.git("rev-parse", f"{ATTEMPTS}/2^2") == first
    assert repo.run("output", "load@1").stdout == said != repo.run("output", "load@2").stdout
    assert "left" in repo.run("diff", "load@1").stdout
    assert [row["attempt"] for row in repo.log_json()["checkpoints"]] == ["load@2", "load@1", None]
