"""What of a picture a network is given: which bands, and how their values come to 0..1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segbench.core.errors import ConfigError
from segbench.data.problems import FileError
from segbench.data.rasters import Raster

MOST_BANDS = 4096

MUCH = 0.05
"""Share of a picture's values; of those of training, `data.range=percentile` clips 0.01."""

Levels = tuple[np.ndarray, np.ndarray]
"""The values of each band that become 0 and 1, float64 `[C]` twice."""


@dataclass(frozen=True)
class Channels:
    """Which bands of a file are an image's channels, and what their values mean.

    Without `levels`, images are uint8 as they are in the file; with them, float32 in 0..1.
    """

    bands: tuple[int, ...] | None = None
    """Numbers of the file's bands from 0, in the order of the channels; None for red, green and blue."""

    display: tuple[int, ...] | None = None
    """The one or three of the bands that people are shown; None for the first three, or the first of fewer."""

    levels: Levels | None = None
    """What becomes 0 and 1 of each channel; values beyond are clipped."""

    @classmethod
    def of(cls, bands: Sequence[int] | None, display: Sequence[int] | None) -> Channels:
        """Return the channels that `data.bands` and `data.display` say; raises a ConfigError for no such numbers."""
        return cls(None if bands is None else tuple(bands), None if display is None else tuple(display))

    def __post_init__(self) -> None:
        for name, numbers in (("bands", self.bands), ("display", self.display)):
            _check_numbers(name, numbers)
        if self.display is not None:
            there = list(self.bands or (0, 1, 2))
            if not set(self.display) <= set(there) or len(self.display) not in (1, 3):
                raise ConfigError(f"data.display={list(self.display)} must be one or three of the bands {there}")

    @property
    def count(self) -> int:
        """Number of channels of an image."""
        if self.bands is None:
            return 3
        return len(self.bands)

    def chosen(self, raster: Raster) -> np.ndarray:
        """Return the channels `[H,W,C]` with the values of the file.

        Grey is repeated where red, green and blue are wanted. What is tagged as transparency changes no other band.

        Raises:
            FileError: where the file has not these bands, or values that are not finite.
        """
        values = np.ascontiguousarray(self._of(raster))
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            count = int((~np.isfinite(values)).any(axis=2).sum())
            raise FileError(
                "values that are not finite at {}",
                detail=f"{count:,} pixels",
                cure="fill them with a number",
            )
        return values

    def _of(self, raster: Raster) -> np.ndarray:
        values = raster.values
        there = raster.values.shape[2]
        if self.bands is not None:
            if max(self.bands) >= there:
                raise FileError(
                    "{}",
                    detail=_bands(there),
                    cure=f"data.bands={list(self.bands)} needs {max(self.bands) + 1} of them",
                )
            return values[..., list(self.bands)]
        if raster.rgb:
            return values[..., :3]
        if there - raster.alpha == 1:
            return np.repeat(values[..., :1], 3, axis=2)
        raise FileError(
            "{} that are not red, green and blue",
            detail=_bands(there),
            cure=f"data.bands=[{','.join(map(str, range(there)))}] gives the network all of them",
        )

    def leaves_out(self, raster: Raster) -> bool:
        """Whether a band that nobody has chosen or left out holds more than one value."""
        if self.bands is not None:
            return False
        rest = raster.values[..., 3 if raster.rgb else 1 :]
        return bool((rest != rest[:1, :1]).any())

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """Return chosen channels as an image: uint8 as they are, or float32 in 0..1 by the levels."""
        if self.levels is None:
            return values
        low, high = self.levels
        shares = (values - low.astype(np.float32)) / (high - low).astype(np.float32)
        clipped: np.ndarray = np.clip(shares, 0, 1, dtype=np.float32)
        return clipped

    def clips(self, raster: Raster) -> bool:
        """Whether more than `MUCH` of a picture's values lie beyond the levels, and so are clipped."""
        if self.levels is None:
            return False
        values = self._of(raster)
        low, high = (level.astype(np.float32) for level in self.levels)
        return bool(((values < low) | (values > high)).mean() > MUCH)

    def image(self, raster: Raster) -> np.ndarray:
        """Return the image that a network is given of a picture, `[H,W,C]`."""
        return self.scaled(self.chosen(raster))

    def shown(self, image: np.ndarray) -> np.ndarray:
        """Return an image `[H,W,C]`, uint8 or float in 0..1, as uint8 `[H,W,3]` to look at."""
        if self.bands is None and self.display is None and image.dtype == np.uint8:
            return image
        bands = self.bands or (0, 1, 2)
        wanted = self.display or (bands[:3] if len(bands) >= 3 else bands[:1])
        picture = image[..., [bands.index(number) for number in wanted]]
        if picture.dtype != np.uint8:
            picture = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
        return np.ascontiguousarray(np.broadcast_to(picture, (*picture.shape[:2], 3)))


def _check_numbers(name: str, numbers: Sequence[int] | None) -> None:
    if numbers is None:
        return
    whole = all(
        isinstance(number, int) and not isinstance(number, bool) and 0 <= number < MOST_BANDS for number in numbers
    )
    if not numbers or not whole or (name == "bands" and len(set(numbers)) != len(numbers)):
        raise ConfigError(
            f"data.{name} must be null or different numbers of bands from 0, such as [0,1,2,3], got {list(numbers)}"
        )


def _bands(count: int) -> str:
    if count == 1:
        return "1 band"
    return f"{count} bands"
