"""Which paths of a workspace are captured: the workflow file's patterns, quiet caches, and what looks like a
secret; and whose change of a path counts where two sides changed it.

Owns the decision for one path, as pure functions of names, modes and bytes. Must not know git (whether git
ignores a path is told to it) nor read the disk.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING

from gitckpt.model.together import Merge, Rule
from gitckpt.workspace.pattern import Ways

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

QUIET_CACHES = frozenset(
    {
        b".venv",
        b"venv",
        b"node_modules",
        b"__pycache__",
        b".tox",
        b"target",
        b".mypy_cache",
        b".pytest_cache",
        b".ruff_cache",
    }
)
"""Folders that, where git ignores them, are never looked into nor mentioned."""

SHORTEST_SECRET = 4
"""A declared secret shorter than this many bytes would be found in nearly every file, so it is not looked
for.
"""

_ENVIRONMENT_FILE = b".env"
_PRIVATE_KEY = re.compile(rb"id_(rsa|dsa|ecdsa|ed25519|ecdsa_sk|ed25519_sk|xmss)")
_MAY_HOLD_KEY = (b".pem", b".key")
_KEY_MARK = b"PRIVATE KEY"
# Only these names count for mode 0600: tempfile-and-rename gives any data file that mode, so a word such as
# `token` or `keys` alone would leave plain data out of checkpoints.
_NAMED_LIKE_KEY = re.compile(
    rb"(.*[._-])?((private|secret|api|ssh|host|access)[._-]?key|credentials?|secrets?)([._-].*)?"
    rb"|.*\.(pem|key|p12|pfx|p8|ppk|jks|keystore|kdbx)"
    rb"|\.netrc|\.pgpass|\.git-credentials|\.htpasswd"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureRules:
    """What the workflow file says about capturing. Patterns are gitignore-style, seen from the workspace's
    root.

    `exclude` beats all; `include` and `outs` capture although git ignores; `secrets` are the secrets' values.
    `history`: the workflow whose checkpoints hold what stays captured although git ignores it by now.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    outs: tuple[str, ...] = ()
    secrets: tuple[bytes, ...] = ()
    history: str = ""


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


class Matcher:
    """`CaptureRules` made ready to ask. A folder's path is asked with a final slash."""

    def __init__(self, rules: CaptureRules) -> None:
        self._rules = rules
        self._exclude = _spec(rules.exclude) if rules.exclude else None
        self._include = _spec(rules.include) if rules.include else None
        brought = (*rules.include, *rules.outs)
        self._brought = _spec(brought) if brought else None
        self._ways = Ways(brought)
        values = sorted({value for value in rules.secrets if len(value) >= SHORTEST_SECRET})
        self._secret = re.compile(b"|".join(re.escape(value) for value in values)) if values else None
        self.overlap = max((len(value) for value in values), default=1) - 1

    @cached_property
    def key(self) -> bytes:
        """A digest of everything that decides by name; cached decisions hold while it is the same."""
        rules = self._rules
        patterns = (rules.include, rules.exclude, rules.outs, (rules.history,))
        return _digest("\0".join(each).encode() for each in patterns)

    @cached_property
    def secret_key(self) -> bytes:
        """A digest of the secret values; every file is read again when it changes."""
        return _digest(sorted(set(self._rules.secrets)))

    def excluded(self, path: bytes) -> bool:
        """Whether the workflow file leaves this path out for good."""
        return self._exclude is not None and self._exclude.match_file(_text(path))

    def brought_in(self, path: bytes) -> bool:
        """Whether `include` or a phase's `outs` captures this path although git ignores it."""
        return self._brought is not None and self._brought.match_file(_text(path))

    def leads(self, path: bytes) -> bool:
        """Whether `include` or `outs` names this folder on the way to what it captures, as `data/*.csv` does `data`.

        `path` has no final slash. A pattern that may match at any depth, such as `*.csv`, names no folder.
        """
        return self._ways.lead_through(path)

    @property
    def reaches_everywhere(self) -> bool:
        """Whether some pattern of `include` or `outs` may match in any folder, as `*.csv` does."""
        return any(
            pattern.startswith("**/") or "/" not in pattern.rstrip("/")
            for pattern in (*self._rules.include, *self._rules.outs)
            if pattern and not pattern.startswith(("!", "#"))
        )

    def looks_into(self, name: bytes) -> bool:
        """Whether some pattern names a path inside a quiet cache called `name`, so that it must be walked."""
        brought = (*self._rules.include, *self._rules.outs)
        return any(_text(name) in pattern.split("/")[:-1] for pattern in brought)

    def secret_by_name(self, path: bytes) -> bool:
        """Whether a regular file of this path is a secret by its name alone, and not included on purpose."""
        name = path[path.rfind(b"/") + 1 :].lower()
        return (name.startswith(_ENVIRONMENT_FILE) or _PRIVATE_KEY.fullmatch(name) is not None) and not (
            self._wanted(path)
        )

    def secret_by_mode(self, path: bytes) -> bool:
        """Whether a regular file that only its owner can read is named like a key, and not included on
        purpose.
        """
        name = path[path.rfind(b"/") + 1 :].lower()
        return _NAMED_LIKE_KEY.fullmatch(name) is not None and not self._wanted(path)

    def may_hold_key(self, path: bytes) -> bool:
        """Whether the file's bytes decide: `*.pem` and `*.key` are left out when they hold a private key."""
        return path.lower().endswith(_MAY_HOLD_KEY) and not self._wanted(path)

    @property
    def seeks_secrets(self) -> bool:
        """Whether the bytes of files must be searched for declared secrets."""
        return self._secret is not None

    def holds_secret(self, data: bytes) -> bool:
        """Whether `data` holds a declared secret's value."""
        return self._secret is not None and self._secret.search(data) is not None

    def _wanted(self, path: bytes) -> bool:
        return self._include is not None and self._include.match_file(_text(path))


def _spec(patterns: Sequence[str]) -> GitIgnoreSpec:
    # Loaded for a workflow that has patterns: it takes as long as two calls of git.
    spec: GitIgnoreSpec = import_module("pathspec").GitIgnoreSpec.from_lines(patterns)
    return spec


def matches(patterns: Sequence[str]) -> Callable[[bytes], bool]:
    """Whether a path, seen from the workspace's top, is one that the patterns name."""
    spec = _spec(patterns)
    return lambda path: spec.match_file(_text(path))


def conflict_rules(merge: Merge) -> Callable[[bytes], Rule]:
    """What says the rule of a path, seen from the workspace's top: that of the last pattern that matches it."""
    # One by one: a spec of all patterns lets one that names the file go before a later one that names its folder.
    last_first = [(_spec([each.pattern]), each.rule) for each in reversed(merge.rules)]

    def rule_of(path: bytes) -> Rule:
        text = _text(path)
        return next((rule for pattern, rule in last_first if pattern.match_file(text)), merge.on_conflict)

    return rule_of


def holds_key(data: bytes) -> bool:
    """Whether `data` reads like a PEM private key."""
    return _KEY_MARK in data


def _digest(parts: object) -> bytes:
    return hashlib.sha256(repr(list(parts)).encode()).digest()  # type: ignore[call-overload]
