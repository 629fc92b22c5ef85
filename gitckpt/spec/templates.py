"""The files that `gitckpt init` writes: templates, and workflow files made from scripts that are there.

Owns the texts; writes nothing. Every text it makes is one that the loader takes. A template is a folder of the
repository's `examples`, so that what is shown and what is written are the same files; `minimal` is one file.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from gitckpt.errors import GitckptError
from gitckpt.model.names import WorkflowName, name_problem, phase_name_problem
from gitckpt.spec.find import FILE_NAME
from gitckpt.spec.problem import near, quoted

MINIMAL = "minimal"

_FOLDER = resources.files("gitckpt.spec") / "template_files"
_WORKFLOW_FILES = (FILE_NAME, "flow.py")
_LEFT_OUT = frozenset({"README.md", "build", "__pycache__", ".gitckpt"})
_INTERPRETERS = {
    ".py": "python3",
    ".sh": "sh",
    ".bash": "bash",
    ".js": "node",
    ".rb": "ruby",
    ".pl": "perl",
    ".r": "Rscript",
    ".jl": "julia",
}
_HEAD = "# What each key means: docs/workflow-file.md, or `gitckpt schema` for your editor.\nversion: 1\n"


@dataclass(eq=False)
class NoSuchTemplate(GitckptError):
    """`init --template` with a name that is none."""

    name: str

    @property
    def message(self) -> str:
        return f"there is no template {quoted(self.name)}{near(self.name, template_names())}"

    @property
    def hint(self) -> str:
        return f"the templates are {', '.join(template_names())}"


@dataclass(eq=False)
class NotAScript(GitckptError):
    """A script given to `init` that is not there or cannot be started in any known way."""

    name: str
    why: str

    @property
    def message(self) -> str:
        return f"cannot make a phase of {quoted(self.name)}: {self.why}"

    @property
    def hint(self) -> str:
        return "name scripts that can be started, in the order in which they run: gitckpt init fetch.sh load.py"


def template_names() -> tuple[str, ...]:
    """What `init --template` takes: `minimal`, then the examples with a workflow by name."""
    names = (entry.name for entry in _FOLDER.iterdir() if any((entry / file).is_file() for file in _WORKFLOW_FILES))
    return (MINIMAL, *sorted(names))


def template(name: str) -> dict[str, tuple[str, int]]:
    """The files of a template: path from the workspace's top -> (text, permission bits). Raises NoSuchTemplate."""
    if name not in template_names():
        raise NoSuchTemplate(name)
    if name == MINIMAL:
        return {FILE_NAME: ((_FOLDER / f"{MINIMAL}.yaml").read_text(encoding="utf-8"), 0o644)}
    return dict(sorted(_files(_FOLDER / name, "")))


def workflow_name(folder: str) -> WorkflowName:
    """A workflow's name made from a folder's; `workflow` where nothing of it can be used."""
    text = _cleaned(folder)
    return WorkflowName("workflow" if name_problem(text) else text)


def from_scripts(scripts: Sequence[str], folder: Path) -> str:
    """A workflow file with one phase for each script, in their order. The paths are taken from `folder`.

    Raises NotAScript for one that is not there, or is neither executable nor of a known suffix.
    """
    taken: set[str] = set()
    phases = [_phase(_phase_name(script, taken), _command(script, folder)) for script in scripts]
    return _head(folder) + "\n".join(phases)


def from_folder(folder: Path) -> str:
    """A workflow file with one phase that works, and each script of the folder as a phase in comments."""
    first = _phase("hello", 'echo "hello from phase $GITCKPT_PHASE" > hello.txt') + "    outs: [hello.txt]\n"
    text = _head(folder) + first
    taken = {"hello"}
    found = [
        _phase(_phase_name(name, taken), command)
        for name in sorted(os.listdir(folder) if folder.is_dir() else ())
        if not name.startswith(".") and (command := _known_command(name, folder))
    ]
    if not found:
        return text
    commented = "\n".join(f"  # {line[2:]}" for phase in found for line in phase.splitlines())
    advice = "  # Scripts found here. Take away the `#` of those that are part of the work, in their order:"
    return f"{text}\n{advice}\n{commented}\n"


def _head(folder: Path) -> str:
    return f"{_HEAD}workflow: {_yaml(workflow_name(folder.name))}\n\nphases:\n"


def _files(folder: Traversable, prefix: str) -> Iterator[tuple[str, tuple[str, int]]]:
    for entry in folder.iterdir():
        if entry.name in _LEFT_OUT:
            continue
        if entry.is_dir():
            yield from _files(entry, f"{prefix}{entry.name}/")
        else:
            text = entry.read_text(encoding="utf-8")
            # By what it says, not by its mode: a package in a zip file has none.
            yield f"{prefix}{entry.name}", (text, 0o755 if text.startswith("#!") else 0o644)


def _phase(name: str, command: str) -> str:
    return f"  {_yaml(name)}:\n    run: {_yaml(command)}\n"


def _phase_name(script: str, taken: set[str]) -> str:
    """A phase's name from a script's: its stem, made one that no other phase has, whatever the case."""
    stem = _cleaned(Path(script).stem)
    if phase_name_problem(stem):
        stem = _cleaned(f"step-{stem}")
    name, number = stem, 1
    while name.lower() in taken:
        number += 1
        name = f"{stem}-{number}"
    taken.add(name.lower())
    return name


def _cleaned(text: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9._-]+|\.{2,}", "-", text).strip(".-_")
    return re.sub(r"(?i)\.lock$", "-lock", plain)[:90].rstrip(".-_")


def _command(script: str, root: Path) -> str:
    if not (root / script).is_file():
        raise NotAScript(script, "there is no such file")
    if not script.isprintable():
        raise NotAScript(script, "its name holds characters that cannot be shown")
    command = _known_command(script, root)
    if command is None:
        raise NotAScript(script, "it is not executable, and its suffix says no interpreter")
    return command


def _known_command(script: str, root: Path) -> str | None:
    """How to start a script: itself where it may be executed, else by what its suffix or first line says."""
    path = root / script
    if not path.is_file() or not script.isprintable():
        return None
    here = script if script.startswith(("/", "./", "../")) else f"./{script}"
    if os.access(path, os.X_OK):
        return shlex.quote(here)
    interpreter = _INTERPRETERS.get(path.suffix.lower()) or _shebang(path)
    word = here if script.startswith("-") else script
    return f"{interpreter} {shlex.quote(word)}" if interpreter else None


def _shebang(path: Path) -> str | None:
    with open(path, "rb") as script:
        first = script.readline(200)
    if not first.startswith(b"#!"):
        return None
    words = first[2:].decode("utf-8", "replace").split()
    if words and words[0].endswith("/env"):
        words = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
        return shlex.quote(words[0]) if words else None
    return shlex.join(words) if words and all(word.isprintable() for word in words) else None


def _yaml(text: str) -> str:
    """The text as a YAML scalar: plain where it is surely text, else in double quotes (JSON is YAML)."""
    plain = re.fullmatch(r"[A-Za-z./][A-Za-z0-9_./ -]*", text) and not text.endswith(" ")
    if plain and text.lower() not in {"true", "false", "null", "yes", "no", "on", "off", "y", "n", "."}:
        return text
    return json.dumps(text, ensure_ascii=False)
