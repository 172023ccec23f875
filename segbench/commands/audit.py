"""`audit`: the held-out pictures whose labels trained networks doubt most."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from segbench.commands.arguments import runs_and_settings
from segbench.commands.output_paths import folder_for
from segbench.core.choices import SCORED, Split, one_of
from segbench.core.errors import ConfigError
from segbench.core.tasks import Head
from segbench.core.text import printable, say
from segbench.report.audit_page import AuditedPicture, write_audit_page
from segbench.report.thumbnails import thumbnail_name

if TYPE_CHECKING:
    from segbench.inference.load import TrainedRun

FIRST = 10
"""Pictures that are named on the terminal."""


def audit_runs(
    words: Sequence[str],
    *,
    split: str,
    out: Path,
    pictures: int,
    plugins: Sequence[str],
    console: Console,
) -> None:
    """Write `audit.csv` with every picture of a split, most doubted label first, and `audit.html` with the first.

    Args:
        words: Run folders, and settings as `key=value`. Each run judges its own split, which it has not been trained
            on: the runs of all folds of a data set together judge every picture.
        split: `val` or `test`.
        out: The folder for both and for the thumbnails.
        pictures: How many of each run the page shows.
        plugins: The user's own packages that the runs may name.
        console: Where the first are named.

    Raises:
        ConfigError: for a run without masks.
    """
    chosen = one_of(SCORED, split, what="split", why="to audit")
    runs, changes = runs_and_settings(words)
    if not runs:
        raise ConfigError("audit needs a run folder")
    from segbench.inference.load import load_trained  # torch

    with folder_for(out):
        found: list[AuditedPicture] = []
        for number, path in enumerate(dict.fromkeys(runs)):
            trained = load_trained(path, changes, plugins=plugins)
            if Head.MASK not in trained.config.task.heads:
                raise ConfigError(f"{path} predicts depth alone; audit judges the labels of masks")
            found += _audited(trained, chosen, folder=out, place=f"pictures/{number}", pictures=pictures)
        found.sort(key=lambda picture: picture.quality)
        _write_table(found, out / "audit.csv")
        shown = [picture for picture in found if picture.thumbnail]
        write_audit_page(shown, out / "audit.html", title=f"Doubted labels of {chosen}", judged=len(found))
    for picture in found[:FIRST]:
        say(console, printable(_line(picture)))
    page = f"thumbnails of {len(shown):,} in {out / 'audit.html'}"
    say(console, f"{len(found):,} pictures in {out / 'audit.csv'}, {page}")


def _audited(trained: TrainedRun, split: Split, *, folder: Path, place: str, pictures: int) -> list[AuditedPicture]:
    from segbench.inference.doubts import FindDoubts
    from segbench.inference.evaluation import score_again

    finding = FindDoubts(trained.parts.data, inputs=trained.config.inputs.names, pictures=pictures)
    score_again(trained, split, callbacks=[finding])
    data = trained.parts.data
    finding.worst.write(folder / place)
    found = []
    for doubt in finding.doubts:
        thumbnail = f"{place}/{thumbnail_name(doubt.index)}"
        found.append(
            AuditedPicture(
                run=trained.run.path.name,
                image=printable(data.image_name(split, doubt.index)),
                quality=doubt.quality,
                doubted=doubt.doubted,
                labelled=doubt.labelled,
                label=doubt.label,
                looks_like=doubt.looks_like,
                thumbnail=thumbnail if (folder / thumbnail).is_file() else "",
            )
        )
    return found


def _write_table(pictures: Sequence[AuditedPicture], file: Path) -> None:
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(["quality", "image", "doubted_pixels", "labelled_pixels", "label", "looks_like", "run"])
        for one in pictures:
            quality = f"{one.quality:.6f}"
            writer.writerow([quality, one.image, one.doubted, one.labelled, one.label, one.looks_like, one.run])


def _line(picture: AuditedPicture) -> str:
    line = f"{picture.quality:.3f}  {picture.image}"
    if picture.label:
        return f"{line}  {picture.doubted:,} pixels of {picture.label} look like {picture.looks_like}"
    return line
