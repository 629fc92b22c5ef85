"""Phases that are done for each item of a list: the list, the bytes of an item, and lists that cannot be taken.

Each test calls `run` as the command line does, in this very process, and looks at the workspace and the newest
checkpoint.
"""

from __future__ import annotations

import json

import pytest

from gitckpt.model.manifest import state_of
from gitckpt.model.names import PhaseName
from tests.engine.bed import EACH, Bed
from tests.repo import Repo


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
        '    argv: [python3, -c, "import os, sys; '
        "open('args', 'wb').write(bytes(1).join(map(os.fsencode, sys.argv[1:])))\"]\n"
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
    ids=[
        "a key twice",
        "a NUL byte",
        "too long",
    ],  # pytest puts an id into the environment, which may be too long for it
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
