"""Two marks that the watchdog makes: `started`, before an attempt's first process runs; `stamp`, when its last is dead.

Owns only their making; what they mean, `heartbeat.py` knows. The watchdog, a program of its own, imports it, so it
imports only what starts fast.
"""

from __future__ import annotations

import os

from gitckpt.execute.processes import boot_id

STARTED = "started"
"""In the attempt's own folder."""

HEARTBEAT = "heartbeat"
STAMP = "stamp"
"""Both in the live folder, so on the file system whose clock they tell."""


def mark_started(folder: str) -> None:
    """Say that a process of the attempt is about to run. Raises OSError."""
    os.close(os.open(os.path.join(folder, STARTED), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def write_stamp(live: str) -> None:
    """Make `<live>/stamp` anew, so that its ctime is now, by the clock of the workspace's own file system.

    The heartbeat becomes it, for that needs no room on a disk that is full. Where a phase removed that, or the folder,
    it is made. Raises OSError; a link in the folder's place is not followed.
    """
    try:
        os.mkdir(live)
    except FileExistsError:
        pass
    folder = os.open(live, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        try:
            # Before it gets its name: not on every file system does a new name move the ctime.
            os.utime(HEARTBEAT, dir_fd=folder, follow_symlinks=False)
            os.rename(HEARTBEAT, STAMP, src_dir_fd=folder, dst_dir_fd=folder)
        except FileNotFoundError:
            _make(folder)
    finally:
        os.close(folder)


def _make(folder: int) -> None:
    try:
        os.utime(STAMP, dir_fd=folder, follow_symlinks=False)
        return
    except FileNotFoundError:
        pass
    stamp = os.open(STAMP, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=folder)
    os.write(stamp, boot_id().encode() + b"\n")
    os.close(stamp)
