"""A repository on disks whose power is cut at any changing call of a story, and what must be there afterwards.

Owns the telling, the cut, and the look at the disks when the power is back. `python -m tests.faults.powered SHIM FOLDER
KIND STORY` cuts at every call and counts.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.faults.disk import Disk, Disks, Kind
from tests.faults.scene import BRANCH, Blow, End, Scene
from tests.faults.stories import STORIES, Act, Edit, Gone, Link, Step, Story

Flush = Literal["cut", "cutlog"]
"""What the disk still does when the power goes: nothing, or it ends with the journal written but not the data."""

DONE = (0, 75)
"""A command came to its end, or stopped where its budget ended."""

RESCUES = "refs/gitckpt/demo/rescue"
BETWEEN = Edit("between", "mine, since the power was back\n" * 200)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The power goes at call `at` of a step (past its last one: when it has ended), or after the one that is described.
    `again`: where in the next command it goes once more, after the user has made the edit `between`. `to_the_end`:
    the rest of the story is told, too."""

    step: int
    at: int | str
    flush: Flush = "cut"
    again: int | str | None = None
    between: Edit = BETWEEN
    to_the_end: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Calm:
    """One step without a cut: what it said, its end, its number of calls, and how many checkpoints there are then."""

    said: str
    end: End
    calls: int
    checkpoints: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Undisturbed:
    """The story without a cut. `trees`: the files of each checkpoint by number; `written`: what its edits wrote, as
    `path id` lines."""

    steps: tuple[Calm, ...]
    trees: dict[int, frozenset[str]]
    written: frozenset[str]


class Powered(Scene):
    """The scene on a disk of its own; a folder that is named as `apart` is on another one."""

    def __init__(self, folder: Path, shim: Path, kind: Kind, story: Story, apart: str = "") -> None:
        top = Disk(kind, folder / "disk", folder)
        top.make()
        self.disks = Disks([top])
        if apart:
            below = Disk(kind, top.at / "place" / apart, folder)
            below.at.parent.mkdir(parents=True)
            below.make()
            self.disks = Disks([top, below])
        super().__init__(top.at, shim, beside=folder)
        self.story = story
        self._proc = folder / "proc"
        self._moved: dict[str, bytes] = {}
        self._reports = folder / "reports"
        mounts = ":".join(str(disk.at) for disk in self.disks.disks)
        self.variables = {"FI_PATH": str(top.at), "FI_MNT": mounts, "REPORTS": str(self._reports)}
        self.variables |= {"FI_EUID": str(story.user)} if story.user else {}
        (self.path / "gitckpt.yaml").write_text(story.workflow)
        self.disks.keep("0")

    # --- in peace ---------------------------------------------------------------------------------------------

    def undisturbed(self) -> Undisturbed:
        """Tell the story in peace, and keep the disks before each of its steps."""
        found = []
        trees: dict[int, set[str]] = {}
        written: set[str] = set()
        for number, step in enumerate(self.story.steps):
            self.disks.keep(str(number))
            said = self._said(step)
            calls = 0 if isinstance(step, Act) else self.calls()
            found.append(Calm(said=said, end=self.end(), calls=calls, checkpoints=len(self.subjects())))
            written |= self.written()
            for at, tree in self.numbered().items():
                trees.setdefault(at, set()).add(tree)
        self.disks.keep(str(len(found)))
        self._moved = self.moved()
        held = {number: frozenset(each) for number, each in trees.items()}
        return Undisturbed(steps=tuple(found), trees=held, written=frozenset(written))

    def do(self, step: Step, blow: Blow | None) -> subprocess.CompletedProcess[str]:
        """One step."""
        match step:
            case Edit(path, text):
                with open(self.path / path, "w", encoding="ascii") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
            case Link(path, target):
                (self.path / path).unlink()
                (self.path / path).symlink_to(target)
                os.sync()
            case Gone(name):
                for folder in (self.path / ".git/gitckpt/workspaces").glob(f"*/{name}"):
                    shutil.rmtree(folder)
            case _:
                return self.gitckpt(*step, blow=blow)
        return subprocess.CompletedProcess((), 0, "", "")

    # --- the cut ----------------------------------------------------------------------------------------------

    def strike(self, cut: Cut, calm: Undisturbed, drop: Sequence[str] = ()) -> None:
        """Cut the power in one step, after the one before it: what that left in memory only goes, too. Switch it on
        again, look, and end the step. `drop`: syncs that lie."""
        before = max(cut.step - 1, 0)
        self.disks.put_back(str(before))
        self._reports.unlink(missing_ok=True)
        self.variables.pop("FI_PROC", None)
        self.variables["FI_DROP"] = self._meant("\n".join(drop))
        said = "".join(self._said(step) for step in self.story.steps[before : cut.step])
        where = f"{cut} of {self.story.steps[cut.step]}:"
        edits = [step for step in self.story.steps[: cut.step] if isinstance(step, Edit)]
        said += self._cut(self.story.steps[cut.step], cut.at, cut.flush)
        self.intact(said, calm, edits, where)
        if cut.again is not None:
            self.do(cut.between, None)
            edits.append(cut.between)
            said += self._cut(self._next(cut, calm), cut.again, cut.flush)
            self.intact(said, calm, edits, where)
        self.variables["FI_DROP"] = ""
        self._go_on(cut, calm, edits, where)
        assert len({(self.path / name).stat().st_ino for name in self.story.same}) < 2, f"{where} names were parted"
        dated = [name for name in self.story.dated if (self.path / name).stat().st_mtime > time.time()]
        assert not dated, f"{where} the dates of an attempt stayed: {dated}"

    def _said(self, step: Step) -> str:
        done = self.do(step, Blow(at=0))
        assert done.returncode in DONE, f"{step}: {done.stderr}"
        return done.stderr + done.stdout

    def _cut(self, step: Step, at: int | str, flush: Flush) -> str:
        blow = Blow(at=at, act=flush) if isinstance(at, int) else Blow(when=self._meant(at), act=flush)
        done = self.do(step, blow)
        if done.returncode >= 0:
            # It ended before that call; or a phase made it, in a session of its own.
            with suppress(OSError):
                self.disks.cut()
        self.disks.power_on()
        if self.story.reboots:
            self._reboot()
        return done.stderr + done.stdout

    def _reboot(self) -> None:
        """The kernel tells when it was started in whole seconds."""
        time.sleep(1.0 - time.time() % 1.0)
        self._proc.mkdir(exist_ok=True)
        (self._proc / "boot_id").write_text(f"{uuid.uuid4()}\n")
        (self._proc / "stat").write_text(f"btime {int(time.time())}\n")
        self.variables["FI_PROC"] = str(self._proc)

    def _meant(self, calls: str) -> str:
        """PLACE is the workspace, OURS gitckpt's folder for it."""
        name = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]
        ours = self.path / ".git/gitckpt/workspaces" / name
        return calls.replace("PLACE", str(self.path)).replace("OURS", str(ours))

    def _next(self, cut: Cut, calm: Undisturbed) -> Step:
        """What the user does when the power is back: the same again, where it had not come to its end."""
        step = self.story.steps[cut.step]
        if isinstance(step, Act) or self._is_done(step, calm.steps[cut.step].checkpoints):
            return self.story.steps[-1]
        return step

    def _is_done(self, step: tuple[str, ...], checkpoints: int) -> bool:
        if step[0] == "gc":
            return self.git("for-each-ref", "refs/gitckpt/demo/diverged") != ""
        # Given again these would do it once more.
        once = step[0] in ("undo", "rollback", "restore", "checkpoint") or "--again" in step
        return once and len(self.subjects()) >= checkpoints

    def _go_on(self, cut: Cut, calm: Undisturbed, edits: list[Edit], where: str) -> None:
        self._arrives(self._next(cut, calm), calm.steps[cut.step].end, calm, edits, where)
        self.tidy()
        verified = self.gitckpt("verify")
        assert verified.returncode == 0, f"{where} {verified.stdout}{verified.stderr}"
        after = range(cut.step + 1, len(calm.steps)) if cut.to_the_end else ()
        for number in after:
            step = self.story.steps[number]
            edits += [step] if isinstance(step, Edit) else []
            self._arrives(step, calm.steps[number].end, calm, edits, where)

    def _arrives(self, step: Step, wanted: End, calm: Undisturbed, edits: Sequence[Edit], where: str) -> None:
        """The step ends as in the undisturbed story."""
        done = self.do(step, Blow() if self.story.reboots else None)
        assert done.returncode in DONE, f"{where} {step}: {done.stderr}"
        self.intact(done.stderr + done.stdout, calm, edits, where, shifted=True)
        end, news = self.end(), self._news(edits)
        differing = _differing(end.files, wanted.files) - news
        assert not differing, f"{where} {step}: other files: {differing}\n{done.stderr}"
        assert news or end.manifest == wanted.manifest, f"{where} another state:\n{end.manifest}\n{wanted.manifest}"

    def strike_when_told(self, step: int, number: int, calm: Undisturbed) -> None:
        """Cut the power the moment a checkpoint is reported."""
        words = self.story.steps[step]
        assert not isinstance(words, Act)
        self.disks.put_back(str(step))
        said = ""
        with subprocess.Popen(
            [sys.executable, "-m", "gitckpt", *words],
            cwd=self.path,
            env=self.environment(None),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as running:
            assert running.stdout is not None
            for line in running.stdout:
                said += line
                if number in reported(line):
                    self.disks.cut()
                    os.killpg(running.pid, signal.SIGKILL)
        assert number in reported(said), said
        self.disks.power_on()
        where = f"the moment {number} was reported in {words}:"
        edits = [each for each in self.story.steps[:step] if isinstance(each, Edit)]
        self.intact(said, calm, edits, where)
        self._go_on(Cut(step=step, at=0), calm, edits, where)

    # --- what must be there -----------------------------------------------------------------------------------

    def intact(self, said: str, calm: Undisturbed, edits: Sequence[Edit], where: str, *, shifted: bool = False) -> None:
        """No object is damaged; whatever was reported is there, with its files; so is what the user wrote, and nothing
        else was taken for it. `shifted`: what was cut off has checkpoints of its own, so numbers may be others."""
        self.sound()
        there = self.numbered()
        kept = {number for ref in self._diverged() for number in self.numbered(ref)}
        lost = reported(said) - there.keys() - kept
        assert not lost, f"{where} reported and lost: {sorted(lost)}\n{said}"
        halves = self._reports.read_text().count("half") if self._reports.exists() else 0
        named = [line for line in self.subjects() if re.match(r"\d+ half named\b", line)]
        assert len(named) >= halves, f"{where} `checkpoint -m` returned and its checkpoint is lost"
        every = frozenset().union(*calm.trees.values())
        for number, tree in there.items():
            wanted = every if shifted else calm.trees.get(number, frozenset())
            assert tree in wanted or self._news(edits), f"{where} checkpoint {number} holds other files"
        for path in (self.path / ".git/gitckpt").glob("workspaces/*/workspace.json"):
            assert _is_json(path), f"{where} {path} cannot be read"
        if "they were moved, not stored" in said:
            assert self.moved() == self._moved, f"{where} what an attempt left was moved away, and is not whole"
        strange = {line for line in self.written() - calm.written if line.split()[0] not in self._news(edits)}
        assert not strange, f"{where} what the cut did was taken for the user's: {strange}"
        for edit in edits:
            assert self._is_somewhere(edit), f"{where} lost what the user wrote to {edit.path}"

    def _news(self, edits: Sequence[Edit]) -> set[str]:
        """What the user wrote that is not in the undisturbed story."""
        return {edit.path for edit in edits if edit not in self.story.steps}

    def _is_somewhere(self, edit: Edit) -> bool:
        """In the workspace, in what a command kept outside of git, or in a commit that a ref holds."""
        kept = (self.path / ".git/gitckpt/workspaces").glob(f"*/replaced/*/*-{edit.path}")
        if any(path.is_file() and path.read_text() == edit.text for path in (self.path / edit.path, *kept)):
            return True
        oid = self.git("hash-object", "--stdin", stdin=edit.text).strip()
        return oid in self.git("rev-list", "--objects", "--all")

    def moved(self) -> dict[str, bytes]:
        """What attempts left that was too big to be stored."""
        folder = self.path / ".git/gitckpt/attempts"
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def _diverged(self) -> list[str]:
        return self.git("for-each-ref", "--format=%(refname)", "refs/gitckpt/demo/diverged").split()

    def numbered(self, ref: str = BRANCH) -> dict[int, str]:
        """The files of each checkpoint, by its number."""
        subjects = self.git("log", "--first-parent", "--reverse", "--format=%s", ref, "--", ok=(0, 128)).splitlines()
        return {int(line.split()[0]): tree for line, tree in zip(subjects, self.trees(ref), strict=True)}

    def written(self) -> set[str]:
        """What checkpoints of kind `edit`, and rescues, say that the user wrote: `path id` lines."""
        found = set()
        logs: list[tuple[str, ...]] = [("--grep=^Gitckpt-Kind: edit", "--first-parent", BRANCH)]
        logs += [
            ("-1", "--first-parent", "-m", ref)
            for ref in self.git("for-each-ref", "--format=%(refname)", RESCUES).split()
        ]
        for arguments in logs:
            for line in self.git(
                "log", "--format=", "--raw", "--no-abbrev", *arguments, "--", ok=(0, 128)
            ).splitlines():
                facts, _, path = line.partition("\t")
                if not path.startswith(".gitckpt/"):
                    found.add(f"{path} {facts.split()[3]}")
        return found


def _is_json(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_bytes()), dict)
    except ValueError:
        return False


def _differing(one: Mapping[str, object], other: Mapping[str, object]) -> set[str]:
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}


def reported(said: str) -> set[int]:
    """The numbers of the checkpoints that a command said were made."""
    lines = re.findall(r"^\S+ \w+ (?:done|FAILED) .* (\d{4})$|checkpoint (\d{4})|Now at (\d{4})", said, re.MULTILINE)
    return {int(number) for number in itertools.chain(*lines) if number}


def every(scene: Powered, calm: Undisturbed, flushes: Sequence[Flush], stride: int = 1) -> Iterator[AssertionError]:
    """Cut at every call of the story, or at every `stride`th; what did not hold."""
    for step, each in enumerate(calm.steps):
        for at in range(1, each.calls + 2, stride):
            for flush in flushes:
                try:
                    scene.strike(Cut(step=step, at=at, flush=flush), calm)
                except AssertionError as failed:
                    yield failed


def main(shim: str, folder: str, kind: Kind, story: str, stride: str = "1") -> None:
    """Cut at every call, or at every STRIDEth; say what failed, and the counts."""
    scene = Powered(Path(folder), Path(shim), kind, STORIES[story])
    calm = scene.undisturbed()
    print([each.calls for each in calm.steps], flush=True)
    failed = 0
    for violation in every(scene, calm, ("cut", "cutlog"), int(stride)):
        failed += 1
        print(f"{kind} {violation}"[:1500], flush=True)
    print(kind, story, f"{failed} failed", flush=True)
    scene.disks.unmount()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], "xfs" if sys.argv[3] == "xfs" else "ext4", *sys.argv[4:])
