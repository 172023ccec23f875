"""Edge loss: differences of image gradients."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from segbench.losses.base import MapLoss, valid_mean


class Edge(MapLoss):
    """Mean absolute difference of the Sobel gradients of both maps (Sobel and Feldman, 1968), in both directions.

    The gradients are those of the usual 3 x 3 filters divided by 8, so that a ramp of one a pixel has gradient one.
    Only pixels whose whole 3 x 3 neighbourhood is in the picture and counts are used.

    Args:
        head: `mask` or `depth`.
    """

    terms = ("edge",)

    def compute(self, predicted: Tensor, truth: Tensor, *, valid: Tensor) -> Tensor:
        """Return the mean over both directions and the pixels with a whole neighbourhood; 0 where there are none."""
        if min(predicted.shape[-2:]) < 3:
            return (predicted * 0).sum()
        # a filter is linear: the gradient of the difference is the difference of the gradients
        gradients = torch.cat(_sobel(predicted - truth), dim=1)
        whole = F.max_pool2d((~valid).float(), 3, stride=1) == 0
        return valid_mean(gradients.abs(), whole)


def _sobel(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of `[B,C,H,W]` along columns and rows, each `[B,C,H-2,W-2]`.

    Sums of shifted maps: a convolution of one channel is many times slower on a CPU, and on a GPU it rounds to TF32.
    """
    columns = maps[..., 2:] - maps[..., :-2]
    rows = maps[..., 2:, :] - maps[..., :-2, :]
    along_columns = columns[..., :-2, :] + 2 * columns[..., 1:-1, :] + columns[..., 2:, :]
    along_rows = rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]
    return along_columns / 8, along_rows / 8
