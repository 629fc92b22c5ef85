"""Run as a child that mounts overlays: every scenario of `views.py` in a folder of its own, told as JSON.

Usage: mounted.py FOLDER own|torture [nobody]. A process of its own: who makes a user namespace may have no threads.
"""

from __future__ import annotations

import ctypes
import json
import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pathspec  # noqa: F401 - it is loaded on demand, and nobody may read where it lies

from gitckpt.errors import GitckptError
from gitckpt.plumbing.content import Content, list_content
from gitckpt.plumbing.pack import Pack
from gitckpt.workspace.become import apply
from gitckpt.workspace.layers import carry, make_layer, remove_view
from gitckpt.workspace.snapshot import Snapshot, snapshot
from gitckpt.workspace.statcache import StatCache
from gitckpt.workspace.times import ctime_now, wait_past
from gitckpt.workspace.upper import UpperScan, scan
from tests.workspace.desk import Desk
from tests.workspace.scenarios import SCENARIOS, Scenario
from tests.workspace.shown import differing, explained, manifest
from tests.workspace.unprivileged import become_nobody
from tests.workspace.views import RULES, prepare

# Whatever a scenario may end with: the others are run all the same.
_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    GitckptError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    subprocess.SubprocessError,
)
_LIBC = ctypes.CDLL(None, use_errno=True)
_NEWNS, _NEWUSER = 0x20000, 0x10000000
_SET_DUMPABLE = 4
_BIND, _REC, _PRIVATE = 4096, 16384, 1 << 18


class NoMount(Exception):
    """The system refuses an overlay."""


def _checked(result: int, what: str) -> None:
    if result:
        raise NoMount(f"{what}: {os.strerror(ctypes.get_errno())}")


def mount(root: Path, view: Path, layers: tuple[Path, ...] = ()) -> None:
    """In a namespace of our own, show `root` through the overlay of `view`, its `.git` as it is."""
    user, group = os.getuid(), os.getgid()
    _checked(_LIBC.unshare(_NEWNS | (_NEWUSER if user else 0)), "unshare")
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    _checked(_LIBC.mount(b"none", b"/", None, _REC | _PRIVATE, None), "private")
    git = os.open(root / ".git", os.O_PATH) if (root / ".git").exists() else -1
    lowers = ":".join(str(path) for path in (*layers, root))
    said = f"lowerdir={lowers},upperdir={view}/upper,workdir={view}/work,userxattr"
    _checked(_LIBC.mount(b"overlay", bytes(root), b"overlay", 0, said.encode()), "overlay")
    if git >= 0:
        _checked(_LIBC.mount(b"/proc/self/fd/%d" % git, bytes(root / ".git"), None, _BIND | _REC, None), "bind")
    os.chdir(root)


class Viewed:
    """A child in a view: `ask` runs a function there and gives its answer. Ends with the `with`."""

    def __init__(self, root: Path, view: Path, layers: tuple[Path, ...] = ()) -> None:
        for name in ("upper", "work"):
            (view / name).mkdir(parents=True)
        (view / "upper").chmod(0o755)
        self._down, child_down = os.pipe()[::-1]
        child_up = os.pipe()
        self._up = child_up[0]
        self.pid = os.fork()
        if self.pid:
            os.close(child_down)
            os.close(child_up[1])
            return
        os.close(self._down)
        code = 1
        try:
            mount(root, view, layers)
            self._serve(child_down, child_up[1])
            code = 0
        except NoMount as refused:
            os.write(child_up[1], b"!" + str(refused).encode() + b"\n")
        except _FAILURES:
            traceback.print_exc()
        finally:
            os._exit(code)

    def _serve(self, down: int, up: int) -> None:
        # What is asked is known to both sides by its number: functions do not travel.
        while number := os.read(down, 1):
            try:
                answer: Any = self.asked[number[0]]()
            except _FAILURES:
                answer = traceback.format_exc()
            os.write(up, pickle.dumps(answer).hex().encode() + b"\n")

    asked: tuple[Callable[[], Any], ...] = ()

    def ask(self, number: int) -> Any:
        os.write(self._down, bytes([number]))
        line = b""
        while not line.endswith(b"\n"):
            data = os.read(self._up, 1 << 16)
            if not data:
                raise RuntimeError("the child in the view ended")
            line += data
        if line.startswith(b"!"):
            raise NoMount(line[1:].decode().strip())
        answer = pickle.loads(bytes.fromhex(line.decode()))
        if isinstance(answer, str):
            raise RuntimeError(answer)
        return answer

    def end(self) -> None:
        os.close(self._down)
        os.close(self._up)
        os.waitpid(self.pid, 0)


# --- what is asked there -------------------------------------------------------------------------------------


def fresh(desk: Desk) -> Content:
    """As `desk.fresh`, with the objects stored."""
    with Pack(desk.repository, "fresh") as pack:
        content = snapshot(
            root=desk.root,
            repository=desk.repository,
            prefix=desk.prefix,
            rules=desk.rules,
            pack=pack,
            cache=StatCache(desk.repository.object_format),
            defaults=desk.defaults,
            reader=desk.reader,
            held=desk.held,
        ).content
        pack.finish()
    return content


def scanned(desk: Desk, upper: Path, seen: Path | None, start: Content) -> UpperScan:
    with Pack(desk.repository, "scan") as pack:
        found = scan(
            upper=upper,
            seen=seen,
            start=start,
            repository=desk.repository,
            prefix=desk.prefix,
            rules=desk.rules,
            pack=pack,
            reader=desk.reader,
            defaults=desk.defaults,
        )
        for change in found.changes:
            oid = change.new.oid if change.new else b""
            known = change.old is not None and change.old.oid == oid
            assert not oid or oid in pack or known or desk.reader.has(oid), change
        pack.finish()
    return found


def run(scenario: Scenario, folder: Path) -> None:
    """One scenario, whole: the view, its scan, the way to the workspace, and the layer of its changes."""
    desk = Desk(folder / "top", scenario.prefix)
    desk.rules = RULES
    prepare(desk)
    if scenario.before is not None:
        scenario.before(desk.root)
    start = desk.held = desk.take().content
    before = list_content(desk.reader, start)
    view = desk.repository.git_dir / "views" / "one"
    began = wait_past(desk.root, ctime_now(desk.root))
    wait_past(desk.root, began)

    def taken() -> Snapshot:
        return desk.take()

    Viewed.asked = (lambda: scenario.change(desk.root), lambda: (fresh(desk), taken()), lambda: manifest(desk.root))
    viewed = Viewed(desk.root, view)
    upper = view / "upper"
    try:
        viewed.ask(0)
        found = scanned(desk, upper, Path(f"/proc/{viewed.pid}/root{desk.root}"), start)
        dead = scanned(desk, upper, None, start)
        content, snapped = viewed.ask(1)
        wanted = viewed.ask(2)
    finally:
        viewed.end()
    after = list_content(desk.reader, content)
    changes = {change.path: (change.old, change.new) for change in found.changes}
    assert changes == differing(before, after), explained(changes, differing(before, after))
    assert dead == found
    assert [change.path for change in found.changes] == sorted(changes)
    assert list_content(desk.reader, snapped.content) == after
    assert set(found.left_out) <= set(snapped.left_out)
    assert set(found.not_kept) <= set(snapped.not_kept)
    assert found.uncaptured == snapped.uncaptured, (found.uncaptured, snapped.uncaptured)
    if scenario.hidden is not None:
        assert set(found.hidden) == set(scenario.hidden), found.hidden

    layer(desk, folder, found, content, upper, wanted)

    cache = StatCache(desk.repository.object_format)
    apply(desk.root, desk.reader, found.changes, cache)
    for _ in range(2):
        assert carry(upper, found.hidden, desk.root, since_ns=began) == ()
        assert manifest(desk.root) == wanted, explained(manifest(desk.root), wanted)
    remove_view(view)
    assert not view.exists()
    desk.reader.close()


def layer(
    desk: Desk, folder: Path, found: UpperScan, content: Content, upper: Path, wanted: dict[bytes, tuple[object, ...]]
) -> None:
    """The changes, and what no content holds, as a layer under another view: it shows the same."""
    # Not in the workspace: the system refuses two lower directories of which one lies in the other.
    place = folder / "layer"
    place.mkdir(parents=True)
    make_layer(place, desk.reader, found.changes, after=content)
    assert carry(upper, found.hidden, place, since_ns=None) == ()
    desk.held = content
    view = desk.repository.git_dir / "views" / "two"
    Viewed.asked = (lambda: fresh(desk), lambda: manifest(desk.root))
    viewed = Viewed(desk.root, view, (place,))
    try:
        shown, seen = viewed.ask(0), viewed.ask(1)
    finally:
        viewed.end()
    assert seen == wanted, explained(seen, wanted)
    assert list_content(desk.reader, shown) == list_content(desk.reader, content)
    remove_view(view)
    remove_view(place)


def main() -> None:
    folder = Path(sys.argv[1])
    if sys.argv[3:] == ["nobody"]:
        become_nobody()
        # Who has changed user is not the owner of its own /proc/self, where a user namespace is set up.
        _LIBC.prctl(_SET_DUMPABLE, 1, 0, 0, 0)
    os.umask(0o022)
    told = {}
    for number, (name, scenario) in enumerate(SCENARIOS.items()):
        if scenario.group != sys.argv[2]:
            continue
        try:
            run(scenario, folder / str(number))
            told[name] = "fine"
        except NoMount as refused:
            told[name] = f"no overlay: {refused}"
        except _FAILURES:
            told[name] = traceback.format_exc()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
