"""Items as a user meets them: one by its key, the failed ones again, what is skipped, listed, printed and told."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from tests.repo import Repo

ETL = """\
version: 1
workflow: etl
phases:
  extract:
    foreach: [s1, s2, s3]
    run: mkdir -p raw; echo "$ITEM" >> "raw/$ITEM.csv"
  load:
    foreach: {lines: rows}
    batch: {size: 3, input: stdin}
    retry: {max: 1, delay: 1ms}
    run: "cat >> loaded; echo reading; if test $GITCKPT_BATCH_ID = 3 -a ! -e fixed; then echo refused >&2; exit 7; fi"
"""
TOLERANT = """\
version: 1
workflow: etl
phases:
  fetch:
    foreach: [a, b, c, d]
    tolerate: {count: 2}
    run:
      - echo "fetching $ITEM"; echo "$GITCKPT_IDEMPOTENCY_KEY" >> "keys-$ITEM"
      - test ! -e "bad-$ITEM"; echo "$ITEM" >> got
  use: {run: cat got > used}
"""
FILES = """\
version: 1
workflow: etl
phases:
  each:
    foreach: {glob: "in/*"}
    run: mkdir -p out; cat "$ITEM" > "out/$(basename "$ITEM")"; echo ran >> "ran-$(basename "$ITEM")"
"""


def answer(repo: Repo, *arguments: str) -> Any:
    return json.loads(repo.run(*arguments, "--json").stdout)


def numbered(*numbers: int) -> str:
    return "".join(f"row {number}\n" for number in numbers)


def loaded_in_part(repo: Repo) -> str:
    """Batches 1 and 2 of 4 are loaded, the third fails twice; what `run` said."""
    repo.write("gitckpt.yaml", ETL)
    repo.write("rows", numbered(*range(10)))
    return repo.run("run", ok=1).stderr


def fetched_in_part(repo: Repo) -> None:
    """b and d failed, which is tolerated."""
    repo.write("gitckpt.yaml", TOLERANT)
    repo.write("bad-b")
    repo.write("bad-d")
    repo.run("run")


def states(repo: Repo, phase: str) -> dict[str, str]:
    return {item["key"]: item["state"] for item in answer(repo, "items", phase)["items"]}


# --- what run says ------------------------------------------------------------------------------------------------


def test_a_failed_batch_is_told_with_its_items_tries_cause_share_and_the_ways_on(repo: Repo) -> None:
    said = loaded_in_part(repo)
    assert re.search(r"extract done 3/3 items \d+\.\d s 0003\.\.0005\n", said)
    told = said[said.index("load  FAILED") :].splitlines()
    assert told == [
        "load  FAILED  items 6..8 of 10 (batch 3), exit 7 after 2 tries",
        "  | refused",
        "  | reading",
        "  | refused",
        "Your files are as at 0010 (6 of 10 items done, 2 batches, 3 failed). "
        "What the attempt left: 1 file (54 bytes), kept as load@2",
        "  see it     gitckpt diff load@2 · gitckpt output load@2 · gitckpt items load --failed",
        "  go on      gitckpt run · without it: gitckpt skip load --item KEY",
    ]


def test_of_items_that_share_a_checkpoint_only_the_failed_one_is_quoted(repo: Repo) -> None:
    repo.write(
        "gitckpt.yaml",
        "version: 1\nworkflow: etl\nphases:\n  one:\n    foreach: [a, b, c]\n    checkpoint_every: {items: 3}\n"
        '    run: \'echo "this is $ITEM"; echo "$ITEM" >> done; test "$ITEM" != b\'\n',
    )
    said = repo.run("run", ok=1).stderr
    assert "one  FAILED  item b (2 of 3), exit 1\n  | this is b\nYour files" in said
    assert repo.run("output", "one", "--item", "b").stdout == "this is b\n"
    assert repo.run("output", "one@1").stdout == "this is a\nthis is b\n"


def test_tolerated_failures_are_counted_and_their_command_is_named(repo: Repo) -> None:
    repo.write("gitckpt.yaml", TOLERANT)
    repo.write("bad-b")
    said = repo.run("run").stderr
    assert re.search(r"fetch done 3/4 items, 1 failed \d+\.\d s 0003\.\.000\d\n", said)
    assert "fetch: 1 of 4 items failed, which is tolerated: gitckpt items fetch --failed · again: gitckpt retry" in said
    assert "1 item failed, so many may" in repo.run("status").stdout


# --- one item -----------------------------------------------------------------------------------------------------


def test_a_done_item_is_done_anew_by_its_key_alone(repo: Repo) -> None:
    loaded_in_part(repo)
    again = repo.run("run", "--item", "s2", ok=75).stderr
    assert "extract done item s2 (2 of 3) 3/3" in again
    assert (repo.path / "raw/s2.csv").read_text() == "s2\ns2\n"
    assert (repo.path / "raw/s1.csv").read_text() == "s1\n"
    assert answer(repo, "status")["phases"][0]["status"] == "completed"
    assert "run --item s2" in repo.run("log").stdout


def test_an_item_whose_failure_is_tolerated_is_tried_alone_and_leaves_the_rest_as_it_is(repo: Repo) -> None:
    fetched_in_part(repo)
    assert "fetch FAILED item b (2 of 4): exit 1" in repo.run("run", "--item", "b").stderr
    (repo.path / "bad-b").unlink()
    repo.run("run", "--item", "b")
    assert states(repo, "fetch") == {"a": "done", "b": "done", "c": "done", "d": "failed"}
    assert (repo.path / "got").read_text() == "a\nc\nb\n"


def test_an_item_alone_ends_with_1_where_it_fails_and_with_75_where_others_are_left(repo: Repo) -> None:
    loaded_in_part(repo)
    failed = repo.run("run", "--item", "row 7", ok=1).stderr
    assert "load  FAILED  items 7..7 of 10 (batch 3), exit 7 after" in failed
    repo.write("fixed")
    assert "the rest was not asked for" in repo.run("run", "--item", "row 7", ok=75).stderr
    assert (repo.path / "loaded").read_text() == numbered(0, 1, 2, 3, 4, 5, 7)


def test_a_key_that_is_unknown_in_two_phases_or_not_listed_yet_is_a_clear_error(repo: Repo) -> None:
    repo.write("gitckpt.yaml", ETL.replace("{lines: rows}", "[s1, x]"))
    early = repo.run("run", "--item", "s1", ok=2).stderr
    assert "no phase has a frozen list of items" in early
    assert "gitckpt run" in early
    repo.run("run")
    assert (
        "extract, load each have an item s1\n  say whose: --only extract"
        in repo.run("run", "--item", "s1", ok=2).stderr
    )
    unknown = repo.run("run", "--item", "s7", ok=2).stderr
    assert "no item has the key s7; near it: s" in unknown
    repo.run("run", "--item", "s1", "--only", "load")
    assert (repo.path / "raw/s1.csv").read_text() == "s1\n"
    assert "--item goes with --only alone" in repo.run("run", "--item", "s1", "--again", ok=2).stderr


def test_an_item_of_any_bytes_is_found_and_shown_safely(repo: Repo) -> None:
    odd = b"in/\xff\x1b[31m \xc3\xa9"
    repo.write("gitckpt.yaml", FILES)
    repo.write(odd, "x\n")
    repo.run("run")
    assert "in/\\xff\\e[31m é" in repo.run("items", "each").stdout
    assert "b64" in answer(repo, "items", "each")["items"][0]["key"]
    repo.run("run", "--item", os.fsdecode(odd))
    assert Path(os.fsdecode(os.fsencode(repo.path) + b"/ran-" + odd[3:])).read_text() == "ran\nran\n"


# --- again, and not at all ----------------------------------------------------------------------------------------


def test_retry_tries_exactly_the_failed_items_with_the_same_idempotency_keys(repo: Repo) -> None:
    fetched_in_part(repo)
    before = {name: (repo.path / f"keys-{name}").read_text() for name in "ac"}
    first = repo.git("show", "refs/gitckpt/etl/attempts/fetch/1:keys-b")
    assert "fetch (2 failed items) will be tried" in repo.run("retry").stdout
    assert states(repo, "fetch") == {"a": "done", "b": "to_do", "c": "done", "d": "to_do"}
    (repo.path / "bad-b").unlink()
    repo.run("run")
    assert states(repo, "fetch") == {"a": "done", "b": "done", "c": "done", "d": "failed"}
    assert {name: (repo.path / f"keys-{name}").read_text() for name in "ac"} == before
    assert (repo.path / "got").read_text() == "a\nc\nb\n"
    assert (repo.path / "keys-b").read_text().splitlines() == [first]
    assert set(repo.run("diff", "fetch", "--name-only").stdout.split()) == {"got", "keys-a", "keys-b", "keys-c"}


def test_undo_takes_a_retry_of_items_back(repo: Repo) -> None:
    fetched_in_part(repo)
    repo.run("retry", "fetch")
    repo.run("undo")
    assert states(repo, "fetch") == {"a": "done", "b": "failed", "c": "done", "d": "failed"}
    assert answer(repo, "status")["phases"][0]["status"] == "completed"


def test_retry_of_a_phase_with_nothing_failed_is_refused(repo: Repo) -> None:
    repo.write("gitckpt.yaml", FILES)
    repo.write("in/a")
    repo.run("run")
    assert "each is completed already" in repo.run("retry", "each", ok=2).stderr
    assert "No phase has failed" in repo.run("retry").stdout


def test_skipped_items_are_left_out_with_author_and_reason_and_can_be_done_after_all(repo: Repo) -> None:
    loaded_in_part(repo)
    rows = ("row 6", "row 7", "row 8")
    skipped = repo.run("skip", "load", *(word for row in rows for word in ("--item", row)), "-m", "bad rows").stdout
    assert "load: 3 items are skipped (0011). Take this back: gitckpt undo" in skipped
    shown = answer(repo, "show", "11")
    assert shown["events"][0]["type"] == "ItemsSkipped"
    assert "bad rows" in shown["events"][0]["words"]
    assert "Ann" in shown["events"][0]["words"]
    repo.run("run")
    assert (repo.path / "loaded").read_text() == numbered(0, 1, 2, 3, 4, 5, 9)
    assert "7/10 items, 3 skipped" in repo.run("status").stdout
    assert "load: item row 0 is done already" in repo.run("skip", "load", "--item", "row 0", ok=2).stderr
    repo.write("fixed")
    repo.run("run", "--item", "row 7")
    assert (repo.path / "loaded").read_text() == numbered(0, 1, 2, 3, 4, 5, 9, 7)


# --- made anew, and edited ----------------------------------------------------------------------------------------


def test_a_list_made_anew_says_what_carries_over_and_how_to_do_all_anew(repo: Repo) -> None:
    repo.write("gitckpt.yaml", FILES)
    repo.write("in/a", "a\n")
    repo.write("in/b", "b\n")
    repo.run("run")
    repo.write("in/c", "c\n")
    said = repo.run("run", "--from", "each").stderr
    assert "each: 3 items, 2 of them done before; to do all again: gitckpt run --from each --all-items" in said
    assert [(repo.path / f"ran-{name}").read_text() for name in "abc"] == ["ran\n"] * 3
    assert repo.run("output", "each", "--item", "in/a").returncode == 0
    repo.run("rollback", "--keep-edits", "before:each")
    assert answer(repo, "status")["phases"][0]["items"] is None
    assert "each: 3 items\n" in repo.run("run").stderr
    assert (repo.path / "ran-a").read_text() == "ran\n"


def test_an_edit_of_a_done_items_file_is_told_and_reruns_nothing(repo: Repo) -> None:
    repo.write("gitckpt.yaml", FILES)
    repo.write("in/a", "a\n")
    repo.write("in/b", "b\n")
    assert "changed since" not in repo.run("run").stderr
    repo.write("in/b", "mended\n")
    repo.write("other", "x\n")
    said = repo.run("run").stderr
    assert "changed since it was done: in/b; do it anew: gitckpt run --item in/b" in said
    assert (repo.path / "out/b").read_text() == "b\n"
    anew = repo.run("run", "--item", "in/b").stderr
    assert "changed since" not in anew
    assert (repo.path / "out/b").read_text() == "mended\n"
    assert "changed since" not in repo.run("run").stderr
    (repo.path / "in/b").unlink()
    repo.run("checkpoint", "-m", "without it")
    repo.run("restore", "latest~2", "--", "in/b")
    assert "changed since" not in repo.run("run").stderr, "it is as it was when it was done"


# --- reading ------------------------------------------------------------------------------------------------------


def test_items_are_listed_with_state_checkpoint_and_failure_and_can_be_chosen(repo: Repo) -> None:
    loaded_in_part(repo)
    lines = repo.run("items", "load").stdout.splitlines()
    assert lines[0] == "load   10 items: 6 done, 3 failed, 1 to do"
    assert lines[1].split() == ["row", "0", "done", "0007"]
    assert lines[7].split() == ["row", "6", "failed", "load@2", "exit", "7"]
    assert len(lines) == 11
    assert repo.run("items", "load", "--done", "--limit", "1").stdout.splitlines()[1:] == [
        "  row 0  done  0007",
        "… 5 more: --limit N, or --json",
    ]
    failed = answer(repo, "items", "load", "--failed")
    assert (failed["schema"], failed["total"], failed["failed"], failed["more"]) == (1, 10, 3, 0)
    assert [item["index"] for item in failed["items"]] == [6, 7, 8]
    assert failed["items"][0] | {"detail": ""} == {
        "index": 6,
        "batch": 3,
        "key": "row 6",
        "state": "failed",
        "checkpoint": None,
        "attempt": 2,
        "exit_code": 7,
        "detail": "",
    }
    assert "no phase is called 'nothing'" in repo.run("items", "nothing", ok=2).stderr


def test_the_output_of_an_item_is_that_of_its_own_checkpoint_or_of_its_failed_try(repo: Repo) -> None:
    fetched_in_part(repo)
    assert repo.run("output", "fetch", "--item", "a").stdout == "fetching a\n"
    assert repo.run("output", "fetch", "--item", "b").stdout == "fetching b\n"
    assert answer(repo, "output", "fetch", "--item", "b")["where"] == "fetch@1"
    assert "no item has the key z" in repo.run("output", "fetch", "--item", "z", ok=2).stderr
    repo.run("run", "--from", "fetch", ok=None)
    assert repo.run("output", "fetch", "--item", "a").stdout == "fetching a\n", "it was done over an older list"


def test_log_tells_batches_and_items_and_folds_long_rows_of_them(repo: Repo) -> None:
    loaded_in_part(repo)
    rows = [line.split("  ") for line in repo.run("log").stdout.splitlines()]
    told = [" ".join(" ".join(row).split()) for row in rows]
    assert [re.sub(r" \d\d:\d\d\b", "", line) for line in told] == [
        "· load@2 failed items 6..8 of 10 (batch 3): exit 7: refused",
        "· load@1 failed items 6..8 of 10 (batch 3): exit 7: refused",
        "0008 load batch 2/4 +3 items, M loaded go back to it: gitckpt rollback 8",
        "0007 load batch 1/4 +3 items, A loaded",
        "0006 load listed 10 items",
        "0003..0005 extract done 3/3 items +3 files",
        "0002 extract listed 3 items",
        "0001 start started +2 files",
    ]
    whole = repo.run("log", "--all").stdout
    assert re.search(r"0004 +extract +item s2 ", whole)
    assert len(whole.splitlines()) == 10
    row = next(row for row in answer(repo, "log")["checkpoints"] if row["number"] == 8)
    assert row["items"] | {"duration_ms": 0} == {"ranges": [[3, 5]], "count": 3, "batch": 2, "duration_ms": 0}
    assert answer(repo, "log", "-n", "4")["more"] == 6


def test_diff_of_a_phase_is_over_all_its_items_without_edits_between_them(repo: Repo) -> None:
    loaded_in_part(repo)
    repo.write("fixed")
    repo.run("run")
    assert repo.run("diff", "load", "--name-only").stdout.split() == ["loaded"]
    assert "10 +" in repo.run("diff", "load", "--stat").stdout
    assert "3 +" in repo.run("diff", "load@2", "--stat").stdout
    assert answer(repo, "show", "before:load")["number"] == 5
    repo.run("rollback", "7")
    assert states(repo, "load")["row 3"] == "to_do"
    assert "3 +" in repo.run("diff", "load", "--stat").stdout
    repo.write("fixed")
    repo.run("run")
    assert "10 +" in repo.run("diff", "load", "--stat").stdout


def test_status_and_plan_count_items(repo: Repo) -> None:
    loaded_in_part(repo)
    assert re.search(r"load +FAILED +6/10 items, 3 failed ", repo.run("status").stdout)
    phase = answer(repo, "status")["phases"][1]
    assert phase["items"] == {"total": 10, "done": 6, "failed": 3, "skipped": 0, "batch": 3, "stale": False}
    planned = repo.run("plan").stdout
    assert "4 of 10 items are left, 3 of them failed" in planned
    assert answer(repo, "plan")["phases"][1]["fate"] == "will run"
    assert "4 of 10 items are left, 3 of them failed" in repo.run("why", "load").stdout
