"""Whatever the bytes: a workflow, or `DefinitionInvalid` with places; never another exception, never slow."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pathspec import GitIgnoreSpec

from gitckpt.model.forms import Form
from gitckpt.model.workflow import dependents, digest, order
from gitckpt.spec.leaves import Refused, leaf_of
from gitckpt.spec.lint import lint
from gitckpt.spec.load import load
from gitckpt.spec.problem import DefinitionInvalid, Mark
from gitckpt.spec.yaml_strict import Scalar

VOCABULARY = """
    version workflow description params env secrets workspace defaults phases attempts run argv needs shell
    working_directory timeout retry validate requires if outs keep_partial on_failure desc max delay backoff jitter
    max_delay exit_codes when stdout contains matches file min_size include exclude keep_up_to foreach a b c load
    batch size input separator budget items batches time checkpoint_every tolerate count percent to on_item_failure
    goto action counters compensate pivot gate prompt show fields type pattern choices default required on_timeout
    not_author python always max_parallel list glob lines csv json as sort limit key allow_empty a.b:c ITEM number
    isolation concurrency resources fail_fast merge group on_conflict rules rule overlay copy ours union cpu memory
    extract 10m 4MiB 1 -1 1.5 true null ~ ../x /etc \\d ( [ '' on << bash 1e400 -.inf 0x 99999999999999999999
"""
KEYS = """
    run argv python gate needs env timeout retry validate outs if requires on_failure shell zz foreach batch budget
    checkpoint_every tolerate on_item_failure counters compensate pivot secrets max_parallel isolation concurrency
    resources
"""
WORDS = st.sampled_from(VOCABULARY.split())
SCALARS = st.one_of(WORDS, st.integers(), st.booleans(), st.none(), st.text(max_size=8), st.floats())
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(WORDS, inner, max_size=6)),
    max_leaves=30,
)
PHASE = st.dictionaries(
    st.sampled_from(KEYS.split()),
    st.one_of(TREES, WORDS, st.lists(WORDS, max_size=3)),
    max_size=5,
)
FILES = st.fixed_dictionaries(
    {"version": st.just(1), "workflow": st.just("w")},
    optional={
        "phases": st.dictionaries(WORDS, st.one_of(PHASE, PHASE, TREES), max_size=5),
        "params": TREES,
        "env": TREES,
        "defaults": st.one_of(PHASE, TREES),
        "workspace": TREES,
        "attempts": TREES,
        "always": TREES,
        "on_failure": TREES,
        "max_parallel": SCALARS,
        "isolation": SCALARS,
        "resources": st.one_of(st.dictionaries(WORDS, SCALARS, max_size=3), TREES),
        "merge": TREES,
    },
)
SYNTAX = st.text(alphabet="ab:-[]{}&*!|>'\"%@`#,?\n \t\\<0é\x07\ufeff\u2028", max_size=200)
SETTINGS = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))


def written(tree: object) -> str:
    """Flow YAML of a tree, plain wherever that is possible, so that odd words meet the resolver."""
    match tree:
        case dict():
            return "{" + ", ".join(f"{written(key)}: {written(value)}" for key, value in tree.items()) + "}"
        case list():
            return "[" + ", ".join(written(each) for each in tree) + "]"
        case None:
            return "null"
        case str() if tree.replace("_", "").replace("-", "").isalnum():
            return tree
        case str():
            return '"' + "".join(f"\\U{ord(letter):08x}" for letter in tree) + '"'
        case _:
            return str(tree)


def check_refusal(refusal: DefinitionInvalid) -> None:
    assert refusal.problems
    for problem in refusal.problems:
        assert problem.mark.line >= 1
        assert problem.mark.column >= 1
        assert str(problem).isprintable()


def survive(source: bytes) -> bool:
    """Load it; whether it is a workflow."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gitckpt.yaml"
        file.write_bytes(source)
        began = time.process_time()
        try:
            loaded = load(file)
        except DefinitionInvalid as refusal:
            check_refusal(refusal)
            return False
        finally:
            assert time.process_time() - began < 2.0
        for phase in loaded.workflow.phases:
            assert digest(phase, loaded.workflow).startswith("sha256:")
            assert phase.name not in dependents(loaded.workflow, phase.name)
        assert set(order(loaded.workflow)) == {phase.name for phase in loaded.workflow.phases}
        assert all(problem.severity == "warning" for problem in lint(loaded))
        return True


@SETTINGS
@given(st.binary(max_size=300))
def test_any_bytes_are_survived(source: bytes) -> None:
    survive(source)


@SETTINGS
@given(SYNTAX)
def test_any_yaml_syntax_is_survived(text: str) -> None:
    survive(text.encode("utf-8", "surrogatepass"))


@SETTINGS
@given(TREES)
def test_any_tree_is_survived(tree: object) -> None:
    survive(written(tree).encode("utf-8", "surrogatepass"))


@SETTINGS
@given(FILES)
def test_anything_that_looks_like_a_workflow_is_survived(tree: object) -> None:
    survive(written(tree).encode("utf-8", "surrogatepass"))


@SETTINGS
@given(st.text(alphabet="ab[]!^-*?/\\ :.{}é", min_size=1, max_size=10))
def test_a_pattern_that_is_taken_can_be_matched(text: str) -> None:
    node = Scalar(value=text, text=text, mark=Mark(1, 1))
    try:
        leaf_of(Form.PATTERN, node)
    except Refused:
        return
    GitIgnoreSpec.from_lines([text]).match_file("a/b")  # a warning would be an error here


def test_eight_thousand_phases_are_read_ordered_and_linted_in_three_seconds(tmp_path: Path) -> None:
    phases = "".join(f"  p{number}: {{run: x, needs: []}}\n" for number in range(8_000))
    file = tmp_path / "gitckpt.yaml"
    file.write_text(f"version: 1\nworkflow: w\nphases:\n{phases}")
    began = time.process_time()
    loaded = load(file)
    assert len(order(loaded.workflow)) == 8_000
    assert dependents(loaded.workflow, loaded.workflow.phases[0].name) == frozenset()
    assert len(lint(loaded)) == 16_000
    assert time.process_time() - began < 3.0


def test_a_circle_of_five_thousand_phases_is_one_short_problem() -> None:
    phases = "".join(f"  p{number}: {{run: x, needs: p{(number + 1) % 5000}}}\n" for number in range(5_000))
    assert not survive(f"version: 1\nworkflow: w\nphases:\n{phases}".encode())
