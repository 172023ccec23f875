"""Folders of pictures: what lies in them, read at once with all that is wrong told together, unchanged meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from segbench.core.errors import DataError, similar
from segbench.data.problems import FileError, Problems, check_name, first_names, one_line

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif")
"""Files that a picture is read from."""

LOSSLESS = tuple(suffix for suffix in SUFFIXES if suffix not in (".jpg", ".jpeg"))
"""Those that can keep the values of a mask."""

CUTOUTS = (".png", ".webp", ".tif", ".tiff", ".gif")
"""Those that can have transparency."""

Result = TypeVar("Result")


def list_pictures(folder: Path, key: str, *, useful: Sequence[str] = SUFFIXES) -> list[Path]:
    """Return the pictures directly in `folder`, sorted by name.

    Args:
        folder: The folder.
        key: The setting that named it, for messages.
        useful: What may be put there, for the message that nothing is there.

    Raises:
        DataError: if the folder does not exist (naming the nearest one that does) or holds no picture.
    """
    check_folder(folder, key)
    # a broken link is kept, to be refused by name
    found = sorted(item for item in folder.iterdir() if item.suffix.lower() in SUFFIXES and not item.is_dir())
    if not found:
        raise DataError(f"{key}: {folder} holds no pictures; put {', '.join(useful)} files directly into it")
    return found


def check_folder(folder: Path, key: str) -> None:
    """Raise a DataError where there is no such folder, naming the nearest one beside it; `key` is its setting."""
    if folder.is_dir():
        return
    siblings = []
    if folder.parent.is_dir():
        siblings = [item.name for item in folder.parent.iterdir() if item.is_dir()]
    raise DataError(f"{key}: there is no folder {folder}{similar(folder.name, siblings)}")


def read_all(paths: list[Path], read: Callable[[Path], Result], *, key: str) -> list[Result]:
    """Return `read(path)` of every path; a DataError tells of every file that could not be used, with its reason."""
    place = Path(os.path.commonpath([path.parent for path in paths]))
    results = []
    problems = Problems(place)
    for path in paths:
        try:
            check_name(path)
            if path.exists() and not path.is_file():  # a pipe would be waited for without end
                raise FileError("not a regular file")
            results.append(read(path))
        except DataError as error:
            problems.add_error(error, path)
    if problems:
        count = f"{len(problems)} of {len(paths)} files"
        raise DataError(f"{key}: {count} in {place} cannot be used: {one_line(problems)}")
    return results


def together(*reads: Callable[[], Any]) -> list[Any]:
    """Return what several readings return; a DataError says what all of those that failed say."""
    results = []
    texts = []
    for read in reads:
        try:
            results.append(read())
        except DataError as error:
            texts.append(str(error))
    if texts:
        raise DataError("; ".join(texts))
    return results


def stamp(path: Path) -> tuple[int, int, int]:
    """Return what tells that a file is still the same: its number on the disk, size and time of change."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


@contextmanager
def unchanged(paths: Sequence[Path], key: str) -> Iterator[None]:
    """Raise a DataError if a file is replaced, changed or removed within, so that what was read is what is described.

    Args:
        paths: The files.
        key: The setting that named them, for messages.
    """
    before = {path: _stamp_or_none(path) for path in paths}
    yield
    changed = [path.name for path in paths if _stamp_or_none(path) != before[path]]
    if changed:
        raise DataError(f"{key}: {first_names(changed)} changed while {paths[0].parent} was read; start again")


def _stamp_or_none(path: Path) -> tuple[int, int, int] | None:
    try:
        return stamp(path)
    except OSError:
        return None
