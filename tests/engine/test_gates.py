"""Gates by their events: who may answer, with what, when; and what a time-out does to an answer that comes late."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from gitckpt.api.changing import change
from gitckpt.api.library import Silent, run
from gitckpt.api.reading import Where, find_workspace
from gitckpt.api.writing import SystemClock, given_of, write
from gitckpt.engine import answers
from gitckpt.engine.answers import Reply
from gitckpt.engine.begin import retry
from gitckpt.engine.hold import Hold, held
from gitckpt.engine.requests import Answer, Request
from gitckpt.engine.rewind import undo
from gitckpt.engine.settle import settle
from gitckpt.model.events import GateAnswered
from gitckpt.model.manifest import Manifest, Source, state_of
from gitckpt.model.moment import Verdict
from gitckpt.model.names import PhaseName
from gitckpt.spec.load import load
from tests.repo import Repo

OK = PhaseName("ok")
BY_ANN = Reply(approved=True, author="Ann Example", email="ann@example.org")


def begin(repo: Repo, gate: str, more: str = "") -> None:
    """A run that has come to the gate `ok`."""
    phases = f"  build: {{run: echo built > built}}\n  ok: {{gate: {gate}}}\n  ship: {{run: env > shipped}}\n"
    repo.write(
        "gitckpt.yaml", f"version: 1\nworkflow: demo\nparams: {{VERSION: {{default: v2}}}}\nphases:\n{phases}{more}"
    )
    assert run(repo.path).verdict is Verdict.WAITING


def approve(repo: Repo, name: str | None = None, fields: Mapping[str, str] | None = None, reason: str = "") -> Answer:
    target = PhaseName(name) if name else None
    request = Request(verb="approve", target=target, fields=fields or {}, text=reason)
    return change(Where(directory=repo.path), request, Silent())


def reject(repo: Repo, reason: str = "") -> Answer:
    return change(Where(directory=repo.path), Request(verb="reject", text=reason), Silent())


def manifest(repo: Repo) -> Manifest:
    with write(Where(directory=repo.path), Silent()) as hold:
        return hold.at_tip.manifest


class Later(SystemClock):
    """The machine's clocks, the one on the wall a while ahead."""

    def __init__(self, ahead: timedelta) -> None:
        self._ahead = ahead

    def now(self) -> datetime:
        return super().now() + self._ahead


@contextmanager
def later(path: Path, ahead: timedelta) -> Iterator[Hold]:
    """A command that writes, given after that time."""
    workspace = find_workspace(Where(directory=path))
    given = given_of(workspace, load(workspace.file))
    with held(given, workspace.place, Later(ahead), Silent()) as hold:
        settle(hold)
        yield hold


def test_an_answer_is_a_checkpoint_with_a_tag_and_says_who_with_which_address_and_why(repo: Repo) -> None:
    begin(repo, "Publish?")
    made = approve(repo, reason="looks good")
    assert (made.number, made.phase) == (4, "ok")
    with write(Where(directory=repo.path), Silent()) as hold:
        (event,) = hold.at_tip.events
        assert isinstance(event, GateAnswered)
        assert (event.approved, event.author, event.email) == (True, "Ann Example", "ann@example.org")
        assert event.reason == "looks good"
        assert hold.at_tip.title.kind == "gate"
        assert "0004-ok" in hold.store.tags()
    assert run(repo.path).verdict is Verdict.COMPLETE


def test_the_prompt_is_asked_with_params_and_earlier_answers_filled_in_and_runs_nothing(repo: Repo) -> None:
    begin(
        repo,
        "{prompt: 'Deploy $VERSION?', fields: {plan: {default: free}}}",
        "  last: {gate: '$VERSION for ${plan} ($FORM_PLAN), $(touch ran) $UNKNOWN $$5'}\n",
    )
    assert state_of(manifest(repo), OK).detail == "Deploy v2?"
    approve(repo, fields={"plan": "pro"})
    run(repo.path)
    assert state_of(manifest(repo), PhaseName("last")).detail == "v2 for pro (pro), $(touch ran) $UNKNOWN $5"
    assert not (repo.path / "ran").exists()


def test_answers_are_validated_all_at_once_and_reach_later_phases_as_variables(repo: Repo) -> None:
    begin(
        repo, "{prompt: Who?, fields: {email: {required: true, pattern: '.+@.+'}, plan: {choices: [a, b], default: a}}}"
    )
    with pytest.raises(answers.BadAnswers) as caught:
        approve(repo, fields={"plan": "c", "age": "7"})
    assert caught.value.problems == (
        "the gate has no field age",
        "email is required",
        "plan must be one of a, b",
    )
    with pytest.raises(answers.BadAnswers, match="email must match"):
        approve(repo, fields={"email": "nobody"})
    assert manifest(repo).sequence == 3, "nothing was recorded"
    approve(repo, fields={"email": "b@c"})
    run(repo.path)
    assert {"FORM_EMAIL=b@c", "FORM_PLAN=a"} <= set((repo.path / "shipped").read_text().splitlines())


def test_a_rejected_gate_fails_the_run_until_retry_asks_again(repo: Repo) -> None:
    begin(repo, "Publish?")
    reject(repo, "too early")
    assert run(repo.path).verdict is Verdict.FAILED
    with pytest.raises(answers.AnsweredAlready, match="rejected by Ann Example: too early") as caught:
        approve(repo, "ok")
    assert "gitckpt retry ok" in caught.value.hint
    with write(Where(directory=repo.path), Silent()) as hold:
        settle(hold)
        assert [each.phase for each in retry(hold, None)] == ["ok"]
    with pytest.raises(answers.GateNotOpen, match="ok is not open yet"):
        approve(repo, "ok")
    assert run(repo.path).verdict is Verdict.WAITING
    approve(repo)
    with pytest.raises(answers.AnsweredAlready, match="ok is answered already: approved"):
        approve(repo, "ok")


def test_an_answer_can_be_taken_back_and_given_anew(repo: Repo) -> None:
    begin(repo, "{prompt: Who?, fields: {plan: {default: free}}}")
    approve(repo)
    with write(Where(directory=repo.path), Silent()) as hold:
        undo(hold)
        assert state_of(hold.at_tip.manifest, OK).status == "waiting"
    approve(repo, fields={"plan": "pro"})
    assert state_of(manifest(repo), OK).answers == {"plan": "pro"}


def test_a_gate_before_its_turn_says_what_it_waits_for(repo: Repo) -> None:
    begin(repo, "One?", "  last: {gate: Two?}\n")
    with pytest.raises(answers.GateNotOpen, match="last is not open yet: it needs ship first"):
        approve(repo, "last")
    with pytest.raises(answers.NotAGate, match="ship is not a gate"):
        approve(repo, "ship")


def test_without_a_name_the_only_open_gate_is_meant(repo: Repo) -> None:
    begin(repo, "One?", "  other: {needs: [], gate: Two?}\n")
    with pytest.raises(answers.SeveralGatesWait, match="ok, other"):
        approve(repo)
    approve(repo, "other")
    assert approve(repo).phase == "ok"
    with pytest.raises(answers.NoGateWaits):
        approve(repo)


def test_whoever_began_the_run_cannot_approve_where_the_gate_says_so(repo: Repo) -> None:
    begin(repo, "{prompt: Publish?, not_author: true}")
    repo.git("config", "user.email", "ANN@Example.org")
    with pytest.raises(answers.ApprovedByAuthor, match="begun by ANN@Example"):
        approve(repo)
    repo.git("config", "--unset", "user.email")
    with pytest.raises(answers.AuthorUnknown, match="not set for you"):
        approve(repo)
    repo.git("config", "user.email", "bob@example.org")
    approve(repo)
    assert run(repo.path).verdict is Verdict.COMPLETE


def test_a_run_that_nobody_is_known_to_have_begun_cannot_be_told_from_the_approver(repo: Repo) -> None:
    begin(repo, "{prompt: Publish?, not_author: true}")
    with write(Where(directory=repo.path), Silent()) as hold:
        found = answers.open_gate(hold.workflow, hold.at_tip.manifest, None)
        old = replace(hold.at_tip.manifest, source=Source())
        with pytest.raises(answers.AuthorUnknown, match="whoever began this run"):
            answers.answered(hold.workflow, old, found, BY_ANN, hold.now())
        rejected = replace(BY_ANN, approved=False)
        assert not answers.answered(hold.workflow, old, found, rejected, hold.now()).approved


@pytest.mark.parametrize(
    ("policy", "word", "end"), [("reject", "rejected", "failed"), ("approve", "approved", "completed")]
)
def test_a_time_out_that_has_passed_goes_before_the_answer(repo: Repo, policy: str, word: str, end: str) -> None:
    begin(repo, f"{{prompt: Publish?, timeout: 24h, on_timeout: {policy}}}")
    with later(repo.path, timedelta(hours=25)) as hold:
        with pytest.raises(answers.AnsweredTooLate, match=f"too late.*{word}, 0004"):
            answers.answer(hold, None, BY_ANN)
        assert state_of(hold.at_tip.manifest, OK).status == end
        assert hold.at_tip.events[0].email == "" if isinstance(hold.at_tip.events[0], GateAnswered) else False


def test_before_its_time_out_and_where_it_keeps_waiting_an_answer_counts(repo: Repo) -> None:
    begin(repo, "{prompt: One?, timeout: 24h}", "  last: {gate: {prompt: Two?, timeout: 1h, on_timeout: keep}}\n")
    with later(repo.path, timedelta(hours=23)) as hold:
        assert answers.answer(hold, None, BY_ANN).number == 4
    run(repo.path)
    with later(repo.path, timedelta(days=9)) as hold:
        assert answers.answer(hold, None, BY_ANN).number == 7


def test_a_time_out_cannot_approve_where_an_answer_is_missing(repo: Repo) -> None:
    begin(repo, "{prompt: Who?, fields: {email: {required: true}}, timeout: 1h, on_timeout: approve}")
    with later(repo.path, timedelta(hours=2)) as hold:
        with pytest.raises(answers.AnsweredTooLate, match="rejected"):
            answers.answer(hold, OK, BY_ANN)
        assert state_of(hold.at_tip.manifest, OK).status == "failed"
