"""Who has a journal, as the one who may not have it is told."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from bridge.errors import JournalUnavailable
from bridge.journal import holder_of
from bridge.journal.layout import lock_path, unwritable
from bridge.journal.lock import JournalLock


def test_the_holder_is_named_with_its_host_where_that_is_another_one(tmp_path: Path) -> None:
    """A process id from inside a container means nothing outside of it."""
    holder = JournalLock(tmp_path)
    assert holder_of(tmp_path) is None
    holder.acquire()
    try:
        holder.note(1234)
        assert holder_of(tmp_path) == f"process {os.getpid()}"
        lock = lock_path(tmp_path)
        here = socket.gethostname().encode()[:64].ljust(64)
        assert here in lock.read_bytes()
        lock.write_bytes(lock.read_bytes().replace(here, b"3f2a9c".ljust(64)))
        with pytest.raises(JournalUnavailable, match="of 3f2a9c, which is another container"):
            JournalLock(tmp_path).acquire()
    finally:
        holder.release()
    assert holder_of(tmp_path) is None


def test_another_user_is_not_told_to_take_the_journal_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who only looks runs the command as its owner; who owns it is told of the disk."""
    ours = os.geteuid()
    assert "owner" not in unwritable(tmp_path, tmp_path, "it cannot be written").hint

    monkeypatch.setattr(os, "geteuid", lambda: ours + 1)

    cure = unwritable(tmp_path, tmp_path, "it cannot be written").hint
    assert cure.startswith(f"run this as its owner (uid {ours}); if this user is to run the bridge")
