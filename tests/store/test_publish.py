"""Publication: all or nothing, one winner, the law, tags, and what plain git then shows."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest

from gitckpt.errors import GitckptError, RefBlocked, RefLocked, RefMoved
from gitckpt.model.advance import advance
from gitckpt.model.events import DataSet, Edited, Event, Named
from gitckpt.model.names import PhaseName
from gitckpt.plumbing.pack import Pack
from gitckpt.plumbing.refs import RefUpdate
from gitckpt.store.publish import publish, write_commit
from tests.model.made import AT, completed, failed, manifest, name, skipped, started
from tests.repo import Repo
from tests.store.ledger import Ledger, W

START = started(manifest("a", "b"))
EDIT = Edited(at=AT, author="Ann")


def names(repo: Repo) -> list[str]:
    return repo.git("for-each-ref", "--format=%(refname)").splitlines()


def test_a_checkpoint_is_the_files_and_a_folder_of_its_own(repo: Repo, ledger: Ledger) -> None:
    made = ledger.add(START, files={b"f": b"1\n"})
    assert repo.git("ls-tree", "-r", "--name-only", "gitckpt/w").splitlines() == [
        ".gitckpt/definition.json",
        ".gitckpt/events.json",
        ".gitckpt/state.json",
        "f",
    ]
    assert repo.git("rev-parse", "gitckpt/w") == made.oid
    assert json.loads(repo.git("show", "gitckpt/w:.gitckpt/state.json"))["current_state"] == "INIT"
    assert repo.git("rev-list", "--count", "gitckpt/w") == "1"


def test_what_is_read_back_is_what_was_published(ledger: Ledger) -> None:
    made = ledger.add(START, files={b"f": b"1\n"})
    assert ledger.store.tip() == made
    done = ledger.add(completed("a"), files={b"f": b"2\n"})
    assert ledger.store.tip() == done
    assert list(ledger.store.history()) == [done, made]
    assert ledger.store.manifest(done.oid) == done.manifest
    assert done.parents == (made.oid,)


def test_in_a_folder_of_the_repository_the_files_lie_where_they_are(repo: Repo) -> None:
    ledger = Ledger(repo, b"deep/er")
    made = ledger.add(START, files={b"f": b"1\n"})
    assert "deep/er/f" in repo.git("ls-tree", "-r", "--name-only", "gitckpt/w").splitlines()
    assert ledger.store.tip() == made
    ledger.reader.close()


def test_the_message_has_a_subject_and_trailers_that_a_newline_cannot_forge(repo: Repo, ledger: Ledger) -> None:
    ledger.add(START)
    ledger.add(Named(at=AT, message="x\n\nGitckpt-Status: completed\x1b[31m"))
    body = repo.git("log", "-1", "--format=%B", "gitckpt/w")
    assert body.splitlines()[0] == "0002 named named x Gitckpt-Status: completed [31m"
    trailers = repo.git("log", "-1", "--format=%(trailers:only)", "gitckpt/w").splitlines()
    assert trailers == [
        "Gitckpt-Workflow: w",
        "Gitckpt-Run: r1",
        "Gitckpt-Sequence: 2",
        "Gitckpt-Kind: named",
        "Gitckpt-Status: named",
    ]


def test_a_manifest_that_does_not_follow_is_never_published(repo: Repo, ledger: Ledger) -> None:
    tip = ledger.add(START)
    forged = replace(advance(tip.manifest, [completed("a")]), data={"k": 1})
    with Pack(ledger.repository, "test") as pack:
        draft = ledger.draft(pack, tip, forged, [completed("a")])
        oid = write_commit(ledger.store, pack, draft)
        with pytest.raises(AssertionError, match="follow"):
            publish(ledger.store, pack, tip=tip, draft=draft, oid=oid)
    assert ledger.store.tip() == tip
    assert names(repo) == ["refs/heads/gitckpt/w"]


# --- compare and swap ---------------------------------------------------------------------------------------------


def test_a_writer_that_is_behind_is_refused_and_leaves_no_ref(repo: Repo, ledger: Ledger) -> None:
    old = ledger.add(START)
    new = ledger.add(completed("a"))
    before = names(repo)
    with pytest.raises(RefMoved):
        ledger.add(completed("a"), tip=old)
    with pytest.raises(RefMoved):
        ledger.add(DataSet(at=AT, key="k", value=1), tip=old)
    assert ledger.store.tip() == new
    assert names(repo) == before


def test_a_second_beginning_is_refused(repo: Repo, ledger: Ledger) -> None:
    other = Ledger(repo)
    with Pack(other.repository, "other") as pack:
        draft = other.draft(pack, None, advance(None, [START]), [START], {b"other": b"x"})
        oid = write_commit(other.store, pack, draft)
        first = ledger.add(START, files={b"first": b"x"})
        with pytest.raises(RefMoved):
            publish(other.store, pack, tip=None, draft=draft, oid=oid)
    other.reader.close()
    assert ledger.store.tip() == first


@pytest.mark.parametrize("turn", range(3))
def test_of_writers_at_the_same_moment_exactly_one_wins(repo: Repo, ledger: Ledger, turn: int) -> None:
    tip = ledger.add(START)
    writers = [Ledger(repo) for _ in range(4)]
    barrier = threading.Barrier(len(writers))
    won: list[str] = []
    refused: list[GitckptError] = []

    def write(number: int, writer: Ledger) -> None:
        event = replace(completed("a"), definition=f"writer {number}")
        with Pack(writer.repository, f"writer{number}") as pack:
            draft = writer.draft(pack, tip, advance(tip.manifest, [event]), [event], {b"f": b"%d" % number})
            oid = write_commit(writer.store, pack, draft)
            barrier.wait()
            try:
                won.append(publish(writer.store, pack, tip=tip, draft=draft, oid=oid).oid)
            except (RefMoved, RefLocked) as error:
                refused.append(error)

    threads = [threading.Thread(target=write, args=each) for each in enumerate(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for writer in writers:
        writer.reader.close()
    assert len(won) == 1
    assert len(refused) == 3
    assert repo.git("rev-parse", "gitckpt/w", "gitckpt/w/0002-a").split() == [won[0], won[0]]


def test_refs_beside_move_with_the_branch_or_not_at_all(repo: Repo, ledger: Ledger) -> None:
    tip = ledger.add(START)
    taken = RefUpdate("refs/gitckpt/w/rescue/1", tip.oid, None)
    kept = RefUpdate("refs/gitckpt/w/attempts/a/1", tip.oid, None)
    for round_, beside in enumerate(([taken], [kept, taken])):
        now = ledger.store.tip()
        assert now is not None
        with Pack(ledger.repository, "test") as pack:
            event = DataSet(at=AT, key="k", value=round_)
            draft = ledger.draft(pack, now, advance(now.manifest, [event]), [event])
            oid = write_commit(ledger.store, pack, draft)
            if round_ == 0:
                publish(ledger.store, pack, tip=now, draft=draft, oid=oid, beside=beside)
                continue
            with pytest.raises(RefMoved) as moved:
                publish(ledger.store, pack, tip=now, draft=draft, oid=oid, beside=beside)
            assert moved.value.name == taken.name
            assert ledger.store.tip() == now
    assert kept.name not in names(repo)


# --- tags ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "tag"),
    [
        (completed("a"), "0002-a"),
        (Named(at=AT, message="Epoch 40: läuft!"), "0002-Epoch-40-l-uft"),
        (Named(at=AT, message="..."), "0002-named"),
        (Named(at=AT, message="m", phase=PhaseName("a")), "0002-a"),
        (failed("a"), None),
        (skipped("a"), None),
        (EDIT, None),
        (DataSet(at=AT, key="k", value=1), None),
    ],
    ids=lambda value: getattr(value, "message", None) or type(value).__name__,
)
def test_completions_and_named_checkpoints_get_a_tag_and_nothing_else_does(
    ledger: Ledger, event: Event, tag: str | None
) -> None:
    ledger.add(START)
    made = ledger.add(event)
    assert ledger.store.tags() == ({} if tag is None else {tag: made.oid})


def test_a_tag_that_is_there_already_is_left_alone_and_the_checkpoint_is_made(repo: Repo, ledger: Ledger) -> None:
    start = ledger.add(START)
    repo.git("tag", "gitckpt/w/0002-a", start.oid)
    made = ledger.add(completed("a"))
    assert ledger.store.tip() == made
    assert ledger.store.tags() == {"0002-a": start.oid}


def test_a_tag_where_the_folder_of_tags_must_be_costs_the_tag_and_not_the_checkpoint(
    repo: Repo, ledger: Ledger
) -> None:
    start = ledger.add(START)
    repo.git("tag", "gitckpt/w", start.oid)
    made = ledger.add(completed("a"))
    assert ledger.store.tip() == made


def test_a_branch_where_the_folder_of_branches_must_be_is_named(repo: Repo, ledger: Ledger) -> None:
    repo.commit()
    repo.git("branch", "gitckpt")
    with pytest.raises(RefBlocked) as blocked:
        ledger.add(START)
    assert blocked.value.blocker == "refs/heads/gitckpt"
    assert "git branch -m gitckpt" in blocked.value.hint


# --- output and attempts ------------------------------------------------------------------------------------------


def test_output_of_other_phases_stays_as_it_was(ledger: Ledger) -> None:
    tip = ledger.add(START)
    for phase, said in (("a", b"one\n"), ("b", b"two\n")):
        event = completed(phase)
        with Pack(ledger.repository, "test") as pack:
            outputs = {name(phase): said}
            draft = ledger.draft(pack, tip, advance(tip.manifest, [event]), [event], outputs=outputs)
            tip = publish(ledger.store, pack, tip=tip, draft=draft, oid=write_commit(ledger.store, pack, draft))
    assert ledger.store.output(tip.oid, name("a")) == b"one\n"
    assert ledger.store.output(tip.oid, name("b")) == b"two\n"
    assert ledger.store.output(tip.oid, name("c")) is None
    assert ledger.store.output(tip.parents[0], name("b")) is None


def test_attempts_rescues_and_histories_put_aside_are_found_by_number(repo: Repo, ledger: Ledger) -> None:
    tip = ledger.add(START)
    one = ledger.attempt("a", 1, failed("a"), {b"left": b"1"})
    ten = ledger.attempt("a", 10, failed("a", 10), {b"left": b"10"})
    other = ledger.attempt("b", 1, failed("b"), {b"left": b"b"})
    rescue = ledger.beside("refs/gitckpt/w/rescue/3", EDIT, files={b"mine": b"x"})
    repo.git("update-ref", "refs/gitckpt/w/attempts/a/notes", tip.oid)
    assert ledger.store.attempts(name("a")) == {1: one, 10: ten}
    assert ledger.store.all_attempts() == {(name("a"), 1): one, (name("a"), 10): ten, (name("b"), 1): other}
    assert ledger.store.rescues() == {3: rescue}
    assert ledger.store.diverged() == {}
    assert ledger.store.ids() == [tip.oid]
    assert ledger.store.workflow == W


def test_everything_outlives_a_garbage_collection(repo: Repo, ledger: Ledger) -> None:
    ledger.add(START, files={b"f": b"1"})
    ledger.attempt("a", 1, failed("a"), {b"left": b"1"})
    ledger.add(failed("a"))
    ledger.add(completed("a", 2), files={b"f": b"2"})
    before = list(ledger.store.history())
    repo.git("tag", "-d", "gitckpt/w/0003-a")
    repo.git("gc", "-q", "--prune=now")
    fresh = Ledger(repo)
    assert list(fresh.store.history()) == before
    assert fresh.store.read(fresh.store.attempts(name("a"))[1]).events == (failed("a"),)
    fresh.reader.close()
