"""Files and folders that are gone when their user has done with them.

Owns where they lie, and saying as a fact that they cannot: of a full or read-only disk this is often the first that is
seen. Knows nothing of what they are for.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gitckpt.errors import ExitCode, GitckptError


@dataclass(eq=False)
class NoScratch(GitckptError):
    """No temporary file can be made. `why`: the system's words."""

    why: str

    exit_code = ExitCode.FAILED

    @property
    def message(self) -> str:
        return f"cannot make a temporary file: {self.why}"

    @property
    def hint(self) -> str:
        return "make room in the folder for them, or name another one in TMPDIR; what was recorded is safe"


def scratch_file() -> IO[bytes]:
    """An empty file without a name. Raises NoScratch."""
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        raise NoScratch(error.strerror or str(error)) from error


@contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """An empty folder, removed with all that is in it at the end. Raises NoScratch."""
    try:
        folder = tempfile.TemporaryDirectory(prefix=prefix)
    except OSError as error:
        raise NoScratch(error.strerror or str(error)) from error
    with folder as name:
        yield Path(os.path.realpath(name))
