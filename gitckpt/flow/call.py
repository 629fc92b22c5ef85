"""The program that calls a user's functions for a phase: `python -P -m gitckpt.flow.call [TARGET] [--check TARGET]`.

It is a phase's process like any other: its exit code, output and files are what counts. What a function raises is
shown as its own, without our frames, and ends with 1.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from gitckpt.flow import imports
from gitckpt.flow.context import Context


def main(arguments: list[str]) -> None:
    """Call the functions in their order; one behind `--check` must not say no."""
    sys.excepthook = imports.show
    here = os.getcwd()
    context = Context.of_this_process()
    imports.prepare(here, str(context.workspace))
    checks = False
    for word in arguments:
        if word == "--check":
            checks = True
            continue
        said = _call(_found(word, context.workspace), context)
        if checks and said is not None and not said:
            sys.exit(f"validate: {word} said {said!r}")
        checks = False


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
    if inspect.iscoroutine(said):
        said = import_module("asyncio").run(said)
    return said


if __name__ == "__main__":
    main(sys.argv[1:])
