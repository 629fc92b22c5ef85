"""What began from something that then could not be merged is not done: it is done again, once somebody has decided."""

from __future__ import annotations

from tests.repo import Repo

FLOW = """\
version: 1
workflow: w
phases:
  first: {needs: [], run: "while [ ! -e ../seen ]; do sleep 0.02; done; echo first > both"}
  second: {needs: [], run: "echo second > both; echo 2 > two"}
  last: {needs: [second], run: "cat both > seen; touch ../seen"}
"""


def test_a_phase_that_began_from_what_is_refused_is_kept_and_done_again_after_the_decision(repo: Repo) -> None:
    repo.write("gitckpt.yaml", FLOW)
    told = repo.run("run", "--jobs", "3", ok=5).stderr
    assert "last interrupted what it began from could not be merged" in told
    assert repo.run("show", "last@1").returncode == 0
    assert not (repo.path / "seen").exists()
    repo.run("resolve", "second", "--ours")
    repo.run("run")
    assert (repo.path / "seen").read_text() == "first\n"
    assert (repo.path / "two").read_text() == "2\n"
    repo.run("verify")
