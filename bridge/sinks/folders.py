"""Folders: made, and on the disk with what is in them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_NO_DIRECTORY_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF}


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, so that they survive a power cut.

    Raises:
        OSError: it is not there.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Return when the names in a folder are on the disk.

    Raises:
        OSError: they may not be.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_SYNC:  # some network file systems cannot
            raise
    finally:
        os.close(descriptor)


def take_name(file: Path, name: Path) -> bool:
    """Give a file another name, unless something has it; False if so.

    Raises:
        OSError: it has its old name still, and perhaps the new one too.
    """
    try:
        os.link(file, name, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(name):
            return False
        file.rename(name)
        return True
    file.unlink()
    return True


_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}
