"""The public API as its users write it. Never run: mypy checks that these lines keep their types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import assert_type

import gitckpt
from gitckpt import Checkpoint, Phase, Workflow, errors, events, load, open_store, run
from gitckpt.engine.ports import Reporter
from gitckpt.model.moment import Stop, Verdict
from gitckpt.model.manifest import Json, Status
from gitckpt.model.names import Oid, PhaseName, WorkflowName
from gitckpt.progress.events import PhaseEnded, ProgressEvent


def read_a_workflow(path: Path) -> None:
    loaded = load(path)
    assert_type(loaded.workflow, Workflow)
    assert_type(loaded.workflow.phases, tuple[Phase, ...])
    assert_type(loaded.workflow.workflow, WorkflowName)
    assert_type(loaded.workflow.phases[0].timeout_ms, int | None)


class Told:
    """A reporter of a user's own."""

    def __call__(self, event: ProgressEvent) -> None:
        if isinstance(event, PhaseEnded):
            assert_type(event.checkpoint_number, int | None)

    def tick(self) -> None: ...

    def close(self) -> None: ...


def run_it() -> None:
    reporter: Reporter = Told()
    stop = run("folder", params={"SINCE": "2024"}, reporter=reporter)
    assert_type(stop, Stop)
    assert_type(stop.verdict, Verdict)
    assert_type(stop.phases, tuple[PhaseName, ...])
    assert_type(run(Path()).reason, str)


def read_checkpoints() -> None:
    with open_store(Path()) as store:
        assert_type(store.tip(), Checkpoint | None)
        assert_type(store.history(), Iterator[Checkpoint])
        assert_type(store.attempts(PhaseName("load")), dict[int, Oid])
        for checkpoint in store.history():
            assert_type(checkpoint.number, int)
            assert_type(checkpoint.events, tuple[events.Event, ...])
            assert_type(checkpoint.manifest.data, Mapping[str, Json])
            assert_type(checkpoint.manifest.phases[PhaseName("load")].status, Status)


def tell_errors() -> int:
    try:
        run()
    except errors.Busy as busy:
        return busy.exit_code
    except errors.GitckptError as error:
        assert_type(error.message, str)
        assert_type(error.hint, str)
        return error.exit_code
    return 0


def a_name_of_one_kind_is_not_one_of_another(store_phase: PhaseName, workflow: WorkflowName) -> None:
    with open_store() as store:
        store.attempts(workflow)  # type: ignore[arg-type]
        store.read(store_phase)  # type: ignore[arg-type]


assert_type(gitckpt.__all__, list[str])
