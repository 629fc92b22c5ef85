"""A place for a few words that a process says: in memory where the system has that, so that no disk can refuse them."""

from __future__ import annotations

import os
from typing import IO

if not hasattr(os, "memfd_create"):  # else whoever only reads does not wait for `tempfile`
    from gitckpt.plumbing.scratch import scratch_file


def spool() -> IO[bytes]:
    """An empty file without a name. Raises NoScratch where it lies on a disk."""
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("gitckpt"), "w+b", buffering=0)
    return scratch_file()
