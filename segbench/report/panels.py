"""Panels of pictures: input | truth | prediction, with titles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from segbench.core.tasks import IGNORE_INDEX
from segbench.core.text import printable
from segbench.report.palette import colour, palette

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont

GAP = 4
TITLE = 18
MOST = 640
"""Pixels of the longer side of a picture in a panel."""
BACKGROUND = (250, 250, 250)
INK = (30, 30, 30)


def sample_row(arrays: Mapping[str, np.ndarray], classes: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the pictures of one sample by title.

    Args:
        arrays: `image` uint8 `[H,W,3]`, `mask` ids `[H,W]`; where there are any `prediction` ids `[H,W]`, `background`
            uint8 `[H,W,3]`, `depth` and `predicted_depth` float `[H,W]`.
        classes: Names of the classes.
    """
    row = {"input": arrays["image"]}
    if "background" in arrays:
        row["background"] = arrays["background"]
    row["truth"] = colour(arrays["mask"], len(classes))
    if "prediction" in arrays:
        row["prediction"] = colour(arrays["prediction"], len(classes))
        row["errors"] = _errors(arrays["mask"], arrays["prediction"])
    if "depth" in arrays:
        far = float(np.nanmax(arrays["depth"], initial=1e-6))
        row["depth"] = grey(arrays["depth"], far)
        if "predicted_depth" in arrays:
            row["predicted depth"] = grey(arrays["predicted_depth"], far)
    return row


def _errors(mask: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    wrong = (mask != prediction) & (mask != IGNORE_INDEX)
    return np.where(wrong[..., None], np.array([213, 94, 0], np.uint8), np.array([255, 255, 255], np.uint8))


def grey(depth: np.ndarray, far: float) -> np.ndarray:
    """Return uint8 `[H,W,3]`: near is bright, `far` black, unknown dark red."""
    level = np.clip(1 - np.nan_to_num(depth, nan=far) / far, 0, 1)
    shades = np.repeat((255 * level).astype(np.uint8)[..., None], 3, axis=2)
    return np.where(np.isnan(depth)[..., None], np.array([90, 0, 0], np.uint8), shades)


def draw_panel(
    rows: Sequence[Mapping[str, np.ndarray]],
    classes: Sequence[str],
    *,
    path: Path,
    names: Sequence[str] = (),
    least: int = 96,
) -> None:
    """Write rows of pictures as a PNG, with the titles of the first row and a legend of the classes.

    Pictures that are small, or of a side that is longer than MOST, are shown at another size, each in its own shape.

    Args:
        rows: Pictures uint8 `[H,W,3]` by title.
        classes: Names for the legend.
        path: The PNG.
        names: What each row shows, written below it; none for no such line.
        least: Pictures smaller than this are repeated by a whole factor.
    """
    sizes = [_shown_size(next(iter(row.values())).shape, least) for row in rows]
    height = max(size[0] for size in sizes)
    width = max(size[1] for size in sizes)
    columns = max(len(row) for row in rows)
    line_height = height + (TITLE if names else GAP)
    size = columns * (width + GAP) + GAP, len(rows) * line_height + 2 * TITLE + GAP
    sheet = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default()
    for column, title in enumerate(rows[0]):
        draw.text((GAP + column * (width + GAP), 3), title, INK, font)
    for line, (row, size) in enumerate(zip(rows, sizes, strict=True)):
        for column, picture in enumerate(row.values()):
            tile = Image.fromarray(picture).resize(size[::-1], Image.Resampling.NEAREST)
            sheet.paste(tile, (GAP + column * (width + GAP), TITLE + line * line_height))
    for line, name in enumerate(names):
        text = shortened(name, lambda text: draw.textlength(text, font) <= sheet.width - 2 * GAP)
        draw.text((GAP, TITLE + line * line_height + height + 1), text, INK, font)
    _legend(draw, classes, top=sheet.height - TITLE, font=font)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def _shown_size(shape: tuple[int, ...], least: int) -> tuple[int, int]:
    """Return the height and width that a picture is drawn at."""
    height, width = shape[:2]
    if max(height, width) > MOST:
        scale = MOST / max(height, width)
        return max(1, round(height * scale)), max(1, round(width * scale))
    factor = max(1, min(-(-least // min(height, width)), MOST // max(height, width)))
    return height * factor, width * factor


def shortened(name: str, fits: Callable[[str], bool]) -> str:
    """Return a name that fits: its folders are left out first, then its beginning; the end tells files apart."""
    text = printable(name).encode("latin-1", "replace").decode("latin-1")  # all that the font of the panels has
    if not fits(text):
        text = " + ".join(part.rpartition("/")[2] for part in text.split(" + "))
    start = 0
    while not fits(text[start:] if not start else f"...{text[start:]}") and start < len(text):
        start += 1
    if not start:
        return text
    return f"...{text[start:]}"


def _legend(draw: ImageDraw.ImageDraw, classes: Sequence[str], *, top: int, font: Font) -> None:
    colours = palette(len(classes))
    left = GAP
    for number, name in enumerate(classes):
        draw.rectangle((left, top + 3, left + 10, top + 13), tuple(int(part) for part in colours[number]), INK)
        draw.text((left + 14, top + 3), name, INK, font)
        left += 22 + int(draw.textlength(name, font))
