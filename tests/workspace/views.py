"""What attempts do in their views, as functions of the workspace's root.

Imports nothing of pytest: it is run by a child of another user, too.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

from gitckpt.workspace.rules import CaptureRules
from tests.workspace.desk import Desk
from tests.workspace.unprivileged import GROUPS, TOOL

RULES = CaptureRules(
    include=("data/*.csv", "*.keep"), exclude=("*.tmp", "scratch/"), outs=("out/model.bin",), secrets=(b"hunter22",)
)
KEY = "-----BEGIN PRIVATE KEY-----\n"


def write(root: Path, name: str, data: str | bytes = "x\n", mode: int | None = None) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    if mode is not None:
        path.chmod(mode)


def prepare(desk: Desk) -> None:
    """A workspace with a bit of everything."""
    root = desk.root
    write(root, ".gitignore", "*.log\nbuild/\ndata/\nout/\nnode_modules/\n!keep.log\n/tracked-folder/\n")
    for name in ("a", "d/b", "d/e/f", "d/e/g", "keep.log", "empty-file", "d2/x", "d2/y/z"):
        write(root, name, f"{name}\n")
    write(root, "run.sh", "#!/bin/sh\n", 0o755)
    write(root, "private", "m\n", 0o600)
    write(root, "big", b"0123456789abcdef" * 80_000)
    for name in ("run.log", "d/e/old.log", "build/one", "build/sub/two", "node_modules/m/index.js", "d/n.tmp", ".env"):
        write(root, name, f"{name}\n")
    write(root, "data/in.csv", "1,2\n")
    write(root, "data/cache", "c\n")
    write(root, "out/model.bin", "m\n")
    write(root, "build/sub/one.keep", "k\n")
    write(root, "build/sub/two.keep", "k\n")
    write(root, "tracked-folder/deep/three.keep", "k\n")
    write(root, "sub/.gitignore", "*\n")
    write(root, "sub/hidden", "h\n")
    write(root, "ig/.gitignore", "*.o\n")
    write(root, "ig/a.o", "o\n")
    write(root, "ig/deep/b.o", "o\n")
    write(root, "ig/deep/c.c", "c\n")
    write(root, "tracked-folder/held", "t\n")
    write(root, "tracked-folder/not", "n\n")
    (root / "hollow" / "hollow").mkdir(parents=True)
    (root / "link").symlink_to("a")
    os.mkfifo(root / "pipe", 0o644)
    (root / "inner").mkdir()
    git(root / "inner", "init", "-q")
    write(root, "inner/file", "1\n")
    git(root / "inner", "add", "file")
    git(root / "inner", "commit", "-q", "-m", "one")
    desk.git("add", "-f", str(root / "tracked-folder" / "held"))
    if desk.prefix:
        write(desk.repository.top, ".gitignore", "*.above\n")


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=n", "-c", "user.email=n@x", "-c", "gc.auto=0", "-c", "maintenance.auto=false"]
    subprocess.run(["git", *who, "-C", folder, *arguments], check=True, capture_output=True)


def nothing(root: Path) -> None:
    pass


def touched(root: Path) -> None:
    for name in ("a", "d/b", "big"):
        with (root / name).open("r+b"):
            os.utime(root / name)
    os.utime(root / "d")
    (root / "d2").chmod(0o755)


def edits(root: Path) -> None:
    write(root, "a", "more\n")
    with (root / "d/e/f").open("a") as file:
        file.write("more\n")
    os.truncate(root / "d/b", 1)
    with (root / "big").open("r+b") as file:
        file.write(b"changed")
    write(root, "big2", b"z" * 1_300_000)
    write(root, "d/new", "")
    write(root, "n/n/n", "n\n")
    (root / "d/e/g").unlink()
    os.rename(root / "run.sh", root / "d/run2.sh")


def modes(root: Path) -> None:
    (root / "a").chmod(0o640)
    (root / "run.sh").chmod(0o644)
    (root / "private").chmod(0o4755)
    (root / "d").chmod(0o700)
    (root / "hollow/hollow").chmod(0o1777)
    (root / "pipe").chmod(0o600)
    (root / "d2").chmod(0o2755)
    (root / "d/e").chmod(0o555)


def folder_again(root: Path) -> None:
    shutil.rmtree(root / "d")
    (root / "d").mkdir()
    write(root, "d/z", "z\n")
    write(root, "d/e/f", "d/e/f\n")
    shutil.rmtree(root / "d2")
    shutil.rmtree(root / "hollow/hollow")


def swaps(root: Path) -> None:
    (root / "a").unlink()
    write(root, "a/b/c", "c\n")
    shutil.rmtree(root / "d2")
    write(root, "d2", "file\n")
    shutil.rmtree(root / "hollow")
    (root / "hollow").symlink_to("d")
    (root / "link").unlink()
    (root / "link").mkdir()
    (root / "pipe").unlink()
    write(root, "pipe", "no pipe\n")
    (root / "run.sh").unlink()
    os.mkfifo(root / "run.sh", 0o640)
    (root / "private").unlink()
    (root / "private").symlink_to("nowhere")


def file_and_back(root: Path) -> None:
    shutil.rmtree(root / "d2")
    write(root, "d2", "file\n")
    (root / "d2").unlink()
    write(root, "d2/x", "d2/x\n")
    (root / "a").unlink()
    (root / "a").mkdir()
    (root / "a").rmdir()
    write(root, "a", "a\n")


def odd_names(root: Path) -> None:
    top = os.fsencode(root)
    for name in (b"new\nline", b"\xff\xfe", b":(top)x", b"star*", b"!bang", b"#hash", b" lead", b"back\\slash", b"-rf"):
        with open(top + b"/" + name, "wb") as file:
            file.write(name)
    for odd in ("look/.GIT/config", "look/git~1", "look/.git./x"):
        write(root, odd)
    os.symlink(b"t\xff", top + b"/l\xe9")


def sockets(root: Path) -> None:
    here = os.getcwd()
    os.chdir(root)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("sock")
    os.chdir(here)
    write(root, "beside")


def nested_commit(root: Path) -> None:
    write(root, "inner/file", "2\n")
    git(root / "inner", "commit", "-q", "-am", "two")
    git(root / "inner", "branch", "side")
    (root / "made").mkdir()
    git(root / "made", "init", "-q")


def nested_removed(root: Path) -> None:
    shutil.rmtree(root / "inner/.git")


def ignored_files(root: Path) -> None:
    write(root, "run.log", "more\n")
    write(root, "new.log", "new\n")
    write(root, "build/one", "changed\n")
    write(root, "build/three/four", "new\n")
    (root / "d/e/old.log").unlink()
    write(root, "n/build/x", "new\n")
    write(root, "node_modules/m/index.js", "changed\n")
    write(root, "node_modules/new/index.js", "new\n")
    write(root, "scratch/a", "s\n")
    write(root, "d/o.tmp", "t\n")
    (root / "d/n.tmp").unlink()


def ignored_removed(root: Path) -> None:
    shutil.rmtree(root / "build")
    shutil.rmtree(root / "ig/deep")
    shutil.rmtree(root / "d")
    (root / "run.log").unlink()


def ignored_anew(root: Path) -> None:
    shutil.rmtree(root / "build")
    write(root, "build/fresh", "f\n")
    shutil.rmtree(root / "d")
    write(root, "d/e/kept", "k\n")
    (root / "data/cache").chmod(0o600)
    (root / "node_modules").chmod(0o700)


def ignored_links(root: Path) -> None:
    (root / "l.log").symlink_to("../elsewhere")
    os.mkfifo(root / "p.log", 0o622)
    (root / "build/one").unlink()
    (root / "build/one").mkdir(mode=0o711)
    shutil.rmtree(root / "build/sub")
    write(root, "build/sub", "file\n")
    write(root, "build/ro/x", "x\n", 0o444)
    (root / "build/ro").chmod(0o555)


def brought_in(root: Path) -> None:
    write(root, "data/in.csv", "3,4\n")
    write(root, "data/more.csv", "5\n")
    write(root, "data/cache2", "c\n")
    write(root, "out/model.bin", "new\n")
    write(root, "out/debris", "d\n")
    write(root, "build/sub/one.keep", "new\n")
    write(root, "build/four/new.keep", "new\n")
    write(root, "tracked-folder/held", "new\n")
    write(root, "tracked-folder/other", "o\n")


def brought_away(root: Path) -> None:
    (root / "data/in.csv").unlink()
    (root / "out/model.bin").unlink()
    (root / "tracked-folder/held").unlink()
    (root / "build/sub/one.keep").unlink()
    (root / "build/sub/two.keep").unlink()
    shutil.rmtree(root / "tracked-folder/deep")


def brought_partly_away(root: Path) -> None:
    (root / "build/sub/one.keep").unlink()
    write(root, "build/five/x", "x\n")


def brought_anew(root: Path) -> None:
    shutil.rmtree(root / "out")
    write(root, "out/model.bin", "new\n")
    shutil.rmtree(root / "data")
    (root / "data").mkdir()


def secrets(root: Path) -> None:
    write(root, ".env", "changed\n")
    write(root, "d/.env.local", "s\n")
    write(root, "d/id_rsa", KEY, 0o600)
    write(root, "cert.pem", KEY)
    write(root, "fine.pem", "a certificate\n")
    write(root, "a", "now it holds hunter22 too\n")
    write(root, "api_key.txt", "k\n", 0o600)
    write(root, "big", b"x" * 1_200_000 + b"hunter22")


def rules_more(root: Path) -> None:
    write(root, ".gitignore", (root / ".gitignore").read_text() + "/d2/\n*.sh\n/private\nfresh/\n")
    write(root, "private", "changed\n", 0o600)
    write(root, "d2/new", "n\n")
    write(root, "fresh/x", "x\n")


def rules_less(root: Path) -> None:
    (root / ".gitignore").unlink()
    write(root, "late.log", "l\n")
    (root / "build/one").unlink()


def rules_below(root: Path) -> None:
    write(root, "ig/.gitignore", "*.c\n")
    write(root, "d/.gitignore", "/e/\n")
    write(root, "fresh/.gitignore", "no\n")
    write(root, "fresh/no", "n\n")
    write(root, "fresh/yes", "y\n")
    (root / "sub/.gitignore").unlink()


def rules_touched(root: Path) -> None:
    os.utime(root / ".gitignore")
    (root / "ig/.gitignore").chmod(0o600)
    write(root, "ig/new.o", "o\n")
    write(root, "ig/new.c", "c\n")
    write(root, "sub/more", "h\n")


def rules_go_with_folder(root: Path) -> None:
    shutil.rmtree(root / "ig")
    write(root, "ig/a.o", "now captured\n")
    shutil.rmtree(root / "sub")
    write(root, "sub/hidden", "now captured\n")
    shutil.rmtree(root / "d2")
    write(root, "d2/.gitignore", "x\n")
    write(root, "d2/x", "now ignored\n")


def below_a_prefix(root: Path) -> None:
    edits(root)
    ignored_files(root)
    write(root, "x.above", "ignored above\n")
    write(root, "d/y.above", "ignored above\n")


def tortured(root: Path) -> None:
    maker = TOOL.Maker(str(root))
    for group in (*GROUPS, "empty_dirs", "hardlinks"):
        if group not in ("ignored", "sparse"):
            TOOL.GROUPS[group](maker)
    maker.finish()
    (root / "nodir").chmod(0o755)
    write(root, "hard/x")
    (root / "swap/emptied").chmod(0o755)


def mutated(root: Path) -> None:
    TOOL.mutate(str(root))
