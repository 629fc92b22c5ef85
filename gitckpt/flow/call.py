"""The program that calls one function of a user's for a phase: `python -P -m gitckpt.flow.call TARGET [VALIDATION]`.

It is a phase's process like any other: its exit code, output and files are what counts. What a function raises is
shown as its own, without our frames, and ends with 1.
"""

from __future__ import annotations

import inspect
import os
import sys
from asyncio import run as run_coroutine
from collections.abc import Callable
from pathlib import Path

from gitckpt.flow import imports
from gitckpt.flow.context import Context


def main(arguments: list[str]) -> None:
    """Call the function, then its validation where there is one."""
    sys.excepthook = imports.show
    here = os.getcwd()
    context = Context.of_this_process()
    imports.prepare(here, str(context.workspace))
    for position, target in enumerate(arguments[:2]):
        function = _found(target, context.workspace)
        said = _call(function, context)
        checks = position == 1 or target.endswith(".validate")
        if checks and said is not None and not said:
            sys.exit(f"validate: {_shown(function, target)} said {said!r}")


def _found(target: str, workspace: Path) -> Callable[..., object]:
    try:
        return imports.function_of(target, workspace)
    except imports.NoSuchFunction as problem:
        sys.exit(f"error: {problem}")


def _call(function: Callable[..., object], context: Context) -> object:
    """With the context where the function takes an argument, without where it takes none."""
    try:
        takes = bool(inspect.signature(function).parameters)
    except ValueError:  # some functions of C do not say
        takes = True
    said = function(context) if takes else function()
    return run_coroutine(said) if inspect.iscoroutine(said) else said


def _shown(function: Callable[..., object], target: str) -> str:
    name = getattr(function, "__name__", "<lambda>")
    return target if name == "<lambda>" else name


if __name__ == "__main__":
    main(sys.argv[1:])
