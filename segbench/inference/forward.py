"""What a network says of pictures, at each picture's own size: the one way of scoring and predicting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from segbench.data.loading.batches import Batch, samples_of
from segbench.data.loading.views import EvaluationView, Size

Heads = dict[str, Tensor]
"""What a network says by head, `[B,K,h,w]`, at the size of what it has seen."""
PICTURES = ("image", "background")
"""Entries of a batch that a network may be given."""
Network = Callable[[Batch], Heads]


def said_of(network: Network, batch: Batch, *, singly: bool) -> Heads:
    """Return what a network says of pictures of one size.

    Args:
        network: Maps a batch to its heads.
        batch: The pictures, stacked.
        singly: Show it each picture by itself. What it says is then the same to the last bit in whichever batch a
            picture comes, so that an evaluation and a prediction agree; together they are faster on a GPU.
    """
    if not singly:
        return network(batch)
    each = [network(sample) for sample in samples_of(batch)]
    return {head: torch.cat([one[head] for one in each]) for head in each[0]}


@dataclass(frozen=True)
class Answer:
    """What a network says of one picture, brought to the picture's own size when it is asked for."""

    heads: Heads
    """What it says of the view, `[1,K,h,w]`."""

    view: EvaluationView
    """What it has seen."""

    size: Size
    """The picture's own height and width."""

    def ids(self) -> Tensor:
        """Return class ids, uint8 `[H,W]`; the first of equally likely classes.

        One class at a time, since all logits of a large picture at its own size may not fit into memory.
        """
        logits = self.heads["mask"]
        if logits.shape[1] == 1:
            return (self._back(logits)[0, 0] > 0).byte()
        best = self._back(logits[:, :1])[0, 0].clone()
        ids = torch.zeros(best.shape, dtype=torch.uint8, device=best.device)
        for number in range(1, logits.shape[1]):
            other = self._back(logits[:, number : number + 1])[0, 0]
            # numbers grow, so the larger one is the newer one
            ids = torch.maximum(ids, (other > best).byte() * number)
            best = torch.maximum(best, other)
        return ids

    def each_probability(self) -> Iterator[Tensor]:
        """Yield the probability of one class after the other, float32 `[H,W]`; background first."""
        logits = self.heads["mask"]
        if logits.shape[1] == 1:
            foreground = self._back(logits)[0, 0]
            yield (-foreground).sigmoid()
            yield foreground.sigmoid()
            return
        norm = self._back(logits[:, :1])[0, 0]
        for number in range(1, logits.shape[1]):
            norm = torch.logaddexp(norm, self._back(logits[:, number : number + 1])[0, 0])
        for number in range(logits.shape[1]):
            yield (self._back(logits[:, number : number + 1])[0, 0] - norm).exp()

    def confidence(self) -> Tensor:
        """Return the probability of the likeliest class, float32 `[H,W]`."""
        best = torch.zeros(self.size, device=self.heads["mask"].device)
        for probability in self.each_probability():
            best = torch.maximum(best, probability)
        return best

    def likelihood(self, labels: Tensor) -> Tensor:
        """Return the probability of the class that each pixel is labelled with, float32 `[H,W]`.

        Args:
            labels: Class ids `[H,W]`; 0 is returned where one is none of the classes, such as 255.
        """
        found = torch.zeros(self.size, device=self.heads["mask"].device)
        for number, probability in enumerate(self.each_probability()):
            found += (labels == number) * probability
        return found

    def probabilities(self) -> Tensor:
        """Return the probability of every class, float32 `[C,H,W]`; of background and foreground for one logit."""
        logits = self._back(self.heads["mask"])[0]
        if len(logits) == 1:
            return torch.cat([-logits, logits]).sigmoid()
        return logits.softmax(dim=0)

    def depth(self) -> Tensor:
        """Return the depth, float32 `[H,W]`."""
        return self._back(self.heads["depth"])[0, 0]

    def _back(self, values: Tensor) -> Tensor:
        height, width = self.size
        return self.view.back(values.float(), height=height, width=width)
