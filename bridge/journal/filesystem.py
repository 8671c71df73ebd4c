"""Whether a folder lies on a file system that a write-ahead log can live on.

SQLite's log needs memory shared between processes and locks that hold: network file
systems give neither. Source: https://www.sqlite.org/wal.html, section 1.
"""

from __future__ import annotations

import re
from pathlib import Path

_NETWORK = {
    "nfs": "NFS",
    "nfs4": "NFS",
    "cifs": "CIFS",
    "smb2": "SMB",
    "smb3": "SMB",
    "smbfs": "SMB",
    "9p": "9p",
    "afs": "AFS",
    "ceph": "CephFS",
    "glusterfs": "GlusterFS",
    "davfs": "WebDAV",
}
_NETWORK_FUSE = frozenset(
    {
        "ceph",
        "curlftpfs",
        "davfs",
        "davfs2",
        "gcsfuse",
        "glusterfs",
        "goofys",
        "grpcfuse",
        "juicefs",
        "mount-s3",
        "mountpoint-s3",
        "nfs",
        "rclone",
        "s3fs",
        "smbnetfs",
        "sshfs",
    }
)
_OCTAL = re.compile(r"\\([0-7]{3})")
_MOUNTS = Path("/proc/self/mounts")


def filesystem_problem(path: Path, *, mounts: Path = _MOUNTS) -> str | None:
    """Return why a journal must not lie at `path`, None where it may.

    Args:
        path: the folder; it need not exist yet.
        mounts: the mount table to look into; where it cannot be read, nothing is known and
            nothing is said.
    """
    try:
        lines = mounts.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return None
    place = path.resolve()
    found = Path("/"), ""
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(_OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[1]))
        # Of two file systems mounted at one place, the later one is seen.
        if place.is_relative_to(point) and len(point.parts) >= len(found[0].parts):
            found = point, fields[2]
    name = _network_name(found[1])
    if name is None:
        return None
    return (
        f"{path} is on {name} (mounted at {found[0]}): a write-ahead log there can be "
        "damaged without notice; use a local disk"
    )


def _network_name(kind: str) -> str | None:
    if kind.startswith("fuse.") and kind.removeprefix("fuse.") in _NETWORK_FUSE:
        return f"a network file system ({kind})"
    return _NETWORK.get(kind)
