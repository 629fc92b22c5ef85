"""What is done while calls fail: a command that writes, what was there before, and how it goes on afterwards.

Owns the scenes before each command, the undisturbed end of each, and what may not be after a failure. What the scene
looks like is told by plain git and by reading files (`scene.py`); no code of gitckpt's judges its own work. Must not
know which failures there are.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from gitckpt.errors import ExitCode
from tests.faults.scene import BRANCH, Blow, End, Files, Scene

SIDE_BY_SIDE = """\
version: 1
workflow: demo
isolation: KIND
env: {LD_PRELOAD: ""}
phases:
  quick: {run: 'echo 1 > quick; echo quick >> kept; rm sub/link; echo log > cache/quick'}
  each:
    needs: []
    foreach: [a, b]
    max_parallel: 2
    run: 'mkdir -p each out/empty; echo "$ITEM" > "each/$ITEM"; echo "$ITEM" > "cache/$ITEM"'
  last: {needs: [quick, each], isolation: none, run: 'cat quick each/* > last'}
"""
AGAIN = "version: 1\nworkflow: demo\nenv: {LD_PRELOAD: ''}\nphases: {a: {run: 'test -e ok; echo x >> a; rm -f ok2'}}\n"
REASONS = frozenset({ExitCode.FAILED, ExitCode.USAGE, ExitCode.CONFLICT})
"""How a command may end whose calls failed: never as a bug of ours, never as if somebody else were at work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """`before` makes the scene, then `command` is struck; `kind`: of the checkpoint that says that it is done, where a
    second call would do something else. `ends` is given last."""

    before: Callable[[Scene], None]
    command: tuple[str, ...]
    kind: str = ""
    ends: tuple[str, ...] = ("run",)


def _fresh(scene: Scene) -> None:
    """Nothing was run yet."""


def _edited(scene: Scene) -> None:
    """A complete run, then edits of the user's, one where a folder has to come back."""
    _done(scene, "run")
    (scene.path / "kept").write_text("mine, in no commit yet\n")
    (scene.path / "sub").write_text("where the rollback needs a folder\n")


def _went_back(scene: Scene) -> None:
    _edited(scene)
    _done(scene, "rollback", "one")
    (scene.path / "new").write_text("made after the rollback\n")


def _attempted(scene: Scene) -> None:
    """A failed attempt left files, and the user has some of the same names."""
    text = (scene.path / "gitckpt.yaml").read_text()
    left = "mkdir -p left; echo attempt > left/a; echo attempt > kept; test -e cache/ok"
    (scene.path / "gitckpt.yaml").write_text(text.replace("{run: 'rm -r sub;", f"{{run: '{left}; rm -r sub;"))
    assert scene.gitckpt("run").returncode == 1
    (scene.path / "left").mkdir()
    (scene.path / "left/a").write_text("mine, in no commit yet\n")
    (scene.path / "cache/ok").write_text("")


def _views(kind: str) -> Callable[[Scene], None]:
    def write(scene: Scene) -> None:
        (scene.path / "gitckpt.yaml").write_text(SIDE_BY_SIDE.replace("KIND", kind))

    return write


def _several_runs(scene: Scene) -> None:
    (scene.path / "gitckpt.yaml").write_text(AGAIN)
    assert scene.gitckpt("run").returncode == 1
    (scene.path / "ok").write_text("")
    for _ in range(3):
        _done(scene, "run", "--again")
    (scene.path / "kept").write_text("mine, in no commit yet\n")


def _done(scene: Scene, *arguments: str) -> None:
    done = scene.gitckpt(*arguments)
    assert done.returncode == 0, done.stderr


STORIES: Mapping[str, Story] = {
    "run": Story(before=_fresh, command=("run",)),
    "rollback": Story(before=_edited, command=("rollback", "one")),
    "undo": Story(before=_went_back, command=("undo",), kind="rollback"),
    "restore": Story(before=_attempted, command=("restore", "two@1")),
    "overlay": Story(before=_views("overlay"), command=("run", "--jobs", "3"), ends=("run", "--jobs", "3")),
    "copy": Story(before=_views("copy"), command=("run", "--jobs", "3"), ends=("run", "--jobs", "3")),
    "gc": Story(before=_several_runs, command=("gc", "--keep-runs", "1")),
}


@dataclass(slots=True, kw_only=True)
class Told:
    """A story that was prepared: what it must end as, and what was there before. `precious`: the ids of the contents
    that the undisturbed command keeps."""

    scene: Scene
    story: Story
    end: End
    calls: int
    tip: str
    refs: str
    files: Files
    precious: frozenset[str]

    def violation(self, blow: Blow) -> str | None:
        """Strike at one call, then go on in peace. What is wrong; None if all is as promised."""
        self.scene.put_back()
        said = ""
        try:
            struck = self.scene.gitckpt(*self.story.command, blow=blow)
            said = f"[{struck.returncode}] {struck.stdout}{struck.stderr}"
            self._is_well_told(struck)
            for step in self._steps():
                done = self.scene.gitckpt(*step)
                said += f"$ gitckpt {' '.join(step)} [{done.returncode}] {done.stdout}{done.stderr}"
                assert done.returncode == 0, "the next command did not go on"
            self._ends_the_same()
        except (AssertionError, subprocess.TimeoutExpired) as wrong:
            return f"{blow}: {wrong}\n{said}"
        return None

    def _is_well_told(self, struck: subprocess.CompletedProcess[str]) -> None:
        said = struck.stderr
        assert "Traceback" not in said, "a traceback"
        assert "a bug in gitckpt" not in said, "taken for a bug"
        self.scene.sound(said)
        self._nothing_is_lost()
        if struck.returncode == 0:
            return
        assert struck.returncode in REASONS, f"ended with {struck.returncode}"
        assert re.search(r"^error: .|FAILED| failed", said, re.MULTILINE), "no reason was given"
        if "nothing was changed" in said or "nothing was recorded" in said:
            assert _tip(self.scene) == self.tip, "it says that nothing was recorded"
            assert _refs(self.scene) == self.refs, "it says that nothing was recorded, and a ref has moved"
            assert self.scene.files() == self.files, "it says that nothing was done, and files have changed"

    def _nothing_is_lost(self) -> None:
        missing = self.precious - set(_kept(self.scene))
        assert not missing, f"lost: {[name for name, (_, data) in self.files.items() if _blob(data) in missing]}"
        assert not self.tip or self.tip in self.scene.git("rev-list", "--all").split(), "the history is on no ref"

    def _steps(self) -> tuple[tuple[str, ...], ...]:
        """What a user does then: the same once more, unless it says that it is done, and a run."""
        kinds = "--format=%(trailers:key=Gitckpt-Kind,valueonly)"
        since = self.scene.git("log", kinds, f"{self.tip}..{BRANCH}", "--") if self.story.kind else ""
        return (self.story.ends,) if self.story.kind in since.split() else (self.story.command, self.story.ends)

    def _ends_the_same(self) -> None:
        found = self.scene.end()
        names = {
            name for name in {**self.end.files, **found.files} if self.end.files.get(name) != found.files.get(name)
        }
        assert not names, f"other files than undisturbed: {sorted(names)}"
        assert found.manifest == self.end.manifest, "another state than undisturbed"
        self.scene.sound()
        self._nothing_is_lost()
        self.scene.tidy()


def tell(scene: Scene, name: str) -> Told:
    """Make the scene of a story, and learn how it ends when nothing fails."""
    story = STORIES[name]
    story.before(scene)
    scene.variables["FI_READS"] = str(scene.path)
    scene.keep()
    tip, refs, files = _tip(scene), _refs(scene), scene.files()
    done = scene.gitckpt(*story.command, blow=Blow(at=0))
    assert done.returncode == 0, done.stderr
    calls = scene.calls()
    _done(scene, *story.ends)
    scene.tidy()
    return Told(
        scene=scene,
        story=story,
        end=scene.end(),
        calls=calls,
        tip=tip,
        refs=refs,
        files=files,
        precious=frozenset(_kept(scene)) & {_blob(data) for _, data in files.values()},
    )


def _tip(scene: Scene) -> str:
    return scene.git("rev-parse", "-q", "--verify", BRANCH, ok=(0, 1, 128)).strip()


def _refs(scene: Scene) -> str:
    """Where all refs are, but those of objects that are on their way."""
    return "".join(line for line in scene.git("for-each-ref").splitlines(keepends=True) if "/inflight/" not in line)


def _blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0%b" % (len(data), data), usedforsecurity=False).hexdigest()


def _kept(scene: Scene) -> Iterator[str]:
    """What can still be had: from a ref, from the workspace, or from gitckpt's folder."""
    yield from (line.split()[0] for line in scene.git("rev-list", "--objects", "--all").splitlines())
    yield from (_blob(data) for _, data in scene.files().values())
    for path in (scene.path / ".git/gitckpt").rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield _blob(path.read_bytes())
