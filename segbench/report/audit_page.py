"""The page of `segbench audit`: the pictures whose labels a network doubts most, each with a thumbnail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segbench.report.html.templates import filled


@dataclass(frozen=True)
class AuditedPicture:
    """A picture, as the page and the table show it."""

    run: str
    """Name of the run whose network has judged it."""
    image: str
    """Its name in the data set."""
    quality: float
    """Of its labels, 0..1; low where they look wrong."""
    doubted: int
    """Pixels whose label is doubted."""
    labelled: int
    """Pixels that have a label."""
    label: str
    """The label of most of the doubted; empty where there are none."""
    looks_like: str
    """What most of those look like."""
    thumbnail: str
    """The file of its thumbnail, seen from the page; empty for none."""


def write_audit_page(pictures: Sequence[AuditedPicture], file: Path, *, title: str, judged: int) -> None:
    """Write the page; thumbnails lie beside it.

    Args:
        pictures: What is shown, most doubted first.
        file: The HTML file.
        title: Its heading.
        judged: How many pictures were judged.
    """
    page = filled("audit.html.j2", pictures=pictures, title=title, judged=judged)
    file.write_text(page, encoding="utf-8")
