"""Two that ran at once changed the same path: what is a conflict and what is none, and every way on from one."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from gitckpt.api.library import Silent
from gitckpt.api.reading import Where
from gitckpt.api.resolving import decide
from gitckpt.api.running import EXIT_CODES
from gitckpt.api.writing import write
from gitckpt.engine.resolve import ConflictRemains, NothingToResolve
from gitckpt.engine.rewind import undo
from gitckpt.model.conflicts import conflicts
from gitckpt.model.moment import Stop, Verdict
from gitckpt.model.together import Rule
from tests.engine.bed import Bed
from tests.engine.beside import asked, changed, history, left_over, merges
from tests.repo import Repo
from tests.workspace.shown import manifest

PREPARED = """\
for name in bytes deleted changed alike removed mode modes back; do echo before > $name; done
seq 9 > lines; printf '\\0000' > binary
for folder in gone file beside; do mkdir $folder; echo in > $folder/in; echo in > $folder/other; done
"""
"""What both find."""
CLASHES = {
    "bytes": ("echo 1 > bytes", "echo 2 > bytes"),
    "lines": ("sed -i 1s/^/1/ lines", "sed -i 9s/^/2/ lines"),
    "new": ("echo 1 > new", "echo 2 > new"),
    "binary": ("printf '\\0001' > binary", "printf '\\0002' > binary"),
    "large": ("head -c 9000000 /dev/zero > large", "head -c 9000001 /dev/zero > large"),
    "mode": ("chmod 700 mode", "chmod 755 mode"),
    "link": ("ln -s a link", "ln -s b link"),
    "link-or-file": ("ln -s a link-or-file", "echo 2 > link-or-file"),
    "deleted": ("rm deleted", "echo 2 > deleted"),
    "changed": ("echo 1 > changed", "rm changed"),
    "file-or-folder": ("echo 1 > file-or-folder", "mkdir file-or-folder; echo 2 > file-or-folder/in"),
    "folder-or-file": ("mkdir folder-or-file; echo 1 > folder-or-file/in", "echo 2 > folder-or-file"),
    "gone/in": ("rm -r gone", "echo 2 > gone/in"),
    "file": ("echo 1 > file/in", "rm -r file; echo 2 > file"),
}
"""By the path that is in conflict."""
NO_CLASHES = {
    "the same bytes": ("echo 1 > alike", "echo 1 > alike"),
    "the same removal": ("rm removed", "rm removed"),
    "the same mode": ("chmod 700 modes", "chmod 700 modes"),
    "other files of a folder": ("echo 1 > beside/one", "echo 2 > beside/two"),
    "a new folder of both": ("mkdir folder; echo 1 > folder/one", "mkdir folder; echo 2 > folder/two"),
    "a removal beside": ("rm beside/in", "echo 2 > beside/other"),
    "there and back": ("echo 1 > back", "cp -p back b; echo 2 > back; mv b back"),
}


@pytest.fixture
def bed(repo: Repo) -> Bed:
    subprocess.run(["sh", "-ec", PREPARED], cwd=repo.path, check=True)
    return Bed(repo)


def both(bed: Bed, first: str, second: str, more: str = "", top: str = "") -> None:
    """Two phases at once, each of which makes a file of its own, too; the second is in conflict if any is."""
    bed.define(
        f"version: 1\nworkflow: w\n{top}phases:\n"
        f"  first:\n    needs: []\n    run: |\n      {first}\n      echo 1 > one\n"
        f"  second:\n    needs: []\n    run: |\n      {second}\n      echo 2 > two\n{more}"
    )


def in_conflict(bed: Bed) -> Stop:
    stop = bed.run()
    assert stop.verdict is Verdict.CONFLICT, stop
    assert int(EXIT_CODES[stop.verdict]) == 5
    assert left_over(bed.root) == []
    return stop


def resolved(bed: Bed, how: Rule, *paths: bytes) -> None:
    decide(Where(directory=bed.root), None, how, Silent(), paths)


def all_of(commands: Mapping[str, tuple[str, str]], side: int) -> str:
    return "; ".join(pair[side] for pair in commands.values())


def alone(folder: Path, commands: str) -> dict[bytes, tuple[object, ...]]:
    """What the commands leave where nobody does anything beside them."""
    folder.mkdir()
    subprocess.run(["sh", "-ec", f"{PREPARED}{commands}"], cwd=folder, check=True)
    return manifest(folder)


def left(bed: Bed) -> dict[bytes, tuple[object, ...]]:
    """What is in the workspace beside the workflow and the files that each phase has for itself."""
    own = (b"gitckpt.yaml", b"one", b"two")
    return {path: entry for path, entry in manifest(bed.root).items() if path not in own}


def test_what_two_change_differently_is_a_conflict_and_nothing_is_lost(bed: Bed) -> None:
    both(bed, all_of(CLASHES, 0), all_of(CLASHES, 1))
    stop = in_conflict(bed)
    assert stop.phases == ("second",)
    conflict = conflicts(bed.manifest)["second"]
    assert sorted(conflict.paths) == sorted(CLASHES)
    assert (conflict.count, conflict.against) == (len(CLASHES), ("first",))
    assert left(bed) == alone(bed.root.parent / "first", all_of(CLASHES, 0))
    assert ((bed.root / "one").exists(), (bed.root / "two").exists()) == (True, False)
    own = asked(bed.root, "rev-parse", "refs/gitckpt/w/attempts/second/1").decode().strip()
    (found,) = changed(bed.root, [own]).values()
    assert {"two", "bytes", "binary", "large", "deleted", "changed", "file-or-folder/in"} <= found
    assert bed.run().verdict is Verdict.CONFLICT, "it stays so until somebody decides"


@pytest.mark.parametrize(("how", "side"), [("ours", 0), ("theirs", 1)])
def test_a_side_that_is_chosen_counts_for_paths_of_every_kind(bed: Bed, how: Rule, side: int) -> None:
    both(bed, all_of(CLASHES, 0), all_of(CLASHES, 1))
    in_conflict(bed)
    resolved(bed, how)
    wanted = alone(bed.root.parent / "alone", all_of(CLASHES, side))
    if how == "theirs":
        wanted.pop(b"gone/other")  # the first removed it, and the second did not touch it
    assert left(bed) == wanted
    bed.completes()


def test_what_two_change_alike_or_apart_is_no_conflict(bed: Bed) -> None:
    both(bed, all_of(NO_CLASHES, 0), all_of(NO_CLASHES, 1))
    bed.completes()
    assert sorted(merges(history(bed.root))) == ["first", "second"]
    assert bed.lines("one") + bed.lines("two") == ["1", "2"]
    assert bed.lines("beside/one") + bed.lines("beside/two") + bed.lines("beside/other") == ["1", "2", "2"]
    assert bed.lines("folder/one") + bed.lines("folder/two") + bed.lines("back") == ["1", "2", "1"]
    assert not (bed.root / "beside/in").exists()
    assert not (bed.root / "removed").exists()
    assert bed.lines("alike") == ["1"]


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ("{on_conflict: ours}", ["1"]),
        ("{on_conflict: theirs}", ["2"]),
        ("{on_conflict: union}", ["1", "2"]),
        ('{rules: {"*.log": union, "x*": theirs}}', ["1", "2"]),
        ('{on_conflict: theirs, rules: {"*": fail, "a.log": ours}}', ["1"]),
    ],
)
def test_a_rule_decides_without_asking_and_says_so_in_the_history(bed: Bed, rules: str, found: list[str]) -> None:
    both(bed, "echo 1 > a.log", "echo 2 > a.log", top=f"merge: {rules}\n")
    bed.completes()
    assert bed.lines("a.log") == found
    events = asked(bed.root, "show", "gitckpt/w:.gitckpt/events.json").decode()
    assert "a.log" in events


def test_a_rule_for_other_paths_decides_nothing_here(bed: Bed) -> None:
    both(bed, "echo 1 > a.log", "echo 2 > a.log", top='merge: {rules: {"*.txt": ours}}\n')
    in_conflict(bed)


def test_lines_of_both_cannot_be_had_of_what_is_no_text(bed: Bed) -> None:
    both(bed, *CLASHES["binary"], top="merge: {on_conflict: union}\n")
    in_conflict(bed)
    before = bed.numbers("")
    with pytest.raises(ConflictRemains):
        resolved(bed, "union")
    assert bed.numbers("") == before
    resolved(bed, "theirs")
    assert (bed.root / "binary").read_bytes() == b"\x002"


def test_paths_are_decided_apart_where_the_rest_needs_no_decision(bed: Bed) -> None:
    both(bed, "echo 1 > new; echo 1 > bytes", "echo 2 > new; echo 2 > bytes")
    in_conflict(bed)
    with pytest.raises(ConflictRemains):
        resolved(bed, "theirs", b"new")
    resolved(bed, "theirs", b"new", b"bytes")
    assert (bed.lines("new"), bed.lines("bytes")) == (["2"], ["2"])


AFTER = "  last: {needs: [second], run: 'cat bytes > seen'}\n"


def test_what_needs_the_one_in_conflict_waits_and_sees_what_was_chosen(bed: Bed) -> None:
    both(bed, *CLASHES["bytes"], more=AFTER)
    in_conflict(bed)
    assert not (bed.root / "seen").exists()
    resolved(bed, "union")
    bed.completes()
    assert bed.lines("seen") == ["1", "2"]


def test_a_decision_is_taken_back_and_made_anew(bed: Bed) -> None:
    both(bed, *CLASHES["bytes"])
    in_conflict(bed)
    resolved(bed, "theirs")
    with write(Where(directory=bed.root), Silent()) as hold:
        undo(hold)
    assert bed.lines("bytes") == ["1"]
    assert list(conflicts(bed.manifest)) == ["second"]
    resolved(bed, "union")
    assert bed.lines("bytes") == ["1", "2"]
    bed.completes()


def test_rollback_to_before_the_conflict_forgets_it_and_both_run_again(bed: Bed) -> None:
    both(bed, *CLASHES["bytes"])
    in_conflict(bed)
    bed.back_to("1")
    assert conflicts(bed.manifest) == {}
    with pytest.raises(NothingToResolve):
        resolved(bed, "theirs")
    assert bed.lines("bytes") == ["before"]
    assert in_conflict(bed).phases == ("second",)
    resolved(bed, "theirs")
    bed.completes()
    assert bed.lines("bytes") == ["2"]


def test_a_conflict_of_one_ends_the_run_after_what_is_under_way_and_keeps_that(bed: Bed) -> None:
    third = "  third: {needs: [], run: 'sleep 0.2; echo 3 > three'}\n"
    both(bed, *CLASHES["bytes"], more=third)
    in_conflict(bed)
    assert bed.lines("three") == ["3"]
    resolved(bed, "ours")
    bed.completes()
    assert sorted(merges(history(bed.root))) == ["first", "second", "third"]


ITEMS = """
foreach: [a, b, c]
max_parallel: 3
run: 'echo "$ITEM" > "of-$ITEM"; test "$ITEM" = a || echo "$ITEM" > shared'
"""


def test_items_of_one_phase_clash_one_by_one_and_the_others_stay_done(bed: Bed) -> None:
    bed.phase(ITEMS)
    stop = in_conflict(bed)
    assert "shared" in stop.reason
    assert (bed.lines("of-a"), bed.lines("of-b"), bed.lines("shared")) == (["a"], ["b"], ["b"])
    assert bed.counts() == (2, 1, 0, 3)
    resolved(bed, "theirs")
    bed.completes()
    assert bed.counts() == (3, 0, 0, 3)
    assert (bed.lines("of-c"), bed.lines("shared")) == (["c"], ["c"])


def test_two_items_in_conflict_are_decided_one_after_the_other(bed: Bed) -> None:
    bed.phase(ITEMS.replace('test "$ITEM" = a || ', ""))
    in_conflict(bed)
    for _ in range(5):
        if not conflicts(bed.manifest):
            break
        resolved(bed, "theirs")
        if bed.run().verdict is Verdict.COMPLETE:
            break
    bed.completes()
    assert bed.counts() == (3, 0, 0, 3)
    assert [bed.lines(f"of-{item}") for item in "abc"] == [["a"], ["b"], ["c"]]
