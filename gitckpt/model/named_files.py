"""The files that a phase's definition names: words of its commands that may be paths, and the files of its functions.

Owns which words those are. Must not know which of them exist: whoever looks asks for each.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from gitckpt.model.workflow import Phase

_REDIRECT = re.compile(r"[0-9&]*>[>|]?\s*(?:\"[^\"]*\"|'[^']*'|[^\s;&|()<>]+)")
"""What a command writes to is made by it: it is no part of what it is made from."""

_WORD = re.compile(r"\"([^\"]*)\"|'([^']*)'|([^\s;&|()<>\"'`=]+)")
_MOST = 1_000
"""A word longer than this is a program or a text, and no path."""


def named_files(phase: Phase) -> tuple[bytes, ...]:
    """Paths from the workspace's top that `run`, `argv`, `validate` and `python` may mean, each once; not the source of
    its items, whose rows are looked at one by one."""
    check = phase.validate
    texts = [*phase.run, *([check.run] if check and check.run else [])]
    words = [word for text in texts for word in _words(text)]
    words += phase.argv
    for function in (phase.python, check.python if check else None):
        words += _modules(function) if function else []
    words += [check.file] if check and check.file else []
    paths = dict.fromkeys(path for word in words if (path := _path(phase.working_directory, word)) is not None)
    source = phase.foreach
    own = {source.lines, source.csv, source.json} if source else set()
    return tuple(path.encode("utf-8", "surrogateescape") for path in paths if path not in own)


def _words(text: str) -> Iterator[str]:
    for found in _WORD.finditer(_REDIRECT.sub(" ", text)):
        for part in found.groups():
            if part:
                yield part
                # A script within quotes (`bash -c "./one.sh x"`) names files as well.
                yield from part.split() if " " in part else ()


def _modules(function: str) -> list[str]:
    """`package.module:f` is `package/module.py` or a package; `file.py:f` is that file."""
    module = function.partition(":")[0]
    if module.endswith(".py") or "/" in module:
        return [module]
    path = module.replace(".", "/")
    return [f"{path}.py", f"{path}/__init__.py"]


def _path(folder: str, word: str) -> str | None:
    if not word or len(word) > _MOST or word.startswith(("/", "-", "~")) or any(sign in word for sign in "$*?\0\n"):
        return None
    path = posixpath.normpath(posixpath.join(folder, word))
    return None if path in (".", "..") or path.startswith(("../", ".git/", ".gitckpt/", "/")) else path
