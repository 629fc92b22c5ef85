"""The same phases in the workspace itself, in an overlay of it, and in a copy: the same end, in all that counts.

What counts: the files of each checkpoint and of each kept attempt, the stable part of the manifest, what the workspace
then holds, captured or not, and what the user's repository says.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from gitckpt.model.codec import stable
from gitckpt.model.moment import Verdict
from tests.engine.bed import Bed
from tests.engine.beside import asked, changed, credited, history, left_over
from tests.repo import Repo
from tests.workspace.shown import manifest

KINDS = ("none", "overlay", "copy")
IN_A_VIEW = ("overlay", "copy")

FILES = """\
workspace:
  include: [kept.log]
  exclude: ["*.tmp", scratch/]
phases:
  made:
    run: |
      echo new > new; mkdir -p deep/er empty/er; echo d > deep/er/file; : > deep/none; printf '\\0\\377' > binary
      ln -s new link; ln -s nowhere dangling; mkfifo pipe; chmod 640 pipe; echo odd > 'odd "name"'
      echo l > "$(printf 'a\\nb')"
      chmod 755 new; chmod 750 deep; chmod 1777 empty/er
  changed:
    run: |
      echo more >> a; echo x > d/e/f; truncate -s 1 d/b; chmod 600 d/b; chmod 700 d; ln -sfn a link; rm dangling
      touch big; rm -r empty/er; echo there > empty/there
  removed:
    run: |
      rm gone; rm -r old; mkdir old; echo again > old/other; rm -r d2; mv new newer; rm pipe; rm -r hollow/hollow
  swapped:
    run: |
      rm a; mkdir -p a/b; echo f > a/b/c; rm -r deep; echo file > deep; rm link; mkdir link; rm -r old; ln -s d old
  same:
    run: |
      cp -p big big.tmp; cat big.tmp > big; rm big.tmp; chmod 600 d/b; rm -f never; mkdir there; rmdir there
  ignored:
    outs: [out/model]
    run: |
      mkdir -p out; echo model > out/model; echo cache > out/cache; echo kept > kept.log; echo log > run.log
      echo two > build/one; rm build/two; rm -r build/sub; mkdir -p node_modules/n; echo n > node_modules/n/n
      echo t > x.tmp; echo s > scratch/s; rm scratch/old; chmod 600 build/mode
  seen:
    run: |
      { cat out/model out/cache kept.log run.log build/one scratch/s; ls build node_modules; } > seen
"""

INSIDE = """\
phases:
  talks:
    run: |
      echo half > half; echo cache > build/one
      gitckpt state incr count 2
      gitckpt checkpoint -m half; rm half; echo whole > whole
      git add whole; git commit -q -m inside
  reads:
    run: |
      grep -c "count.: 2" "$GITCKPT_STATE" > read; git log --format=%s -1 > said; git status --short whole > status
"""

FAILING = """\
defaults: {retry: {delay: 1ms}}
on_failure: continue
phases:
  broken: {run: "echo b > broken; rm gone; chmod 700 d; mkdir d/trace; exit 3"}
  again: {run: 'test ! -e half; echo half > half; test "$GITCKPT_ATTEMPT" = 2', retry: {max: 1, delay: 1ms}}
  late: {run: "echo late > late; sleep 30", timeout: 1s}
  builds: {run: 'echo part >> parts; test "$(wc -l < parts)" = 2', keep_partial: true, retry: {max: 1, delay: 1ms}}
  absent: {run: "echo no > no", outs: [not-there]}
  invalid: {run: "echo no > no", validate: "test ! -e no"}
  off: {run: "echo no > no", if: "test -e never"}
  held: {run: "echo no > no", requires: "test -e never"}
  writes: {run: "true", if: "touch wrote"}
  proven:
    run: seq 3 > lines
    validate: {run: cat lines, stdout: {contains: "3"}}
    counters: {lines: wc -l < lines}
"""

ITEMS = """\
phases:
  each:
    foreach: [a, b]
    run: 'echo "$ITEM" >> done; echo "$ITEM" > "of-$ITEM"; test "$ITEM" != b'
    tolerate: {count: 1, to: failed.txt}
    counters: {done: "wc -l < done"}
  grouped:
    foreach: [x, y]
    checkpoint_every: {items: 2}
    run: 'echo "$ITEM" >> grouped'
  batches:
    foreach: {run: "seq 2"}
    batch: {size: 2, input: stdin}
    run: 'cat >> batched; echo "$GITCKPT_BATCH_ID" >> batched'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """All that must be the same. `points`: what each checkpoint says, and its files; `kept`: the paths that each kept
    attempt changed."""

    points: list[tuple[str, bytes]]
    kept: dict[str, set[str]]
    stable: Mapping[str, object]
    workspace: dict[bytes, tuple[object, ...]]
    user: bytes


def prepared(folder: Path, workflow: str, isolation: str) -> Bed:
    """A workspace with a bit of everything, and the phases to run there."""
    repo = Repo(folder / "repo")
    for name in ("a", "gone", "d/b", "d/e/f", "old/one", "old/two", "d2/x", "d2/y/z"):
        repo.write(name, f"{name}\n")
    repo.write("big", b"0123456789abcdef" * 20_000)
    repo.write(".gitignore", "*.log\nbuild/\nout/\nnode_modules/\n")
    repo.commit()
    for name in ("build/one", "build/two", "build/mode", "build/sub/x", "node_modules/m/x", "old.log", "scratch/old"):
        repo.write(name, f"{name}\n")
    repo.write("y.tmp", "y\n")
    (repo.path / "hollow/hollow").mkdir(parents=True)
    head = f"version: 1\nworkflow: w\nisolation: {isolation}\n"
    repo.write("gitckpt.yaml", head + workflow)
    return Bed(repo)


def end(bed: Bed) -> End:
    """Where it got; nothing is left on the way."""
    bed.repo.accept()
    bed.repo.sound()
    assert left_over(bed.root) == []
    kept = asked(bed.root, "for-each-ref", "--format=%(refname) %(objectname)", "refs/gitckpt/w/attempts").decode()
    attempts = dict(line.split() for line in kept.splitlines())
    paths = changed(bed.root, attempts.values())
    shown = manifest(bed.root)
    shown.pop(b"gitckpt.yaml")
    return End(
        points=[(point.words, _but_workflow(point.files)) for point in history(bed.root)],
        kept={ref: paths[oid] for ref, oid in attempts.items()},
        stable=stable(bed.manifest),
        workspace=shown,
        user=asked(bed.root, "log", "--format=%s", "HEAD") + asked(bed.root, "status", "--short"),
    )


def _but_workflow(tree: bytes) -> bytes:
    before, _, after = tree.partition(b"gitckpt.yaml\0")
    return before + after[20:]


def ends(folder: Path, workflow: str, verdict: Verdict) -> dict[str, End]:
    found = {}
    for kind in KINDS:
        bed = prepared(folder / kind, workflow, kind)
        stop = bed.run()
        assert stop.verdict is verdict, (kind, stop)
        found[kind] = end(bed)
    return found


def the_same(found: Mapping[str, End]) -> End:
    """What all three have in common, which is everything."""
    plain = found["none"]
    for kind in IN_A_VIEW:
        other = found[kind]
        assert [words for words, _ in other.points] == [words for words, _ in plain.points], kind
        assert {path: other.workspace.get(path) for path in plain.workspace.keys() | other.workspace.keys()} == {
            path: plain.workspace.get(path) for path in plain.workspace.keys() | other.workspace.keys()
        }, kind
        assert other.kept == plain.kept, kind
        assert other.stable == plain.stable, kind
        assert other == plain, kind
    return plain


def test_files_of_every_kind_captured_or_not_end_up_the_same(tmp_path: Path) -> None:
    plain = the_same(ends(tmp_path, FILES, Verdict.COMPLETE))
    assert plain.workspace[b"a/b/c"]
    assert b"build/two" not in plain.workspace
    assert b"build/sub" not in plain.workspace
    assert {b"x.tmp", b"y.tmp", b"out/cache", b"run.log", b"node_modules/n/n"} <= plain.workspace.keys()


@pytest.mark.sweep
def test_commands_of_gitckpt_and_git_inside_a_phase_do_the_same(tmp_path: Path) -> None:
    plain = the_same(ends(tmp_path, INSIDE, Verdict.COMPLETE))
    assert [words for words, _ in plain.points[1:]] == ["talks named half", "talks done", "reads done"]
    assert b"inside" in plain.user
    assert b"half" not in plain.workspace
    assert plain.stable["data"] == {"count": 2}


@pytest.mark.sweep
def test_phases_that_fail_or_are_passed_over_leave_the_same_and_no_trace(tmp_path: Path) -> None:
    plain = the_same(ends(tmp_path, FAILING, Verdict.BLOCKED))
    assert not {b"broken", b"d/trace", b"late", b"no", b"wrote"} & plain.workspace.keys()
    assert b"gone" in plain.workspace
    assert plain.kept["refs/gitckpt/w/attempts/broken/1"] == {"broken", "gone"}


@pytest.mark.sweep
def test_items_groups_and_batches_come_to_the_same(tmp_path: Path) -> None:
    found = ends(tmp_path, ITEMS, Verdict.COMPLETE)
    for each in found.values():
        # The list of what failed is written item by item in place, and at the end where items can run side by side.
        each.points[:-1] = [(words, b"") for words, _ in each.points[:-1]]
    plain = the_same(found)
    assert b"failed.txt" in plain.workspace
    assert plain.stable["data"] == {"done": 1}


def test_in_an_overlay_a_failed_phase_leaves_even_uncaptured_files_as_they_were(tmp_path: Path) -> None:
    phases = "phases:\n  broken: {run: 'echo i > build/one; rm -r build/sub; echo l > new.log; rm a y.tmp; exit 3'}\n"
    bed = prepared(tmp_path, phases, "overlay")
    before = manifest(bed.root)
    bed.fails("exit 3")
    assert manifest(bed.root) == before


@pytest.mark.parametrize("kind", IN_A_VIEW)
def test_until_a_phase_in_a_view_has_succeeded_nothing_of_it_is_in_the_workspace(tmp_path: Path, kind: str) -> None:
    look = f"ls {tmp_path}/repo > {tmp_path}/seen" if kind == "copy" else "true"
    bed = prepared(tmp_path, f"phases:\n  one: {{run: 'echo 1 > one; {look}; test -e one'}}\n", kind)
    bed.completes()
    assert bed.lines("one") == ["1"]
    if kind == "copy":
        assert "one" not in bed.lines("../seen")
    credit = credited(bed.root)
    assert credit == {"one": {"one"}}


CUT_OFF = """\
phases:
  one:
    keep_partial: true
    run: |
      test "$GITCKPT_ATTEMPT" = 1 || { ls > seen; exit 0; }
      echo half > half; gitckpt checkpoint -m half; rm half; echo after > after
      kill -9 "$(cat "$RUNNER")"; sleep 30
"""


@pytest.mark.sweep
def test_what_was_removed_after_a_checkpoint_inside_stays_removed_when_the_runner_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {}
    for kind in KINDS:
        bed = prepared(tmp_path / kind, CUT_OFF, kind)
        monkeypatch.setenv("RUNNER", str(tmp_path / kind / "runner"))
        struck = ["sh", "-c", 'echo $$ > "$RUNNER"; exec "$@"', "sh", sys.executable, "-m", "gitckpt", "run"]
        assert subprocess.run(struck, cwd=bed.root, capture_output=True, check=False).returncode == -signal.SIGKILL
        bed.completes()
        found[kind] = end(bed)
        assert found[kind].kept == {"refs/gitckpt/w/attempts/one/1": {"half", "after"}}
        assert "half" not in bed.lines("seen")
    the_same(found)
