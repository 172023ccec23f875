"""Whether a file says what the network says, on real pictures of the run's data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from segbench.core.choices import Split
from segbench.core.errors import CheckpointError
from segbench.core.tasks import Head
from segbench.export.exported import Arrays, ExportedModel, batch_of
from segbench.export.graph import Graph
from segbench.export.steps import Step
from segbench.inference.ensemble import MeanAnswer
from segbench.inference.forward import Network
from segbench.inference.load import TrainedRun
from segbench.inference.padded import padded
from segbench.inference.prediction import Predictor, arrays_of
from segbench.inference.tta import mean_of
from segbench.models.external import External

PICTURES = 8
"""Pictures of val that are looked at."""
TOGETHER = 3
"""Pictures of another size that are shown at once, since batch, height and width are free."""
LARGEST = 1024
"""Most rows and columns of a picture whose values are compared."""
LIMIT = 1e-4
"""Largest difference that is let pass: of a value, or of a share of the largest where that is more than 1."""
LEAST_EQUAL = 0.99
"""Least share of pixels that must get the class that `predict` gives them, which rounds pictures that it resizes."""


@dataclass(frozen=True)
class Parity:
    """What comparing a file with the network came to."""

    pictures: int
    """Real pictures that were shown to both."""
    difference: float
    """The largest difference of what both say: of a value, or as a share of the largest where that is more than 1.

    Of class ids: how much less probable the chosen class is than the best one.
    """
    equal: float | None
    """Share of the pixels that get the class that `predict` gives them; None without a mask."""

    def __str__(self) -> str:
        """Return both as a part of a sentence."""
        same = ""
        if self.equal is not None:
            same = f", {100 * self.equal:.3f} % of the pixels have the class that predict gives"
        return f"checked on {self.pictures} pictures of val: largest difference {self.difference:.1e}{same}"

    def demand(self, what: str) -> None:
        """Raise a CheckpointError where the file says something else than the network."""
        if not self.difference <= LIMIT:  # also where it is no number
            raise CheckpointError(
                f"{what} differs from the network by {self.difference:.1e}, more than {LIMIT:g}, so it was not kept;"
                " --format safetensors writes its weights"
            )
        if self.equal is not None and self.equal < LEAST_EQUAL:
            raise CheckpointError(
                f"{what} gives only {self.equal:.2%} of the pixels the class of predict, so it was not kept;"
                " leave resize out of --with"
            )


@torch.inference_mode()
def compare(model: ExportedModel, graph: Graph, *, runs: Sequence[TrainedRun]) -> Parity:
    """Show real pictures to a file and to the networks, singly and several of another size at once.

    Args:
        model: The file.
        graph: What it was written from.
        runs: The runs, whose data has been read.
    """
    pictures = list(_pictures(runs[0]))
    difference = 0.0
    for batch in [*map(_corner, pictures), _together(pictures)]:
        if not graph_resizes(graph):
            batch = _view(batch, runs[0])
        difference = max(difference, _difference(model, graph, batch=batch, runs=runs))
    return Parity(len(pictures), difference, _equal(model, pictures, runs=runs))


def graph_resizes(graph: Graph) -> bool:
    """Whether a graph is given pictures at their own size."""
    return Step.RESIZE in graph.steps


def _pictures(run: TrainedRun) -> Iterator[Arrays]:
    """Yield some pictures of val, evenly from all of it: what the network is given by name, `[H,W,C]`."""
    data = run.parts.data
    count = data.num_samples(Split.VAL)
    for number in range(min(PICTURES, count)):
        original = data.original(Split.VAL, number * count // min(PICTURES, count))
        yield {name: original[name] for name in run.module.inputs}


def _corner(picture: Arrays, height: int = LARGEST, *, width: int = LARGEST) -> Arrays:
    """Return a picture, or as much of it as is looked at, as a batch of one."""
    return {name: batch_of(array[:height, :width]) for name, array in picture.items()}


def _together(pictures: Sequence[Arrays]) -> Arrays:
    """Return some pictures as one batch of a size that none of them has."""
    some = [*pictures, *pictures, *pictures][:TOGETHER]
    shapes = [array.shape for picture in some for array in picture.values()]
    shortest = (min(LARGEST, *(shape[axis] for shape in shapes)) for axis in (0, 1))
    height, width = (max(1, length * share // 4 | 1) for length, share in zip(shortest, (3, 2), strict=True))
    cut = [_corner(picture, height, width=width) for picture in some]
    return {name: np.concatenate([one[name] for one in cut]) for name in some[0]}


def _view(batch: Arrays, run: TrainedRun) -> Arrays:
    """Return what a network sees of single pictures; several of one size are shown as they are."""
    if len(next(iter(batch.values()))) > 1:
        return batch
    view = run.parts.data.view
    return {name: batch_of(view.image(array[0].transpose(1, 2, 0))) for name, array in batch.items()}


def _difference(model: ExportedModel, graph: Graph, *, batch: Arrays, runs: Sequence[TrainedRun]) -> float:
    found = model.said(batch)
    tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
    if graph_resizes(graph):
        wanted = graph.said([torch.from_numpy(model.taken(array)) for array in batch.values()])
    else:
        each = [_network(run)(tensors) for run in runs]
        wanted = each[0] if len(each) == 1 else mean_of(each)
    return max(_apart(torch.from_numpy(found[name]), wanted[name].float(), head=name) for name in wanted)


def _network(run: TrainedRun) -> Network:
    if isinstance(run.module.network, External):
        return padded(run.module, run.parts.data.view.size)
    return run.module


def _apart(found: Tensor, wanted: Tensor, *, head: str) -> float:
    if head == Head.MASK and not found.is_floating_point():
        shares = torch.cat([-wanted, wanted], dim=1).sigmoid() if wanted.shape[1] == 1 else wanted.softmax(dim=1)
        chosen = shares.gather(1, found[:, None].long())[:, 0]
        return float((shares.amax(dim=1) - chosen).max())
    if found.shape != wanted.shape:
        return float("inf")
    return float((found - wanted).abs().max() / wanted.abs().max().clamp(min=1))


def _equal(model: ExportedModel, pictures: Sequence[Arrays], *, runs: Sequence[TrainedRun]) -> float | None:
    """Return the share of pixels with the class of `predict`."""
    if Head.MASK not in runs[0].config.task.heads:
        return None
    predictors = [Predictor(run) for run in runs]
    same: list[np.ndarray] = []
    for picture in pictures:
        wanted = arrays_of(MeanAnswer([one.answer(*picture.values()) for one in predictors]), probabilities=False)
        found = model.predict(list(picture.values())).mask
        assert found is not None
        same.append((found == wanted["mask"]).ravel())
    return float(np.concatenate(same).mean())
