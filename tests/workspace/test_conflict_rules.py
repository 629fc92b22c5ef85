"""Which rule of `merge` counts for a path."""

from __future__ import annotations

import pytest

from gitckpt.model.together import Merge, MergeRule, Rule
from gitckpt.workspace.rules import CaptureRules, Matcher, conflict_rules


def rule_of(path: bytes, *rules: tuple[str, Rule], otherwise: Rule = "fail") -> Rule:
    return conflict_rules(Merge(on_conflict=otherwise, rules=tuple(MergeRule(*rule) for rule in rules)))(path)


def test_without_rules_the_one_for_every_path_counts() -> None:
    assert rule_of(b"a") == "fail"
    assert rule_of(b"a/b", otherwise="union") == "union"


def test_the_last_rule_that_matches_counts_whichever_names_the_path_more_closely() -> None:
    assert rule_of(b"cache/index.json", ("cache/", "theirs"), ("cache/index.json", "ours")) == "ours"
    assert rule_of(b"cache/index.json", ("cache/index.json", "ours"), ("cache/", "theirs")) == "theirs"
    assert rule_of(b"cache/index.json", ("*.json", "ours"), ("cache/", "theirs"), ("*.txt", "union")) == "theirs"
    assert rule_of(b"other", ("cache/", "theirs"), otherwise="ours") == "ours"


@pytest.mark.parametrize("pattern", ["*.log", "a/", "a/*.log", "a/**", "**/b", "a/b/", "[xy]*", "b", "a/b", r"\*.log"])
@pytest.mark.parametrize("path", [b"x.log", b"a/x.log", b"a/b", b"a/b/c", b"b/a", b"y\xff.log", b"*.log", b"c/*.log"])
def test_a_pattern_means_what_it_means_in_exclude(pattern: str, path: bytes) -> None:
    excluded = Matcher(CaptureRules(exclude=(pattern,))).excluded(path)
    assert (rule_of(path, (pattern, "union")) == "union") is excluded
