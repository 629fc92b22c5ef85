"""The user's side of a repository: who the user is by git's configuration, and where HEAD stands. Reads only, with one
process for each answer: every command that writes asks.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from gitckpt.model.names import Oid
from gitckpt.plumbing.process import user_git
from gitckpt.plumbing.repository import Repository


@dataclass(frozen=True, slots=True)
class Person:
    """A name and an address, as the user's configuration has them; either may be empty."""

    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Source:
    """Where the user's HEAD stands: its commit (None when unborn) and its branch (None when detached)."""

    head: Oid | None
    branch: str | None


def identity(repository: Repository) -> Person | None:
    """Who the user is by every level of git's configuration; None when nothing names one."""
    # 1: nothing is set.
    said = user_git(repository, "config", "-z", "--get-regexp", r"^user\.(name|email)$", ok=(0, 1))
    found = {}
    for line in said.split(b"\0"):
        # The last one wins, as in git.
        key, _, value = line.partition(b"\n")
        found[key] = value.decode("utf-8", "replace")
    name, email = found.get(b"user.name", ""), found.get(b"user.email", "")
    return Person(name, email) if name or email else None


def source(repository: Repository) -> Source:
    """HEAD's commit and branch; also unborn, detached, in a linked worktree and in SHA-256 repositories."""
    said = user_git(repository, "rev-parse", "HEAD^{commit}", "--symbolic-full-name", "HEAD", ok=(0, 128)).splitlines()
    if len(said) == 2:
        return Source(_oid(said[0]), _branch(said[1]))
    # It is unborn, or a branch is called HEAD, too.
    head = user_git(repository, "rev-parse", "-q", "--verify", "HEAD^{commit}", ok=(0, 1))
    return Source(_oid(head), _branch(user_git(repository, "symbolic-ref", "-q", "HEAD", ok=(0, 1))))


def _oid(said: bytes) -> Oid | None:
    return Oid(said.decode("ascii").strip()) or None


def _branch(said: bytes) -> str | None:
    full = os.fsdecode(said.strip())
    return full.removeprefix("refs/heads/") if full not in ("", "HEAD") else None
