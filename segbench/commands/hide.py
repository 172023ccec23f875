"""`hide` and `unhide`: whether a run takes part in comparisons. A small file in its folder says so. No torch."""

from __future__ import annotations

from collections.abc import Sequence

from segbench.core.errors import ConfigError
from segbench.core.files import write_atomic
from segbench.runs.folder import RunFolder, open_run


def hide_runs(runs: Sequence[str], reason: str = "") -> str:
    """Leave runs out of every comparison and return a sentence about it.

    Args:
        runs: Run folders.
        reason: Text for `hidden.txt`, for whoever finds it later.

    Raises:
        ConfigError: for a path that is no run folder, before any run is hidden, or a folder that cannot be written.
    """
    folders = [open_run(run) for run in runs]
    for folder in folders:
        try:
            write_atomic(folder.hidden, f"{reason or 'left out of comparisons'}\n")
        except OSError as error:
            raise ConfigError(f"{folder.hidden} cannot be written: {error.strerror}") from None
    return f"hidden from comparisons: {_named(folders)}; segbench unhide takes them back"


def unhide_runs(runs: Sequence[str]) -> str:
    """Let hidden runs take part in comparisons again and return a sentence about it.

    Raises:
        ConfigError: for a path that is no run folder or a run that is not hidden, before anything is changed.
    """
    folders = [open_run(run) for run in runs]
    for folder in folders:
        if not folder.hidden.exists():
            raise ConfigError(f"{folder.path} is not hidden; segbench hide leaves a run out of comparisons")
    for folder in folders:
        try:
            folder.hidden.unlink()
        except OSError as error:
            raise ConfigError(f"{folder.hidden} cannot be removed: {error.strerror}") from None
    return f"takes part in comparisons again: {_named(folders)}"


def _named(folders: Sequence[RunFolder]) -> str:
    return ", ".join(str(folder.path) for folder in folders)
