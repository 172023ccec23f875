"""Where what can be made again is kept between runs: the user's cache folder."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

VARIABLE = "SEGBENCH_CACHE"
"""The environment variable that names another folder; `off` keeps nothing."""

UNUSED_DAYS = 90
"""Days after which a file that no run has used is removed."""

HALF_WRITTEN_HOURS = 1
"""Hours after which what a killed process has left half written is removed; a living one needs seconds."""


def cache_home() -> Path | None:
    """Return the folder of segbench in the user's cache, which may not exist yet; None where nothing is to be kept."""
    given = os.environ.get(VARIABLE, "")
    if given == "off":
        return None
    if given:
        return Path(given).expanduser()
    try:
        return _of_platform() / "segbench"
    except RuntimeError:  # a user without a home
        return None


def _of_platform() -> Path:
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local)
    return Path.home() / ".cache"


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder; 0 where there is none."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(path) / name).lstat().st_size
            except OSError:  # removed meanwhile
                continue
    return total


def remove_unused(folder: Path, pattern: str) -> None:
    """Remove the files of a folder that no run has used for a season, and those that killed ones left half written.

    What cannot be removed stays.
    """
    _remove_older(folder, pattern, hours=UNUSED_DAYS * 24)
    _remove_older(folder, f".{pattern}.*.tmp", hours=HALF_WRITTEN_HOURS)  # the names that `replacing` gives


def _remove_older(folder: Path, pattern: str, *, hours: int) -> None:
    oldest = time.time() - hours * 3600
    for path in folder.glob(pattern):
        try:
            if path.lstat().st_mtime < oldest:
                path.unlink()
        except OSError:
            continue
