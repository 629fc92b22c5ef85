"""gitckpt from Python: run a workflow, and read its checkpoints. The public face; the command line has its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gitckpt.api import reading, running
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
    directory: Path | str = ".", *, params: Mapping[str, str] | None = None, reporter: Reporter | None = None
) -> Stop:
    """Run or resume the workflow of a folder, and say why it stopped: `stop.verdict`, `stop.phases`, `stop.reason`.

    Raises gitckpt.errors.GitckptError for what a user can mend; a failed phase is a verdict, not an exception.
    """
    request = running.RunRequest(params=params or {})
    return running.run_workflow(Where(directory=Path(directory)), request, reporter or Silent(), lambda: (None, 0)).stop


@contextmanager
def open_store(directory: Path | str = ".") -> Iterator[Store]:
    """The checkpoints of a folder's workflow: `store.tip()`, `store.history()`, `store.attempts(phase)`."""
    with reading.open_store(Where(directory=Path(directory))) as (_, store):
        yield store
