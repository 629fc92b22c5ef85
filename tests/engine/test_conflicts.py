"""Two that ran at once changed the same path: what is a conflict and what is none, and every way on from one."""

from __future__ import annotations

import pytest

from gitckpt.api.library import Silent
from gitckpt.api.reading import Where
from gitckpt.api.resolving import decide
from gitckpt.api.running import EXIT_CODES
from gitckpt.api.writing import write
from gitckpt.engine.resolve import ConflictRemains, NothingToResolve
from gitckpt.engine.rewind import undo
from gitckpt.errors import ExitCode
from gitckpt.model.conflicts import conflicts
from gitckpt.model.moment import Stop, Verdict
from gitckpt.model.together import Rule
from tests.engine.bed import Bed
from tests.engine.beside import asked, changed, history, left_over, merges
from tests.repo import Repo
from tests.workspace.shown import manifest

CLASHES = {
    "bytes": ("echo 1 > both", "echo 2 > both"),
    "lines that do not touch": ("sed -i 1s/^/1/ lines", "sed -i 9s/^/2/ lines"),
    "new files": ("echo 1 > new", "echo 2 > new"),
    "binary": ("printf '\\0001' > binary", "printf '\\0002' > binary"),
    "large": ("head -c 9000000 /dev/zero > large", "head -c 9000001 /dev/zero > large"),
    "mode": ("chmod 700 both", "chmod 755 both"),
    "link": ("ln -s a link", "ln -s b link"),
    "link against file": ("ln -s a link", "echo 2 > link"),
    "deleted against changed": ("rm both", "echo 2 > both"),
    "changed against deleted": ("echo 1 > both", "rm both"),
    "file against folder": ("echo 1 > new", "mkdir new; echo 2 > new/in"),
    "folder against file": ("mkdir new; echo 1 > new/in", "echo 2 > new"),
    "a folder removed under a change": ("rm -r d", "echo 2 > d/in"),
    "a change under a folder that became a file": ("echo 1 > d/in", "rm -r d; echo 2 > d"),
}
NO_CLASHES = {
    "the same bytes": ("echo 1 > new", "echo 1 > new"),
    "the same removal": ("rm both", "rm both"),
    "the same mode": ("chmod 700 both", "chmod 700 both"),
    "other files of a folder": ("echo 1 > d/one", "echo 2 > d/two"),
    "a new folder of both": ("mkdir n; echo 1 > n/one", "mkdir n; echo 2 > n/two"),
    "a removal beside": ("rm d/in", "echo 2 > d/two"),
    "a change and nothing": ("echo 1 > both", "cat both > ../seen"),
    "there and back": ("echo 1 > both", "cp -p both b; echo 2 > both; mv b both"),
}


@pytest.fixture
def bed(repo: Repo) -> Bed:
    made = Bed(repo)
    repo.write("both", "before\n")
    repo.write("lines", "".join(f"{n}\n" for n in range(1, 10)))
    repo.write("binary", b"\0before")
    repo.write("d/in", "in\n")
    return made


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
    assert EXIT_CODES[stop.verdict] == ExitCode.CONFLICT == 5
    assert left_over(bed.root) == []
    return stop


def resolved(bed: Bed, how: Rule, *paths: bytes) -> None:
    decide(Where(directory=bed.root), None, how, Silent(), paths)


@pytest.mark.parametrize("commands", CLASHES.values(), ids=CLASHES.keys())
def test_what_two_change_differently_is_a_conflict_and_nothing_is_lost(bed: Bed, commands: tuple[str, str]) -> None:
    both(bed, *commands)
    stop = in_conflict(bed)
    assert stop.phases == ("second",)
    assert stop.reason.startswith("second and first changed ")
    assert (bed.root / "one").exists()
    assert not (bed.root / "two").exists()
    own = asked(bed.root, "rev-parse", "refs/gitckpt/w/attempts/second/1").decode().strip()
    (found,) = changed(bed.root, [own]).values()
    assert "two" in found
    assert len(found) > 1 or commands[1].startswith(("rm -r d", "chmod"))
    again = bed.run()
    assert again.verdict is Verdict.CONFLICT, "it stays so until somebody decides"


@pytest.mark.parametrize("commands", NO_CLASHES.values(), ids=NO_CLASHES.keys())
def test_what_two_change_alike_or_apart_is_no_conflict(bed: Bed, commands: tuple[str, str]) -> None:
    both(bed, *commands)
    bed.completes()
    assert sorted(merges(history(bed.root))) == ["first", "second"]
    assert bed.lines("one") + bed.lines("two") == ["1", "2"]


@pytest.mark.parametrize("how", ["ours", "theirs"])
@pytest.mark.parametrize("commands", CLASHES.values(), ids=CLASHES.keys())
def test_a_side_that_is_chosen_counts_for_paths_of_every_kind(
    bed: Bed, commands: tuple[str, str], how: Rule
) -> None:
    both(bed, *commands)
    in_conflict(bed)
    resolved(bed, how)
    bed.completes()
    chosen = manifest(bed.root)
    # What the chosen side alone would have left, with the other's own file.
    alone = Bed(Repo(bed.root.parent / "alone"))
    for path in ("both", "lines", "binary", "d/in"):
        alone.repo.write(path, asked(bed.root, "show", f"gitckpt/w~2:{path}"))
    both(alone, commands[0] if how == "ours" else "true", "true" if how == "ours" else commands[1])
    alone.completes()
    ignored = {b"gitckpt.yaml"}
    wanted = {path: entry for path, entry in manifest(alone.root).items() if path not in ignored}
    assert {path: entry for path, entry in chosen.items() if path not in ignored} == wanted


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
    both(bed, "echo 1 > new; echo 1 > both", "echo 2 > new; echo 2 > both")
    in_conflict(bed)
    with pytest.raises(ConflictRemains):
        resolved(bed, "theirs", b"new")
    resolved(bed, "theirs", b"new", b"both")
    assert (bed.lines("new"), bed.lines("both")) == (["2"], ["2"])


AFTER = "  last: {needs: [second], run: 'cat both > seen'}\n"


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
    assert bed.lines("both") == ["1"]
    assert list(conflicts(bed.manifest)) == ["second"]
    resolved(bed, "union")
    assert bed.lines("both") == ["1", "2"]
    bed.completes()


def test_rollback_to_before_the_conflict_forgets_it_and_both_run_again(bed: Bed) -> None:
    both(bed, *CLASHES["bytes"])
    in_conflict(bed)
    bed.back_to("1")
    assert conflicts(bed.manifest) == {}
    with pytest.raises(NothingToResolve):
        resolved(bed, "theirs")
    assert bed.lines("both") == ["before"]
    assert in_conflict(bed).phases == ("second",)
    resolved(bed, "theirs")
    bed.completes()
    assert bed.lines("both") == ["2"]


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
