"""What several networks say of one picture: the mean of their probabilities, at the picture's own size."""

from __future__ import annotations

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
        for number, parts in enumerate(zip(*map(_each_probability, self.answers), strict=True)):
            total = torch.stack(parts).sum(dim=0)
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

    def depth(self) -> Tensor:
        """Return the mean depth, float32 `[H,W]`."""
        return torch.stack([answer.depth() for answer in self.answers]).mean(dim=0)


def _each_probability(answer: Answer) -> Iterator[Tensor]:
    """Yield the probability `[H,W]` of one class after the other at the picture's own size."""
    logits = answer.heads["mask"]
    height, width = answer.size

    def own_size(number: int) -> Tensor:
        return answer.view.back(logits[:, number : number + 1].float(), height=height, width=width)[0, 0]

    if logits.shape[1] == 1:
        foreground = own_size(0)
        yield (-foreground).sigmoid()
        yield foreground.sigmoid()
        return
    norm = own_size(0)
    for number in range(1, logits.shape[1]):
        norm = torch.logaddexp(norm, own_size(number))
    for number in range(logits.shape[1]):
        yield (own_size(number) - norm).exp()
