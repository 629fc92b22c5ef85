"""Programs that decide by dates what is due do it right, whatever was put back before: a build by make, over all views.

What is built must be what its sources say, as a build from nothing makes it.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from tests.engine.strikes import Strikes
from tests.repo import Repo

MAKEFILE = """\
prog: a.o b.o
	cat a.o b.o > prog
%.o: %.c
	! grep -q bad $<
	cp $< $@
"""
IGNORED = "*.o\nprog\n"

views = pytest.mark.parametrize("view", ["none", "overlay", "copy"])
outputs = pytest.mark.parametrize("outputs", ["captured", "ignored"])


class Build:
    """A program of two sources, and a phase that makes it."""

    def __init__(self, repo: Repo, view: str, outputs: str, run: str = "make -s", more: str = "") -> None:
        self.repo, self.root = repo, repo.path
        self.view, self.outputs = view, outputs
        repo.write("Makefile", MAKEFILE)
        if outputs == "ignored":
            repo.write(".gitignore", IGNORED)
        head = f"version: 1\nworkflow: w\nisolation: {view}\n"
        repo.write("gitckpt.yaml", f"{head}phases:\n  build:\n    run: |\n      {run}\n{more}")

    def sources(self, a: str, b: str) -> None:
        """Only what differs is written."""
        for name, text in (("a.c", a), ("b.c", b)):
            if not (self.root / name).exists() or self.text(name) != text:
                self.repo.write(name, text + "\n")

    def text(self, name: str) -> str:
        return (self.root / name).read_text().strip()

    def number(self) -> str:
        return f"{self.repo.log_json()['checkpoints'][0]['number']}"

    def builds(self, a: str, b: str, *arguments: str) -> str:
        """A run makes the program of these sources. The number of its checkpoint."""
        self.repo.run("run", *arguments)
        assert (self.text("a.c"), self.text("b.c")) == (a, b)
        assert self.text("prog") == f"{a}\n{b}"
        return self.number()

    def date(self, name: str) -> int:
        return os.lstat(self.root / name).st_mtime_ns


TAKEN_FOR_CURRENT = "they stay as they are, and programs that go by dates (make, cp -u) take them for current"


def fails_and_is_mended(build: Build) -> None:
    build.sources("two", "bad")
    said = build.repo.run("run", "--from", "build", ok=1).stderr
    assert (TAKEN_FOR_CURRENT in said) == (build.view == "none" and build.outputs == "ignored")
    build.sources("two", "good")
    build.builds("two", "good")


def goes_back_and_forth(build: Build, first: str) -> None:
    """Rollbacks to the program's first state, and to edited sources beside it, and the undoing of both."""
    edited = next(each["number"] for each in build.repo.log_json()["checkpoints"] if each["kind"] == "edit")
    build.repo.run("rollback", first)
    build.builds("one", "one", "--from", "build")
    build.repo.run("rollback", f"{edited}")
    build.sources("two", "fine")
    build.builds("two", "fine", "--from", "build")
    build.repo.run("rollback", first)
    build.repo.run("undo")
    build.builds("two", "fine", "--from", "build")


def is_brought_back(build: Build, first: str) -> None:
    """The first state's files, all and then one of them."""
    build.repo.run("restore", first)
    build.builds("one", "one", "--from", "build")
    build.sources("three", "one")
    build.builds("three", "one", "--from", "build")
    build.repo.run("restore", first, "--", "a.c")
    build.builds("one", "one", "--from", "build")


def test_what_was_put_back_is_as_old_as_it_was(repo: Repo, tmp_path: Path) -> None:
    build = Build(repo, "none", "captured")
    build.sources("one", "one")
    first = build.builds("one", "one")
    before = {name: build.date(name) for name in ("a.c", "a.o", "b.o", "prog")}
    build.sources("two", "bad")
    edited = build.date("a.c")
    repo.run("run", "--from", "build", ok=1)
    assert {name: build.date(name) for name in before} == {**before, "a.c": edited}
    fails_and_is_mended(build)
    repo.run("rollback", first)
    assert {name: build.date(name) for name in before} == before, "each file has the date that it had"
    repo.run("undo")
    assert build.date("a.c") == edited
    assert build.date("a.o") > edited
    goes_back_and_forth(build, first)


@pytest.mark.sweep
@outputs
@views
def test_the_program_is_what_its_sources_say(repo: Repo, view: str, outputs: str) -> None:
    build = Build(repo, view, outputs)
    build.sources("one", "one")
    first = build.builds("one", "one")
    fails_and_is_mended(build)
    goes_back_and_forth(build, first)
    is_brought_back(build, first)


FIRST_TRY_FAILS = 'make -s a.o; test -e "$ASIDE/tried" || { touch "$ASIDE/tried"; exit 1; }; make -s'


@pytest.mark.sweep
@outputs
@views
def test_a_second_try_does_what_is_due(repo: Repo, tmp_path: Path, view: str, outputs: str) -> None:
    build = Build(repo, view, outputs, "make -s")
    build.sources("one", "one")
    build.builds("one", "one")
    Build(repo, view, outputs, FIRST_TRY_FAILS, "    retry: {max: 1}\n")
    build.sources("two", "one")
    repo.run("run", "--from", "build", env={"ASIDE": str(tmp_path)})
    assert (build.text("prog"), (tmp_path / "tried").exists()) == ("two\none", True)


def wait_for_the_stamp(root: Path) -> None:
    """Until the last process of what was killed is gone."""
    begun, stamp = (root / ".gitckpt" / name for name in ("begin", "stamp"))
    until = time.monotonic() + 20
    while not stamp.exists() or stamp.stat().st_ctime_ns < begun.stat().st_ctime_ns:
        assert time.monotonic() < until
        time.sleep(0.01)
    time.sleep(0.01)


DECIDED = """\
version: 1
workflow: w
isolation: {view}
phases:
  one: {{run: 'until test -e "$ASIDE/two"; do sleep 0.01; done; sleep 0.02; echo one > a.c; make -s'}}
  two: {{needs: [], run: 'echo two > a.c; touch "$ASIDE/two"'}}
  build: {{needs: [one, two], run: make -s}}
"""


@pytest.mark.sweep
@pytest.mark.parametrize("how", ["ours", "theirs"])
@pytest.mark.parametrize("view", ["overlay", "copy"])
def test_what_is_decided_is_new_beside_what_the_other_side_made(
    repo: Repo, tmp_path: Path, view: str, how: str
) -> None:
    build = Build(repo, view, "captured")
    build.sources("zero", "zero")
    repo.write("gitckpt.yaml", DECIDED.format(view=view))
    repo.run("run", env={"ASIDE": str(tmp_path)}, ok=5)
    repo.run("resolve", "two", f"--{how}")
    chosen = {"ours": "one", "theirs": "two"}[how]
    build.builds(chosen, "zero")
    repo.run("undo")


@pytest.mark.sweep
def test_in_a_clone_files_are_as_old_as_the_checkpoint_that_brought_them(repo: Repo, tmp_path: Path) -> None:
    build = Build(repo, "none", "captured")
    build.sources("one", "one")
    build.builds("one", "one")
    time.sleep(1.1)
    build.sources("two", "bad")
    repo.run("run", "--from", "build", ok=1)
    there = tmp_path / "there"
    repo.git("clone", "-q", str(repo.path), str(there))
    for setting in (("user.name", "a"), ("user.email", "a@b")):
        repo.git("-C", str(there), "config", *setting)
    # As in any clone, before a checkpoint is taken there is nothing but what HEAD has.
    (there / "gitckpt.yaml").write_bytes((repo.path / "gitckpt.yaml").read_bytes())
    repo.run("rollback", "latest", cwd=there)
    there_ns = {name: os.lstat(there / name).st_mtime_ns for name in ("a.c", "b.c", "a.o", "b.o", "prog")}
    assert max(there_ns[name] for name in ("a.o", "b.o", "prog")) < min(there_ns["a.c"], there_ns["b.c"])
    (there / "b.c").write_text("fine\n")
    repo.run("run", cwd=there)
    assert (there / "prog").read_text() == "two\nfine\n"


DIES = 'make -s a.o; touch -c stamp; . "$STRIKE_SH"; strike here; make -s'


@pytest.mark.sweep
@outputs
@views
def test_after_a_kill_what_is_due_is_done(repo: Repo, tmp_path: Path, view: str, outputs: str) -> None:
    build = Build(repo, view, outputs, DIES)
    repo.write("stamp", "")
    strikes = Strikes(repo, tmp_path)
    build.sources("one", "one")
    strikes.run("run")
    stamp, edited = build.date("stamp"), ("two", "one")
    build.sources(*edited)
    strikes.killed("here", "run", "--from", "build", group=True)
    if view == "none":
        wait_for_the_stamp(repo.path)
    build.sources("three", "one")
    dated = build.date("a.c")
    said = strikes.run("rollback", "latest").stderr
    assert (TAKEN_FOR_CURRENT in said) == (view == "none" and outputs == "ignored")
    if view == "none":
        assert build.date("stamp") == stamp, "what the dead attempt only touched is as old as before"
    assert build.date("a.c") == dated
    strikes.run("run")
    assert (build.text("a.c"), build.text("prog")) == ("three", "three\none")


def test_files_that_a_failed_attempt_only_touched_are_as_old_as_before(repo: Repo) -> None:
    repo.write("stamp", "done\n")
    repo.write("source", "1\n")
    repo.write("gitckpt.yaml", "version: 1\nworkflow: w\nphases:\n  a: {run: 'touch stamp; test -e ../fine'}\n")
    os.utime(repo.path / "stamp", ns=(10**18, 10**18))
    repo.run("run", ok=1)
    assert os.lstat(repo.path / "stamp").st_mtime_ns == 10**18
    # What the user touches is the user's: it is due, also after one more failure.
    os.utime(repo.path / "source", ns=(2 * 10**18, 2 * 10**18))
    repo.run("run", ok=1)
    assert os.lstat(repo.path / "source").st_mtime_ns == 2 * 10**18
    assert os.lstat(repo.path / "stamp").st_mtime_ns == 10**18
    assert not re.search("source|stamp", repo.run("diff", "a@2").stdout)


TOUCHES = """\
version: 1
workflow: w
phases:
  touches:
    isolation: {view}
    run: touch stamp; touch -hd @5 link; echo 2 > new; touch -d @7 new; cat opened >> opened
  beside:
    needs: []
    isolation: {view}
    run: touch -c other; cat opened >> stamp; sleep 0.1; touch theirs
  sees:
    needs: [touches]
    isolation: {then}
    run: stat -c '%n %Y' link new > seen; test stamp -nt source && echo due >> seen
"""


@views
def test_the_next_phase_sees_what_was_only_touched(repo: Repo, view: str) -> None:
    repo.write("gitckpt.yaml", TOUCHES.format(view=view, then=view))
    (repo.path / "link").symlink_to("source")
    for name in ("source", "stamp", "opened", "other", "theirs"):
        os.utime(repo.write(name, "" if name == "opened" else "x\n"), ns=(10**18, 10**18))
    os.utime(repo.write("source"), ns=(10**18 + 1, 10**18 + 1))
    repo.run("run")
    assert (repo.path / "seen").read_text() == "link 5\nnew 7\ndue\n"
    dates = {name: os.lstat(repo.path / name).st_mtime_ns for name in ("stamp", "other", "theirs", "link", "new")}
    assert (dates["link"], dates["new"]) == (5 * 10**9, 7 * 10**9)
    assert min(dates["stamp"], dates["other"], dates["theirs"]) > 10**18 + 1
    assert [os.lstat(repo.path / name).st_mtime_ns - 10**18 for name in ("source", "opened")] == [1, 0]
    assert repo.run("run").stdout == ""
    # A phase in the workspace itself, one more view, and a rollback all see the same.
    for then in ("none", view):
        repo.write("gitckpt.yaml", TOUCHES.format(view=view, then=then))
        repo.run("run", "--from", "sees")
        assert (repo.path / "seen").read_text() == "link 5\nnew 7\ndue\n"


@pytest.mark.parametrize(
    "view", ["none", pytest.param("overlay", marks=pytest.mark.sweep), pytest.param("copy", marks=pytest.mark.sweep)]
)
def test_cp_u_copies_what_is_due_after_a_retry_and_a_failure(
    repo: Repo, view: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its dates the copy that an attempt made, and that was put back, is younger than the source."""
    monkeypatch.setenv("OUT", str(repo.path.parent))
    write = "first: {run: cp -u src dst}\n  again: {run: 'cp -u src dst; %s'%s}\n"
    head = f"version: 1\nworkflow: w\nisolation: {view}\nphases:\n  "
    fails_once = 'test -e "$OUT/tried" || { touch "$OUT/tried"; exit 1; }'
    repo.write("gitckpt.yaml", head + write % (fails_once, ", retry: {max: 1}"))
    repo.write("src", "1\n")
    repo.run("run", "--until", "first", ok=75)
    time.sleep(0.02)
    repo.write("src", "2\n")
    repo.run("run")
    assert (repo.path / "dst").read_text() == "2\n"
    (repo.path.parent / "tried").unlink()
    repo.write("gitckpt.yaml", head + write % (fails_once, ""))
    time.sleep(0.02)
    repo.write("src", "3\n")
    repo.run("run", "--from", "again", ok=1)
    assert (repo.path / "dst").read_text() == "2\n"
    repo.run("run")
    assert (repo.path / "dst").read_text() == "3\n"
