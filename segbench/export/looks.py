"""Tiles and further looks of an exported network: the same code as for the network itself, on torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from segbench.data.loading.batches import Batch
from segbench.export.description import Description
from segbench.inference.forward import Heads
from segbench.inference.looking import looking


@torch.inference_mode()
def looked_at(
    say: Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]],
    description: Description,
    *,
    seen: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Return what a network says of pictures, piece by piece and several times, as its run has it.

    Args:
        say: Maps pictures `[B,C,h,w]` of one size to heads.
        description: How it looks.
        seen: The pictures.
    """

    def network(batch: Batch) -> Heads:
        heads = say({name: batch[name].numpy() for name in description.inputs})
        return {name: torch.from_numpy(values) for name, values in heads.items()}

    look = looking(network, description.view, settings=description.settings, foreign=False)
    found = look({name: torch.from_numpy(picture) for name, picture in seen.items()})
    return {name: values.numpy() for name, values in found.items()}
