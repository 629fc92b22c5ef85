"""Seals every test off from the machine, and holds every test about a repository to the same end.

Owns the fixtures that all areas share, the slow tier, and the rule that nothing is skipped silently. Must not know any
scenario.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir

from tests import ready
from tests.repo import OURS, Repo, Watched

PROJECT = Path(__file__).parents[1]
SLOW = "the slow tier, run with --full"
SWEEP = "a sweep of many cases of one kind, run in CI (CI=true) or with --full"
ABSENT = "is not beside this checkout"
POWERLESS = "no disk here whose power can be cut"
SERVERLESS = "PostgreSQL is not installed here"
IDENTITY = {
    "GIT_AUTHOR_NAME": "Ann Example",
    "GIT_AUTHOR_EMAIL": "ann@example.org",
    "GIT_AUTHOR_DATE": "2025-01-02T03:04:05+01:00",
    "GIT_COMMITTER_NAME": "Ann Example",
    "GIT_COMMITTER_EMAIL": "ann@example.org",
    "GIT_COMMITTER_DATE": "2025-01-02T03:04:05+01:00",
}
GUARDS = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_EDITOR": "false",
    "GIT_CEILING_DIRECTORIES": str(PROJECT),
}

CACHES = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gitckpt-tests"
"""What the tools of the suite remember between two runs: outside the checkout, in which a check writes nothing."""

# Whoever wants no bytecode in the checkout is obeyed. Without any, each of hundreds of processes would compile it all.
if sys.dont_write_bytecode:
    sys.dont_write_bytecode = False
    sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(CACHES / "bytecode")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

set_hypothesis_home_dir(CACHES / "hypothesis")
# Derandomized: a check that fails only now and then is not believed. The deep profile is for nights.
settings.register_profile("quick", max_examples=10, derandomize=True, deadline=None, database=None)
settings.register_profile("fast", max_examples=25, derandomize=True, deadline=None, database=None)
settings.register_profile("deep", max_examples=1000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("GITCKPT_HYPOTHESIS", "fast" if os.environ.get("CI") else "quick"))


CUTS = os.environ.setdefault("GITCKPT_CUTS", str(random.randrange(1_000_000)))
"""The seed by which the calls are drawn at which the power goes; the processes of one run share it."""


def pytest_report_header() -> str:
    return f"power cuts are drawn with GITCKPT_CUTS={CUTS}"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run the slow tier too: every kill point, long sweeps")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--full"):
        return
    for item in items:
        if item.get_closest_marker("full"):
            item.add_marker(pytest.mark.skip(reason=SLOW))
        elif item.get_closest_marker("sweep") and not os.environ.get("CI"):
            item.add_marker(pytest.mark.skip(reason=SWEEP))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skip for any other reason than the known ones is a failure: a green run must mean that all was run."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2]
        if not any(known in reason for known in (SLOW, SWEEP, ABSENT, POWERLESS, SERVERLESS)):
            report.outcome = "failed"
            report.longrepr = f"skipped, which hides what it would have shown: {reason}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What a test has to say of itself (`record_property("told", ...)`), such as how much of all there is it tried."""
    for reports in terminalreporter.stats.values():
        for name, value in (each for report in reports for each in getattr(report, "user_properties", ())):
            if name == "told":
                terminalreporter.write_line(str(value))


_number = itertools.count()


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """As pytest's own, which looks through the folders of all tests before for the next free number."""
    name = re.sub(r"\W", "_", request.node.name)[:40]
    return tmp_path_factory.mktemp(f"{next(_number)}-{name}", numbered=False)


@pytest.fixture(autouse=True)
def sealed(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration, repository or folder of this machine can reach a test, nor a test them."""
    place = tmp_path_factory.mktemp(f"{next(_number)}-sealed", numbered=False)
    folders = {
        "HOME": "home",
        "TMPDIR": "tmp",
        "XDG_CACHE_HOME": "home/.cache",
        "XDG_CONFIG_HOME": "home/.config",
        "XDG_DATA_HOME": "home/.local/share",
        "XDG_STATE_HOME": "home/.local/state",
    }
    # git exports GIT_DIR and GIT_INDEX_FILE to a hook: a suite run by one would write to the project's repository.
    for name in [name for name in os.environ if name.startswith(("GIT_", "GITCKPT_", "XDG_"))]:
        monkeypatch.delenv(name)
    for name, folder in folders.items():
        (place / folder).mkdir(parents=True, exist_ok=True)
        monkeypatch.setenv(name, str(place / folder))
    for name, value in (GUARDS | IDENTITY).items():
        monkeypatch.setenv(name, value)
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    # A phase that calls `gitckpt` or `python3` gets the ones under test, activated environment or not.
    monkeypatch.setenv("PATH", os.pathsep.join((sysconfig.get_path("scripts"), os.environ["PATH"])))
    monkeypatch.chdir(place)


def _own_repository() -> str:
    """What a test that reached the project's own repository would leave there; empty where the tree is no clone.

    In CI that is any change at all. Elsewhere a person may commit meanwhile, so only what a test alone can leave
    counts: gitckpt's refs and folders, and commits by Ann.
    """
    if not (PROJECT / ".git").exists():
        return ""
    questions: list[tuple[str, ...]] = [("for-each-ref", *OURS), ("log", "--all", "--format=%H", "--committer=ann@")]
    if os.environ.get("CI"):
        questions += [("rev-parse", "--symbolic-full-name", "HEAD"), ("for-each-ref",), ("ls-files", "--stage")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    said = [
        subprocess.run(
            ["git", "-C", PROJECT, "--no-optional-locks", *question],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        for question in questions
    ]
    ours = [str(path) for path in (PROJECT / ".git" / "gitckpt", PROJECT / ".gitckpt") if path.exists()]
    return "\n".join((*said, *ours))


@pytest.fixture(autouse=True, scope="session")
def own_repository_untouched() -> Iterator[None]:
    """The last test fails when the suite reached the repository that it lies in."""
    before = _own_repository()
    yield
    assert _own_repository() == before, "a test changed the project's own repository"


@pytest.fixture(autouse=True, scope="session")
def command_line() -> Iterator[None]:
    """What the tests' commands were forked from ends with the last of them."""
    yield
    ready.end()


@pytest.fixture
def watch_repository() -> Iterator[Callable[[Path], Watched]]:
    """Hold another repository to the promise, too: `watch_repository(path)` once it is as the user left it."""
    watched: list[Watched] = []

    def watch(path: Path) -> Watched:
        watched.append(Watched(path))
        return watched[-1]

    yield watch
    for one in watched:
        one.untouched()
        one.sound()


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[Repo]:
    """A repository of the user's. At the end it is theirs, byte for byte, and every checkpoint in it is sound."""
    made = Repo(tmp_path / "repo")
    yield made
    made.untouched()
    made.sound()


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that strikes at the n-th changing call of a whole process tree: `faults/shim.c`."""
    made = tmp_path_factory.mktemp("shim") / "shim.so"
    source = Path(__file__).with_name("faults") / "shim.c"
    flags = ("-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")
    subprocess.run(["gcc", *flags, "-o", made, source, "-ldl"], check=True)
    return made


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of measured tools and data that lies beside some checkouts."""
    place = PROJECT.parent / "shared"
    if not place.is_dir():
        pytest.skip(f"shared {ABSENT}")
    return place
