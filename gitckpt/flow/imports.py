"""Imports a user's code in a process of its own, and shows what goes wrong in it as theirs.

Owns how a module or a file is found, the trimmed traceback, and which function a target names. Leaves no compiled
files in the workspace.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from traceback import TracebackException
from types import ModuleType, TracebackType

from gitckpt.flow import define

_OURS = (str(Path(__file__).parents[1]) + os.sep, "<frozen ")


class NoSuchFunction(Exception):
    """A target that names no function."""


_THEIRS: list[str] = []
"""The folders that imports begin with because of us."""


def prepare(*folders: str) -> None:
    """Let imports begin with these folders, and leave no compiled files beside a user's modules."""
    new = [folder for folder in dict.fromkeys(folders) if folder not in sys.path]
    sys.path[:0] = new
    _THEIRS.extend(new)
    if sys.pycache_prefix is None:
        # A `__pycache__` would be a change of the workspace that nobody made on purpose.
        sys.dont_write_bytecode = True


def ours(name: str) -> ModuleType:
    """One of gitckpt's own modules: no `random.py` of the user's may stand in for what it needs."""
    before = sys.path[:]
    sys.path[:] = [folder for folder in before if folder not in _THEIRS]
    try:
        return import_module(name)
    finally:
        sys.path[:] = before


@cache
def load_file(path: str) -> ModuleType:
    """The module of a file, loaded once, under the file's name, so that its classes can be pickled."""
    prepare(os.path.dirname(path))
    stem = re.sub(r"\W", "_", Path(path).stem)
    name = f"_{stem}" if stem in sys.modules or stem in sys.stdlib_module_names else stem
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise NoSuchFunction(f"{path} is no Python file")
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def declared_in(path: str) -> list[define.Flow]:
    """The workflows that a file has declared, once it is loaded."""
    return [flow for flow in define.DECLARED if os.path.realpath(flow.file) == os.path.realpath(path)]


def function_of(target: str, workspace: Path) -> Callable[..., object]:
    """The function that `package.module:function` or `file.py:name` names. Raises NoSuchFunction.

    In a file that declares a workflow the name is a phase's, or `PHASE.validate`, `PHASE.compensate`. A file's path is
    taken from the workspace.
    """
    home, _, name = target.rpartition(":")
    if not home.endswith(".py"):
        return _attribute(import_module(home), name, target)
    path = str(workspace / home)
    if not os.path.isfile(path):
        raise NoSuchFunction(f"there is no file {home} in the workspace")
    module = load_file(path)
    for flow in declared_in(path):
        for phase in flow.phases.values():
            for part, function in phase.functions.items():
                if name == f"{phase.name}.{part}".removesuffix("."):
                    return function
    return _attribute(module, name, target)


def _attribute(module: ModuleType, name: str, target: str) -> Callable[..., object]:
    found: object = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise NoSuchFunction(f"{target} names no function" if found is None else f"{target} is no function")
    return found


def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an exception with the frames of the user's code alone; fit for `sys.excepthook`."""
    told = TracebackException(kind, error, trace)
    for each in _chain(told):
        each.stack[:] = [frame for frame in each.stack if not frame.filename.startswith(_OURS)]
    lines = list(told.format())
    bare = not told.stack and lines[:1] == ["Traceback (most recent call last):\n"]
    sys.stdout.flush()
    sys.stderr.write("".join(lines[1:] if bare else lines))


def _chain(told: TracebackException) -> Iterator[TracebackException]:
    yield told
    for each in (told.__cause__, told.__context__, *(getattr(told, "exceptions", None) or ())):
        if each is not None:
            yield from _chain(each)
