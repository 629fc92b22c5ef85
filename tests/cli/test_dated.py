"""What is done and older than what it was made from: it is said, with a command, and that command helps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.repo import Repo

KINDS = ("none", *(pytest.param(kind, marks=pytest.mark.sweep) for kind in ("overlay", "copy")))
"""What the phases see. Their meaning is the same in each; one is enough for every commit."""

SPLIT = """\
version: 1
workflow: w
isolation: {kind}
phases:
  split:
    run: 'mkdir -p parts; while read -r name text; do echo "$text" > "parts/$name.csv"; done < input.txt'
  proc:
    foreach: {{glob: "parts/*.csv"}}
    run: >-
      mkdir -p out; ./proc.sh "$ITEM" > "out/$(basename "$ITEM")";
      echo "$(basename "$ITEM") $GITCKPT_IDEMPOTENCY_KEY" >> {outside}/ran
  join:
    run: cat out/*.csv > all.txt; echo joined >> {outside}/ran
"""


class Parts:
    """A repository in which parts are made, worked on and joined, and what was run of it since it was last asked."""

    def __init__(self, repo: Repo, kind: str = "none") -> None:
        self.repo = repo
        self.outside = repo.path.parent
        repo.write("gitckpt.yaml", SPLIT.format(kind=kind, outside=self.outside))
        repo.write("proc.sh", 'cat "$1"\n', mode=0o755)
        self.input("a 1", "b 1", "c 1")

    def input(self, *lines: str) -> None:
        self.repo.write("input.txt", "".join(f"{line}\n" for line in lines))

    def ran(self) -> list[str]:
        path = self.outside / "ran"
        lines = [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []
        path.unlink(missing_ok=True)
        return lines

    @property
    def joined(self) -> str:
        return (self.repo.path / "all.txt").read_text()

    def ask(self, *arguments: str) -> Any:
        return json.loads(self.repo.run(*arguments, "--json").stdout)


def last(text: str) -> str:
    """The last lines, without the way on that every run says."""
    return "\n".join(text.splitlines()[-5:])


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_that_was_made_anew_is_done_again_and_what_was_not_carries_over(repo: Repo, kind: str) -> None:
    parts = Parts(repo, kind)
    repo.run("run")
    assert (parts.joined, parts.ran()) == ("1\n1\n1\n", ["a.csv", "b.csv", "c.csv", "joined"])
    parts.input("a 1", "b 2", "d 1")
    said = repo.run("run", "--from", "split").stderr
    assert (parts.joined, parts.ran()) == ("1\n2\n1\n1\n", ["b.csv", "d.csv", "joined"]), said
    assert "out of date" not in said
    assert parts.ask("status")["out_of_date"] == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_phase_done_again_alone_leaves_others_behind_and_every_look_says_so(repo: Repo, kind: str) -> None:
    parts = Parts(repo, kind)
    repo.run("run")
    parts.input("a 1", "b 2", "c 1")
    parts.ran()
    only = repo.run("run", "--only", "split").stderr
    again = repo.run("run").stderr
    for said in (only, again):
        assert "out of date: proc, join" in said
        assert "Complete, at 0010.\n" not in said
        assert "gitckpt run --from proc" in last(said)
    assert parts.ran() == []
    assert parts.ask("status")["out_of_date"] == parts.ask("plan")["out_of_date"] == ["proc", "join"]
    assert parts.ask("status")["next_command"] == "gitckpt run --from proc"
    assert parts.ask("why", "join")["out_of_date"] == "proc is out of date"
    for look in ("status", "plan", ("why", "proc"), ("why", "join")):
        text = repo.run(*((look,) if isinstance(look, str) else look)).stdout
        assert "gitckpt run --from proc" in text, look
    ended = [json.loads(line) for line in repo.run("run", "--json").stdout.splitlines()][-1]
    assert ended["out_of_date"] == ["proc", "join"]
    repo.run("run", "--from", "proc")
    assert (parts.ran(), parts.joined) == (["b.csv", "joined"], "1\n2\n1\n")
    assert "out of date" not in repo.run("run").stderr + repo.run("status").stdout
    # It is the same after going back and forth: the state tells, and not what was last done.
    repo.run("rollback", "10")
    assert parts.ask("status")["out_of_date"] == ["proc", "join"]
    repo.run("undo")
    assert parts.ask("status")["out_of_date"] == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_from_that_ran_nothing_says_so_last_and_all_items_does_all(repo: Repo, kind: str) -> None:
    parts = Parts(repo, kind)
    repo.run("run")
    keys = (parts.outside / "ran").read_text()
    parts.ran()
    said = repo.run("run", "--from", "proc").stderr
    assert parts.ran() == ["joined"]
    assert "NOTHING of proc was run: its 3 items were done before" in last(said)
    assert said.splitlines()[-1].strip() == "to do them again all the same: gitckpt run --from proc --all-items"
    said = repo.run("run", "--from", "proc", "--all-items").stderr
    again = (parts.outside / "ran").read_text()
    assert (parts.ran(), "NOTHING" in said) == (["a.csv", "b.csv", "c.csv", "joined"], False)
    assert not set(keys.split()[1::2]) & set(again.split()[1::2]), "what is done again has other keys"
    assert "--from: gitckpt run --from P --all-items" in repo.run("run", "--all-items", ok=2).stderr


def test_what_failed_and_was_passed_over_is_older_nowhere_when_it_is_tried_again(repo: Repo) -> None:
    repo.write(
        "gitckpt.yaml",
        "version: 1\nworkflow: w\nphases:\n"
        "  get: {run: test -e there && echo new > got, on_failure: continue}\n"
        "  ask: {gate: {prompt: Use it?}}\n"
        "  use: {run: cat got > used || echo none > used}\n",
    )
    repo.run("run", ok=3)
    repo.run("approve")
    repo.run("run", ok=1)
    repo.write("there")
    repo.run("retry", "get")
    said = repo.run("run").stderr
    assert (repo.path / "used").read_text() == "none\n"
    # Somebody had approved what is another now.
    assert "out of date: ask, use" in said
    assert "gitckpt run --from ask" in last(said)


@pytest.mark.parametrize("kind", KINDS)
def test_items_done_before_what_they_need_was_done_again_are_looked_at_again(repo: Repo, kind: str) -> None:
    parts = Parts(repo, kind)
    repo.write("proc.sh", 'test "$1" != parts/c.csv || exit 3; cat "$1"\n', mode=0o755)
    repo.run("run", ok=1)
    keys = dict(line.split() for line in (parts.outside / "ran").read_text().splitlines())
    assert parts.ran() == ["a.csv", "b.csv"]
    parts.input("a 1", "b 2", "c 1", "d 1")
    repo.run("run", "--only", "split", ok=75)
    assert "its list of items is made anew, for what it needs was done again" in repo.run("plan").stdout
    repo.run("run", ok=1)
    now = dict(line.split() for line in (parts.outside / "ran").read_text().splitlines())
    assert parts.ran() == ["b.csv"], "a is as it was, b was made from something else"
    assert keys["b.csv"] != now["b.csv"]
    assert parts.ask("status")["phases"][1]["items"]["total"] == 4


def test_an_item_that_changes_its_own_file_is_not_out_of_date_but_what_others_changed_is(repo: Repo) -> None:
    repo.write(
        "gitckpt.yaml",
        "version: 1\nworkflow: w\nphases:\n"
        '  grow: {foreach: {glob: "*.img"}, run: echo grown >> "$ITEM"}\n'
        "  tidy: {run: test ! -e tidy || echo tidied >> a.img}\n",
    )
    for name in "abc":
        repo.write(f"{name}.img", "small\n")
    repo.run("run")
    assert "NOTHING of grow" in repo.run("run", "--from", "grow").stderr
    assert (repo.path / "a.img").read_text() == "small\ngrown\n"
    repo.write("b.img", "mine\n")
    said = repo.run("run").stderr
    assert "changed since it was done: b.img; do it anew: gitckpt run --item b.img" in said
    assert ", but out of date: grow, tidy." in said
    repo.write("tidy")
    repo.run("run", "--from", "grow")
    assert [(repo.path / f"{name}.img").read_text() for name in "abc"] == [
        "small\ngrown\ntidied\n",
        "mine\ngrown\n",
        "small\ngrown\n",
    ]
    repo.run("run", "--from", "grow")
    assert (repo.path / "a.img").read_text() == "small\ngrown\ntidied\ngrown\ntidied\n", "a phase between changed it"


def test_a_script_that_the_definition_names_is_part_of_what_items_and_phases_were_made_from(repo: Repo) -> None:
    repo.write(
        "gitckpt.yaml",
        "version: 1\nworkflow: w\nphases:\n"
        '  each:\n    foreach: {lines: rows}\n    run: ./each.sh "$ITEM" log.txt >> done.txt; wc -l rows > n\n'
        "  sum: {argv: [sh, sum.sh, done.txt]}\n",
    )
    repo.write("each.sh", 'echo "$1" >> "$2"; echo "$1"\n', mode=0o755)
    repo.write("sum.sh", 'sort "$1" > sorted.txt\n')
    repo.write("rows", "a\nb\n")
    repo.run("run")
    # What the items themselves write, and the source of their rows, is not what they were made from.
    repo.write("rows", "a\nb\nc\n")
    repo.run("run", "--from", "each")
    assert (repo.path / "done.txt").read_text() == "a\nb\nc\n"
    repo.write("sum.sh", 'sort -r "$1" > sorted.txt\n')
    assert "out of date: sum (since then changed: sum.sh)\n" in repo.run("run").stderr
    assert json.loads(repo.run("plan", "--json").stdout)["out_of_date"] == ["sum"]
    assert "since then changed: sum.sh" in repo.run("why", "sum").stdout
    repo.run("run", "--from", "sum")
    assert (repo.path / "sorted.txt").read_text() == "c\nb\na\n"
    old = (repo.path / "each.sh").read_text()
    repo.write("each.sh", 'echo "new $1"\n', mode=0o755)
    assert "out of date: each, sum" in repo.run("run").stderr
    repo.write("each.sh", old, mode=0o755)
    assert "out of date" not in repo.run("run").stderr, "it is as it was"
    repo.write("each.sh", 'echo "new $1"\n', mode=0o755)
    repo.run("run", "--from", "each")
    assert (repo.path / "done.txt").read_text().endswith("new a\nnew b\nnew c\n")


def test_a_row_that_changed_under_its_key_is_done_again(repo: Repo) -> None:
    repo.write(
        "gitckpt.yaml",
        "version: 1\nworkflow: w\nphases:\n"
        '  load: {foreach: {csv: rows.csv, key: id}, run: echo "$GITCKPT_ITEM_INDEX $ITEM" >> got}\n',
    )
    repo.write("rows.csv", "id,n\na,1\nb,1\n")
    repo.run("run")
    repo.write("rows.csv", "id,n\nb,2\na,1\n")
    assert "out of date: load (since then changed: its list (1 item changed: b))" in repo.run("run").stderr
    repo.run("run", "--from", "load")
    assert (repo.path / "got").read_text().splitlines()[2:] == ['1 {"id":"b","n":"2"}']


def test_a_list_whose_source_changed_since_it_was_frozen_is_named(repo: Repo) -> None:
    repo.write(
        "gitckpt.yaml",
        "version: 1\nworkflow: w\nphases:\n"
        '  each: {foreach: {lines: rows}, run: test "$ITEM" != bad || test -e good; echo "$ITEM" >> out.txt}\n'
        '  files: {foreach: {glob: "in/*"}, run: cp "$ITEM" "in/made-$(basename "$ITEM")"}\n',
    )
    repo.write("rows", "a\nbad\nc\n")
    repo.write("in/x")
    repo.run("run", ok=1)
    repo.write("rows", "bad\nc\nnew\n")
    repo.write("good")
    changed = "since then changed: its list (1 item came, 1 item went: new, a)"
    assert changed in repo.run("plan").stdout
    said = repo.run("run").stderr
    assert f"each goes on with the list that it began with; {changed}" in said
    assert "to make the list anew: gitckpt run --from each" in said
    # Not what it made itself: `in/made-x` matches the pattern of `files`, too.
    assert f"out of date: each ({changed})" in said
    assert "but out of date: each, files" in said
    repo.run("run", "--from", "each")
    assert (repo.path / "out.txt").read_text() == "a\nbad\nc\nnew\n"
    repo.write("in/y")
    assert "out of date: files (since then changed: its list (1 item came: in/y))" in repo.run("run").stderr


# --- numbers -------------------------------------------------------------------------------------------------------


def test_the_number_of_an_item_is_never_given_to_another_one_in_its_run(repo: Repo) -> None:
    repo.write(
        "gitckpt.yaml",
        "version: 1\nworkflow: w\nphases:\n"
        '  each: {foreach: {lines: rows}, run: echo "$ITEM" >> "out-$GITCKPT_ITEM_INDEX"}\n',
    )

    def outs() -> dict[str, str]:
        return {path.name: path.read_text() for path in sorted(Path(repo.path).glob("out-*"))}

    repo.write("rows", "b\nc\n")
    repo.run("run")
    repo.write("rows", "a\nb\nc\n")
    repo.run("run", "--from", "each")
    assert outs() == {"out-0": "b\n", "out-1": "c\n", "out-2": "a\n"}
    repo.write("rows", "d\na\n")
    repo.run("run", "--from", "each")
    assert outs()["out-3"] == "d\n"
    # Going back leaves the files behind, but not the numbers: they went out.
    repo.run("rollback", "start")
    repo.write("rows", "e\nd\nb\n")
    repo.run("run")
    assert outs() == {"out-3": "d\n", "out-4": "e\n", "out-5": "b\n"}
    repo.run("reset")
    repo.run("run")
    assert outs()["out-0"] == "e\n", "another run counts anew"


def test_the_number_of_a_batch_is_never_given_to_another_one_in_its_run(repo: Repo) -> None:
    repo.write(
        "gitckpt.yaml",
        "version: 1\nworkflow: w\nphases:\n"
        '  each: {foreach: {lines: rows}, batch: 2, run: echo "$*" >> "out-$GITCKPT_BATCH_ID"}\n',
    )
    repo.write("rows", "b\nc\nd\n")
    repo.run("run")
    repo.write("rows", "a\nb\nc\nd\ne\n")
    repo.run("run", "--from", "each")
    found = {path.name: path.read_text() for path in sorted(Path(repo.path).glob("out-*"))}
    assert found == {"out-1": "b c\n", "out-2": "d\n", "out-3": "a\n", "out-5": "e\n"}
    repo.run("run", "--from", "each", "--all-items")
    assert (repo.path / "out-3").read_text() == "a\na b\n", "the same list has the same batches"
