"""What is said of a conflict: the paths, whose changes they are, and the commands to look and to choose.

Owns these words. Must not know how a conflict is found or decided.
"""

from __future__ import annotations

import shlex

from gitckpt.api.resolving import Dispute
from gitckpt.model.amount import plural
from gitckpt.model.text import safe

SHOWN = 5


def dispute_lines(dispute: Dispute) -> list[str]:
    """All that one needs for a decision, the names of at most five paths among it."""
    paths, count = dispute.conflict.paths, dispute.conflict.count
    lines = [f"{_who(dispute)} changed {plural(count, 'path')} differently:"]
    lines += [f"    {safe(path)}" for path in paths[:SHOWN]]
    if count > SHOWN:
        lines.append(f"    … {count - SHOWN:,} more")
    lines += [f"  {word:<10} {command}" for word, command in _labelled(dispute)]
    return lines


def _labelled(dispute: Dispute) -> list[tuple[str, str]]:
    looks, choices = looks_of(dispute), choices_of(dispute)
    rows = [("see it" if n == 0 else "", f"{command} ({what})") for n, (command, what) in enumerate(looks)]
    rows += [("choose" if n == 0 else "", f"{command} ({what})") for n, (command, what) in enumerate(choices)]
    return [*rows, ("then", "gitckpt run")]


def _who(dispute: Dispute) -> str:
    return f"{_theirs(dispute)} and {_ours(dispute)}"


def _theirs(dispute: Dispute) -> str:
    """Who made the change that came in."""
    if dispute.is_yours:
        return "you"
    return f"{safe(dispute.items)} of {dispute.name}" if dispute.items else dispute.name


def _ours(dispute: Dispute) -> str:
    """Who made the change that is in the history already."""
    return " and ".join(map(safe, dispute.conflict.against)) or ("a phase" if dispute.is_yours else "something else")


def looks_of(dispute: Dispute) -> list[tuple[str, str]]:
    """Commands that show the sides, each with what it shows."""
    path = shlex.quote(safe(dispute.conflict.paths[0])) if dispute.conflict.paths else "."
    found = [(f"gitckpt diff {dispute.theirs}", f"what {_theirs(dispute)} did")]
    if dispute.start_number is not None:
        since = f"what is there since both began, by {_ours(dispute)}"
        found.append((f"gitckpt diff {dispute.start_number} {dispute.tip} -- {path}", since))
    found.append((f"gitckpt show {dispute.theirs}", "when, and all files"))
    below = f"{dispute.prefix}/{safe(dispute.conflict.paths[0])}" if dispute.prefix and dispute.conflict.paths else ""
    shown = shlex.quote(f":/{below}") if below else path
    found.append((f"git diff {dispute.branch} {dispute.ref} -- {shown}", "one side against the other, by plain git"))
    return found


def choices_of(dispute: Dispute) -> list[tuple[str, str]]:
    """Commands that decide, each with what it means."""
    start = f"gitckpt resolve {dispute.name}"
    if dispute.is_yours:
        return [
            (f"{start} --mine", "what you did counts"),
            (f"{start} --ours", f"what {_ours(dispute)} did counts"),
            (f"{start} --union", "the lines of both"),
        ]
    return [
        (f"{start} --ours", f"what {_ours(dispute)} did counts"),
        (f"{start} --theirs", f"what {_theirs(dispute)} did counts"),
        (f"{start} --union", "the lines of both"),
        (f"gitckpt retry {dispute.name}", f"{_theirs(dispute)} is done again, on top of what is there"),
    ]
