"""Going back, undoing, restoring and the user's other commands: what moves, what is kept, what is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_run import state, subjects, workflow
from tests.repo import Repo


@pytest.fixture
def done(repo: Repo) -> Repo:
    """A run of three phases, complete."""
    workflow(repo, "a: {run: echo a > a}\nb: {run: 'echo b > b; rm a'}\nc: {run: mkdir d; echo c > d/c}")
    repo.run("run")
    return repo


def files(repo: Repo) -> list[str]:
    """The workspace's files, without git's and gitckpt's own."""
    found = (p.relative_to(repo.path) for p in repo.path.rglob("*"))
    return sorted(str(p) for p in found if p.parts[0] not in (".git", ".gitckpt", "gitckpt.yaml"))


def test_rollback_moves_files_and_state_and_says_what_run_will_do(done: Repo) -> None:
    said = done.run("rollback", "a").stdout
    assert said == (
        "Takes back: b, c\nNow at 0005 = 0002-a. `gitckpt run` will do b, c. Take this back: gitckpt undo\n"
    )
    assert files(done) == ["a"]
    done.run("run")
    assert files(done) == ["b", "d", "d/c"]


def test_undo_brings_back_files_and_state_and_undo_again_takes_that_back(done: Repo) -> None:
    done.run("rollback", "start")
    assert files(done) == []
    done.run("undo")
    assert files(done) == ["b", "d", "d/c"]
    assert state(done)["current_state"] == "COMPLETE"
    done.run("undo")
    assert files(done) == []


def test_every_selector_names_the_same_checkpoint(done: Repo) -> None:
    for selector in ("latest~2", "a", "2", "0002", "0002-a", "gitckpt/demo/0002-a", "before:b"):
        assert "= 0002-a." in done.run("rollback", selector).stdout
        done.run("undo")
    oid = done.git("rev-parse", "gitckpt/demo/0002-a^{commit}")
    assert "= 0002-a." in done.run("rollback", oid[:10]).stdout


def test_a_wrong_name_gets_the_near_ones(done: Repo) -> None:
    assert "near it: start" in done.run("rollback", "strat", ok=2).stderr


def test_rollback_without_a_name_lists_the_last_ten(done: Repo) -> None:
    said = done.run("rollback").stdout.splitlines()
    assert [line.split()[0] for line in said[:4]] == ["0004-c", "0003-b", "0002-a", "0001-start"]
    assert len(subjects(done)) == 4


def test_edits_become_a_checkpoint_before_they_are_rolled_back(done: Repo) -> None:
    done.write("note", "mine\n")
    assert "your edit 0005" in done.run("rollback", "a").stdout
    assert files(done) == ["a"]
    assert done.git("show", "gitckpt/demo~1:note") == "mine"


def test_keep_edits_applies_them_again_on_top(done: Repo) -> None:
    done.write("note", "mine\n")
    said = done.run("rollback", "--keep-edits", "a").stdout
    assert files(done) == ["a", "note"]
    assert said.splitlines()[:2] == ["Takes back: b, c", "Your edits (0005) are applied on top."]


def test_only_a_rollback_offers_to_keep_edits(done: Repo) -> None:
    done.run("rollback", "c")
    done.write("note", "mine\n")
    assert done.run("undo").stdout.startswith("Takes back: your edit 0006\n")
    assert "your edit 0006 (keep it: --keep-edits)" in done.run("rollback", "a").stdout


def test_adopting_can_be_undone_and_changed_no_file(done: Repo) -> None:
    done.write("note", "mine\n")
    done.run("adopt")
    done.run("undo")
    assert files(done) == ["b", "d", "d/c", "note"]
    assert state(done)["current_state"] == "COMPLETE"


def test_edits_that_clash_stop_the_rollback_before_anything_is_written(done: Repo) -> None:
    done.write("b", "mine\n")
    before = done.git("rev-parse", "gitckpt/demo")
    said = done.run("rollback", "--keep-edits", "a", ok=5).stderr
    assert "your edits clash with that checkpoint in b" in said
    assert files(done) == ["b", "d", "d/c"]
    assert done.git("rev-parse", "gitckpt/demo~1") == before, "only the edit was recorded"


def test_a_file_in_the_way_that_no_checkpoint_holds_is_kept_outside_of_git(done: Repo) -> None:
    done.write(".gitignore", "a\n")
    done.write("a", "ignored, in the way\n")
    said = done.run("rollback", "a").stderr
    head, where = said.splitlines()
    assert head == "Kept outside of git what no checkpoint holds and was replaced (20 bytes): a"
    kept = list(Path(where.removeprefix("  in ")).glob("*-a"))
    assert [path.read_text() for path in kept] == ["ignored, in the way\n"]
    assert not done.git("for-each-ref", "refs/gitckpt")
    assert (done.path / "a").read_text() == "a\n"


def test_a_rollback_never_deletes_what_the_older_ignore_rules_hide(repo: Repo) -> None:
    repo.write(".gitignore", "data/\n")
    workflow(repo, "a: {run: mkdir data; echo precious > data/x}\nb: {run: 'true'}")
    repo.run("run")
    repo.write(".gitignore", "nothing\n")
    repo.run("rollback", "a")
    assert (repo.path / "data/x").read_text() == "precious\n"


def test_restore_brings_files_only_and_state_stays(done: Repo) -> None:
    said = done.run("restore", "a", "--", "a").stdout
    assert "  A a\n" in said
    assert files(done) == ["a", "b", "d", "d/c"]
    assert state(done)["current_state"] == "COMPLETE"
    done.run("undo")
    assert files(done) == ["b", "d", "d/c"]


def test_restore_of_an_attempt_and_of_a_path_that_is_not_there(repo: Repo) -> None:
    workflow(repo, "a: {run: 'echo most > most; exit 1'}")
    repo.run("run", ok=1)
    repo.run("restore", "a@1")
    assert files(repo) == ["most"]
    assert "is the same at a@1 as here, or in neither" in repo.run("restore", "a@1", "--", "nope", ok=2).stderr


def test_restore_to_a_folder_changes_nothing_else(done: Repo) -> None:
    before = done.git("rev-parse", "gitckpt/demo")
    done.run("restore", "c", "--to", str(done.path.parent / "out"))
    assert (done.path.parent / "out/d/c").read_text() == "c\n"
    assert not (done.path.parent / "out/.gitckpt").exists()
    assert done.git("rev-parse", "gitckpt/demo") == before
    assert "not empty" in done.run("restore", "c", "--to", str(done.path.parent / "out"), ok=2).stderr


def test_skip_retry_and_reset_are_recorded_with_author_and_reason(repo: Repo) -> None:
    workflow(repo, "a: {run: exit 1}\nb: {run: echo b > b}")
    repo.run("run", ok=1)
    repo.run("retry")
    repo.run("skip", "a", "-m", "the source is gone")
    repo.run("run")
    assert subjects(repo)[2:] == [
        "a reopened retry", "a skipped the source is gone", "b done"
    ]  # fmt: skip
    events = json.loads(repo.git("show", "gitckpt/demo~1:.gitckpt/events.json"))["events"]
    assert (events[0]["author"], events[0]["reason"]) == ("Ann Example", "the source is gone")
    assert "a is skipped already" in repo.run("skip", "a", ok=2).stderr
    repo.run("reset", "-m", "wrong month")
    assert state(repo)["current_state"] == "INIT"
    repo.run("undo")
    assert state(repo)["current_state"] == "COMPLETE"


def test_state_and_checkpoint_work_from_any_script(done: Repo) -> None:
    done.run("state", "set", "limit", "5")
    done.run("state", "append", "names", "x y")
    assert done.run("state", "incr", "limit", "2").stdout == "7\n"
    assert json.loads(done.run("state", "get").stdout) == {"limit": 7, "names": ["x y"]}
    missing = done.run("state", "get", "limits", ok=1)
    assert (missing.stdout, "near it: limit\n" in missing.stderr) == ("", True)
    assert "gitckpt state get\n" in missing.stderr
    assert json.loads(done.run("state", "get", "nope", "--json", ok=1).stdout)["value"] is None
    assert "not a whole number" in done.run("state", "incr", "names", ok=2).stderr
    done.write("more")
    assert done.run("checkpoint", "-m", "by hand").stdout == "0008 by hand\n"
    assert done.git("show", "gitckpt/demo/0008-by-hand:more") == "x"


def test_the_generation_never_falls_and_attempt_numbers_are_never_used_again(repo: Repo) -> None:
    workflow(repo, "a: {run: 'echo $GITCKPT_IDEMPOTENCY_KEY $GITCKPT_ATTEMPT >> $HOME/keys'}")
    repo.run("run")
    repo.run("rollback", "start")
    repo.run("run")
    repo.run("run", "--from", "a")
    import os
    from pathlib import Path

    seen = [line.split() for line in (Path(os.environ["HOME"]) / "keys").read_text().splitlines()]
    assert [number for _, number in seen] == ["1", "2", "3"]
    assert len({key for key, _ in seen}) == 3


def test_a_run_records_the_head_it_began_from_and_whether_the_files_were_those_of_it(repo: Repo) -> None:
    def source() -> dict[str, object]:
        found: dict[str, object] = json.loads(repo.git("show", "gitckpt/w:.gitckpt/state.json"))["source"]
        return found

    repo.write("gitckpt.yaml", "version: 1\nworkflow: w\nphases: {a: {run: 'true'}}\n")
    repo.run("run")
    assert source()["dirty"] is not False
    repo.commit("all of it")
    repo.run("run", "--again")
    assert (source()["head"], source()["dirty"]) == (repo.git("rev-parse", "HEAD"), False)
