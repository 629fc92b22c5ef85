"""On what kind of file system a folder lies, as Linux's list of mounts says. Owns that list's form, and which kinds go
over a network, where locks and change times cannot be relied on.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_NETWORK = re.compile(r"nfs4?|cifs|smbfs|smb3|9p|afs|ceph|lustre|gpfs|beegfs|glusterfs|ncpfs|davfs2?|fuse(\..*)?")
_LOCAL_FUSE = frozenset({"fuse.lxcfs", "fuse.gvfsd-fuse", "fuse.portal", "fuse.fuse-overlayfs", "fuse.bindfs"})


def network_kind(folder: Path) -> str | None:
    """The kind of file system, where it is one over a network (`fuse` may be one); None for all others, and where the
    system has no list of mounts.
    """
    kind = file_system_kind(folder)
    return kind if kind is not None and is_network(kind) else None


def is_network(kind: str) -> bool:
    """Whether files of this kind of file system lie, or may lie, on another machine."""
    return kind not in _LOCAL_FUSE and _NETWORK.fullmatch(kind) is not None


def file_system_kind(folder: Path) -> str | None:
    """`ext4`, `nfs4`, `fuse.sshfs`, …; None where the system has no list of mounts."""
    try:
        with open("/proc/self/mountinfo", "rb") as file:
            listed = file.read()
    except OSError:
        return None
    return kind_in(listed, os.fsencode(os.path.realpath(folder)))


def kind_in(listed: bytes, path: bytes) -> str | None:
    """The kind of the file system that `path` (absolute, no links in it) lies on, by a text as `/proc/self/mountinfo`.

    Of mounts at the same place the last one covers those before it. Form: man 5 proc_pid_mountinfo.
    """
    best: tuple[int, str] | None = None
    for line in listed.splitlines():
        before, _, after = line.partition(b" - ")
        words = before.split(b" ")
        if len(words) < 5 or not after:
            continue
        point = re.sub(rb"\\([0-7]{3})", lambda octal: bytes([int(octal[1], 8)]), words[4])
        inside = path == point or path.startswith(point.rstrip(b"/") + b"/")
        if inside and (best is None or len(point) >= best[0]):
            best = len(point), os.fsdecode(after.split(b" ")[0])
    return best[1] if best else None
