"""How the runner says things to the watchdog: texts, paths, and one length before it all.

Owns the encoding only; what is said, `process.py` and `start.py` know. Both ends are one Python, so `marshal` does.
"""

from __future__ import annotations

import marshal
import os
from collections.abc import Mapping
from pathlib import Path


def text_of(value: str) -> str:
    """The text that the watchdog's `-X utf8` makes the same bytes of."""
    return os.fsencode(value).decode("utf-8", "surrogateescape")


def path_of(path: Path) -> str:
    """The absolute path, as `text_of`: the watchdog works in another folder."""
    return text_of(os.path.abspath(path))


def environment_of(env: Mapping[str, str]) -> dict[str, str]:
    """The variables, as `text_of`."""
    return {text_of(name): text_of(value) for name, value in env.items()}


def framed(work: Mapping[str, object]) -> bytes:
    """The length in 4 bytes, and as many bytes of `marshal`. Raises ValueError where `marshal` knows no form."""
    said = marshal.dumps(dict(work))
    return len(said).to_bytes(4, "big") + said
