"""A file system in a file, mounted through a loop device, whose power can be cut. For root only.

Owns mounting, putting back and what must be there for it. Must not know what is done on it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Kind = Literal["ext4", "xfs"]
_SIZE_MB = {"ext4": 64, "xfs": 320}
_MAKE = {"ext4": ("mkfs.ext4", "-q", "-F"), "xfs": ("mkfs.xfs", "-q", "-f")}
_BUSY_S = 20
_FS_IOC_SHUTDOWN = 0x8004587D
_WITHOUT_FLUSH = struct.pack("I", 2)


def missing(kind: Kind) -> str:
    """Why there can be no such disk here; empty where there can."""
    if os.geteuid() != 0:
        return "mounting a disk takes root"
    if shutil.which(_MAKE[kind][0]) is None:
        return f"there is no {_MAKE[kind][0]}"
    done = subprocess.run(["losetup", "--find"], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"there is no free loop device: {done.stderr.strip()}"


@dataclass(slots=True)
class Disk:
    """A disk of `kind`, mounted at `at` with default options; its images lie in `images`, under its name."""

    kind: Kind
    at: Path
    images: Path
    _device: str = field(default="", init=False)

    def make(self) -> None:
        """An empty one, mounted."""
        self.at.mkdir()
        with open(self._image, "wb") as file:
            file.truncate(_SIZE_MB[self.kind] << 20)
        _call(*_MAKE[self.kind], str(self._image))
        self.mount()

    def mount(self) -> None:
        """Switch it on: the file system reads its journal."""
        self._device = _call("losetup", "--find", "--show", str(self._image))
        _call("mount", self._device, str(self.at))

    def unmount(self) -> None:
        """Switch it off; what still runs there is waited for.

        The device goes, too, and with it what it remembers of the image: a `mount -o loop` would take it again.
        """
        _wait_for("umount", str(self.at))
        _wait_for("losetup", "--detach", self._device)
        until = time.monotonic() + _BUSY_S
        while _call("losetup", "--associated", str(self._image)):
            assert time.monotonic() < until, f"still in use after {_BUSY_S} s: {self._device}"
            time.sleep(0.01)

    def save(self, name: str) -> None:
        """Keep what an unmounted disk holds."""
        _call("cp", "--sparse=always", str(self._image), str(self._kept(name)))

    def load(self, name: str) -> None:
        """As it was kept; while it is unmounted."""
        _call("cp", "--sparse=always", str(self._kept(name)), str(self._image))

    @property
    def _image(self) -> Path:
        return self.images / f"{self.at.name}.image"

    def _kept(self, name: str) -> Path:
        return self.images / f"{self.at.name}.{name}"


@dataclass(slots=True)
class Disks:
    """All disks of one machine, the lower mount points first: they lose their power together."""

    disks: Sequence[Disk]

    def keep(self, name: str) -> None:
        """From here cuts can start."""
        self.unmount()
        for disk in self.disks:
            disk.save(name)
        self.mount()

    def put_back(self, name: str) -> None:
        """As it was kept."""
        self.unmount()
        for disk in self.disks:
            disk.load(name)
        self.mount()

    def cut(self) -> None:
        """From now on nothing more is written: the power is gone."""
        for disk in self.disks:
            number = os.open(disk.at, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.ioctl(number, _FS_IOC_SHUTDOWN, _WITHOUT_FLUSH)
            finally:
                os.close(number)

    def power_on(self) -> None:
        """After a cut: what the disks really hold."""
        self.unmount()
        self.mount()

    def mount(self) -> None:
        """Switch them on."""
        for disk in self.disks:
            disk.mount()

    def unmount(self) -> None:
        """Switch them off."""
        for disk in reversed(self.disks):
            disk.unmount()


def _call(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout.strip()


def _wait_for(*command: str) -> None:
    until = time.monotonic() + _BUSY_S
    while subprocess.run(command, capture_output=True, check=False).returncode:
        assert time.monotonic() < until, f"still in use after {_BUSY_S} s: {command}"
        time.sleep(0.05)
