"""Which words of a definition may be files: a table."""

from __future__ import annotations

import pytest

from gitckpt.model.named_files import named_files
from gitckpt.model.names import PhaseName
from gitckpt.model.repeat import Foreach
from gitckpt.model.workflow import Phase, Validation

A = PhaseName("a")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("./proc.sh in.csv > out.csv", {"proc.sh", "in.csv"}),
        ("sort <in.csv >>'a b.txt' 2>err.log", {"sort", "in.csv"}),
        ("python3 'my script.py' --config=conf/x.toml", {"python3", "my script.py", "conf/x.toml", "my", "script.py"}),
        ('cat "$ITEM" | ./a.sh; bash -c "./b.sh x"', {"cat", "a.sh", "bash", "./b.sh x", "b.sh", "x"}),
        ("cat /etc/passwd ../up ~/x *.csv .git/config", {"cat"}),
    ],
)
def test_words_that_a_command_reads_are_named_and_what_it_writes_to_is_not(text: str, wanted: set[str]) -> None:
    found = {path.decode() for path in named_files(Phase(name=A, run=(text,)))}
    assert found == {word.removeprefix("./") for word in wanted}


def test_functions_name_their_modules_and_folders_count_from_where_the_command_runs() -> None:
    phase = Phase(
        name=A,
        python="flow.steps:load",
        argv=("../tool.py", "x"),
        working_directory="sub",
        foreach=Foreach(lines="sub/x"),
        validate=Validation(run="./check.sh"),
    )
    found = {path.decode() for path in named_files(phase)}
    assert found == {"sub/check.sh", "tool.py", "sub/flow/steps.py", "sub/flow/steps/__init__.py"}
