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
MAX_TOTAL = 2_000_000
"""Bytes of all panels: the page stays small enough to be sent."""


@dataclass(frozen=True)
class Panel:
    """A picture: caption, name of the run, letter of its data, data URI and size in pixels, or why there is none."""

    label: str
    name: str
    data: str
    uri: str = ""
    width: int = 0
    height: int = 0
    reason: str = ""


def sample_panels(comparison: Comparison) -> list[Panel]:
    """Return the panels of test pictures of the best run of each of the first MAX_PANELS groups."""
    panels = []
    total = 0
    for run, group in zip(best_of_groups(comparison, MAX_PANELS), comparison.groups, strict=False):
        words = run_label(comparison, run), printable(run.name, LONGEST), comparison.data_labels[group.data]
        try:
            png, width, height = read_png(RunFolder(run.path).samples / "test.png")
            if total + len(png) > MAX_TOTAL:
                raise Unusable("the page has no room for more; it lies in samples/test.png of the run")
            total += len(png)
        except Unusable as unusable:
            panels.append(Panel(*words, reason=str(unusable)))
        else:
            uri = f"data:image/png;base64,{base64.b64encode(png).decode()}"
            panels.append(Panel(*words, uri, width, height))
    return panels


def read_png(path: Path) -> tuple[bytes, int, int]:
    """Return a PNG with nothing but its first picture, its width and its height.

    Raises:
        Unusable: for a link, anything but a regular file, more than MAX_BYTES or MAX_PIXELS, or no whole PNG.
    """
    if path.parent.is_symlink():
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
    written = io.BytesIO()
    plain.save(written, "PNG")
    return written.getvalue(), width, height
