"""A workspace on disk with its repository, and the round from disk to content and back. Imports nothing of pytest."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

from gitckpt.plumbing.content import Change, Content, Defaults, list_content
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.repository import Repository, discover
from gitckpt.workspace.become import Applied, apply, plan
from gitckpt.workspace.rules import CaptureRules
from gitckpt.workspace.snapshot import Snapshot, snapshot
from gitckpt.workspace.statcache import StatCache

USUAL = Defaults(file=0o644, exec=0o755, dir=0o755)


class Desk:
    """One workspace: `take` a snapshot of it, `go` to a content; packs are finished, so the reader sees them."""

    def __init__(self, top: Path, prefix: str = "", object_format: str = "sha1") -> None:
        top.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "init", "-q", f"--object-format={object_format}", top], check=True)
        self.root = Path(os.path.realpath(top)) / prefix
        self.root.mkdir(parents=True, exist_ok=True)
        self.repository: Repository = discover(self.root)
        self.prefix = os.fsencode(prefix)
        self.rules = CaptureRules()
        self.defaults = USUAL
        self.reader = Reader(self.repository)
        self.cache_path = self.repository.git_dir / "gitckpt-test-cache"
        self.known: Content | None = None
        self.held: Content | None = None
        self.packed = 0

    def load(self) -> StatCache:
        return StatCache.load(self.cache_path, self.repository.object_format)

    def write(self, name: str | bytes, data: str | bytes = "x\n", mode: int | None = None) -> Path:
        path = Path(os.fsdecode(os.path.join(os.fsencode(self.root), os.fsencode(name))))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        if mode is not None:
            path.chmod(mode)
        return path

    def take(self, rules: CaptureRules | None = None, *, publish: bool = True) -> Snapshot:
        """Snapshot as the engine does: cache loaded and saved, everything new in one pack."""
        cache = self.load()
        with Pack(self.repository, "test") as pack:
            found = snapshot(
                root=self.root,
                repository=self.repository,
                prefix=self.prefix,
                rules=rules or self.rules,
                pack=pack,
                cache=cache,
                defaults=self.defaults,
                known=self.known,
                reader=self.reader,
                held=self.held,
            )
            self.packed = len(pack)
            if publish:
                pack.finish()
        if publish:
            self.known = found.content
        cache.save()
        return found

    def fresh(self) -> Content:
        """The content of the workspace by a first scan without any cache, stored nowhere."""
        with Pack(self.repository, "fresh") as pack:
            return snapshot(
                root=self.root,
                repository=self.repository,
                prefix=self.prefix,
                rules=self.rules,
                pack=pack,
                cache=StatCache(self.repository.object_format),
                defaults=self.defaults,
                reader=self.reader,
                held=self.held,
            ).content

    def changes(self, after: Content) -> list[Change]:
        assert self.known is not None
        return plan(self.reader, self.known, after)

    def go(self, after: Content) -> Applied:
        """Make the workspace `after`, from the content last taken."""
        cache = self.load()
        applied = apply(self.root, self.reader, self.changes(after), cache)
        cache.save()
        self.known = after
        return applied

    def paths(self, content: Content) -> set[bytes]:
        return set(list_content(self.reader, content))

    def git(self, *arguments: str) -> str:
        ended = subprocess.run(
            ["git", "-C", str(self.repository.top), *arguments], check=True, capture_output=True, text=True
        )
        return ended.stdout.strip()

    def commit(self, content: Content) -> str:
        """A commit of all three trees, so that fsck sees everything."""
        rows = [f"040000 tree {content.files.hex()}\tfiles"]
        if content.extra:
            rows.append(f"040000 tree {content.extra.hex()}\textra")
        if content.escaped:
            rows.append(f"040000 tree {content.escaped.hex()}\tescaped")
        made = subprocess.run(
            ["git", "-C", str(self.repository.top), "mktree"],
            input="\n".join(rows) + "\n",
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        who = ["-c", "user.name=t", "-c", "user.email=t@x"]
        oid = self.git(*who, "commit-tree", made, "-m", "x")
        self.git("update-ref", f"refs/heads/test-{oid[:12]}", oid)
        return oid

    def with_rules(self, **rules: tuple[str, ...]) -> CaptureRules:
        self.rules = replace(self.rules, **rules)  # type: ignore[arg-type]
        return self.rules
