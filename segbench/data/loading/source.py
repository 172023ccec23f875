"""What every data set is to the loaders: numbered samples of three splits, each a pure function of its number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from segbench.core.errors import DataError, SegbenchError
from segbench.data.loading.augment import Augment

SPLITS = ("train", "val", "test")
NAMED = 4
"""Most samples that a message names."""
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

    def locate_sample(self, split: str, index: int) -> str:
        """Return where a sample comes from, such as its file, for messages."""
        ...


class SplitDataset(Dataset[dict[str, Tensor]]):
    """One split of a source as tensors; an item is asked for by (epoch, index)."""

    def __init__(self, source: Source, split: str, augment: Augment | None, seed: int) -> None:
        self.source, self.split, self.augment, self.seed = source, split, augment, seed

    def __len__(self) -> int:
        return self.source.num_samples(self.split)

    def __getitem__(self, position: tuple[int, int]) -> dict[str, Tensor]:
        """Return image, background uint8 `[3,H,W]`, mask uint8 `[H,W]`, depth float32 `[1,H,W]` and the index.

        Raises:
            DataError: naming the sample, whatever went wrong with it; errors of segbench keep their own words.
        """
        epoch, index = position
        try:
            arrays = self.source.sample(self.split, epoch, index)
            if self.augment is not None:
                arrays = self.augment(arrays, self.seed, epoch, index)
            tensors = {name: _to_tensor(name, array) for name, array in arrays.items()}
        except SegbenchError:
            raise
        except Exception as error:
            raise DataError(f"{self.names([index])} cannot be made: {in_words(error)}") from error
        return {**tensors, "index": torch.tensor(index)}

    def names(self, indices: Sequence[int]) -> str:
        """Return what samples are, for messages: at most four of them, and how many more there are."""
        more = f" and {len(indices) - NAMED} more" if len(indices) > NAMED else ""
        return ", ".join(self._name(index) for index in indices[:NAMED]) + more

    def _name(self, index: int) -> str:
        number = f"{self.split} sample {index}"
        try:
            place = self.source.locate_sample(self.split, index)
        except Exception:  # a broken data set must not hide what broke it
            return number
        return number if place == f"{self.split} {index}" else f"{number} ({place})"


def in_words(error: BaseException) -> str:
    """Return the kind and the first line of an error that is not segbench's own."""
    text = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _to_tensor(name: str, array: np.ndarray) -> Tensor:
    if name == "depth":
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))[None]
    if array.ndim == 3:
        array = array.transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(array))
