"""Folders made writable for the time of a restore, and their own modes remembered across a kill.

Owns the note in `.gitckpt/tmp/`: a folder's mode is written down, durably, before it is changed.
"""

from __future__ import annotations

import contextlib
import os
import stat

from gitckpt.workspace.disk import Disk

_NOTE = b"modes"


class Openings:
    """The folders below `disk` that were opened; the note lies in the folder with the descriptor `tmp`."""

    def __init__(self, disk: Disk, tmp: int) -> None:
        self._disk = disk
        self._tmp = tmp
        self._modes = self._read()

    def need(self, path: bytes, bits: int) -> None:
        """Give the owner all rights on the folder at `path` if it lacks `bits`. The superuser needs none."""
        if os.geteuid() == 0:
            return
        found = self._disk.look(path)
        if found is None or not stat.S_ISDIR(found.st_mode) or found.st_mode & bits == bits:
            return
        # What an earlier, killed try noted is the folder's own mode; what is there now may be ours.
        self._modes.setdefault(path, found.st_mode & 0o1777)
        self._write()
        self._disk.set_mode(path, stat.S_IMODE(found.st_mode) | 0o700)

    def originals(self) -> dict[bytes, int]:
        """The permission bits that the opened folders had."""
        return dict(self._modes)

    def done(self) -> None:
        """Drop the note: all modes are right again."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_NOTE, dir_fd=self._tmp)

    def _read(self) -> dict[bytes, int]:
        try:
            number = os.open(_NOTE, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._tmp)
        except FileNotFoundError:
            return {}
        with os.fdopen(number, "rb") as note:
            rows = [line.split() for line in note.read().splitlines()]
        return {bytes.fromhex(path.decode("ascii")): int(mode, 8) for mode, path in rows}

    def _write(self) -> None:
        text = b"".join(b"%04o %s\n" % (mode, path.hex().encode()) for path, mode in self._modes.items())
        folder = self._tmp
        unfinished = b"new-modes"
        number = os.open(
            unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder
        )
        with os.fdopen(number, "wb") as note:
            note.write(text)
            note.flush()
            os.fsync(note.fileno())
        os.rename(unfinished, _NOTE, src_dir_fd=folder, dst_dir_fd=folder)
