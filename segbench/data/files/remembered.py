"""Facts of files that an earlier start has found, kept in the user's cache folder.

A row is used where name, paths, sizes and times of all its files are still the same. Files that changed in the last
seconds before they were looked at are not kept: a second change within the same tick of the clock would not show.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from segbench.core.files import replacing, write_atomic
from segbench.core.ragged import Ragged
from segbench.core.user_cache import cache_home, remove_unused
from segbench.data.files.facts import FactTable
from segbench.data.files.stamps import STAMP, file_stamp, just_changed
from segbench.data.statistics import Statistics

FORMAT = 1
"""To be raised when the columns come to mean something else."""

MOST = 10_000_000
"""Rows of a file; the oldest are left out."""

DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zipfile.LargeZipFile, RuntimeError)
"""What a file that is not whole can raise, such as that a part is encrypted; each of its columns has a checksum."""


def identity_of(settings: object, shared: Sequence[Path], *, began: int) -> str | None:
    """Return a digest of what decides the facts of a file beside its content; None where that is not certain.

    Args:
        settings: Plain data.
        shared: The files that belong to all pictures, such as those of annotations.
        began: When these began to be read, in nanoseconds: what changed since may not be what was read.
    """
    stamps = [file_stamp(path) for path in shared]
    if just_changed(np.array(stamps, np.int64).reshape(-1, STAMP), began).any():
        return None
    files = [[str(path), *stamp] for path, stamp in zip(shared, stamps, strict=True)]
    text = json.dumps([FORMAT, settings, files], sort_keys=True, default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


class Remembered:
    """The facts of one data set, as its settings read it.

    Args:
        identity: A digest of everything beside the files that decides their facts; None keeps nothing.
        fresh: Whether what is known is not used, but only replaced.
    """

    def __init__(self, identity: str | None = None, *, fresh: bool = False) -> None:
        home = cache_home() if identity else None
        self.path = None if home is None else home / "index" / f"{identity}.npz"
        self.note: str | None = None
        self._keys: list[str] = []
        self._stamps = Ragged.of([], np.int64)
        self.table = FactTable.of([], [])
        """Of all rows that are known."""
        if self.path is not None and not fresh:
            self._load(self.path)

    def _load(self, path: Path) -> None:
        try:
            with np.load(path, allow_pickle=False) as arrays:
                keys = Ragged(arrays["keys_starts"], arrays["keys"])
                stamps = Ragged(arrays["stamps_starts"], arrays["stamps"])
                table = FactTable.of_arrays(arrays)
            if not keys.is_whole or not stamps.is_whole or not len(keys) == len(stamps) == len(table):
                raise ValueError("columns that do not fit together")
            self._keys = keys.texts()
            self._stamps = stamps
            self.table = table
        except FileNotFoundError:
            return
        except PermissionError:
            self.note = f"what is known of the files cannot be read or kept: {path} belongs to another user"
        except DAMAGED:
            self.note = f"{path}, what was known of the files, is damaged and is written anew"
        else:
            with suppress(OSError):  # on a disk that cannot be written, or of another user, it is as good
                os.utime(path)  # it is in use

    def rows(self, keys: Sequence[str], stamps: Ragged) -> np.ndarray:
        """Return the row of each item in the table, int64 `[N]`; -1 where its files are not known as they are now.

        Args:
            keys: Name and paths of each item.
            stamps: What `file_stamp` says of its files, one after the other; no row is known without.
        """
        places = {key: row for row, key in enumerate(self._keys)}
        rows = np.array([places.get(key, -1) for key in keys], np.int64)
        asked = np.flatnonzero(rows >= 0)
        ours = self._stamps.take(rows[asked])
        theirs = stamps.take(asked)
        fits = (ours.lengths == theirs.lengths) & (theirs.lengths > 0)
        rows[asked[~fits]] = -1
        asked = asked[fits]
        ours = self._stamps.take(rows[asked])
        theirs = stamps.take(asked)
        rows[asked[ours.owners[ours.values != theirs.values]]] = -1
        return rows

    def add(self, keys: Sequence[str], stamps: Ragged, *, table: FactTable, asked_at: int) -> None:
        """Keep the facts of more items, in place of what was known of them.

        Args:
            keys: Name and paths of each item.
            stamps: Of its files.
            table: Its facts.
            asked_at: When the stamps were taken, in nanoseconds; files that had just changed then are left out.
        """
        if self.path is None:
            return
        old = _at_rest(stamps, asked_at)
        if not len(old):
            return
        new = [keys[row] for row in old]
        replaced = set(new)
        others = np.array([row for row, key in enumerate(self._keys) if key not in replaced], np.int64)[-MOST:]
        all_keys = [*(self._keys[row] for row in others), *new]
        all_stamps = Ragged.joined([self._stamps.take(others), stamps.take(old)])
        self._save(
            self.path, all_keys, stamps=all_stamps, table=FactTable.joined([self.table.take(others), table.take(old)])
        )

    def _save(self, path: Path, keys: Sequence[str], *, stamps: Ragged, table: FactTable) -> None:
        names = Ragged.of_texts(keys)
        columns: dict[str, Any] = {"keys": names.values, "keys_starts": names.starts}
        columns |= {"stamps": stamps.values, "stamps_starts": stamps.starts, **table.arrays()}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                np.savez(file, **columns)
        except OSError as error:
            reason = error.strerror or error
            self.note = f"what is known of the files cannot be kept in {path.parent}: {reason}; each start looks anew"
            return
        with suppress(OSError):
            remove_unused(path.parent, "*.npz")


def _at_rest(stamps: Ragged, asked_at: int) -> np.ndarray:
    """Return the numbers of the items whose files had not just changed when their stamps were taken."""
    young = just_changed(stamps.values.reshape(-1, STAMP), asked_at)
    owners = stamps.owners[::STAMP]
    return np.setdiff1d(np.arange(len(stamps)), owners[young])


def known_counts(settings: object, count: Callable[[], Statistics]) -> Statistics:
    """Return what an earlier start has counted with the same settings, or count and keep it.

    Args:
        settings: Plain data of everything that decides the counts, contents of files included; None keeps nothing.
        count: Counts.
    """
    home = cache_home() if settings else None
    if home is None:
        return count()
    text = json.dumps([FORMAT, settings], sort_keys=True)
    path = home / "counts" / f"{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}.json"
    try:
        found = Statistics.of_record(json.loads(path.read_text()))
        os.utime(path)
        return found
    except (OSError, ValueError, KeyError, TypeError):
        counted = count()
    with suppress(OSError):  # the index has said that nothing can be kept there
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(counted.record()))
        remove_unused(path.parent, "*.json")
    return counted
