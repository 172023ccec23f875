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
    kernel: Tensor

    def __init__(self, head: str = "mask") -> None:
        super().__init__(head)
        sobel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8
        self.register_buffer("kernel", torch.stack([sobel, sobel.T])[:, None], persistent=False)

    def compute(self, predicted: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
        """Return the mean over both directions and the pixels with a whole neighbourhood; 0 where there are none."""
        height, width = predicted.shape[-2:]
        if min(height, width) < 3:
            return (predicted * 0).sum()
        # a filter is linear: the gradient of the difference is the difference of the gradients
        difference = (predicted - truth).reshape(-1, 1, height, width)
        gradients = F.conv2d(difference, self.kernel.to(difference.dtype))
        gradients = gradients.reshape(*predicted.shape[:2], 2, height - 2, width - 2).flatten(1, 2)
        whole = F.max_pool2d((~valid).float(), 3, stride=1) == 0
        return valid_mean(gradients.abs(), whole)
