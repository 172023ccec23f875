"""Test-time augmentation: a picture is seen several times, mirrored and at other scales, and answers are averaged."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from segbench.data.loading.batches import Batch
from segbench.inference.forward import PICTURES, Heads, Network

FLIPS = {"hflip": -1, "vflip": -2}
"""The dimension that each mirroring turns round."""


@dataclass(frozen=True)
class Look:
    """One way to see a picture, and the way back."""

    scale: float = 1.0
    """Magnification."""

    flips: tuple[int, ...] = ()
    """Dimensions that are turned round."""

    def see(self, batch: Batch) -> Batch:
        """Return the pictures of a batch as they are seen; what else is in it is left out."""
        return {name: self._seen(batch[name]) for name in PICTURES if name in batch}

    def back(self, values: Tensor, *, height: int, width: int) -> Tensor:
        """Return what a network says of what was seen, `[B,K,h,w]`, in the picture's own geometry."""
        if values.shape[-2:] != (height, width):
            values = F.interpolate(values, (height, width), mode="bilinear", align_corners=False)
        return values.flip(self.flips)

    def _seen(self, picture: Tensor) -> Tensor:
        if self.scale != 1:
            size = [max(1, round(length * self.scale)) for length in picture.shape[-2:]]
            resized = F.interpolate(picture.float(), size, mode="bilinear", antialias=True, align_corners=False)
            picture = resized if picture.is_floating_point() else resized.round().clamp(0, 255).to(picture.dtype)
        return picture.flip(self.flips)


def looks_of(words: Sequence[str | float]) -> list[Look]:
    """Return all looks: at each scale, and at 1, every combination of the mirrorings."""
    scales = [1.0, *(float(word) for word in words if not isinstance(word, str) and word != 1)]
    flips = [FLIPS[word] for word in words if isinstance(word, str)]
    chosen = [part for count in range(len(flips) + 1) for part in itertools.combinations(flips, count)]
    return [Look(scale, part) for scale in dict.fromkeys(scales) for part in chosen]


def averaged(network: Network, looks: Sequence[Look]) -> Network:
    """Return a network that looks several times: its probabilities, and its depth, are the means of all looks."""
    if len(looks) == 1:
        return network

    def said(batch: Batch) -> Heads:
        height, width = batch["image"].shape[-2:]
        return mean_of(
            {
                head: look.back(values.float(), height=height, width=width)
                for head, values in network(look.see(batch)).items()
            }
            for look in looks
        )

    return said


def mean_of(each: Iterable[Heads]) -> Heads:
    """Return the mean of what was said of the same pictures, head by head."""
    means: dict[str, Mean] = {}
    for heads in each:
        for head, values in heads.items():
            means.setdefault(head, Mean(head)).add(values.float())
    return {head: mean.value() for head, mean in means.items()}


class Mean:
    """The mean of what several networks, or several looks, say: of probabilities for a mask, of values for depth.

    Logits come in and go out; between, sums are of logarithms, so that no certainty is lost to rounding.

    Args:
        head: `mask` or `depth`.
    """

    def __init__(self, head: str) -> None:
        self._is_mask = head == "mask"
        self._channels = 0
        self._count = 0
        self._sum: Tensor | None = None

    def add(self, values: Tensor) -> None:
        """Add logits or depth, `[B,K,h,w]`."""
        self._channels = values.shape[1]
        self._count += 1
        if not self._is_mask:
            self._sum = values if self._sum is None else self._sum + values
            return
        logarithms = _log_probabilities(values)
        self._sum = logarithms if self._sum is None else torch.logaddexp(self._sum, logarithms)

    def value(self) -> Tensor:
        """Return the mean, as logits of the mean probabilities for a mask."""
        assert self._sum is not None
        if not self._is_mask:
            return self._sum / self._count
        mean = self._sum - math.log(self._count)
        if self._channels != 1:
            return mean
        return mean[:, 1:] - mean[:, :1]


def _log_probabilities(logits: Tensor) -> Tensor:
    """Return the logarithm of the probability of every class `[B,C,h,w]`, background first for one logit."""
    if logits.shape[1] == 1:
        return torch.cat([F.logsigmoid(-logits), F.logsigmoid(logits)], dim=1)
    return logits.log_softmax(dim=1)
