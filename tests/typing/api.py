"""The public API as its users write it. Never run: mypy checks that these lines keep their types."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import assert_type

import gitckpt
from gitckpt import Checkpoint, Context, Flow, Param, Phase, Workflow, errors, events, load, open_store, run
from gitckpt.engine.ports import Reporter
from gitckpt.model.manifest import Json, Status
from gitckpt.model.moment import Stop, Verdict
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
    assert_type(run(Path(), file="flow.py").reason, str)


def read_checkpoints() -> None:
    with open_store(Path(), file="flow.py") as store:
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


def declare() -> None:
    flow = Flow("nightly", params={"SINCE": Param(default="2020"), "TO": {"required": True}}, env={"N": 1})
    Flow(name="nightly")  # type: ignore[call-arg]
    Flow("nightly", paramz={})  # type: ignore[call-arg]

    @flow.phase
    def bare(ctx: Context) -> None: ...

    @flow.phase(outs=[Path("raw.csv")], retry={"max": 2, "when": "timeout"}, if_="test -s x", needs=[bare, "other"])
    def extract(ctx: Context) -> int:
        return 0

    def undo(ctx: Context) -> None: ...

    @flow.phase(name="load-all", foreach={"glob": "*.csv", "as": "FILE"}, batch=2, validate=passes, compensate=undo)
    async def load(ctx: Context) -> None: ...

    kept: Callable[[Context], int] = extract
    assert_type(kept(Context.of_this_process()), int)
    flow.phase(rety={"max": 2})  # type: ignore[call-overload]
    flow.phase(retry={"mx": 2})  # type: ignore[call-overload]
    flow.phase(3)  # type: ignore[call-overload]
    flow.command("tail", run=["a", "b"], tolerate={"percent": 0.5}, on_failure={"goto": "load-all", "max": 2})
    flow.gate("approve", prompt="?", fields={"plan": {"choices": ["free", "pro"]}}, on_timeout="keep")
    flow.gate("approve", prompt="?", retry={"max": 1})  # type: ignore[call-arg]
    assert_type(flow.run(params={"SINCE": "2024"}, reporter=Told()), Stop)
    flow.main()


def passes(ctx: Context) -> bool:
    return ctx.resumed


def use(ctx: Context) -> None:
    assert_type(ctx.params, Mapping[str, str])
    assert_type(ctx.item, str)
    assert_type(ctx.item_bytes, bytes)
    assert_type(ctx.items, list[str])
    assert_type(ctx.index, int | None)
    assert_type(ctx.attempt, int)
    assert_type(ctx.workspace, Path)
    assert_type(ctx.checkpoint("half"), int)
    assert_type(ctx.data["rows"], Json)
    assert_type(ctx.data.get("rows"), Json)
    assert_type(ctx.data.incr("rows", 2), int)
    assert_type(list(ctx.data), list[str])
    ctx.data["rows"] = [1, {"a": None}]
    ctx.data.append("files", "a.csv")
    ctx.data.set("rows", {1})  # type: ignore[arg-type]
    ctx.log(3)
    ctx.phase = "other"  # type: ignore[misc]


def a_name_of_one_kind_is_not_one_of_another(store_phase: PhaseName, workflow: WorkflowName) -> None:
    with open_store() as store:
        store.attempts(workflow)  # type: ignore[arg-type]
        store.read(store_phase)  # type: ignore[arg-type]


assert_type(gitckpt.__all__, list[str])
