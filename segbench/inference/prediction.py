"""Predictions for any picture, at the picture's own size."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from segbench.core.errors import ConfigError
from segbench.inference.module import ScoredModule


class Predictor:
    """A trained network that takes pictures of any size.

    The network sees a picture at the scale it was trained at: upsampled or shrunk, keeping its shape, until its shorter
    side is that of the training's. Its logits are upsampled bilinearly to the picture's own size before classes are
    chosen, so that outlines are as fine as they can be.

    Args:
        module: The trained module.
        size: Height and width of the training's samples.
        side: The shorter side that the network sees, in pixels; None for the training's.
        device: Where it runs.
    """

    def __init__(
        self, module: ScoredModule, size: tuple[int, int], side: int | None = None, device: str = "cpu"
    ) -> None:
        if side is not None and side < 1:
            raise ConfigError(f"--side must be at least 1 pixel, got {side}")
        self.module, self.side = module.eval().to(device), side or min(size)

    @torch.no_grad()
    def __call__(
        self, image: np.ndarray, background: np.ndarray | None = None, *, probabilities: bool = False
    ) -> dict[str, np.ndarray]:
        """Return `mask` uint8 `[H,W]` and `depth` float32 `[H,W]`, as far as the network has them.

        Args:
            image: uint8 `[H,W,3]`.
            background: uint8 `[H,W,3]`, for a network that is given one.
            probabilities: Also return `probabilities` of every class, float32 `[C,H,W]`, where there is a mask.
        """
        height, width = image.shape[:2]
        pictures = {"image": image} if background is None else {"image": image, "background": background}
        batch = {name: self._tensor(picture) for name, picture in pictures.items()}
        prediction = self.module(batch)
        found = {}
        if "mask" in prediction:
            found["mask"] = _classes(prediction["mask"].float(), (height, width)).byte().cpu().numpy()
            if probabilities:
                found["probabilities"] = _probabilities(prediction["mask"].float(), (height, width)).cpu().numpy()
        if "depth" in prediction:
            found["depth"] = _upsampled(prediction["depth"].float(), (height, width))[0, 0].cpu().numpy()
        return found

    def _tensor(self, picture: np.ndarray) -> Tensor:
        height, width = picture.shape[:2]
        scale = self.side / min(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        resized = Image.fromarray(picture).resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC)
        return torch.from_numpy(np.array(resized)).permute(2, 0, 1)[None].to(self.module.device)


def _upsampled(values: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(values, size, mode="bilinear", align_corners=False)


def _classes(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Return ids `[H,W]`; one class at a time, since all logits of a large picture would not fit into memory."""
    if logits.shape[1] == 1:
        return (_upsampled(logits, size)[0, 0] > 0).long()
    best = _upsampled(logits[:, :1], size)[0, 0]
    ids = torch.zeros(size, dtype=torch.long, device=logits.device)
    for number in range(1, logits.shape[1]):
        other = _upsampled(logits[:, number : number + 1], size)[0, 0]
        ids = torch.where(other > best, number, ids)
        best = torch.maximum(best, other)
    return ids


def _probabilities(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the probability of every class `[C,H,W]`, of background and foreground for one logit."""
    upsampled = _upsampled(logits, size)[0]
    if logits.shape[1] == 1:
        return torch.cat([-upsampled, upsampled]).sigmoid()
    return upsampled.softmax(dim=0)
