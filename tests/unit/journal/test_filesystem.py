"""Which file systems a journal must not lie on."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.journal import filesystem_problem

MOUNTS = r"""
/dev/vda / ext4 rw 0 0
tmpfs /dev/shm tmpfs rw 0 0
server:/export /mnt/nfs nfs4 rw 0 0
//server/share /mnt/with\040space cifs rw 0 0
share /mnt/nine 9p rw 0 0
host:/ /mnt/ssh fuse.sshfs rw 0 0
/dev/sdb /mnt/usb fuseblk rw 0 0
/dev/vdb /mnt/nfs/local ext4 rw 0 0
"""


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    file = tmp_path / "mounts"
    file.write_text(MOUNTS)
    return file


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/mnt/nfs/journal", "NFS"),
        ("/mnt/with space/journal", "CIFS"),
        ("/mnt/nine", "9p"),
        ("/mnt/ssh/a/b", "fuse.sshfs"),
    ],
)
def test_a_network_file_system_is_named(mounts: Path, path: str, name: str) -> None:
    problem = filesystem_problem(Path(path), mounts=mounts)

    assert problem is not None
    assert name in problem


@pytest.mark.parametrize(
    "path", ["/var/lib/journal", "/dev/shm/j", "/mnt/usb/j", "/mnt/nfs/local/j", "/mnt/nfsish"]
)
def test_a_local_file_system_is_no_problem(mounts: Path, path: str) -> None:
    assert filesystem_problem(Path(path), mounts=mounts) is None


def test_without_a_mount_table_nothing_is_claimed(tmp_path: Path) -> None:
    assert filesystem_problem(tmp_path, mounts=tmp_path / "missing") is None
