"""On which file system a folder lies, by a list of mounts as Linux writes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitckpt.workspace.mounts import file_system_kind, is_network, kind_in

LISTED = rb"""22 1 0:21 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 22 0:40 / /mnt rw,relatime shared:9 master:1 - nfs4 server:/export rw,vers=4.2
31 30 0:41 / /mnt/local rw - xfs /dev/vdb rw
32 22 0:42 / /with\040space rw - cifs //server/share rw
33 31 0:43 / /mnt/local rw - fuse.sshfs host: rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (b"/", "ext4"),
        (b"/mnt/a/b", "nfs4"),
        (b"/mnt", "nfs4"),
        (b"/mntx", "ext4"),
        (b"/with space/x", "cifs"),
        (b"/mnt/local/x", "fuse.sshfs"),  # the last of two mounts at one place
    ],
)
def test_the_nearest_mount_above_a_folder_counts(path: bytes, kind: str) -> None:
    assert kind_in(LISTED, path) == kind


def test_kinds_that_go_over_a_network_are_known() -> None:
    assert all(map(is_network, ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "fuse", "ceph", "lustre")))
    assert not any(map(is_network, ("ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "fuseblk", "apfs")))


def test_this_folder_lies_somewhere(tmp_path: Path) -> None:
    assert file_system_kind(tmp_path) is not None
