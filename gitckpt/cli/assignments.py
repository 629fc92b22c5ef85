"""What several commands take: `--set NAME=VALUE`, and `--jobs N`.

Owns how these are read. Must not know which params there are, nor what runs.
"""

from __future__ import annotations

from collections.abc import Sequence

import click

from gitckpt.model.text import safe


def assignments(given: Sequence[str]) -> dict[str, str]:
    """The values by name, of one name the last. Raises a usage error where one has no name or no `=`."""
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.UsageError(f"--set takes NAME=VALUE, not {text!r}")
        found[name] = value
    return found


def at_least_one(jobs: str | None) -> int | None:
    """How many attempts may run at once; None where nobody said it. Raises a usage error for what is no such number."""
    if jobs is None:
        return None
    if not (jobs.isascii() and jobs.isdigit() and len(jobs) < 10 and int(jobs) > 0):
        raise click.UsageError(
            f"--jobs takes a whole number of 1 or more, not {safe(jobs)!r}; one after the other: --jobs 1"
        )
    return int(jobs)
