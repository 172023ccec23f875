"""Exact synthetic depth: a stated geometric model instead of a network's guess.

A camera looks level over a flat ground. Depth is measured in units of the distance to the ground at the lower edge of
the canvas, so 1 is near and `far` is the most that occurs. With the horizon at the share h of the canvas's height, the
ground at row v (a share of the height, 0 at the top) lies at

    ground(v) = clamp((1 - h) / (v - h), 1, far)      below the horizon, and far above it.

An object of `object_height` times the canvas's height, seen at its full size at depth 1, appears s times as high as the
canvas at depth object_height / s. It stands on the ground where its lower edge is, but is never farther than its
apparent size allows:

    depth(object) = min(ground(lower edge), max(object_height / s, nearest)),     nearest = 0.5

so that the foreground is nearer the lower and the larger it is, and never behind what it covers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segbench.core.errors import ConfigError
from segbench.data.scenes.plan import Layer, Scene

NEAREST = 0.5
MOST = 1e6
"""Greater depths would leave the range in which float32 tells near things apart."""


@dataclass(frozen=True)
class DepthModel:
    """The three numbers of the model."""

    horizon: float = 0.4
    """Where the horizon is, as a share of the canvas from its top, in [0, 1)."""

    far: float = 10.0
    """The most depth that occurs, in (1, 1e6]."""

    object_height: float = 1.0
    """Height of an object at depth 1, as a share of the canvas, in (0, 1e6]."""

    def __post_init__(self) -> None:
        if not (0 <= self.horizon < 1 < self.far <= MOST and 0 < self.object_height <= MOST):
            raise ConfigError(
                f"data.depth needs 0 <= horizon < 1 < far <= {MOST:g} and 0 < object_height <= {MOST:g}, got"
                f" horizon={self.horizon}, far={self.far}, object_height={self.object_height}"
            )

    def ground(self, row: float) -> float:
        """Return the depth of the ground at `row`, a share of the canvas's height."""
        below = row - self.horizon
        if below <= 0:
            return self.far
        return min(self.far, max(1.0, (1 - self.horizon) / below))

    def ground_rows(self, height: int) -> np.ndarray:
        """Return the ground's depth at the centre of each of `height` rows, float32 `[height]`."""
        return np.array([self.ground((row + 0.5) / height) for row in range(height)], dtype=np.float32)

    def foreground(self, scene: Scene | Layer, height: int) -> float:
        """Return the depth of a scene's foreground on a canvas `height` pixels high."""
        standing = self.ground(min(height, scene.y + scene.height) / height)
        return min(standing, max(self.object_height * height / scene.height, NEAREST))


def compose_depth(depth: np.ndarray, mask: np.ndarray, *, foreground: float) -> None:
    """Set the foreground's depth where the mask is set, never behind the background's depth there, in place.

    Args:
        depth: float32 `[H, W]` of the background, NaN where unknown.
        mask: bool `[H, W]`.
        foreground: Depth of the foreground.
    """
    # fmin: an unknown background does not hide the object; the whole box at once is quicker than where the mask is
    np.copyto(depth, np.fmin(depth, np.float32(foreground)), where=mask)
