"""A workspace under test and what is known of it: the files on the disk, those of every checkpoint, and the commands.

Owns the look at the disk (with none of our own code) and what holds after every command. Must not choose what is done.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from gitckpt.api.library import Silent
from gitckpt.api.reading import Where, find_workspace
from gitckpt.api.writing import write
from gitckpt.engine.begin import ensure_run
from gitckpt.engine.conclude import conclude, is_concluded, promise
from gitckpt.engine.hold import Hold
from gitckpt.engine.ports import Executor
from gitckpt.engine.requests import Request
from gitckpt.engine.run import run
from gitckpt.engine.settle import settle
from gitckpt.execute import inbox
from gitckpt.model.advance import advance
from gitckpt.model.events import Event
from gitckpt.model.manifest import is_complete, state_of
from gitckpt.model.moment import Limits, Moment, Stop, Verdict
from gitckpt.model.names import Oid, PhaseName
from gitckpt.model.workflow import order
from gitckpt.plumbing.content import Content, list_content
from gitckpt.plumbing.reader import Reader
from gitckpt.spec.load import load
from gitckpt.store.checkpoint import Checkpoint
from tests.properties.scripted import Scripted
from tests.repo import Repo

Entry = tuple[str, int, bytes]
"""Kind, mode (0 for a link), and content or target."""

Files = dict[str, Entry]

FILE = "gitckpt.yaml"
KEPT = PhaseName("third")
"""The phase with `keep_partial`."""

PHASES = {
    "first": "{run: 'true'}",
    "second": "{run: 'true', on_failure: continue}",
    "third": "{run: 'true', keep_partial: true}",
    "fourth": "{run: 'true'}",
}


def definition(*names: str) -> str:
    lines = "".join(f"  {name}: {PHASES[name]}\n" for name in names)
    return f"version: 1\nworkflow: w\nphases:\n{lines}"


def look(root: Path) -> Files:
    """Everything in the workspace but `.git` and gitckpt's own folder."""
    found: Files = {}
    for folder, folders, names in os.walk(root):
        if Path(folder) == root:
            folders[:] = [name for name in folders if name not in (".git", ".gitckpt")]
        for name in (*folders, *names):
            path = Path(folder, name)
            mode = path.lstat().st_mode
            shown = str(path.relative_to(root))
            if stat.S_ISLNK(mode):
                found[shown] = ("link", 0, os.fsencode(os.readlink(path)))
            elif stat.S_ISDIR(mode):
                found[shown] = ("dir", stat.S_IMODE(mode), b"")
            else:
                found[shown] = ("file", stat.S_IMODE(mode), path.read_bytes())
    return found


def without_folders(files: Files) -> Files:
    return {path: entry for path, entry in files.items() if entry[0] != "dir"}


class Bench:
    """One repository, its workflow, and the account of its history so far."""

    def __init__(self, folder: Path, text: str | None = None) -> None:
        self.repo = Repo(folder)
        self.root = self.repo.path
        self.repo.write(FILE, text or definition("first", "second", "third"))
        self.repo.commit()
        self.ids: list[Oid] = []
        self.contents: dict[Oid, Files] = {}
        self.checkpoints: dict[Oid, Checkpoint] = {}
        self.news: list[Event] = []
        self.attempts: dict[tuple[PhaseName, int], Oid] = {}
        self.rescues: dict[int, Oid] = {}

    # --- commands -------------------------------------------------------------------------------------------------

    @contextmanager
    def writing(self) -> Iterator[Hold]:
        """What every command that writes begins with."""
        with write(Where(directory=self.root), Silent()) as hold:
            yield hold

    def step(self, executor: Scripted, again: str = "never") -> Stop:
        """`gitckpt run --step`."""
        with self.writing() as hold:
            settle(hold)
            ensure_run(hold, again=again, params={}, given=())
            return run(hold, executor, Moment(limits=Limits(step=True)), lambda: (None, 0))

    def call(self, executor: Executor) -> Stop:
        """`gitckpt run`: everything of it but its words and its flags."""
        with self.writing() as hold:
            settle(hold)
            ensure_run(hold, again="never", params={}, given=())
            complete = is_complete(hold.at_tip.manifest)
            if not complete:
                promise(hold)
            stop = run(hold, executor, Moment(), lambda: (None, 0))
            if not (complete and stop.verdict is Verdict.COMPLETE and is_concluded(hold)):
                conclude(hold, executor, stop, lambda: (None, 0))
            return stop

    def try_call(self, executor: Executor) -> None:
        """`gitckpt run`, however it ends."""
        self.call(executor)

    def try_step(self, executor: Scripted) -> None:
        """`gitckpt run --step`, however it ends."""
        self.step(executor)

    def ask_for_a_checkpoint(self) -> None:
        """`gitckpt checkpoint -m` inside a phase, whose answer nobody waits for."""
        place = find_workspace(Where(directory=self.root)).place
        request = Request(verb="checkpoint", text="half way", phase=self.under_way())
        inbox.post(place.inbox, msgspec.json.encode(request))

    def under_way(self) -> PhaseName | None:
        """The phase whose attempt has begun and not landed, as the journal says."""
        attempt = find_workspace(Where(directory=self.root)).place.read().attempt
        return attempt.phase if attempt else None

    def dead(self) -> bool:
        """Whether a run lies dead in an attempt, or in the commands of `always`."""
        return self.under_way() is not None

    def settled(self) -> None:
        """What every command does before its own work."""
        with self.writing() as hold:
            settle(hold)

    # --- what holds -----------------------------------------------------------------------------------------------

    def account(self) -> Files:
        """After a command: history grew, the law holds, nothing kept was lost, and the tip is what lies on the disk."""
        with self.writing() as hold:
            reader, store = hold.store.reader, hold.store
            ids = store.ids()
            assert ids[len(ids) - len(self.ids) :] == self.ids, "history was changed, not added to"
            self.news = []
            for oid in reversed(ids[: len(ids) - len(self.ids)]):
                self._take_in(store.read(oid), reader)
                self.news += self.checkpoints[oid].events
            self.ids = ids
            kept, rescued = store.all_attempts(), store.rescues()
            assert self.attempts.items() <= kept.items(), "an attempt is gone or was replaced"
            assert self.rescues.items() <= rescued.items(), "rescued work is gone or was replaced"
            for oid in {*kept.values(), *rescued.values()} - self.contents.keys():
                self.contents[oid] = _files(reader, store.read(oid).content)
            self.attempts, self.rescues = kept, rescued
            assert set(store.tags().values()) <= set(ids), "a tag names what is not in history"
            if self.ids:
                assert hold.record.bases[hold.name] == ids[0]
                assert hold.record.attempt is None
                assert hold.record.landing is None
        self.repo.untouched()
        there = look(self.root)
        if self.ids:
            assert there == self.contents[self.ids[0]], "the workspace is not its newest checkpoint"
        return there

    def _take_in(self, checkpoint: Checkpoint, reader: Reader) -> None:
        parent = self.checkpoints.get(checkpoint.parents[0]) if checkpoint.parents else None
        before = parent.manifest if parent else None
        assert checkpoint.manifest == advance(before, checkpoint.events), "the law"
        if before is not None:
            for name in before.phases:
                then, now = state_of(before, name), state_of(checkpoint.manifest, name)
                assert now.attempts >= then.attempts
                assert now.generation >= then.generation
        self.checkpoints[checkpoint.oid] = checkpoint
        self.contents[checkpoint.oid] = _files(reader, checkpoint.content)

    @property
    def tip(self) -> Checkpoint:
        return self.checkpoints[self.ids[0]]

    def knows_todays_order(self) -> None:
        """After a run: the manifest has the phases of the file as it now is."""
        assert self.tip.manifest.order == order(load(self.root / FILE).workflow)

    def stamp(self) -> None:
        """What an attempt's watchdog leaves behind when the last of its processes is dead."""
        place = find_workspace(Where(directory=self.root)).place
        place.live.mkdir(exist_ok=True)
        (place.live / "stamp").write_text("")

    def close(self) -> None:
        self.repo.untouched()
        self.repo.sound()


def _files(reader: Reader, content: Content) -> Files:
    items = list_content(reader, content)
    found: Files = {}
    for path, item in items.items():
        data = reader.blob(item.oid) if item.oid else b""
        found[os.fsdecode(path)] = (item.kind, item.mode, data)
    return found
