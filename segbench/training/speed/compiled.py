"""A network's compiled form for batches of the shapes that it is compiled for; all else is given to the network."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from segbench.training.speed.decision import Form

MODES = {Form.COMPILED: "default", Form.GRAPHS: "reduce-overhead"}
"""What torch.compile calls the forms."""

MOST_SHAPES = 4
"""Shapes that a network is compiled for: each is waited for, and torch gives up after eight."""

Shape = tuple[int, ...]


class Compiled:
    """Calls a network by its compiled form, each shape compiled by itself.

    Which shapes there are is known before the first step, so that no size of a picture sets off a compilation that
    nobody has counted on, and a resume compiles what the run did. The network stays the module that it was: names of
    weights, hooks and copies do not change.

    Args:
        network: The network, in training.
        form: `compiled` or `graphs`.
        shapes: Shapes `[B,C,H,W]` of the images that are trained on; the first `MOST_SHAPES` are compiled.
    """

    def __init__(self, network: nn.Module, *, form: Form, shapes: Collection[Shape]) -> None:
        self.network = network
        self.shapes = list(shapes)[:MOST_SHAPES]
        self._graphs = form is Form.GRAPHS
        self._forward = torch.compile(network.forward, dynamic=False, mode=MODES[form])

    def __call__(self, image: Tensor) -> dict[str, Tensor]:
        """Return the predictions of an image, as the network does."""
        if tuple(image.shape) not in self.shapes:
            found: dict[str, Tensor] = self.network(image)
            return found
        if self._graphs:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        own: dict[str, Any] = self.network.__dict__
        before = own.get("forward")
        own["forward"] = self._forward  # hooks of the network run around it, as they do around its own
        try:
            found = self.network(image)
        finally:
            if before is None:
                del own["forward"]
            else:
                own["forward"] = before
        return found
