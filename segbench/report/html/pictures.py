"""Sample panels of runs as data URIs. Only what is certainly a PNG of a sensible size gets in."""

from __future__ import annotations

import base64
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from segbench.compare.comparison import Comparison
from segbench.compare.files import Unusable, read_bytes
from segbench.compare.text import LONGEST
from segbench.core.text import printable
from segbench.report.html.choice import best_of_groups, run_label
from segbench.runs.folder import RunFolder

MAX_PANELS = 6
MAX_BYTES = 1_500_000
MAX_PIXELS = 30_000_000
MAX_TOTAL = 1_500_000
"""Characters of all panels: the page stays small enough to be sent."""


@dataclass(frozen=True)
class Panel:
    """A picture, or why there is none."""

    label: str
    """Its caption."""

    name: str
    """Of the run."""

    data: str
    """Letter of the run's data."""

    uri: str = ""
    """The picture as a data URI; empty where there is none."""

    width: int = 0
    """In pixels."""

    height: int = 0
    """In pixels."""

    reason: str = ""
    """Why there is none."""


LARGE = 150_000
"""Bytes of a PNG beyond which it is sent as JPEG: photographs take a tenth so."""
QUALITY = 88


def sample_panels(comparison: Comparison) -> list[Panel]:
    """Return the panels of test pictures of the best run of each of the first MAX_PANELS groups."""
    panels = []
    total = 0
    for run, group in zip(best_of_groups(comparison, MAX_PANELS), comparison.groups, strict=False):
        words = run_label(comparison, run), printable(run.name, LONGEST), comparison.data_labels[group.data]
        try:
            uri, width, height = picture_uri(RunFolder(run.path).samples / "test.png")
            if total + len(uri) > MAX_TOTAL:
                raise Unusable("the page has no room for more; it lies in samples/test.png of the run")
            total += len(uri)
        except Unusable as unusable:
            panels.append(Panel(*words, reason=str(unusable)))
        else:
            panels.append(Panel(*words, uri, width, height))
    return panels


def picture_uri(path: Path, large: int = LARGE) -> tuple[str, int, int]:
    """Return a PNG of a run as a data URI, its width and its height; as JPEG where it has more than `large` bytes.

    Raises:
        Unusable: as `read_png` does.
    """
    picture = read_png(path)
    written = io.BytesIO()
    picture.save(written, "PNG")
    kind = "png"
    if len(written.getvalue()) > large:
        written = io.BytesIO()
        picture.save(written, "JPEG", quality=QUALITY, subsampling=0)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(written.getvalue()).decode()}", *picture.size


def read_png(path: Path) -> Image.Image:
    """Return a PNG of a run folder as RGB, with nothing but its first picture.

    Raises:
        Unusable: for a link, anything but a regular file, more than MAX_BYTES or MAX_PIXELS, or no whole PNG.
    """
    if path.parent.is_symlink() or path.parent.parent.is_symlink():
        raise Unusable(f"{path.name} is a link")
    content = read_bytes(path, MAX_BYTES)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise Image.DecompressionBombError
                plain = image.convert("RGB")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Unusable(f"{path.name} has more than {MAX_PIXELS:,} pixels") from None
    except Exception:  # decoders meet damaged files with anything
        raise Unusable(f"{path.name} is not a PNG that can be read") from None
    plain.info.clear()  # texts and profiles
    return plain
