"""Folders: made, and on the disk with what is in them."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

_TRIAL = ".kinetica-bridge-check-"
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


def folder_problem(path: Path) -> str | None:
    """Try to make something in a folder, or in the nearest one above it; say why not.

    Rights alone tell root nothing: it may write everywhere, and cannot in many places.
    """
    existing = next(p for p in (path, *path.absolute().parents) if os.path.lexists(p))
    if not existing.is_dir():
        return f"{existing} is no folder"
    try:
        Path(tempfile.mkdtemp(prefix=_TRIAL, dir=existing)).rmdir()
    except OSError as error:
        return f"nothing can be made in {existing}: {error.strerror or error}"
    try:
        path.lstat()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        return f"there can be no folder of that name: {getattr(error, 'strerror', None) or error}"
    return None


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
