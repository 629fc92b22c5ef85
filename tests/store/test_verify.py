"""What is wrong with a history is found and named, whoever did it; and what can still be read is read."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitckpt.errors import GitckptError
from gitckpt.model.codec import Damaged, NewerSchema, require_writable
from gitckpt.model.events import Edited
from gitckpt.model.manifest import SCHEMA, PhaseState, Status
from gitckpt.store.branch import NoCheckpoints, OtherPlace
from gitckpt.store.layout import NotACheckpoint
from gitckpt.store.selectors import select
from gitckpt.store.store import BranchCheckedOut
from gitckpt.store.verify import Report, verify
from tests.model.made import AT, completed, failed, manifest, name, started
from tests.repo import Repo
from tests.store.ledger import Ledger

EDIT = Edited(at=AT, author="Ann")


@pytest.fixture
def history(ledger: Ledger) -> Ledger:
    """0001 start · 0002 a · 0003 a failed attempt of b · 0004 b, each with another file."""
    ledger.add(started(manifest("a", "b")), files={b"f": b"1" * 200})
    ledger.add(completed("a"), files={b"f": b"2" * 200})
    ledger.attempt("b", 1, failed("b"), {b"left": b"left behind" * 20})
    ledger.add(failed("b"))
    ledger.add(completed("b", 2), files={b"f": b"3" * 200, b"g": b"g"})
    return ledger


@pytest.fixture
def anew(repo: Repo) -> Iterator[Ledger]:
    """What a process that starts later reads: nothing is remembered."""
    made = Ledger(repo)
    yield made
    made.reader.close()


def whats(report: Report) -> str:
    return "\n".join(f"{finding.where}: {finding.what}" for finding in report.findings)


def loosen(repo: Repo) -> Path:
    """Every object as a file of its own, so that one can be damaged; the folder of objects."""
    objects = repo.path / ".git" / "objects"
    packs = [(path, path.read_bytes()) for path in sorted((objects / "pack").glob("*.pack"))]
    for path in (objects / "pack").iterdir():
        path.unlink()
    for _, data in packs:
        subprocess.run(["git", "-C", repo.path, "unpack-objects", "-q"], input=data, check=True)
    return objects


def object_file(objects: Path, oid: str) -> Path:
    return objects / oid[:2] / oid[2:]


def test_a_sound_history_is_counted_and_nothing_is_found(history: Ledger, anew: Ledger) -> None:
    report = verify(anew.store)
    assert report.findings == ()
    assert (report.checkpoints, report.sound_up_to) == (4, 4)
    assert report.objects > 15


def test_no_history_is_no_sound_history(ledger: Ledger) -> None:
    with pytest.raises(NoCheckpoints):
        verify(ledger.store)


def test_a_forged_manifest_is_found_and_the_last_sound_checkpoint_named(repo: Repo, history: Ledger) -> None:
    repo.break_on_purpose("a forged manifest")
    forged = history.forge({"data": {"balance": 1_000_000}}, EDIT)
    report = verify(history.store)
    assert "0005: its manifest does not follow" in whats(report)
    assert report.sound_up_to == 4
    assert history.store.tip_oid() == forged


def test_events_that_cannot_have_happened_are_found(repo: Repo, history: Ledger) -> None:
    repo.break_on_purpose("a completion of what is done")
    tip = history.store.tip()
    assert tip is not None
    again = PhaseState(status=Status.COMPLETED)
    history.forge({"phases": {name("a"): again, name("b"): again}}, EDIT)
    repo.git("update-ref", "refs/heads/gitckpt/w", history.forge({"sequence": 77}, EDIT))
    assert "0077" in whats(verify(history.store))
    assert verify(history.store).sound_up_to == 4


def test_a_commit_of_the_users_on_our_branch_is_found(repo: Repo, history: Ledger, anew: Ledger) -> None:
    repo.break_on_purpose("a commit of the user's on our branch")
    tree = repo.git("rev-parse", "gitckpt/w^{tree}")
    mine = repo.git("commit-tree", "-p", "gitckpt/w", "-m", "mine", tree)
    repo.git("update-ref", "refs/heads/gitckpt/w", mine)
    report = verify(anew.store)
    assert "cannot have happened" in whats(report)
    assert report.sound_up_to == 4


def test_a_commit_without_a_state_is_no_checkpoint(repo: Repo, history: Ledger, anew: Ledger) -> None:
    repo.break_on_purpose("a commit of the user's on our branch")
    repo.write("plain", "x")
    repo.commit()
    tree = repo.git("rev-parse", "HEAD^{tree}")
    repo.git("update-ref", "refs/heads/gitckpt/w", repo.git("commit-tree", "-p", "gitckpt/w", "-m", "mine", tree))
    with pytest.raises(NotACheckpoint) as refused:
        anew.store.tip()
    assert "gitckpt verify" in refused.value.hint
    report = verify(anew.store)
    assert "no folder .gitckpt" in whats(report)
    assert report.sound_up_to == 4


def test_a_missing_file_is_named_with_the_first_checkpoint_that_lacks_it(
    repo: Repo, history: Ledger, anew: Ledger
) -> None:
    repo.break_on_purpose("a missing blob")
    blob = repo.git("rev-parse", "gitckpt/w~2:f")
    object_file(loosen(repo), blob).unlink()
    report = verify(anew.store)
    assert blob[:12] in whats(report)
    assert "missing" in whats(report)
    assert report.sound_up_to == 1, "0002 and 0003 hold the file; only 0001 is whole, and those after it are not"


def test_a_missing_file_of_an_attempt_leaves_the_branch_sound(repo: Repo, history: Ledger, anew: Ledger) -> None:
    repo.break_on_purpose("a missing blob")
    blob = repo.git("rev-parse", "refs/gitckpt/w/attempts/b/1:left")
    object_file(loosen(repo), blob).unlink()
    report = verify(anew.store)
    assert blob[:12] in whats(report)
    assert report.sound_up_to == 4


def test_a_missing_checkpoint_is_found(repo: Repo, history: Ledger, anew: Ledger) -> None:
    repo.break_on_purpose("a missing commit")
    object_file(loosen(repo), repo.git("rev-parse", "gitckpt/w~1")).unlink()
    assert verify(anew.store).findings


def test_a_missing_state_is_named_and_later_checkpoints_can_still_be_selected(
    repo: Repo, history: Ledger, anew: Ledger
) -> None:
    repo.break_on_purpose("a missing blob")
    blob = repo.git("rev-parse", "gitckpt/w~2:.gitckpt/state.json")
    object_file(loosen(repo), blob).unlink()
    report = verify(anew.store)
    assert blob[:12] in whats(report)
    assert report.sound_up_to == 1
    assert select(anew.store, "4").checkpoint.number == 4


def test_a_flipped_byte_in_a_pack_is_found(repo: Repo, history: Ledger, anew: Ledger) -> None:
    repo.break_on_purpose("a flipped byte")
    repo.git("repack", "-adq")
    (pack,) = (repo.path / ".git" / "objects" / "pack").glob("*.pack")
    whole = pack.read_bytes()
    pack.chmod(stat.S_IRUSR | stat.S_IWUSR)
    found = 0
    for place in range(20, len(whole) - 20, len(whole) // 12):
        pack.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        later = Ledger(repo)
        found += bool(verify(later.store).findings)
        later.reader.close()
    pack.write_bytes(whole)
    assert found >= 12
    assert verify(anew.store).findings == ()


def test_another_object_under_its_name_is_found(repo: Repo, history: Ledger, anew: Ledger) -> None:
    repo.break_on_purpose("another object")
    objects = loosen(repo)
    ours, other = (object_file(objects, repo.git("rev-parse", f"gitckpt/w:{file}")) for file in ("f", "g"))
    ours.chmod(0o644)
    ours.write_bytes(other.read_bytes())
    assert verify(anew.store).findings


def test_a_shallow_copy_is_judged_by_what_it_has(
    repo: Repo, history: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    origin = f"file://{repo.path}"
    subprocess.run(["git", "clone", "-q", "--depth=2", "--no-local", "-b", "gitckpt/w", origin, copy], check=True)
    there = Repo(tmp_path / "plain")
    there.git("fetch", "-q", "--depth=2", origin, "refs/heads/gitckpt/w:refs/heads/gitckpt/w")
    ledger = Ledger(there)
    report = verify(ledger.store)
    ledger.reader.close()
    assert report.findings == ()
    assert (report.checkpoints, report.sound_up_to) == (2, 4)


# --- reading what is damaged, newer, or elsewhere -----------------------------------------------------------------


def replace_state(repo: Repo, text: bytes, of: str = "state.json") -> None:
    """A commit on the branch whose `.gitckpt/<of>` holds `text`, all else as before."""
    repo.break_on_purpose("a manifest by hand")
    index = {**os.environ, "GIT_INDEX_FILE": str(repo.path.parent / "index")}

    def git(*arguments: str, data: bytes = b"") -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=repo.path, env=index, input=data, capture_output=True, check=True
        )
        return done.stdout.decode().strip()

    git("read-tree", "gitckpt/w")
    blob = git("hash-object", "-w", "--stdin", data=text)
    git("update-index", "--add", "--cacheinfo", f"100644,{blob},.gitckpt/{of}")
    made = git("commit-tree", "-p", "gitckpt/w~1", "-m", "x", git("write-tree"))
    repo.git("update-ref", "refs/heads/gitckpt/w", made)


@pytest.mark.parametrize("of", ["state.json", "events.json"])
@pytest.mark.parametrize("text", [b"", b"{", b"[]\n", b'{"a": NaN}', b"\xff", b'{"workflow": 1}'])
def test_a_damaged_checkpoint_is_said_to_be_damaged_and_verify_goes_on(
    repo: Repo, history: Ledger, anew: Ledger, of: str, text: bytes
) -> None:
    replace_state(repo, text, of)
    with pytest.raises(Damaged) as damaged:
        anew.store.tip()
    assert damaged.value.message.startswith(of)
    report = verify(anew.store)
    assert len(report.findings) == 1
    assert report.sound_up_to == 3
    assert select(anew.store, "latest~1").checkpoint.number == 3


def test_a_newer_checkpoint_is_read_as_far_as_it_is_understood_and_not_judged(
    repo: Repo, history: Ledger, anew: Ledger
) -> None:
    stored = json.loads(repo.git("show", "gitckpt/w:.gitckpt/state.json"))
    replace_state(repo, json.dumps(stored | {"schema": SCHEMA + 1, "invented": {"x": 1}}).encode())
    tip = anew.store.tip()
    assert tip is not None
    assert tip.manifest.phases[name("b")].status is Status.COMPLETED
    with pytest.raises(NewerSchema):
        require_writable(tip.manifest)
    assert verify(anew.store).findings == ()


def test_the_same_workflow_in_another_folder_is_refused_with_a_name(repo: Repo, history: Ledger) -> None:
    elsewhere = Ledger(repo, b"sub/folder")
    with pytest.raises(OtherPlace) as refused:
        elsewhere.store.tip()
    elsewhere.reader.close()
    assert "belongs to the folder at the top" in refused.value.message
    assert "workflow: w-folder" in refused.value.hint


def test_a_checked_out_branch_of_ours_is_not_written(repo: Repo, history: Ledger) -> None:
    history.store.require_writable()
    repo.git("worktree", "add", "-q", str(repo.path.parent / "linked"), "gitckpt/w")
    with pytest.raises(BranchCheckedOut) as refused:
        history.store.require_writable()
    assert refused.value.message == "a worktree has gitckpt/w checked out, a branch that gitckpt writes"


def test_what_is_no_commit_is_no_checkpoint(repo: Repo, history: Ledger) -> None:
    tip = history.store.tip()
    assert tip is not None
    for oid in ("0" * 40, repo.git("rev-parse", "gitckpt/w:f")):
        with pytest.raises(GitckptError):
            history.store.read(type(tip.oid)(oid))
