"""gitckpt from Python: run a workflow, and read its checkpoints. The public face; the command line has its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gitckpt.api import opening, running
from gitckpt.api.reading import Where
from gitckpt.engine.ports import Reporter
from gitckpt.model.moment import Stop
from gitckpt.progress.events import ProgressEvent
from gitckpt.store.store import Store


class Silent:
    """A reporter that says nothing."""

    def __call__(self, event: ProgressEvent) -> None: ...

    def tick(self) -> None: ...

    def close(self) -> None: ...


def run(
    directory: Path | str = ".",
    *,
    file: Path | str | None = None,
    params: Mapping[str, str] | None = None,
    reporter: Reporter | None = None,
) -> Stop:
    """Run or resume the workflow of a folder, and say why it stopped: `stop.verdict`, `stop.phases`, `stop.reason`.

    `file` names another workflow file than gitckpt.yaml, taken from `directory`; its folder is the workspace.
    Raises gitckpt.errors.GitckptError for what a user can mend; a failed phase is a verdict, not an exception.
    """
    request = running.RunRequest(params=params or {})
    return running.run_workflow(_where(directory, file), request, reporter or Silent(), lambda: (None, 0)).stop


@contextmanager
def open_store(directory: Path | str = ".", *, file: Path | str | None = None) -> Iterator[Store]:
    """The checkpoints of a folder's workflow: `store.tip()`, `store.history()`, `store.attempts(phase)`.

    `file` as for `run`; a Python file is not run.
    """
    with opening.open_store(_where(directory, file)) as (_, store):
        yield store


def _where(directory: Path | str, file: Path | str | None) -> Where:
    return Where(directory=Path(directory), file=None if file is None else Path(file))
