"""Phases that are done for each item of a list, at their edges: over real git, real processes, one call after another.

Each test calls `run` as the command line does, in this very process, and looks at the workspace and the newest
checkpoint.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pytest

from gitckpt.api.library import Silent
from gitckpt.api.reading import Where
from gitckpt.api.running import RunRequest, run_workflow
from gitckpt.api.writing import write
from gitckpt.engine.rewind import rollback, undo
from gitckpt.model.manifest import Items, Manifest, state_of
from gitckpt.model.moment import Stop, Verdict
from gitckpt.model.names import PhaseName
from tests.repo import Repo

EACH = """\
version: 1
workflow: w
phases:
  each:
    foreach: {lines: items.txt}
    run: echo "$ITEM" >> done.txt; echo "$ITEM $GITCKPT_IDEMPOTENCY_KEY" >> ../outside
"""


class Bed:
    """A repository with a workflow, and how its runs are called."""

    def __init__(self, repo: Repo) -> None:
        self.repo = repo
        self.root = repo.path
        self.said: list[str] = []

    def define(self, text: str, **files: str | bytes) -> None:
        self.repo.write("gitckpt.yaml", text)
        for name, data in files.items():
            self.repo.write(f"{name}.txt", data)

    def phase(self, text: str, *more: str, **files: str | bytes) -> None:
        """A workflow of one phase `each`, whose keys are given, and what stands after it."""
        lines = "".join(f"    {line}\n" for line in text.strip().splitlines())
        self.define(f"version: 1\nworkflow: w\nphases:\n  each:\n{lines}" + "".join(more), **files)

    def run(self, **flags: Any) -> Stop:
        request = RunRequest(**flags)
        return run_workflow(Where(directory=self.root), request, Silent(), lambda: (None, 0)).stop

    def completes(self, **flags: Any) -> None:
        stop = self.run(**flags)
        assert stop.verdict is Verdict.COMPLETE, stop

    def fails(self, *words: str, **flags: Any) -> Stop:
        stop = self.run(**flags)
        assert stop.verdict is Verdict.FAILED, stop
        for word in words:
            assert word in stop.reason
        return stop

    @property
    def manifest(self) -> Manifest:
        with write(Where(directory=self.root), Silent()) as hold:
            return hold.at_tip.manifest

    def items(self, phase: str = "each") -> Items:
        found = state_of(self.manifest, PhaseName(phase)).items
        assert found is not None
        return found

    def counts(self, phase: str = "each") -> tuple[int, int, int, int]:
        """Done, failed, skipped, of how many."""
        items = self.items(phase)
        return items.done, items.failed, items.skipped, items.total

    def lines(self, name: str) -> list[str]:
        path = self.root / name
        return path.read_text().splitlines() if path.exists() else []

    def keys(self) -> Mapping[str, list[str]]:
        """The idempotency keys that went out for each item (or batch), in order."""
        found: dict[str, list[str]] = defaultdict(list)
        for line in self.lines("../outside"):
            item, _, key = line.rpartition(" ")
            found[item].append(key)
        return found

    def outside(self) -> list[str]:
        """The items that went out, in order."""
        return [line.rpartition(" ")[0] for line in self.lines("../outside")]

    def back_to(self, selector: str) -> None:
        with write(Where(directory=self.root), Silent()) as hold:
            assert rollback(hold, selector) is not None

    def numbers(self, words: str) -> list[str]:
        """The ids of the checkpoints whose subject has these words, newest first."""
        log = self.repo.git("log", "--first-parent", "--format=%H %s", "gitckpt/w").splitlines()
        return [line.split()[0] for line in log if words in line]


@pytest.fixture
def bed(repo: Repo) -> Bed:
    return Bed(repo)


# --- a list made anew ---------------------------------------------------------------------------------------------


def test_of_a_list_made_anew_only_the_new_item_is_done_and_what_left_it_is_gone(bed: Bed) -> None:
    bed.define(EACH, items="a\nb\nc\n")
    bed.completes()
    bed.repo.write("items.txt", "new\nc\na\n")
    bed.completes()
    assert bed.outside() == ["a", "b", "c"], "a frozen list is not made anew by itself"
    bed.completes(start_from="each")
    assert bed.outside() == ["a", "b", "c", "new"]
    assert bed.lines("done.txt") == ["a", "b", "c", "new"]
    assert bed.counts() == (3, 0, 0, 3)


def test_a_list_made_anew_after_a_changed_definition_carries_nothing_over(bed: Bed) -> None:
    bed.define(EACH, items="a\nb\n")
    bed.completes()
    bed.define(EACH.replace('echo "$ITEM" >>', 'echo "$ITEM anew" >>'))
    bed.completes(start_from="each")
    assert bed.lines("done.txt") == ["a", "b", "a anew", "b anew"]
    keys = bed.keys()
    assert all(len(set(found)) == 2 for found in keys.values()), "another generation has other keys"


def test_a_failed_item_is_not_carried_over_and_an_item_that_was_removed_fails_nothing_any_more(bed: Bed) -> None:
    bed.phase('foreach: {lines: items.txt}\non_item_failure: continue\nrun: test "$ITEM" != bad', items="a\nbad\nc\n")
    bed.fails("1 of 3 items failed")
    bed.repo.write("items.txt", "a\nc\n")
    bed.completes(start_from="each")
    assert bed.counts() == (2, 0, 0, 2)


def test_a_new_run_makes_its_list_anew_and_carries_nothing_over(bed: Bed) -> None:
    bed.define(EACH, items="a\nb\n")
    bed.completes()
    bed.repo.write("items.txt", "b\n")
    bed.completes(again=True)
    assert bed.outside() == ["a", "b", "b"]
    assert bed.counts() == (1, 0, 0, 1)
    assert len(set(bed.keys()["b"])) == 2


def test_a_batch_size_that_changes_between_two_runs_is_that_of_the_next_list(bed: Bed) -> None:
    text = 'foreach: {lines: items.txt}\nbatch: SIZE\nrun: echo "$GITCKPT_BATCH_ID:$*" >> done.txt; test ! -e ../stop'
    (bed.root / "../stop").touch()
    bed.phase(text.replace("SIZE", "2"), items="a\nb\nc\nd\ne\n")
    bed.fails()
    (bed.root / "../stop").unlink()
    bed.phase(text.replace("SIZE", "3"))
    bed.completes()
    assert bed.lines("done.txt") == ["1:a b", "2:c d", "3:e"]
    bed.repo.write("done.txt", "")
    bed.repo.write("items.txt", "a\nb\nc\nd\ne\nf\n")
    bed.completes(again=True)
    assert bed.lines("done.txt") == ["1:a b c", "2:d e f"]


# --- what an item is reaches its process exactly --------------------------------------------------------------------

ODD = [b"plain", b" spaces \t ", b"--help", b"-n", b"$HOME `id` \"'\\", b"caf\xc3\xa9", b"\xff\xfe\x80", b"*", b"a=b"]
BIG = b"x" * 100 * 1024


def test_any_bytes_of_a_line_reach_the_variable_exactly(bed: Bed) -> None:
    items = [*ODD, b"ends with\r", BIG]
    code = (
        "import os; open('got', 'ab').write(os.environb[b'ITEM'] + b'|' + os.environb[b'GITCKPT_ITEM'] + bytes([10]))"
    )
    bed.phase(f'foreach: {{lines: items.txt}}\nargv: [python3, -c, "{code}"]', items=b"\n".join(items) + b"\n")
    bed.completes()
    assert (bed.root / "got").read_bytes() == b"".join(item + b"|" + item + b"\n" for item in items)


def test_any_bytes_but_a_nul_reach_arguments_standard_input_and_a_file_exactly(bed: Bed) -> None:
    items = [*ODD, b"two\nlines\n", b"\n", BIG]
    as_json = "\n".join(json.dumps(item.decode()) for item in items if item != b"\xff\xfe\x80")
    items.remove(b"\xff\xfe\x80")
    bed.define(
        "version: 1\nworkflow: w\nphases:\n"
        "  args:\n    foreach: {json: items.txt}\n    batch: 100\n"
        "    argv: [python3, -c, \"import os, sys; open('args', 'wb').write(b'\\\\0'.join(map(os.fsencode, sys.argv[1:])))\"]\n"
        "  shell:\n    foreach: {json: items.txt}\n    batch: 100\n"
        "    run: printf '%s\\0' \"$@\" > shell\n"
        "  stdin:\n    foreach: {json: items.txt}\n    batch: {size: 100, input: stdin, separator: nul}\n"
        "    run: cat > stdin\n"
        "  file:\n    foreach: {json: items.txt}\n    batch: {size: 100, input: file, separator: nul}\n"
        '    run: cp "$GITCKPT_BATCH_FILE" file\n',
        items=as_json + "\n",
    )
    bed.completes()
    for name, end in (("args", b""), ("shell", b"\0"), ("stdin", b"\0"), ("file", b"\0")):
        assert (bed.root / name).read_bytes() == b"\0".join(items) + end, name


def test_bytes_that_are_no_text_reach_arguments_and_standard_input_line_by_line(bed: Bed) -> None:
    items = b"\xff\xfe\x80\n--\n" + BIG + b"\n"
    bed.define(
        "version: 1\nworkflow: w\nphases:\n"
        '  args: {foreach: {lines: items.txt}, batch: 9, run: \'printf "%s\\n" "$@" > args\'}\n'
        "  stdin: {foreach: {lines: items.txt}, batch: {size: 9, input: stdin}, run: 'cat > stdin'}\n",
        items=items,
    )
    bed.completes()
    assert (bed.root / "args").read_bytes() == items
    assert (bed.root / "stdin").read_bytes() == items


# --- groups that share a checkpoint ---------------------------------------------------------------------------------

GROUPED = """\
foreach: {lines: items.txt}
checkpoint_every: {items: 4}
run: echo "$ITEM" >> done.txt; echo "$ITEM $GITCKPT_IDEMPOTENCY_KEY" >> ../outside; test "$ITEM" != c || test -e ../ok
"""


def test_a_failure_in_the_middle_of_a_group_repeats_all_of_it_with_the_same_keys(bed: Bed) -> None:
    bed.phase(GROUPED, items="a\nb\nc\nd\ne\n")
    bed.fails("exit 1")
    assert bed.counts() == (0, 1, 0, 5)
    assert bed.lines("done.txt") == [], "the workspace was not put back"
    (bed.root / "../ok").touch()
    bed.completes()
    assert bed.lines("done.txt") == ["a", "b", "c", "d", "e"]
    assert bed.outside() == ["a", "b", "c", "a", "b", "c", "d", "e"]
    assert all(len(set(found)) == 1 for found in bed.keys().values())


def test_a_group_whose_item_failed_for_good_goes_on_without_it(bed: Bed) -> None:
    bed.phase(GROUPED + "tolerate: 1\nretry: {max: 1, delay: 10ms}", items="a\nb\nc\nd\ne\n")
    bed.completes()
    assert bed.lines("done.txt") == ["a", "b", "d", "e"]
    assert bed.counts() == (4, 1, 0, 5)
    assert bed.outside() == ["a", "b", "c", "a", "b", "c", "a", "b", "d", "e"]


def test_each_item_of_a_group_has_its_own_tries(bed: Bed) -> None:
    bed.phase(
        "foreach: [a, b, c]\ncheckpoint_every: {items: 3}\nretry: {max: 1, delay: 1ms}\n"
        'run: echo "$ITEM" >> done.txt; mkdir "../tried-$ITEM" && exit 75 || true'
    )
    bed.completes()
    assert bed.lines("done.txt") == ["a", "b", "c"]


def test_a_group_ends_when_its_time_is_up_with_what_is_done_by_then(bed: Bed) -> None:
    text = 'foreach: [a, b, c, d]\ncheckpoint_every: {time: 1ms}\nrun: echo "$ITEM" >> done.txt; sleep 0.05'
    bed.phase(text)
    bed.completes()
    assert bed.lines("done.txt") == ["a", "b", "c", "d"]
    history = bed.repo.git("log", "--format=%s", "gitckpt/w").splitlines()
    assert sum("item" in line or "each done" in line for line in history) >= 4, history


def test_a_budget_ends_within_a_group_of_items_that_share_a_checkpoint(bed: Bed) -> None:
    bed.phase(GROUPED.replace("|| test -e ../ok", "|| true") + "budget: {items: 3}", items="a\nb\nc\nd\ne\n")
    for expected in (3, 5):
        assert bed.run().verdict is (Verdict.STOPPED if expected < 5 else Verdict.COMPLETE)
        assert bed.counts() == (expected, 0, 0, 5)
    assert bed.lines("done.txt") == ["a", "b", "c", "d", "e"]


def test_the_time_of_a_run_ends_within_a_group_of_items_that_share_a_checkpoint(bed: Bed) -> None:
    names = ", ".join(f"i{number}" for number in range(100))
    bed.phase(f"foreach: [{names}]\ncheckpoint_every: {{items: 100}}\nrun: sleep 0.05; echo >> done.txt")
    assert bed.run(budget_ms=700).verdict is Verdict.STOPPED
    done = len(bed.lines("done.txt"))
    assert 0 < done < 60
    assert bed.counts() == (done, 0, 0, 100)


# --- failures that are borne ----------------------------------------------------------------------------------------

TOLERANT = """\
foreach: {lines: items.txt}
tolerate: {count: 1, to: failed/items.jsonl}
run: test ! -e "../fails-$ITEM" && echo "$ITEM" >> done.txt
"""


def failing(bed: Bed, *items: str) -> None:
    for path in bed.root.parent.glob("fails-*"):
        path.unlink()
    for item in items:
        (bed.root.parent / f"fails-{item}").touch()


def told(bed: Bed) -> list[str]:
    return [json.loads(line)["item"] for line in bed.lines("failed/items.jsonl")]


@pytest.mark.parametrize("which", ["a", "b", "c"])
def test_the_file_of_failed_items_has_those_that_failed_wherever_they_stand(bed: Bed, which: str) -> None:
    bed.phase(TOLERANT, items="a\nb\nc\n")
    failing(bed, which)
    bed.completes()
    assert told(bed) == [which]
    assert bed.counts() == (2, 1, 0, 3)


def test_the_file_of_failed_items_has_no_item_that_was_mended_by_the_last_checkpoint(bed: Bed) -> None:
    bed.phase(TOLERANT, items="a\nb\nc\n")
    failing(bed, "a", "c")
    bed.fails("2 of 3 items failed")
    failing(bed)
    bed.completes()
    assert told(bed) == []
    assert bed.counts() == (3, 0, 0, 3)


def test_the_file_of_failed_items_is_the_same_when_a_try_more_was_needed(bed: Bed) -> None:
    bed.phase(TOLERANT, items="a\nb\nc\n")
    failing(bed, "b")
    bed.completes()
    once = (bed.root / "failed/items.jsonl").read_bytes()
    bed.completes(start_from="each")
    assert (bed.root / "failed/items.jsonl").read_bytes() == once, "law 2: it holds what depends on the number of tries"


def test_more_failures_than_are_borne_end_the_run_and_the_next_tries_those_that_failed(bed: Bed) -> None:
    bed.phase(TOLERANT, items="a\nb\nc\nd\n")
    failing(bed, "a", "b")
    bed.fails("2 of 4 items failed")
    assert bed.counts() == (0, 2, 0, 4)
    failing(bed, "b")
    bed.completes()
    assert bed.counts() == (3, 1, 0, 4)
    assert bed.lines("done.txt") == ["a", "c", "d"]


# --- bad input: an error that says what, and the workspace as it was ------------------------------------------------


def test_a_source_that_vanishes_is_named_and_nothing_is_lost(bed: Bed) -> None:
    bed.define(EACH, items="a\n")
    (bed.root / "items.txt").unlink()
    bed.repo.write("mine.txt", "mine\n")
    bed.fails("items.txt: the file that holds the items is not there")
    assert bed.lines("mine.txt") == ["mine"]
    bed.repo.write("items.txt", "a\n")
    bed.completes()
    assert bed.outside() == ["a"]


def test_a_source_that_vanishes_after_the_list_was_frozen_is_not_needed_any_more(bed: Bed) -> None:
    bed.define(EACH.replace("echo", "rm -f items.txt; echo", 1), items="a\nb\n")
    bed.completes()
    assert bed.outside() == ["a", "b"]


def test_a_command_for_items_that_changes_files_is_put_back_and_said(bed: Bed) -> None:
    bed.phase("foreach: {run: echo a; echo spoilt > mine.txt}\nrun: 'true'", mine="mine\n")
    bed.fails("its source of items changed files")
    assert bed.lines("mine.txt") == ["mine"]


def test_a_command_for_items_that_fails_fails_the_phase_and_not_half_a_list_is_taken(bed: Bed) -> None:
    bed.phase("foreach: {run: echo a; exit 3}\nrun: 'true'")
    bed.fails("exit 3 in list")
    assert state_of(bed.manifest, PhaseName("each")).items is None


def test_a_pattern_without_a_match_is_an_error_but_where_it_may_be_empty(bed: Bed) -> None:
    bed.phase('foreach: {glob: "*.csv"}\nrun: exit 3')
    bed.fails("*.csv", "there is no item", "allow_empty: true")
    bed.phase('foreach: {glob: "*.csv", allow_empty: true}\nrun: exit 3')
    bed.completes()
    assert bed.counts() == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"a\nb\nc\nb\n", ("items 2 and 4 have the same key: b",)),
        (b"a\nb\0c\n", ("items.txt, line 2: an item cannot hold a NUL byte",)),
        (b"a\n" + b"x" * 131_072 + b"\n", ("items.txt, line 2: the item has 131,072 bytes", "batch: {input: stdin}")),
    ],
)
def test_a_list_that_cannot_be_taken_is_refused_whole_and_nothing_changes(
    bed: Bed, data: bytes, words: tuple[str, ...]
) -> None:
    bed.define(EACH, items=data)
    bed.fails(*words)
    assert bed.outside() == []
    assert (bed.root / "items.txt").read_bytes() == data
    bed.repo.write("items.txt", "a\n")
    bed.completes()
    assert bed.outside() == ["a"]


def test_what_is_too_long_for_a_variable_can_be_handed_over_on_standard_input(bed: Bed) -> None:
    data = b"x" * 300_000 + b"\ny\n"
    bed.phase("foreach: {lines: items.txt}\nbatch: {size: 2, input: stdin}\nrun: cat > got", items=data)
    bed.completes()
    assert (bed.root / "got").read_bytes() == data


def test_a_counter_that_prints_no_number_fails_the_phase_whose_items_stay_done(bed: Bed) -> None:
    text = 'foreach: [a, b]\nrun: echo "$ITEM" >> done.txt\ncounters: {many: COUNT}'
    bed.phase(text.replace("COUNT", "echo three; echo spoilt > done.txt"))
    bed.fails("the counter many printed no whole number: 'three'")
    assert bed.counts() == (2, 0, 0, 2)
    assert bed.lines("done.txt") == ["a", "b"]
    bed.phase(text.replace("COUNT", "wc -l < done.txt"))
    bed.completes()
    assert bed.manifest.data == {"many": 2}
    assert bed.lines("done.txt") == ["a", "b"], "an item was done again"


def test_going_back_more_often_than_max_ends_with_the_failure(bed: Bed) -> None:
    bed.phase(
        'foreach: [a, b]\nrun: echo "$ITEM" >> done.txt',
        "  check:\n    run: echo tried >> ../tried; exit 3\n    on_failure: {goto: each, max: 2}\n",
    )
    bed.fails("it went back to each 2 times already")
    assert len(bed.lines("../tried")) == 3
    assert bed.manifest.phases[PhaseName("check")].gotos == 2
    bed.fails("it went back to each 2 times already")
    assert len(bed.lines("../tried")) == 4


# --- the end of a run -----------------------------------------------------------------------------------------------

ENDING = 'always:\n  - run: echo "$GITCKPT_STATUS" >> ../ended; echo "$GITCKPT_STATUS" >> ended.txt\n'


def test_what_is_always_run_is_run_once_at_the_end_of_each_run_that_ended(bed: Bed) -> None:
    bed.phase('foreach: [a, b]\nbudget: {items: 1}\nrun: test "$ITEM" != b -o -e ../ok', ENDING)
    assert bed.run().verdict is Verdict.STOPPED
    assert bed.lines("../ended") == []
    bed.fails()
    assert bed.lines("../ended") == ["failed"]
    (bed.root / "../ok").touch()
    bed.completes()
    assert bed.lines("../ended") == ["failed", "complete"] == bed.lines("ended.txt")
    bed.completes()
    assert bed.lines("../ended") == ["failed", "complete"]


# --- going back -----------------------------------------------------------------------------------------------------


def test_a_rollback_into_the_middle_leaves_exactly_those_items_done_and_the_next_run_does_the_rest(bed: Bed) -> None:
    bed.define(EACH, items="a\nb\nc\nd\n")
    bed.completes()
    (middle,) = bed.numbers("item b")
    bed.repo.write("items.txt", "other\n")
    bed.back_to(middle)
    assert bed.counts() == (2, 0, 0, 4)
    assert bed.lines("done.txt") == ["a", "b"]
    assert bed.lines("items.txt") == ["a", "b", "c", "d"]
    bed.completes()
    assert bed.lines("done.txt") == ["a", "b", "c", "d"]
    assert bed.outside() == ["a", "b", "c", "d", "c", "d"]
    keys = bed.keys()
    assert len(set(keys["a"])) == 1
    assert len(set(keys["c"])) == len(set(keys["d"])) == 2, "a rollback past it raises the generation"


def test_an_undo_of_a_rollback_into_the_middle_brings_all_items_back_as_done(bed: Bed) -> None:
    bed.define(EACH, items="a\nb\nc\n")
    bed.completes()
    bed.back_to("latest~2")
    assert bed.counts() == (1, 0, 0, 3)
    with write(Where(directory=bed.root), Silent()) as hold:
        undo(hold)
    assert bed.counts() == (3, 0, 0, 3)
    assert bed.lines("done.txt") == ["a", "b", "c"]
    bed.completes()
    assert bed.outside() == ["a", "b", "c"], "what is done was done again"


def test_what_carries_over_to_a_list_made_anew_can_still_be_compensated(bed: Bed) -> None:
    text = (
        'foreach: {lines: items.txt}\nrun: test ! -e "../fails-$ITEM"\n'
        'compensate: echo "$ITEM" >> ../undone\non_failure: compensate'
    )
    bed.phase(text, items="a\nb\n")
    bed.completes()
    bed.repo.write("items.txt", "a\nb\nc\n")
    failing(bed, "c")
    bed.fails(start_from="each")
    assert bed.lines("../undone") == ["b", "a"]


@pytest.mark.parametrize("to", ["each done", "run --from each"])
def test_what_was_compensated_over_a_newer_list_is_not_done_at_a_checkpoint_with_an_older_one(
    bed: Bed, to: str
) -> None:
    bed.phase(
        'foreach: {lines: items.txt}\nrun: test ! -e "../fails-$ITEM" && echo "$ITEM" >> ../outside\n'
        'compensate: echo "$ITEM" >> ../undone\non_failure: compensate',
        items="a\nb\n",
    )
    bed.completes()
    bed.repo.write("items.txt", "c\nb\n")
    failing(bed, "c")
    bed.fails(start_from="each", item=None)
    assert bed.lines("../undone") == ["b"]
    bed.back_to(bed.numbers(to)[0])
    failing(bed)
    bed.completes()
    again = ["a", "b", *(["b"] if to == "each done" else ["c", "b"])]
    assert bed.lines("../outside") == again, "what was compensated stays so and runs again"


def test_a_phase_none_of_whose_items_was_done_has_nothing_to_compensate(bed: Bed) -> None:
    text = "foreach: {list: [], allow_empty: true}\nrun: 'true'\ncompensate: echo \"undone $ITEM\" >> ../undone"
    bed.phase(text, "  last: {run: exit 3, on_failure: compensate}\n")
    bed.fails("exit 3")
    assert bed.lines("../undone") == []


def test_items_are_compensated_newest_first_over_every_group(bed: Bed) -> None:
    bed.phase(
        "foreach: [a, b, c, d, e]\ncheckpoint_every: {items: 2}\nrun: 'true'\ncompensate: echo \"$ITEM\" >> ../undone",
        "  last: {run: exit 3, on_failure: compensate}\n",
    )
    bed.fails("exit 3")
    assert bed.lines("../undone") == ["e", "d", "c", "b", "a"]
    assert bed.counts() == (0, 0, 0, 5)
    bed.fails("exit 3")
    assert bed.lines("../undone") == ["e", "d", "c", "b", "a"] * 2
