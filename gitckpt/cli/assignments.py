"""`--set NAME=VALUE`, as several commands take it.

Owns how it is read. Must not know which params there are.
"""

from __future__ import annotations

from collections.abc import Sequence

import click


def assignments(given: Sequence[str]) -> dict[str, str]:
    """The values by name, of one name the last. Raises a usage error where one has no name or no `=`."""
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.UsageError(f"--set takes NAME=VALUE, not {text!r}")
        found[name] = value
    return found
