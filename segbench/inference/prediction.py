"""Predictions for any picture, at the picture's own size."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from segbench.core.errors import ConfigError
from segbench.data.loading.batches import Batch
from segbench.inference.ensemble import MeanAnswer
from segbench.inference.forward import Answer, Heads
from segbench.inference.load import TrainedRun
from segbench.inference.precision import computing_in, in_precision


class Predictor:
    """A trained network that takes pictures of any size, and sees and answers as it does where it is scored.

    Args:
        trained: The run with its weights.
        side: The shorter side of `data.size` in its place, in pixels, at another scale; None for the training's.
        device: Where it runs.
    """

    def __init__(self, trained: TrainedRun, side: int | None = None, *, device: str = "cpu") -> None:
        if side is not None and side < 1:
            raise ConfigError(f"--side must be at least 1 pixel, got {side}")
        view = trained.parts.data.view
        if side is not None and view.own_scale:
            raise ConfigError("--side: this network was trained on crops, and sees pictures at their own scale")
        self.trained = trained
        self.view = view if side is None else view.at_side(side)
        self.precision = trained.config.trainer.precision
        self.device = device
        self.module = in_precision(trained.module, self.precision, device=device)

    @property
    def needs_background(self) -> bool:
        """Whether the network is also given the scene without its foreground."""
        return "background" in self.module.inputs

    @torch.inference_mode()
    def answer(self, image: np.ndarray, background: np.ndarray | None = None) -> Answer:
        """Return what the network says of a picture.

        Args:
            image: `[H,W,C]`, uint8 or float32 as the data set's pictures are.
            background: Likewise, for a network that is given one.
        """
        if background is None:
            pictures = {"image": image}
        else:
            pictures = {"image": image, "background": background}
        heads = self.look({name: self.tensor(self.view.image(picture)) for name, picture in pictures.items()})
        return Answer(heads, self.view, (image.shape[0], image.shape[1]))

    def look(self, batch: Batch) -> Heads:
        """Return what the network says of a batch of one size, in tiles and with further looks as its run has them."""
        with computing_in(self.precision, self.device):
            return self.module.look(batch, self.view)

    def __call__(
        self, image: np.ndarray, background: np.ndarray | None = None, *, probabilities: bool = False
    ) -> dict[str, np.ndarray]:
        """Return `mask` uint8 `[H,W]` and `depth` float32 `[H,W]`, of the heads that the network has.

        Args:
            image: As in `answer`.
            background: As in `answer`.
            probabilities: Also return `probabilities` of every class, float32 `[C,H,W]`, where there is a mask.
        """
        return arrays_of(MeanAnswer([self.answer(image, background)]), probabilities=probabilities)

    def tensor(self, seen: np.ndarray) -> Tensor:
        """Return what is seen of a picture, `[h,w,C]`, as a batch of one on the network's device."""
        return torch.from_numpy(np.ascontiguousarray(seen.transpose(2, 0, 1)))[None].to(self.device)


@torch.inference_mode()
def arrays_of(answer: MeanAnswer, *, probabilities: bool, entropy: bool = False) -> dict[str, np.ndarray]:
    """Return `mask`, `depth` and where they are wanted `probabilities` and `entropy`, as arrays at the own size."""
    found = {}
    if "mask" in answer.heads:
        found["mask"] = answer.ids()
        if probabilities:
            found["probabilities"] = answer.probabilities()
        if entropy:
            found["entropy"] = answer.entropy()
    if "depth" in answer.heads:
        found["depth"] = answer.depth()
    return {name: values.cpu().numpy() for name, values in found.items()}
