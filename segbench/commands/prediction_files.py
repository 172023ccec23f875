"""The files that predictions are written to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from segbench.core.errors import DataError
from segbench.report.palette import colour, palette
from segbench.report.panels import grey

COMPRESSION = 3
"""Of PNG files; 6, which is usual, takes twice to four times the time for files that are a fifth smaller."""


@dataclass(frozen=True)
class PredictionFiles:
    """Writes what a network says about pictures into a folder.

    For `<name>`: `<name>_mask.png`, a palette PNG of class ids at the picture's own size; for a depth head
    `<name>_depth.npy` (float32), with `<name>_depth.png` to look at; where it was asked for `<name>_entropy.png`, uint8
    from 0, sure of one class, to 255, all equally likely.
    """

    out: Path
    """The folder."""

    classes: Sequence[str]
    """Names of the classes."""

    overlay: bool = False
    """Also write `<name>_overlay.png`: the picture with the classes laid over it."""

    probabilities: bool = False
    """Also write `<name>.npz` with `probabilities`, float32 `[C,H,W]`."""

    def write(self, name: str, image: np.ndarray, *, found: dict[str, np.ndarray]) -> None:
        """Write the prediction of one picture.

        Args:
            name: Path within the folder, without what names end in.
            image: The picture, uint8 `[H,W,3]`.
            found: `mask` uint8 `[H,W]`, `probabilities`, `entropy` and `depth`, as far as there are.

        Raises:
            DataError: if a file cannot be written.
        """
        path = self.out / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if "mask" in found:
                self._write_mask(path, image, ids=found["mask"])
            if "probabilities" in found and self.probabilities:
                np.savez(_ending(path, ".npz"), probabilities=found["probabilities"])
            if "entropy" in found:
                unsure = Image.fromarray((found["entropy"] * 255).round().astype(np.uint8))
                unsure.save(_ending(path, "_entropy.png"), compress_level=COMPRESSION)
            if "depth" in found:
                np.save(_ending(path, "_depth.npy"), found["depth"])
                farthest = float(max(found["depth"].max(), 1e-6))
                Image.fromarray(grey(found["depth"], farthest)).save(_ending(path, "_depth.png"))
        except OSError as error:
            raise DataError(f"the prediction {path} cannot be written: {error.strerror or error}") from None

    def _write_mask(self, path: Path, image: np.ndarray, *, ids: np.ndarray) -> None:
        mask = Image.fromarray(ids)
        mask.putpalette(palette(len(self.classes)).tobytes())
        mask.save(_ending(path, "_mask.png"), compress_level=COMPRESSION)
        if self.overlay:
            laid_over = Image.fromarray(overlay(image, ids, classes=len(self.classes)))
            laid_over.save(_ending(path, "_overlay.png"), compress_level=COMPRESSION)


def overlay(image: np.ndarray, mask: np.ndarray, *, classes: int) -> np.ndarray:
    """Return the picture uint8 `[H,W,3]` with each class but the first laid over it in its colour, half transparent."""
    mixed = ((image.astype(np.uint16) + colour(mask, classes)) // 2).astype(np.uint8)
    return np.where((mask == 0)[..., None], image, mixed)


def _ending(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)
