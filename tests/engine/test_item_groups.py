"""Items that share a checkpoint, that fail and are borne, that are undone or gone back to, and the end of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gitckpt.api.library import Silent
from gitckpt.api.reading import Where
from gitckpt.api.writing import write
from gitckpt.engine.failures import CannotTellFailures
from gitckpt.engine.rewind import undo
from gitckpt.model.moment import Verdict
from tests.engine.bed import EACH, Bed
from tests.engine.strikes import Strikes
from tests.repo import Repo


@pytest.fixture
def bed(repo: Repo) -> Bed:
    return Bed(repo)


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


def told(bed: Bed) -> list[str]:
    return [json.loads(line)["item"] for line in bed.lines("failed/items.jsonl")]


@pytest.mark.parametrize("which", ["a", "b", "c"])
def test_the_file_of_failed_items_has_those_that_failed_wherever_they_stand(bed: Bed, which: str) -> None:
    bed.phase(TOLERANT, items="a\nb\nc\n")
    bed.failing(which)
    bed.completes()
    assert told(bed) == [which]
    assert bed.counts() == (2, 1, 0, 3)


def test_the_file_of_failed_items_has_no_item_that_was_mended_by_the_last_checkpoint(bed: Bed) -> None:
    bed.phase(TOLERANT, items="a\nb\nc\n")
    bed.failing("a", "c")
    bed.fails("2 of 3 items failed")
    bed.failing()
    bed.completes()
    assert told(bed) == []
    assert bed.counts() == (3, 0, 0, 3)


def test_the_file_of_failed_items_is_the_same_when_a_try_more_was_needed(bed: Bed) -> None:
    bed.phase(TOLERANT, items="a\nb\nc\n")
    bed.failing("b")
    bed.completes()
    once = (bed.root / "failed/items.jsonl").read_bytes()
    bed.completes(start_from="each")
    assert (bed.root / "failed/items.jsonl").read_bytes() == once, "law 2: it holds what depends on the number of tries"


def test_a_file_of_failed_items_that_cannot_be_written_is_named(bed: Bed) -> None:
    bed.phase(TOLERANT.replace("failed/items.jsonl", "folder"), items="a\nb\n")
    bed.repo.write("folder/mine.txt", "mine\n")
    bed.failing("a")
    with pytest.raises(CannotTellFailures, match="cannot write the failed items to folder"):
        bed.run()
    assert bed.lines("folder/mine.txt") == ["mine"]
    bed.phase(TOLERANT)
    bed.completes()
    assert told(bed) == ["a"]
    assert bed.lines("done.txt") == ["b"]


@pytest.mark.parametrize(("borne", "verdict"), [(1, Verdict.FAILED), (2, Verdict.COMPLETE)])
def test_items_that_always_fail_do_not_use_up_every_budget_for_ever(bed: Bed, borne: int, verdict: Verdict) -> None:
    text = f"foreach: [a, b, c, d]\ntolerate: {borne}\nbudget: {{items: 1}}\n"
    text += 'run: test ! -e "../fails-$ITEM" && echo "$ITEM" >> done'
    bed.phase(text)
    bed.failing("a", "b")
    verdicts = [bed.run().verdict]
    while verdicts[-1] is Verdict.STOPPED and len(verdicts) < 9:
        verdicts.append(bed.run().verdict)
    assert verdicts[-1] is verdict
    assert bed.lines("done") == ["c", "d"]
    assert bed.counts() == (2, 2, 0, 4)


def test_a_budget_goes_to_items_that_were_not_tried_before_those_that_failed(bed: Bed) -> None:
    text = 'on_item_failure: continue\nbudget: {items: 2}\nrun: echo "$ITEM" >> ../tried; test "$ITEM" != a'
    bed.phase(f"foreach: [a, b, c]\n{text}")
    assert bed.run().verdict is Verdict.STOPPED
    bed.fails("1 of 3 items failed")
    assert bed.lines("../tried") == ["a", "b", "c", "a"]


def test_more_failures_than_are_borne_end_the_run_and_the_next_tries_those_that_failed(bed: Bed) -> None:
    bed.phase(TOLERANT, items="a\nb\nc\nd\n")
    bed.failing("a", "b")
    bed.fails("2 of 4 items failed")
    assert bed.counts() == (0, 2, 0, 4)
    bed.failing("b")
    bed.completes()
    assert bed.counts() == (3, 1, 0, 4)
    assert bed.lines("done.txt") == ["c", "d", "a"]


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


def test_what_is_always_run_and_is_killed_is_put_back_and_run_again(bed: Bed, tmp_path: Path) -> None:
    strikes = Strikes(bed.repo, tmp_path)
    commands = 'echo "$GITCKPT_STATUS" >> ../ended; echo "$GITCKPT_STATUS" >> ended.txt; . "$STRIKE_SH"; strike always'
    bed.phase("foreach: [a]\nrun: 'true'", f"always:\n  - run: {commands}\n")
    strikes.killed("always", "run", group=True)
    assert bed.lines("ended.txt") == ["complete"]
    told = strikes.run("run").stderr
    assert "`always` was cut off; what it left is kept: gitckpt diff rescue@1" in told
    assert bed.lines("ended.txt") == ["complete"], "law 2: killed anywhere, the same end"
    assert bed.lines("../ended") == ["complete", "complete"]
    strikes.run("run")
    assert bed.lines("../ended") == ["complete", "complete"]


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
    bed.failing("c")
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
    bed.failing("c")
    bed.fails(start_from="each", item=None)
    assert bed.lines("../undone") == ["b", "a"], "also what is in the list no more"
    bed.back_to(bed.numbers(to)[0])
    bed.failing()
    bed.completes()
    again = ["a", "b", *(["a", "b"] if to == "each done" else ["c", "b"])]
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
