"""A trained network with what comes before and after it, as one module that can be traced for any size."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import cast

import torch
from torch import Tensor, nn

from segbench.core.tasks import Head
from segbench.data.loading.views import EvaluationView, Size
from segbench.export.pooling import with_traceable_pools
from segbench.export.resizing import back, place_of, seen
from segbench.export.steps import Step
from segbench.inference.forward import Heads
from segbench.inference.load import TrainedRun
from segbench.inference.padded import STRIDE
from segbench.inference.tta import mean_of
from segbench.models.base import crop
from segbench.models.external import External

EXAMPLE = (75, 97)
"""Least height and width of what is traced."""


class Member(nn.Module):
    """The network of one run: the weights that were scored, an average where there was one.

    Args:
        trained: The run.
        steps: What is done beside the network.
    """

    mean: Tensor
    std: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, trained: TrainedRun, steps: Sequence[Step]) -> None:
        super().__init__()
        network = deepcopy(trained.module.evaluated).float().to(memory_format=torch.contiguous_format)
        self.network = with_traceable_pools(network).eval()
        self.view: EvaluationView = trained.parts.data.view
        self.steps = steps
        levels = trained.parts.data.channels.levels
        self.is_8_bit = levels is None
        for name, values in zip(("low", "high"), levels or (0.0, 1.0), strict=True):
            self.register_buffer(name, torch.as_tensor(values, dtype=torch.float32).view(1, -1, 1, 1))
        for name in ("mean", "std"):
            self.register_buffer(name, trained.module.get_buffer(name).detach().clone().float())
        self.is_foreign = isinstance(trained.module.network, External)

    def forward(self, pictures: Sequence[Tensor]) -> Heads:
        """Return what the network says of pictures `[B,C,H,W]`, by head, float32 `[B,K,h,w]`."""
        if Step.NORMALISATION not in self.steps:
            return self._said(torch.cat(list(pictures), dim=1))
        values = [self._stored(picture) for picture in pictures]
        if Step.RESIZE not in self.steps or self.view.own_scale:
            return self._said(self._normalised(values))
        place = place_of(self.view, pictures[0])
        shown = [seen(picture, place) for picture in values]
        heads = self._said(self._normalised(shown))
        return {name: back(value, place, like=pictures[0]) for name, value in heads.items()}

    def _stored(self, picture: Tensor) -> Tensor:
        """Return the values of files as floats: 0 to 255 for 8 bit, else 0 to 1 by the levels."""
        if self.is_8_bit:
            return picture.float()
        return ((picture.float() - self.low) / (self.high - self.low)).clamp(0, 1)

    def _normalised(self, pictures: Sequence[Tensor]) -> Tensor:
        largest = 255 if self.is_8_bit else 1
        return torch.cat([(picture / largest - self.mean) / self.std for picture in pictures], dim=1)

    def _said(self, image: Tensor) -> Heads:
        height, width = image.shape[-2:]
        if self.is_foreign:
            image = with_multiples(image, self.view.size)
        heads: Heads = self.network(image)
        if self.is_foreign:
            heads = crop(heads, height=height, width=width)
        return {name: value.float() for name, value in heads.items()}


class Graph(nn.Module):
    """What a file of an export computes: pictures in, a tensor for each head out.

    Args:
        runs: The runs; of several, the mean of their probabilities, and of their depths.
        steps: What is done beside the networks.
    """

    def __init__(self, runs: Sequence[TrainedRun], steps: Sequence[Step]) -> None:
        super().__init__()
        self.members = nn.ModuleList(Member(run, steps) for run in runs)
        self.heads = [head.value for head in runs[0].config.task.heads]
        self.inputs = list(runs[0].module.inputs)
        self.channels = runs[0].parts.data.channels.count
        self.steps = steps

    def forward(self, *pictures: Tensor) -> tuple[Tensor, ...]:
        """Return the heads in their order.

        Args:
            *pictures: `[B,C,H,W]` for each input: normalised, or with the values of files.

        Returns:
            Logits `[B,K,h,w]`, or with `argmax` ids uint8 `[B,h,w]`; depth `[B,1,h,w]`.
        """
        heads = self.said(pictures)
        if Step.ARGMAX in self.steps and Head.MASK in heads:
            heads = {**heads, Head.MASK: ids_of(heads[Head.MASK])}
        return tuple(heads[name] for name in self.heads)

    def said(self, pictures: Sequence[Tensor]) -> Heads:
        """Return logits and depth, by head."""
        each: list[Heads] = [member(pictures) for member in self.members]
        if len(each) == 1:
            return each[0]
        return mean_of(each)

    def example(self) -> tuple[Tensor, ...]:
        """Return pictures to trace with, whose sides are no multiples of anything, and differ."""
        least = max(int(getattr(member.network, "min_size", 1)) for member in self.members)
        height = max(EXAMPLE[0], 2 * least + 1)
        width = max(EXAMPLE[1], 2 * least + 5)
        pictures = torch.rand(2, self.channels, height, width, generator=torch.Generator().manual_seed(0))
        if Step.NORMALISATION in self.steps and self.is_8_bit:
            pictures = (pictures * 255).to(torch.uint8)
        return (pictures,) * len(self.inputs)

    @property
    def is_8_bit(self) -> bool:
        """Whether the values of files are of 8 bit."""
        return all(bool(member.is_8_bit) for member in self.members)


def with_multiples(image: Tensor, size: Size) -> Tensor:
    """Return pictures as a network of another library is shown them, see `segbench.inference.padded`.

    Args:
        image: `[B,C,H,W]`.
        size: Height and width that it was trained at, which it is shown as they are.
    """
    lengths = torch.stack([torch.as_tensor(length) for length in image.shape[-2:]])
    is_other = (lengths != torch.tensor(size)).any().long()
    for axis, length, more in zip((-2, -1), lengths, -lengths % STRIDE * is_other, strict=True):
        image = image.index_select(axis, torch.arange(cast(int, length + more)).clamp(max=cast(int, length - 1)))
    return image


def ids_of(logits: Tensor) -> Tensor:
    """Return class ids, uint8 `[B,h,w]`, of logits `[B,K,h,w]`; the first of equally likely classes."""
    if logits.shape[1] == 1:
        return (logits[:, 0] > 0).to(torch.uint8)
    return logits.argmax(dim=1).to(torch.uint8)
