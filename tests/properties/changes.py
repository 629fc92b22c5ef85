"""Changes of files, made the same way by users and by phases, and how to draw them.

Owns the names a small workspace may hold. Folders stay when they become empty, as on any disk.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

NAMES = st.sampled_from(["a", "b", "c", "d/x", "d/y", "d/e/z"])
MODES = st.sampled_from([0o644, 0o755, 0o600])
DATA = st.sampled_from([b"", b"one\n", b"two\n", b"\r\n\0\xff", b"long " * 99])


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one file, made the same way by users and by phases."""

    verb: str
    path: str
    data: bytes = b""
    mode: int = 0o644
    other: str = ""

    def make(self, root: Path) -> None:
        path, other = root / self.path, root / self.other
        if self.verb in ("write", "link"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            if self.verb == "link":
                path.symlink_to(self.other)
                return
            path.write_bytes(self.data)
            path.chmod(self.mode)
        elif not os.path.lexists(path):
            return
        elif self.verb == "delete":
            path.unlink()
        elif self.verb == "chmod" and not path.is_symlink():
            path.chmod(self.mode)
        elif self.verb == "append" and not path.is_symlink():
            with path.open("ab") as file:
                file.write(self.data)
        elif self.verb == "rename":
            other.parent.mkdir(parents=True, exist_ok=True)
            path.rename(other)


WRITES = st.builds(Change, st.just("write"), NAMES, DATA, MODES)
CHANGES = st.one_of(
    WRITES,
    st.builds(Change, st.just("delete"), NAMES),
    st.builds(Change, st.just("chmod"), NAMES, mode=MODES),
    st.builds(Change, st.just("append"), NAMES, DATA),
    st.builds(Change, st.just("link"), NAMES, other=NAMES),
    st.builds(Change, st.just("rename"), NAMES, other=NAMES),
)
WORK = st.lists(CHANGES, max_size=4)


def all_of(changes: Sequence[Change]) -> Callable[[Path], None]:
    def work(root: Path) -> None:
        for change in changes:
            change.make(root)

    return work
