"""A colour jitter for pictures of any number of bands."""

from __future__ import annotations

from typing import Any

import albumentations
import numpy as np


class BandJitter(albumentations.ImageOnlyTransform):  # type: ignore[misc]  # albumentations has no types
    """Brightness and contrast of the whole picture, and a gain of each band by itself.

    What ColorJitter is for red, green and blue: its hue and saturation have no meaning for other bands, the gains take
    their place. An image and its background are changed alike.

    Args:
        brightness: Least and largest factor of all values.
        contrast: Least and largest factor of the distance from the picture's mean.
        gain: Least and largest factor of each band.
        p: Probability that a picture is changed.
    """

    def __init__(
        self,
        brightness: tuple[float, float] = (0.8, 1.2),
        contrast: tuple[float, float] = (0.8, 1.2),
        *,
        gain: tuple[float, float] = (0.9, 1.1),
        p: float = 0.5,
    ) -> None:
        super().__init__(p=p)
        self.brightness = brightness
        self.contrast = contrast
        self.gain = gain

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Draw the factors from the generator of the sample."""
        bands = data["image"].shape[2]
        return {
            "brightness": self.py_random.uniform(*self.brightness),
            "contrast": self.py_random.uniform(*self.contrast),
            "gains": np.array([self.py_random.uniform(*self.gain) for _ in range(bands)], np.float32),
        }

    def apply(
        self, img: np.ndarray, brightness: float, contrast: float, gains: np.ndarray, **params: Any
    ) -> np.ndarray:
        """Return the changed picture, of the type that it had."""
        full = 255 if img.dtype == np.uint8 else 1
        values = img.astype(np.float32)
        mean = np.float32(values.mean(dtype=np.float64))
        changed = np.clip(((values - mean) * contrast + mean) * (brightness * gains), 0, full)
        if full == 255:
            return np.rint(changed).astype(np.uint8)
        return changed.astype(np.float32)
