"""What every data set is to the loaders: numbered samples of three splits, each a pure function of its number."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from segbench.data.loading.augment import Augment

SPLITS = ("train", "val", "test")
Arrays = dict[str, np.ndarray]


class Source(Protocol):
    """A data set. Samples may depend on nothing but the arguments, so that workers and resumes agree."""

    def sample(self, split: str, epoch: int, index: int) -> Arrays:
        """Return the arrays of a sample.

        `image` uint8 `[H,W,3]` and `mask` uint8 `[H,W]` (255 = ignore); where there are any, `background` uint8
        `[H,W,3]` and `depth` float32 `[H,W]` (NaN = unknown).
        """
        ...

    def num_samples(self, split: str) -> int:
        """Return the number of samples of a split."""
        ...


class SplitDataset(Dataset[dict[str, Tensor]]):
    """One split of a source as tensors; an item is asked for by (epoch, index)."""

    def __init__(self, source: Source, split: str, augment: Augment | None, seed: int) -> None:
        self.source, self.split, self.augment, self.seed = source, split, augment, seed

    def __len__(self) -> int:
        return self.source.num_samples(self.split)

    def __getitem__(self, position: tuple[int, int]) -> dict[str, Tensor]:
        """Return image, background uint8 `[3,H,W]`, mask uint8 `[H,W]`, depth float32 `[1,H,W]` and the index."""
        epoch, index = position
        arrays = self.source.sample(self.split, epoch, index)
        if self.augment is not None:
            arrays = self.augment(arrays, self.seed, epoch, index)
        tensors = {name: _to_tensor(name, array) for name, array in arrays.items()}
        return {**tensors, "index": torch.tensor(index)}


def _to_tensor(name: str, array: np.ndarray) -> Tensor:
    if name == "depth":
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))[None]
    if array.ndim == 3:
        array = array.transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(array))
