"""Commands and functions that run in the copy of a workspace that an attempt has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gitckpt.api.reading import Where, find_workspace
from gitckpt.flow.context import Context
from tests.workspace.desk import Desk
from tests.workspace.test_replica import replicate


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "w")
    yield made
    made.reader.close()


def test_commands_in_a_copy_address_the_workspace_and_those_elsewhere_what_they_did(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("gitckpt.yaml", "other.yaml", "sub/f"):
        desk.write(name, "workflow: w\n")
    replica = replicate(desk, desk.take().content)
    other = Desk(tmp_path / "other")
    other.write("gitckpt.yaml", "workflow: o\n")
    monkeypatch.setenv("GITCKPT_WORKSPACE", str(desk.root))
    monkeypatch.setenv("GITCKPT_VIEW", str(replica.root))
    (replica.root / "sub" / "new").mkdir()
    monkeypatch.chdir(replica.root / "sub" / "new")
    here = find_workspace(Where())
    assert (here.root, here.file, here.repository.top) == (desk.root, desk.root / "gitckpt.yaml", desk.root)
    assert find_workspace(Where(directory=replica.root)).root == desk.root
    assert find_workspace(Where(file=Path("../../other.yaml"))).file == desk.root / "other.yaml"
    assert find_workspace(Where(directory=other.root)).root == other.root
    nested = Desk(replica.root / "nested")
    nested.write("gitckpt.yaml", "workflow: n\n")
    assert find_workspace(Where(directory=nested.root)).root == nested.root
    other.reader.close()
    nested.reader.close()


def test_a_function_sees_the_copy_as_its_workspace_unless_it_belongs_to_a_run_inside(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"WORKFLOW": "w", "RUN": "1", "PHASE": "p", "ATTEMPT": "1", "IDEMPOTENCY_KEY": "k", "RESUMED": ""}
    said |= {"STATE": str(desk.root / ".gitckpt" / "state.json"), "WORKSPACE": str(desk.root), "VIEW": "/copy"}
    for name, value in said.items():
        monkeypatch.setenv(f"GITCKPT_{name}", value)
    assert Context.of_this_process().workspace == Path("/copy")
    monkeypatch.setenv("GITCKPT_STATE", "/inner/.gitckpt/state.json")
    assert Context.of_this_process().workspace == Path("/inner")
