"""What several networks say of one picture: the mean of their probabilities, at the picture's own size."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from segbench.inference.forward import Answer


@dataclass(frozen=True)
class MeanAnswer:
    """The mean of answers to one picture, whatever each network has seen of it."""

    answers: Sequence[Answer]
    """What each network says; all have the same heads and classes."""

    @property
    def heads(self) -> Collection[str]:
        """Names of the heads that the answers have."""
        return self.answers[0].heads.keys()

    def ids(self) -> Tensor:
        """Return class ids, uint8 `[H,W]`; the first of equally likely classes.

        One class at a time, since all probabilities of a large picture may not fit into memory.
        """
        if len(self.answers) == 1:
            return self.answers[0].ids()
        best: Tensor | None = None
        for number, total in enumerate(self._each_sum()):
            if best is None:
                best = total
                ids = torch.zeros(total.shape, dtype=torch.uint8, device=total.device)
                continue
            ids[total > best] = number
            best = torch.maximum(best, total)
        return ids

    def probabilities(self) -> Tensor:
        """Return the mean probability of every class, float32 `[C,H,W]`; background first."""
        total = self.answers[0].probabilities()
        for answer in self.answers[1:]:
            total += answer.probabilities()
        return total / len(self.answers)

    def entropy(self) -> Tensor:
        """Return how unsure the networks are together, float32 `[H,W]`.

        The entropy of the mean probabilities over that of equally likely classes: 0 for one certain class, 1 where
        all are equally likely.
        """
        total = torch.zeros(self.answers[0].size, device=self.answers[0].heads["mask"].device)
        classes = 0
        for summed in self._each_sum():
            total -= torch.special.xlogy(summed / len(self.answers), summed / len(self.answers))
            classes += 1
        return total.clamp(min=0) / math.log(classes)

    def _each_sum(self) -> Iterator[Tensor]:
        """Yield the sum of the networks' probabilities of one class after the other."""
        for parts in zip(*(answer.each_probability() for answer in self.answers), strict=True):
            yield torch.stack(parts).sum(dim=0)

    def depth(self) -> Tensor:
        """Return the mean depth, float32 `[H,W]`."""
        return torch.stack([answer.depth() for answer in self.answers]).mean(dim=0)
