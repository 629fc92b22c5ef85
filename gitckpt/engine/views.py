"""The views that attempts get: how each is made, what is said to its processes, and how it is read and taken away.

Owns which kind an attempt gets, and the layers that show a view what has landed and is not in the workspace yet. Must
not run anything, nor land anything.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

from gitckpt.engine.capturing import capture_rules
from gitckpt.engine.dating import NEW, dates_for
from gitckpt.engine.hold import Hold, workspace_defaults
from gitckpt.engine.layer import Layer
from gitckpt.engine.place import ViewUnderWay
from gitckpt.engine.ports import Running, View
from gitckpt.errors import ExitCode, GitckptError, Unreadable
from gitckpt.execute.namespace import probe
from gitckpt.execute.process import Overlay
from gitckpt.model.names import PhaseName
from gitckpt.model.workflow import Phase
from gitckpt.plumbing.content import Change, Content, Item, Lookup, compare
from gitckpt.plumbing.environment import ACROSS_MOUNTS
from gitckpt.plumbing.file_system import sync_tree
from gitckpt.plumbing.pack import Pack
from gitckpt.workspace.carrying import carry
from gitckpt.workspace.layers import make_layer, remove_view
from gitckpt.workspace.replica import Replica, load_replica, make_replica, read_replica
from gitckpt.workspace.scan import ViewScan
from gitckpt.workspace.snapshot import Uncaptured
from gitckpt.workspace.times import ctime_now
from gitckpt.workspace.touching import touched_over
from gitckpt.workspace.unlocking import unlocked, with_modes
from gitckpt.workspace.upper import scan

DEEPEST = 60
"""Layers under one view: looking for a name that is nowhere costs a look into each of them."""


@dataclass(eq=False)
class NoOverlay(GitckptError):
    """A phase wants an overlay, and this machine or this folder cannot have one."""

    phase: str
    why: str

    exit_code = ExitCode.USAGE

    @property
    def message(self) -> str:
        return f"{self.phase} has `isolation: overlay`, and that cannot be had here: {self.why}"

    @property
    def hint(self) -> str:
        return "say `isolation: copy` (a copy for each attempt), or `auto`; what this machine can do: gitckpt doctor"


@dataclass(slots=True)
class Layers:
    """What lies over the workspace, oldest first: of attempts that have succeeded and are not applied to it yet."""

    landed: list[Layer] = field(default_factory=list)
    reason: str | None = None
    is_probed: bool = False

    def refusal(self, hold: Hold) -> str | None:
        """Why no overlay can be had here; None where it can. It is tried once a command."""
        if not self.is_probed:
            self.is_probed = True
            hold.place.views.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.reason = probe(hold.place.views, hold.given.root)
        return self.reason


def kind_for(hold: Hold, layers: Layers, phase: Phase) -> Literal["overlay", "copy"]:
    """What an attempt of an isolated phase gets. Raises NoOverlay."""
    if phase.isolation == "copy":
        return "copy"
    why = layers.refusal(hold)
    if why is None:
        return "overlay"
    if phase.isolation == "overlay":
        raise NoOverlay(phase.name, why)
    return "copy"


def require_overlays(hold: Hold, layers: Layers, phases: Iterable[Phase]) -> None:
    """Refuse at once what could not go on later. Raises NoOverlay."""
    for phase in phases:
        if phase.isolation == "overlay":
            kind_for(hold, layers, phase)


def view_name(phase: PhaseName) -> str:
    """A name of its own for an attempt's view."""
    return f"{phase}-{secrets.token_hex(4)}"


def make_view(hold: Hold, layers: Layers, phase: Phase, start: Content, before: Sequence[Layer]) -> View:
    """A view of the content `start`. `before`: layers that are not landed, and that it shows, too. Raises NoOverlay."""
    name = view_name(phase.name)
    if kind_for(hold, layers, phase) == "copy":
        try:
            return CopyView.make(hold, name, start)
        except GitckptError:
            remove_views(hold, [name])  # a disk that is full needs the room
            raise
    return OverlayView.make(hold, name, lowers_for(hold, layers, name, start, before))


def lowers_for(hold: Hold, layers: Layers, name: str, start: Content, before: Sequence[Layer]) -> list[Path]:
    """The directories, topmost first, that together show exactly `start`."""
    if len(layers.landed) > DEEPEST:
        flatten(hold, layers)
    stack = [layer for layer in (*layers.landed, *before) if layer.stacks]
    base = (hold.base or hold.at_tip).content
    wanted = {change.path: change for change in compare(hold.store.reader, base, start)}
    shown: dict[bytes, Item | None] = {}
    for layer in stack:
        shown.update((change.path, change.new) for change in layer.changes)
    wrong = [change for path, change in wanted.items() if path not in shown or shown[path] != change.new]
    lowers = [layer.folder for layer in stack]
    # What a layer shows and nobody wants is to be as the base has it: another attempt had changed it back.
    known = Lookup(hold.store.reader, base)
    surplus = {path: known.item(path) for path in shown.keys() - wanted.keys()}
    wrong += [Change(path=path, old=shown[path], new=item) for path, item in surplus.items() if shown[path] != item]
    if wrong:
        folder = hold.place.views / name / "mend"
        folder.mkdir(mode=0o700, parents=True)
        wrong.sort(key=lambda change: change.path)
        make_layer(folder, hold.store.reader, wrong, after=start, dates=dates_for(hold, wrong, NEW))
        lowers.append(folder)
    return [*reversed(lowers), hold.given.root]


def flatten(hold: Hold, layers: Layers) -> None:
    """One layer instead of many. What no checkpoint holds goes along."""
    base = (hold.base or hold.at_tip).content
    changes = compare(hold.store.reader, base, hold.at_tip.content)
    folder = hold.place.views / view_name(PhaseName("layer")) / "upper"
    folder.mkdir(mode=0o700, parents=True)
    dates = dates_for(hold, changes, NEW)
    make_layer(folder, hold.store.reader, changes, after=hold.at_tip.content, dates=dates)
    stacked = [layer for layer in layers.landed if layer.stacks]
    for layer in stacked:
        carry(layer.folder, hidden_of(layer.folder.parent), folder, since_ns=None)
    _mark_seen(folder.parent, [layer.folder for layer in stacked])
    others = [layer for layer in layers.landed if not layer.stacks]
    layers.landed[:] = [*others, Layer(folder=folder, changes=tuple(changes))]


class OverlayView:
    """Overlayfs at the workspace's own path, mounted by the attempt's watchdog. Only `upper` is read afterwards."""

    kind: Literal["overlay", "copy"] = "overlay"

    def __init__(self, hold: Hold, name: str, lowers: Sequence[Path]) -> None:
        self._hold = hold
        self.name = name
        self.folder = hold.place.views / name
        self.workspace = hold.given.root
        self.upper = self.folder / "upper"
        self._work = self.folder / "work"
        self.lowers = tuple(lowers)

    @classmethod
    def make(cls, hold: Hold, name: str, lowers: Sequence[Path]) -> OverlayView:
        """Make its folders."""
        view = cls(hold, name, lowers)
        for folder in (view.upper, view._work):
            folder.mkdir(mode=0o700, parents=True)
        # The top of the view has the mode of its upper directory.
        os.chmod(view.upper, os.stat(hold.given.root).st_mode & 0o7777)
        return view

    def mount(self) -> Overlay:
        """See View."""
        given, live = self._hold.given, self._hold.place.live
        inside = {self.workspace / ".git", given.repository.git_dir, given.repository.common_dir, live}
        binds = sorted(path for path in inside if path.is_relative_to(self.workspace))
        tops = [path for path in binds if not any(other in path.parents for other in binds)]
        return Overlay(
            target=self.workspace,
            lowers=self.lowers,
            upper=self.upper,
            work=self._work,
            binds=tuple((path, path) for path in tops),
        )

    def environment(self) -> Mapping[str, str]:
        """See View."""
        # The repository's top is above the mount point then.
        return {ACROSS_MOUNTS: "1"} if self._hold.given.prefix else {}

    def layer(self, changes: tuple[Change, ...]) -> Layer:
        """See View."""
        return Layer(folder=self.upper, changes=changes)

    def root(self, running: Running | None) -> Path:
        """See View."""
        return (running.root if running is not None else None) or self.workspace

    def scan(self, pack: Pack, start: Content, seen: Path | None) -> ViewScan:
        """See View."""
        hold = self._hold
        once = partial(
            scan,
            upper=self.upper,
            seen=seen,
            start=start,
            repository=hold.given.repository,
            prefix=hold.given.prefix,
            rules=capture_rules(hold.given.workflow, hold.given.environment),
            pack=pack,
            reader=hold.store.reader,
            defaults=workspace_defaults(hold),
        )
        found = _all_read(once, self.upper, self.upper if seen is None else seen)
        return touched_over(found, self.lowers)


class CopyView:
    """A folder with a copy of all that is captured, and links to what is not."""

    kind: Literal["overlay", "copy"] = "copy"

    def __init__(self, hold: Hold, name: str, replica: Replica) -> None:
        self._hold = hold
        self.name = name
        self.folder = hold.place.views / name
        self._replica = replica
        self.workspace = replica.root
        self.lowers: tuple[Path, ...] = ()

    @classmethod
    def make(cls, hold: Hold, name: str, start: Content) -> CopyView:
        """Copy what is captured."""
        given = hold.given
        folder = hold.place.views / name
        folder.mkdir(mode=0o700, parents=True)
        replica = make_replica(
            folder=folder / "copy",
            root=given.root,
            content=start,
            reader=hold.store.reader,
            cache=hold.cache,
            repository=given.repository,
            prefix=given.prefix,
            rules=capture_rules(given.workflow, given.environment),
            defaults=workspace_defaults(hold),
            date_of=lambda path, item: hold.dates.at(path, item.oid, hold.at_tip.number) if item.oid else None,
        )
        return cls(hold, name, replica)

    def mount(self) -> None:
        """See View."""
        return

    def environment(self) -> Mapping[str, str]:
        """See View."""
        return {"GITCKPT_WORKSPACE": str(self._hold.given.root), "GITCKPT_VIEW": str(self.workspace)}

    def layer(self, changes: tuple[Change, ...]) -> Layer:
        """See View."""
        return Layer(folder=self.workspace, changes=changes, stacks=False)

    def root(self, running: Running | None) -> Path:  # noqa: ARG002 - a folder like any other
        """See View."""
        return self.workspace

    def scan(self, pack: Pack, start: Content, seen: Path | None) -> ViewScan:  # noqa: ARG002 - as above
        """See View."""
        hold = self._hold
        begun = begun_ns(self.folder)
        once = partial(read_replica, self._replica, pack=pack, start=start, reader=hold.store.reader, begun_ns=begun)
        return _all_read(once, self.workspace, self.workspace)


def _all_read(once: Callable[[], ViewScan], own: Path, seen: Path) -> ViewScan:
    """What is in a view, also where its processes left it unreadable: nobody could mend that, for the view is nowhere
    in the workspace."""
    try:
        return once()
    except Unreadable:
        with unlocked(own, seen) as modes:
            found = once()
        return replace(found, changes=with_modes(found.changes, modes))


NOTHING = ViewScan(changes=(), unstable=(), left_out=(), not_kept=(), uncaptured=Uncaptured(), hidden=())
"""Of a view whose making did not come to its end, or that somebody removed."""

_BEGUN = "begun"
_HIDDEN = "hidden"
_SEEN = "seen"


def mark_begun(view: View, root: Path) -> None:
    """Remember when the view began, by the clock of the workspace's file system, and of which others it shows all."""
    (view.folder / _BEGUN).write_text(str(ctime_now(root)), encoding="ascii")
    _mark_seen(view.folder, view.lowers)


def _mark_seen(folder: Path, lowers: Sequence[Path]) -> None:
    above = [lower.parent for lower in lowers if lower.name == "upper"]
    seen = {name for place in above for name in (place.name, *seen_by(place))}
    if seen:
        (folder / _SEEN).write_text("\n".join(sorted(seen)), encoding="ascii")


def seen_by(folder: Path) -> frozenset[str]:
    """The names of the views of which the one in this folder shows all."""
    try:
        return frozenset((folder / _SEEN).read_text(encoding="ascii").split("\n"))
    except (OSError, ValueError):
        return frozenset()


def begun_ns(folder: Path) -> int:
    """When the view began; long ago where nobody knows, so that nothing of the user's is overwritten."""
    try:
        return int((folder / _BEGUN).read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return 0


def note_hidden(folder: Path, hidden: Sequence[bytes]) -> None:
    """Remember what no checkpoint holds of what the attempt changed, for the way to the workspace: durably, for nothing
    else has it."""
    if hidden:
        unfinished = folder / f"{_HIDDEN}.new"
        unfinished.write_bytes(b"\0".join(hidden))
        sync_tree(folder)
        unfinished.replace(folder / _HIDDEN)


def hidden_of(folder: Path) -> tuple[bytes, ...]:
    """What `note_hidden` noted."""
    try:
        data = (folder / _HIDDEN).read_bytes()
    except FileNotFoundError:  # any other error says nothing of what is there, and nothing else has it
        return ()
    return tuple(path for path in data.split(b"\0") if path)


def forget_view(hold: Hold, name: str) -> None:
    """The attempt in the view has come to nothing: what is in it goes nowhere."""
    hold.write_record(replace(hold.record, views=tuple(each for each in hold.record.views if each.view != name)))


def remove_views(hold: Hold, names: Sequence[str]) -> None:
    """Take views away, whatever is in them."""
    for name in names:
        remove_view(hold.place.views / name)


def scan_dead(hold: Hold, view: ViewUnderWay, pack: Pack, start: Content) -> ViewScan:
    """What an attempt left in its view, when the run that made it is dead."""
    if view.kind == "overlay":
        overlay = OverlayView(hold, view.view, ())
        return overlay.scan(pack, start, None) if overlay.upper.is_dir() else NOTHING
    rules = capture_rules(hold.given.workflow, hold.given.environment)
    replica = load_replica(hold.place.views / view.view / "copy", hold.given.repository, rules)
    return NOTHING if replica is None else CopyView(hold, view.view, replica).scan(pack, start, None)
