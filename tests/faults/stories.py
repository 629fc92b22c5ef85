"""What happens on a disk before its power is cut: commands, and edits of the user's, one after the other.

Owns the workflows and the steps. Must not know when the power goes.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Edit:
    """The user writes a file, and their editor sees to it that it is on the disk."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Link:
    """The user makes a link, durably."""

    path: str
    target: str


@dataclass(frozen=True, slots=True)
class Gone:
    """Somebody removes what gitckpt can make again: a folder of its own for this workspace."""

    name: str


Act: TypeAlias = Edit | Link | Gone
Step: TypeAlias = tuple[str, ...] | Act
"""The words of a command, or what somebody does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """`steps` end with a command that has nothing to do in peace, and settles whatever a cut left before it.

    `same`: names of one file. `dated`: files that may have a date of tomorrow only while an attempt is under way.
    `user`: whom gitckpt takes itself for. `reboots`: after a cut it sees another boot of the machine.
    """

    workflow: str
    steps: tuple[Step, ...]
    same: tuple[str, ...] = ()
    dated: tuple[str, ...] = ()
    user: int = 0
    reboots: bool = False


CALL = f"{sys.executable} -m gitckpt"

MOVES = Story(
    workflow=f"""\
version: 1
workflow: demo
phases:
  one:
    run: |
      mkdir -p out/empty; seq 1 2000 > out/one; echo changed > kept
      {CALL} state set rows 2000
  half:
    run: |
      seq 1 3000 > half.1
      if [ "$GITCKPT_RESUMED" != 1 ]; then
        {CALL} checkpoint -m half && echo half >> "$REPORTS"
      fi
      echo more >> half.1
  flaky:
    run: seq 1 500 >> out/one; echo junk > junk; test "$GITCKPT_ATTEMPT" -gt 1; rm junk
    retry: {{max: 1, delay: 1ms}}
  two: {{run: 'cat out/one kept > two; ln -sfn two again; rm -r sub'}}
""",
    steps=(
        ("run",),
        Edit("notes", "mine, before any cut\n" * 100),
        ("rollback", "one"),
        ("undo",),
        ("restore", "start", "--", "sub"),
        ("run", "--again"),
        ("gc", "--keep-runs", "1"),
        ("rollback", "one"),
        ("run",),
        ("checkpoint", "-m", "end"),
    ),
)
"""In place: failures, checkpoints asked for by a phase, and every way in which the user moves the workspace."""

SHORT = Story(
    workflow="""\
version: 1
workflow: demo
phases:
  one: {run: 'seq 1 2000 > one; rm sub/link; mkdir empty'}
  flaky:
    run: 'seq 1 500 >> one; seq 1 2000 > two; rm -r sub; test "$GITCKPT_ATTEMPT" -gt 1'
    retry: {max: 1, delay: 1ms}
""",
    steps=(
        ("run",),
        Edit("notes", "mine, before any cut\n" * 100),
        ("rollback", "one"),
        ("undo",),
        ("checkpoint", "-m", "end"),
    ),
)
"""So few calls that each of them can be the last one."""

VIEWS = Story(
    workflow="""\
version: 1
workflow: demo
isolation: KIND
merge: {rules: {text: union}}
phases:
  text: {run: 'seq 1 200 > text; mkdir -p each; rm sub/link'}
  head: {needs: [text], run: 'echo head >> text; seq 1 3000 > head; seq 1 3000 > cache/head'}
  tail: {needs: [text], run: 'echo tail >> text; seq 1 4000 > tail; rm -r sub'}
  each:
    needs: [text]
    foreach: [a, b, c]
    max_parallel: 2
    run: 'seq 1 2000 > "each/$ITEM"; seq 1 2000 > "cache/$ITEM"; echo "$ITEM" >> "each/of-$ITEM"'
  last: {needs: [head, tail, each], isolation: none, run: 'cat text each/* > last'}
""",
    steps=(
        ("run", "--jobs", "3"),
        Edit("notes", "mine, before any cut\n" * 100),
        ("rollback", "text"),
        ("run", "--jobs", "3"),
        ("undo",),
        ("run", "--jobs", "3"),
        ("checkpoint", "-m", "end"),
    ),
)
"""Items and phases side by side in views of their own, merged, one of them into a file that another changed, too."""


KEPT = Story(
    workflow="""\
version: 1
workflow: demo
phases:
  one: {run: 'seq 1 2000 > model; ln -s kept link'}
""",
    steps=(
        ("run",),
        ("checkpoint", "-m", "then"),
        Edit(".gitignore", "cache/\n/model\n/link\n"),
        ("checkpoint", "-m", "now"),
        Edit("model", "mine, and in no checkpoint\n" * 200),
        ("rollback", "one"),
        ("undo",),
        ("checkpoint", "-m", "end"),
    ),
)
"""What a rollback replaces and no checkpoint holds."""

LINK = Story(
    workflow="""\
version: 1
workflow: demo
phases:
  one: {run: 'ln -s kept link'}
""",
    steps=(
        ("run",),
        ("checkpoint", "-m", "then"),
        Edit(".gitignore", "cache/\n/link\n"),
        ("checkpoint", "-m", "now"),
        Link("link", "of-mine"),
        ("rollback", "one"),
        ("undo",),
        ("checkpoint", "-m", "end"),
    ),
)
"""As KEPT, of what has no bytes: only the record has it."""

MODES = Story(
    workflow="""\
version: 1
workflow: demo
phases:
  one: {run: 'mkdir locked; seq 1 2000 > locked/a; chmod 555 locked'}
  two: {run: 'chmod 755 locked; seq 1 3000 > locked/a; chmod 555 locked'}
""",
    steps=(("run",), ("rollback", "one"), ("checkpoint", "-m", "end")),
    user=65534,
)
"""A folder that must be opened before something in it can be put back."""

MOUNTED = Story(
    workflow="""\
version: 1
workflow: demo
phases:
  one: {run: 'seq 1 2000 > sub/b'}
  two: {run: 'rm sub/b'}
""",
    steps=(("run",), ("rollback", "one"), ("checkpoint", "-m", "end")),
)
"""A folder of the workspace that can be another disk."""

TOUCHED = Story(
    workflow="""\
version: 1
workflow: demo
phases:
  one:
    run: 'test "$GITCKPT_ATTEMPT" -gt 1 || { touch -d tomorrow kept; exit 1; }; echo done > done'
    retry: {max: 1, delay: 1ms}
""",
    steps=(("run",), ("checkpoint", "-m", "end")),
    dated=("kept",),
)
"""An attempt that changes no more than a date."""

PARTED = Story(
    workflow="""\
version: 1
workflow: demo
phases:
  one: {run: 'seq 1 10 > x; ln x y'}
  two:
    run: 'test "$GITCKPT_ATTEMPT" -gt 1 || { cp -p x t; mv t x; exit 1; }; echo done > done'
    retry: {max: 1, delay: 1ms}
""",
    steps=(("run",), ("checkpoint", "-m", "end")),
    same=("x", "y"),
)
"""An attempt that does no more than to part two names of one file."""

LISTED = Story(
    workflow="""\
version: 1
workflow: demo
phases:
  one:
    foreach: [a, b, c, d]
    run: 'echo "$ITEM" >> all'
    budget: {items: 2}
""",
    steps=(("run",), Gone("lists"), ("run",), ("checkpoint", "-m", "end")),
)
"""A list that is made again from its blob."""

BIG = Story(
    workflow="""\
version: 1
workflow: demo
attempts: {keep_up_to: 1MB}
phases:
  one:
    run: 'test "$GITCKPT_ATTEMPT" -gt 1 || { seq 1 300000 > big; exit 1; }; echo done > one'
    retry: {max: 1, delay: 1ms}
""",
    steps=(("run",), ("checkpoint", "-m", "end")),
)
"""An attempt that is too big to be stored."""

DIED = Story(
    workflow="""\
version: 1
workflow: demo
attempts: {keep_up_to: 1MB}
phases:
  one: {run: 'seq 1 300000 > big; sync -f big; seq 1 10 > one; rm big'}
""",
    steps=(("run",), ("checkpoint", "-m", "end")),
)
"""As BIG, of one that never ended."""

CARRIED = Story(
    workflow="""\
version: 1
workflow: demo
isolation: copy
phases:
  one: {run: 'echo 1 > one; seq 1 2000 > cache/one'}
""",
    steps=(("run",), ("checkpoint", "-m", "end")),
)
"""An ignored file that comes from a view."""

BEGUN = Story(
    workflow="""\
version: 1
workflow: demo
phases:
  one: {run: 'seq 1 2000 > one; sync -f one; seq 1 2000 > two'}
""",
    steps=(("run",), ("checkpoint", "-m", "end")),
    reboots=True,
)
"""A phase that makes its own files durable before it has ended."""

MANY = Story(
    workflow="""\
version: 1
workflow: demo
phases:
  one:
    foreach: {run: 'seq 1 70'}
    run: 'echo "$ITEM" >> all'
""",
    steps=(("run",), ("checkpoint", "-m", "end")),
)
"""More checkpoints than packs may become."""

STORIES = {
    "kept": KEPT,
    "link": LINK,
    "modes": MODES,
    "mounted": MOUNTED,
    "touched": TOUCHED,
    "parted": PARTED,
    "listed": LISTED,
    "carried": CARRIED,
    "big": BIG,
    "died": DIED,
    "begun": BEGUN,
    "many": MANY,
    "moves": MOVES,
    "short": SHORT,
    "overlay": Story(workflow=VIEWS.workflow.replace("KIND", "overlay"), steps=VIEWS.steps),
    "copy": Story(workflow=VIEWS.workflow.replace("KIND", "copy"), steps=VIEWS.steps),
}
