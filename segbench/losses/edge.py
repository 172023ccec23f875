"""Edge loss: differences of image gradients."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from segbench.losses.base import numbers, whole_windows
from segbench.losses.cached import parts
from segbench.losses.sloped import SlopedMapLoss


class Edge(SlopedMapLoss):
    """Mean absolute difference of the Sobel gradients of both maps (Sobel and Feldman, 1968), in both directions.

    The gradients are those of the usual 3 x 3 filters divided by 8, so that a ramp of one a pixel has gradient one.
    Only pixels whose whole 3 x 3 neighbourhood is in the picture and counts are used.

    Args:
        head: `mask` or `depth`.
    """

    terms = ("edge",)

    def value_and_slopes(
        self, predicted: Tensor, truth: Tensor, *, valid: Tensor, has_slopes: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the mean over both directions and the pixels with a whole neighbourhood; 0 where there are none.

        The slopes are the filters turned round, of the signs of the differences, in bytes.
        """
        x = predicted.flatten(0, 1)
        y = truth.flatten(0, 1)
        slopes = torch.zeros_like(x, dtype=torch.int8)
        total = x.new_zeros(())
        if min(x.shape[-2:]) < 3:
            return total, slopes, total
        whole = numbers(whole_windows(valid, 3))
        counted = whole.expand(-1, predicted.shape[1], -1, -1).flatten(0, 1)
        for part in parts(x):
            # a filter is linear: the gradient of the difference is the difference of the gradients
            inside = counted[part].to(x.dtype)
            pair = [one.mul_(inside) for one in _sobel(x[part] - y[part].to(x.dtype))]
            total += sum(one.abs().sum() for one in pair)
            if has_slopes:
                columns, rows = (one.sign_().to(torch.int8) for one in pair)
                _add_adjoint(slopes[part], along_columns=columns, along_rows=rows)
        factor = 1 / (16 * predicted.shape[1] * whole.sum()).clamp(min=1).to(x.dtype)
        return total * factor, slopes, factor


def _add_adjoint(maps: Tensor, *, along_columns: Tensor, along_rows: Tensor) -> None:
    """Add what `_sobel` turned round makes of two maps `[N,H-2,W-2]`, `[N,H,W]`, in place."""
    smooth_columns = _smoothed(F.pad(along_columns, (0, 0, 2, 2)), -2)
    smooth_rows = _smoothed(F.pad(along_rows, (2, 2)), -1)
    # methods, since += on a part copies the part onto itself
    maps[..., 2:].add_(smooth_columns)
    maps[..., :-2].sub_(smooth_columns)
    maps[..., 2:, :].add_(smooth_rows)
    maps[..., :-2, :].sub_(smooth_rows)


def _sobel(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Return 8 times the gradients of `[N,H,W]` along columns and rows, each `[N,H-2,W-2]`.

    Sums of shifted maps: a convolution of one channel is many times slower on a CPU, and on a GPU it rounds to TF32.
    """
    columns = maps[..., 2:] - maps[..., :-2]
    rows = maps[..., 2:, :] - maps[..., :-2, :]
    return _smoothed(columns, -2), _smoothed(rows, -1)


def _smoothed(maps: Tensor, side: int) -> Tensor:
    """Return each value twice and its two neighbours along a side, two shorter."""
    length = maps.shape[side] - 2
    total = maps.narrow(side, 0, length) + maps.narrow(side, 2, length)
    return total.add_(maps.narrow(side, 1, length), alpha=2)
