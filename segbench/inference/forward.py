"""What a network says of pictures, at each picture's own size: the one way of scoring and predicting."""

from __future__ import annotations

from collections.abc import Callable
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
        return self._likeliest()[0]

    def confidence(self) -> tuple[Tensor, Tensor]:
        """Return class ids as `ids` does, and the probability of each, float32 `[H,W]`; one class at a time as well."""
        ids, best = self._likeliest()
        logits = self.heads["mask"]
        if logits.shape[1] == 1:
            return ids, best.abs().sigmoid()
        total = torch.zeros_like(best)
        for number in range(logits.shape[1]):
            total += (self._back(logits[:, number : number + 1])[0, 0] - best).exp()
        return ids, 1 / total

    def likelihood(self, labels: Tensor) -> Tensor:
        """Return the probability of the class that each pixel is labelled with, float32 `[H,W]`.

        Args:
            labels: Class ids `[H,W]`; 0 is returned where one is none of the classes, such as 255.
        """
        _, best = self._likeliest()
        logits = self.heads["mask"]
        if logits.shape[1] == 1:
            foreground = best.sigmoid()
            return torch.where(labels == 1, foreground, (labels == 0) * (1 - foreground))
        total = torch.zeros_like(best)
        found = torch.zeros_like(best)
        for number in range(logits.shape[1]):
            share = (self._back(logits[:, number : number + 1])[0, 0] - best).exp()
            total += share
            found += (labels == number) * share
        return found / total

    def _likeliest(self) -> tuple[Tensor, Tensor]:
        """Return class ids and the logit of each; that of the foreground where there is only one."""
        logits = self.heads["mask"]
        if logits.shape[1] == 1:
            foreground = self._back(logits)[0, 0]
            return (foreground > 0).byte(), foreground
        best = self._back(logits[:, :1])[0, 0].clone()
        ids = torch.zeros(best.shape, dtype=torch.uint8, device=best.device)
        for number in range(1, logits.shape[1]):
            other = self._back(logits[:, number : number + 1])[0, 0]
            # numbers grow, so the larger one is the newer one
            ids = torch.maximum(ids, (other > best).byte() * number)
            best = torch.maximum(best, other)
        return ids, best

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
