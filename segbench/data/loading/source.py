"""What every data set is to the loaders: numbered samples of three splits, each a pure function of its number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from segbench.core.choices import Split
from segbench.core.errors import DataError, SegbenchError
from segbench.core.text import and_more
from segbench.data.loading.augment import Augment
from segbench.data.loading.views import EvaluationView

NAMED = 4
"""Most samples that a message names."""
Arrays = dict[str, np.ndarray]


class Source(Protocol):
    """A data set. Samples may depend on nothing but the arguments, so that workers and resumes agree."""

    @property
    def view(self) -> EvaluationView:
        """What a network sees of a whole picture of val and test."""
        ...

    def sample(self, split: Split, *, epoch: int, index: int) -> Arrays:
        """Return the arrays of a sample.

        `image` uint8 `[H,W,3]` and `mask` uint8 `[H,W]` (255 = ignore); where there are any, `background` uint8
        `[H,W,3]` and `depth` float32 `[H,W]` (NaN = unknown).
        """
        ...

    def original(self, split: Split, index: int) -> Arrays:
        """Return the arrays of a picture as it is, at its own size: what is scored, and what a view is taken of.

        `image` `[H,W,C]`, uint8 or float32 in 0..1, any number of bands; the other arrays as in `sample`.
        """
        ...

    def num_samples(self, split: Split) -> int:
        """Return the number of samples of a split."""
        ...

    def locate_sample(self, split: Split, index: int) -> str:
        """Return where a sample comes from, such as its file, for messages."""
        ...


class SplitDataset(Dataset[dict[str, Tensor]]):
    """One split of a source as tensors; an item is asked for by (epoch, index).

    Pictures of val and test are seen as a whole, by the source's evaluation view. Where that has another size than the
    picture, `truth` is the mask at the picture's own size, and `truth_depth` the depth.
    """

    def __init__(self, source: Source, split: Split, *, augment: Augment | None, seed: int) -> None:
        self.source = source
        self.split = split
        self.augment = augment
        self.seed = seed

    def __len__(self) -> int:
        return self.source.num_samples(self.split)

    def __getitem__(self, position: tuple[int, int]) -> dict[str, Tensor]:
        """Return image and background `[C,H,W]`, mask and truth uint8, depth float32 `[1,H,W]` and the index.

        Raises:
            DataError: naming the sample, whatever went wrong with it; errors of segbench keep their own words.
        """
        epoch, index = position
        try:
            arrays = self._arrays(epoch, index)
            tensors = {name: _to_tensor(name, array) for name, array in arrays.items()}
        except SegbenchError:
            raise
        except Exception as error:
            raise DataError(f"{self.names([index])} cannot be made: {described(error)}") from error
        return {**tensors, "index": torch.tensor(index)}

    def _arrays(self, epoch: int, index: int) -> Arrays:
        if self.split != Split.TRAIN:
            return seen_and_truth(self.source.original(self.split, index), self.source.view)
        arrays = self.source.sample(self.split, epoch=epoch, index=index)
        if self.augment is None:
            return arrays
        return self.augment(arrays, self.seed, epoch, index)

    def names(self, indices: Sequence[int]) -> str:
        """Return what samples are, for messages: at most four of them, and how many more there are."""
        return ", ".join(self._name(index) for index in indices[:NAMED]) + and_more(len(indices), NAMED)

    def _name(self, index: int) -> str:
        number = f"{self.split} sample {index}"
        try:
            place = self.source.locate_sample(self.split, index)
        except Exception:  # a broken data set must not hide what broke it
            return number
        if place == f"{self.split} {index}":
            return number
        return f"{number} ({place})"


def seen_and_truth(original: Arrays, view: EvaluationView) -> Arrays:
    """Return what is seen of a picture, and its own mask and depth as `truth` and `truth_depth` where sizes differ."""
    show = {"mask": view.mask, "depth": view.depth}
    seen = {name: show.get(name, view.image)(array) for name, array in original.items()}
    if seen["mask"].shape != original["mask"].shape:
        seen["truth"] = original["mask"]
        if "depth" in original:
            seen["truth_depth"] = original["depth"]
    return seen


def described(error: BaseException) -> str:
    """Return the kind and the first line of an error that is not segbench's own."""
    text = str(error).strip().split("\n")[0]
    if not text:
        return type(error).__name__
    return f"{type(error).__name__}: {text}"


def _to_tensor(name: str, array: np.ndarray) -> Tensor:
    if name in ("depth", "truth_depth"):
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))[None]
    if array.ndim == 3:
        array = array.transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(array))
