"""The stamp: a file whose ctime tells when the last process of an attempt was dead.

Owns only its making; what it is the border of, `heartbeat.py` knows. The watchdog, a program of its own, imports it,
so it imports only what starts fast.
"""

from __future__ import annotations

import os

from gitckpt.execute.processes import boot_id


def write_stamp(live: str) -> None:
    """Make `<live>/stamp` anew, so that its ctime is now, by the clock of the workspace's own file system.

    Raises OSError. The folder is made again when the phase deleted it; a link in its place is not followed.
    """
    try:
        os.mkdir(live)
    except FileExistsError:
        pass
    folder = os.open(live, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        try:
            os.unlink("stamp", dir_fd=folder)
        except FileNotFoundError:
            pass
        stamp = os.open("stamp", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=folder)
        os.write(stamp, boot_id().encode() + b"\n")
        os.close(stamp)
    finally:
        os.close(folder)
