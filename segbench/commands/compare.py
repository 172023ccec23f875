"""`compare`: which settings are best, at what cost, and whether the differences are real. No torch."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from segbench.compare.as_json import to_json
from segbench.compare.comparison import Comparison, compare_runs
from segbench.compare.tables import to_csv, to_markdown
from segbench.compare.terminal import print_comparison
from segbench.core.choices import check_word
from segbench.core.errors import ConfigError
from segbench.core.files import make_folder, write_atomic
from segbench.core.text import printable, say

FORMATS = ("table", "csv", "json", "md", "html")
WIDE = 200
"""Columns of a table that goes to a file or another program."""
_WRITERS = {"csv": to_csv, "json": to_json, "md": to_markdown}


def compare(
    folders: Sequence[str],
    by: str | None = None,
    *,
    metric: str | None = None,
    baseline: str | None = None,
    filters: Sequence[str] = (),
    form: str = "table",
    out: Path | None = None,
    hidden: bool = False,
    over: str | None = None,
) -> None:
    """Compare the runs below folders and print the result, or write it to a file.

    Args:
        folders: Run folders or folders with runs below; `outputs` where empty.
        by: Settings to group by, with commas; by default everything but the seed.
        metric: Such as `val/mean_iou`.
        baseline: A run that every group is judged against: its path or name.
        filters: Conditions such as `data=fgbg` or `loss!=dice,focal`.
        form: One of FORMATS.
        out: File to write; by default the terminal, for html `compare.html`.
        hidden: Also take the runs that `hide` left out.
        over: A setting such as `data`, over whose values settings are ranked as well.

    Raises:
        ConfigError: for anything asked for that is not there.
    """
    check_word("--format", form, valid=FORMATS)
    if form == "html" and out is None:
        out = Path("compare.html")  # a page is looked at with a browser, not in the terminal
    if out is not None:
        if out.is_dir():
            raise ConfigError(f"--out: {out} is a folder; give the file to write")
        make_folder(out.absolute().parent)
    result = compared(folders, by, metric=metric, baseline=baseline, filters=filters, hidden=hidden, over=over)
    if out is None and form == "table":
        console = Console()
        print_comparison(console if console.is_terminal else Console(width=WIDE), result)
        return
    text = _text(form, result)
    if out is None:
        sys.stdout.write(text)
    else:
        write_atomic(out, text)
        say(Console(), f"{len(result.runs)} runs compared: {out.absolute()}")


def check_serving(serving: bool, port: int | None, *, others: Mapping[str, bool]) -> None:
    """Raise ConfigError for options that would be left without effect.

    Args:
        serving: Whether `--serve` was given.
        port: What `--port` gave.
        others: Options that say where else the comparison goes, and whether they were given.
    """
    given = [name for name, is_given in others.items() if is_given]
    if serving and given:
        raise ConfigError(f"--serve shows the page in a browser alone; leave {' and '.join(given)} out")
    if port is not None and not serving:
        raise ConfigError(f"--port {port} is the port of --serve; add that or leave the port out")


def compared(
    folders: Sequence[str],
    by: str | None = None,
    *,
    metric: str | None = None,
    baseline: str | None = None,
    filters: Sequence[str] = (),
    hidden: bool = False,
    over: str | None = None,
) -> Comparison:
    """Return the comparison that the words of a command line ask for; see `compare`."""
    names = [name.strip() for name in (by or "").split(",") if name.strip()]
    try:
        return compare_runs(
            list(folders) or ["outputs"],
            names,
            metric=metric,
            baseline=baseline,
            filters=filters,
            hidden=hidden,
            over=over,
        )
    except ConfigError as error:  # it may name settings of an untrusted run
        raise type(error)(printable(str(error), 2000)) from None


def _text(form: str, result: Comparison) -> str:
    if form == "html":
        from segbench.report.html.report import to_html  # the template engine costs the other forms nothing

        return to_html(result)
    if form in _WRITERS:
        return _WRITERS[form](result)
    return _plain_table(result)


def _plain_table(result: Comparison) -> str:
    text = io.StringIO()
    print_comparison(Console(file=text, width=WIDE, color_system=None), result)
    return text.getvalue()
