"""`test-resume`: a workflow played undisturbed, and again with its runner killed, and the two ends compared.

Owns the order of the plays and what they are refused for. The user's repository is read and never written.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from gitckpt.api.definition import definition_of
from gitckpt.api.reading import Where, Workspace, find_workspace
from gitckpt.engine.capturing import capture_rules
from gitckpt.engine.play import Kill, Played, Script, opened, play, put_away, rest_ms, root_in
from gitckpt.engine.rehearsal import Differing, differences, reaches_out
from gitckpt.errors import ExitCode, GitckptError
from gitckpt.model.gate import answers
from gitckpt.model.names import PhaseName
from gitckpt.model.workflow import Workflow
from gitckpt.plumbing.content import Content
from gitckpt.plumbing.diff import scratch
from gitckpt.plumbing.environment import phase_environment
from gitckpt.plumbing.extra import defaults_under
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.reader import Reader
from gitckpt.plumbing.repository import Repository
from gitckpt.progress.text import duration
from gitckpt.workspace.snapshot import snapshot
from gitckpt.workspace.statcache import StatCache

PATIENCE_MS = 60_000
"""A command after a kill may take so long at the least; and ten times what the whole took undisturbed."""

Say = Callable[[str], None]
"""Takes a line about how it goes."""


@dataclass(eq=False)
class Unanswerable(GitckptError):
    """A gate that nobody answers in a rehearsal."""

    gates: tuple[str, ...]
    problems: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        what = "; ".join(self.problems) or "nobody is there to answer it"
        return f"the workflow stops at the gate {', '.join(self.gates)}: {what}"

    @property
    def hint(self) -> str:
        return "let it be approved: gitckpt test-resume --answer-gates" + (" --field NAME=VALUE" * bool(self.problems))


@dataclass(eq=False)
class FailsUndisturbed(GitckptError):
    """Without any kill the workflow does not come to its end in a copy."""

    phase: str | None
    why: str

    exit_code = ExitCode.FAILED

    @property
    def message(self) -> str:
        return f"in a copy of the captured files, undisturbed, {self.phase or 'the workflow'} fails: {self.why}"

    @property
    def hint(self) -> str:
        return "files that git ignores are not in the copy: name those it needs in `workspace: {include: [...]}`"


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsalRequest:
    """`seed` decides when the kills fall; `fields` answer gates; `settings` are the params; `limit_ms`: how long one
    command may take."""

    kills: int = 5
    seed: int = 0
    answer_gates: bool = False
    fields: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    limit_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """What came out. `undisturbed_ms`: how long it takes; `kills` in all plays; `failed`: a play with kills did not
    come to its end, for this reason, in phase `blame`."""

    undisturbed_ms: int
    kills: tuple[Kill, ...]
    differences: tuple[Differing, ...] = ()
    failed: str = ""
    blame: str | None = None

    @property
    def equal(self) -> bool:
        """Whether the workflow was resumed to the same end each time."""
        return not self.differences and not self.failed


def effects(where: Where) -> dict[PhaseName, str]:
    """What the phases declare to do outside of the workspace: it happens in a rehearsal, too, and more than once."""
    return reaches_out(definition_of(find_workspace(where)).workflow)


def rehearse(where: Where, request: RehearsalRequest, say: Say) -> Rehearsed:
    """Play the workflow undisturbed, then with kills, and compare.

    Raises Unanswerable, FailsUndisturbed, Unreadable.
    """
    workspace = find_workspace(where)
    workflow = definition_of(workspace).workflow
    fields = _fields(workflow, request)
    with _folder() as folder, scratch(workspace.repository, workspace.root) as aside, Reader(aside) as reader:
        script = Script(
            content=_captured(workspace, workflow, aside),
            reader=reader,
            like=workspace.repository,
            prefix=workspace.prefix,
            workflow=workflow.workflow,
            file=workspace.file,
            settings=tuple(word for key, value in request.settings.items() for word in ("--set", f"{key}={value}")),
            fields=fields,
            environment=_environment(),
            limit_ms=request.limit_ms,
        )
        return _Stage(script, folder, say).compared(request)


class _Stage:
    """The folder of one rehearsal. All plays are at the same path, because a workflow may write down where it is."""

    def __init__(self, script: Script, folder: Path, say: Say) -> None:
        self._script = script
        self._top = folder / "work"
        self._model = folder / "undisturbed"
        self._log = folder / "log"
        self._say = say

    def compared(self, request: RehearsalRequest) -> Rehearsed:
        try:
            model = self._undisturbed()
            start_ms = rest_ms(self._script, root_in(self._top, self._script.prefix), self._log)
            os.rename(self._top, self._model)
            self._say(f"undisturbed: {duration(model.ms)}")
            limit = request.limit_ms or max(PATIENCE_MS, 10 * model.ms)
            self._script = replace(self._script, limit_ms=limit)
            return self._disturbed(request, model.ms, start_ms)
        finally:
            self._clear()

    def _undisturbed(self) -> Played:
        played = play(self._script, self._top, self._log)
        if played.failed:
            raise FailsUndisturbed(played.blame, played.failed)
        return played

    def _disturbed(self, request: RehearsalRequest, whole_ms: int, start_ms: int) -> Rehearsed:
        """Plays until all kills have fallen: one may be over before its last moment comes."""
        chance = random.Random(request.seed)
        kills: list[Kill] = []
        fruitless = 0
        while len(kills) < request.kills and fruitless < 3:
            moments = sorted(1 + int(chance.random() * whole_ms) for _ in range(request.kills - len(kills)))
            played = play(self._script, self._top, self._log, moments, start_ms)
            fruitless = 0 if played.kills else fruitless + 1
            kills += played.kills
            for kill in played.kills:
                self._say(f"killed after {duration(kill.at_ms)}, {kill.phase or 'between two phases'}; resumed")
            ended = Rehearsed(undisturbed_ms=whole_ms, kills=tuple(kills))
            if played.failed:
                return replace(ended, failed=played.failed, blame=played.blame)
            differing = self._differences()
            if differing:
                return replace(ended, differences=self._told_apart(differing))
            self._clear()
        return Rehearsed(undisturbed_ms=whole_ms, kills=tuple(kills))

    def _differences(self) -> tuple[Differing, ...]:
        with opened(self._script, self._model) as one, opened(self._script, self._top) as other:
            return differences(one, other)

    def _told_apart(self, found: tuple[Differing, ...]) -> tuple[Differing, ...]:
        """Mark what differs between two undisturbed plays as well: no resume is to blame for that."""
        self._say("they differ; played undisturbed once more, to see what differs anyway")
        self._clear()
        self._undisturbed()
        anyway = {(each.kind, each.name) for each in self._differences()}
        return tuple(replace(each, anyway=(each.kind, each.name) in anyway) for each in found)

    def _clear(self) -> None:
        if self._top.exists():
            put_away(self._top, root_in(self._top, self._script.prefix))


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="gitckpt-rehearsal-")))
    try:
        yield folder
    finally:
        # A phase may have left folders that cannot be written.
        for at, _, _ in os.walk(folder):
            os.chmod(at, 0o700)
        shutil.rmtree(folder, ignore_errors=True)


def _captured(workspace: Workspace, workflow: Workflow, aside: Repository) -> Content:
    """The files that a checkpoint would hold now, as objects beside the user's repository."""
    umask = os.umask(0o077)
    os.umask(umask)
    with Pack(aside, "rehearsal") as pack:
        found = snapshot(
            root=workspace.root,
            repository=workspace.repository,
            prefix=workspace.prefix,
            rules=capture_rules(workflow, os.environ),
            pack=pack,
            cache=StatCache(workspace.repository.object_format),
            defaults=defaults_under(umask),
        )
        pack.finish()
    return found.content


def _environment() -> dict[str, str]:
    """This process's, without what says that it is one of a phase."""
    return {name: value for name, value in phase_environment(os.environ).items() if not name.startswith("GITCKPT_")}


def _fields(workflow: Workflow, request: RehearsalRequest) -> dict[PhaseName, Mapping[str, str]]:
    """The answers for each gate. Raises Unanswerable."""
    gates = {phase.name: phase.gate for phase in workflow.phases if phase.gate is not None}
    if gates and not request.answer_gates:
        raise Unanswerable(tuple(gates))
    found: dict[PhaseName, Mapping[str, str]] = {}
    for name, gate in gates.items():
        given = {key: value for key, value in request.fields.items() if key in gate.fields}
        _, problems = answers(gate, given)
        if problems:
            raise Unanswerable((name,), problems)
        found[name] = given
    return found
