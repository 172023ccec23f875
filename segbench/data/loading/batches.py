"""Samples put together: stacked where they have one size, else as lists that are taken apart by size again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor
from torch.utils.data import default_collate

Sample = dict[str, Tensor]
Batch = dict[str, Tensor]
"""Tensors of one size each, stacked; of an evaluation, entries may be lists of tensors instead: `EvaluationBatch`."""
EvaluationBatch = dict[str, Tensor | list[Tensor]]
"""A batch of val or test, whose pictures may be of different sizes."""
Delivered = Mapping[str, Tensor | list[Tensor]]
"""Either of them, to be read alone."""
TRUTHS = {"truth": "mask", "truth_depth": "depth"}
"""Entries at the picture's own size, and what is seen of them."""


def stacked(samples: Sequence[Sample]) -> Batch:
    """Return samples of one size as one batch; torch raises an error where they are not of one."""
    batch: Batch = default_collate(list(samples))  # in a worker it writes into shared memory at once
    return batch


def collected(samples: Sequence[Sample]) -> EvaluationBatch:
    """Return samples of val or test as one batch: a list for each entry whose sizes differ, else a stacked tensor.

    Where any of them has a truth of its own size, the batch has one for each.
    """
    for truth, seen in TRUTHS.items():
        if any(truth in sample for sample in samples):
            samples = [{truth: sample[seen], **sample} for sample in samples]
    return {name: _joined([sample[name] for sample in samples]) for name in samples[0]}


def _joined(tensors: list[Tensor]) -> Tensor | list[Tensor]:
    if len({tensor.shape for tensor in tensors}) != 1:
        return tensors
    joined: Tensor = default_collate(tensors)
    return joined


def samples_of(batch: Mapping[str, Tensor | list[Tensor]]) -> Iterator[Batch]:
    """Yield a batch's samples one by one, each as a batch of its own."""
    for place in range(len(batch["index"])):
        yield {name: values[place][None] for name, values in batch.items()}


def groups_of(batch: EvaluationBatch) -> Iterator[tuple[list[int], Batch]]:
    """Yield what is seen of the pictures, those of one size together, with their places in the batch."""
    images = batch["image"]
    sizes = [tuple(image.shape[-2:]) for image in images]
    for size in dict.fromkeys(sizes):
        places = [place for place, other in enumerate(sizes) if other == size]
        yield places, {name: _taken(values, places) for name, values in batch.items() if name not in TRUTHS}


def _taken(values: Tensor | list[Tensor], places: list[int]) -> Tensor:
    if isinstance(values, Tensor) and len(places) == len(values):
        return values
    return torch.stack([values[place] for place in places])
