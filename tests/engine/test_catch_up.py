"""What the user edits in the workspace while phases run in copies of it: joined, or asked about, and never lost."""

from __future__ import annotations

import pytest

from gitckpt.api.library import Silent
from gitckpt.api.reading import Where
from gitckpt.api.resolving import decide
from gitckpt.model.moment import Verdict
from gitckpt.model.together import Rule
from tests.engine.bed import Bed
from tests.engine.beside import asked, left_over
from tests.repo import Repo

YOU = 'cd "$GITCKPT_WORKSPACE"'
"""From here on a command of a phase stands for the user: it edits the workspace itself."""


@pytest.fixture
def bed(repo: Repo) -> Bed:
    repo.write("lines", "".join(f"{number}\n" for number in range(1, 10)))
    repo.write("other", "as it was\n")
    repo.write(".gitignore", "*.log\n")
    repo.commit()
    return Bed(repo)


def copies(bed: Bed, **phases: str) -> None:
    """A workflow of these phases side by side, each in a copy."""
    lines = "".join(f"  {name}: {{needs: [], run: '{run}'}}\n" for name, run in phases.items())
    bed.define(f"version: 1\nworkflow: w\nisolation: copy\nphases:\n{lines}")


def decided(bed: Bed, how: Rule) -> None:
    decide(Where(directory=bed.root), "yours", how, Silent())


def test_edits_that_do_not_touch_are_joined_and_marked(bed: Bed) -> None:
    copies(bed, one=f"sed -i 1s/^/a/ lines; {YOU}; sed -i 9s/^/u/ lines", two="true")
    bed.completes()
    lines = bed.lines("lines")
    assert (lines[0], lines[8]) == ("a1", "u9")
    said = asked(bed.root, "log", "--first-parent", "--format=%s", "gitckpt/w").decode()
    assert "edit" in said
    assert left_over(bed.root) == []


def test_clashes_with_several_phases_are_asked_about_together(bed: Bed) -> None:
    one = f"echo one > lines; {YOU}; echo mine > lines"
    two = f"echo two > other; sleep 0.4; {YOU}; echo mine > other"
    copies(bed, one=one, two=two)
    assert bed.run().verdict is Verdict.CONFLICT
    clash = bed.manifest.clash
    assert clash is not None
    assert clash.paths == ("lines", "other")
    assert (bed.lines("lines"), bed.lines("other")) == (["one"], ["two"])
    decided(bed, "theirs")
    assert (bed.lines("lines"), bed.lines("other")) == (["mine"], ["mine"])
    bed.completes()
    assert left_over(bed.root) == []


def test_what_can_be_joined_is_also_where_something_else_clashes(bed: Bed) -> None:
    one = f"sed -i 1s/^/a/ lines; echo file > made; {YOU}; sed -i 9s/^/u/ lines; mkdir made; echo in > made/in"
    copies(bed, one=one, two="true")
    assert bed.run().verdict is Verdict.CONFLICT
    clash = bed.manifest.clash
    assert clash is not None
    assert clash.paths == ("made",)
    assert (bed.lines("lines")[0], bed.lines("lines")[8], bed.lines("made")) == ("a1", "u9", ["file"])
    decided(bed, "theirs")
    assert bed.lines("made/in") == ["in"]
    assert bed.lines("lines")[8] == "u9"


def test_a_removal_clashes_with_a_change(bed: Bed) -> None:
    copies(bed, one=f"echo one > other; {YOU}; rm other", two="true")
    assert bed.run().verdict is Verdict.CONFLICT
    assert bed.lines("other") == ["one"]
    decided(bed, "theirs")
    assert not (bed.root / "other").exists()
    bed.completes()


def test_of_an_ignored_file_that_both_changed_yours_stays(bed: Bed) -> None:
    copies(bed, one=f"echo one > a.log; echo one > b.log; {YOU}; echo mine > a.log", two="true")
    bed.completes()
    assert (bed.lines("a.log"), bed.lines("b.log")) == (["mine"], ["one"])


def test_what_you_did_before_a_phase_in_the_workspace_itself_began_is_yours(bed: Bed) -> None:
    edits = f"{YOU}; echo mine > note; echo mine > other; echo mine > out"
    bed.define(f"""
version: 1
workflow: w
phases:
  one: {{needs: [], isolation: copy, run: '{edits}'}}
  two: {{needs: [], isolation: copy, run: 'true'}}
  load: {{needs: [one, two], run: 'echo load > out; echo load > other'}}
""")
    bed.completes()
    assert (bed.lines("note"), bed.lines("other"), bed.lines("out")) == (["mine"], ["load"], ["load"])
    said = asked(bed.root, "log", "--first-parent", "--format=%s", "gitckpt/w").decode().splitlines()
    assert [words.split()[1] for words in said] == ["load", "edit", "two", "one", "start"]
    for path in ("note", "other", "out"):
        assert asked(bed.root, "show", f"gitckpt/w~1:{path}") == b"mine\n"
    assert asked(bed.root, "diff", "--name-only", "gitckpt/w~1", "gitckpt/w", "--", ":!.gitckpt") == b"other\nout\n"
