"""`export`: a trained network as a file for other programs, checked against the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from segbench.commands.arguments import runs_and_settings
from segbench.commands.output_paths import folder_for
from segbench.core.errors import ConfigError

if TYPE_CHECKING:
    from segbench.export.write import Wanted


def export_runs(words: Sequence[str], wanted: Wanted, *, plugins: Sequence[str] = ()) -> str:
    """Export runs into a folder, and return closing sentences.

    Args:
        words: Run folders, of which several are averaged, and settings as `key=value`.
        wanted: What is asked for.
        plugins: Packages of the user's own that the runs may use.

    Raises:
        SegbenchError: for runs that cannot be loaded, what cannot be exported, or a file that differs.
    """
    from segbench.export.describe import load_for_export
    from segbench.export.write import check_wanted, write_export

    runs, changes = runs_and_settings(words)
    if not runs:
        raise ConfigError("export needs the folder of a run")
    check_wanted(wanted, len(runs))
    trained = [load_for_export(run, changes, plugins=plugins) for run in runs]
    with folder_for(wanted.out.absolute()) as out:
        written = write_export(trained, replace(wanted, out=out))
    return f"{written.check}\n{', '.join(written.files)}: {out}"


def default_folder(run: str) -> Path:
    """Return where an export goes that names no folder: `exports`, then the last two folders of the run's path."""
    parts = Path(run).expanduser().absolute().parts
    return Path("exports", *parts[-2:])
