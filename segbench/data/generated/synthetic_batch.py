"""The batched renderer of `synthetic` in torch: the same pixels as `paint`, a whole batch at once, on any device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields

import numpy as np
import torch
from torch import Tensor

from segbench.data.generated.plan import Layer
from segbench.data.generated.render_batch import BatchRenderer
from segbench.data.generated.synthetic_backdrops import colour_backdrop
from segbench.data.generated.synthetic_plan import Painting
from segbench.data.generated.textures import Texture

LAYER_COLUMNS = (*(field.name for field in fields(Layer)), "offset", "level_height", "level_width")


class PaintingRenderer(BatchRenderer):
    """Holds all pictures as uint8 tensors and paints batches of plans where it lies.

    Args:
        textures: The cut-outs by number.
        photos: uint8 `[number, H + margin, W + margin, 3]`; None where the backdrop is no photograph.
        canvas: H and W of a scene.
        kind: `flat`, `gradient`, `noise` or `photo`.
        threshold: Alpha of 1..255 from which a pixel belongs to a cut-out.
    """

    def __init__(
        self, textures: Sequence[Texture], photos: np.ndarray | None, canvas: tuple[int, int], kind: str, threshold: int
    ) -> None:
        super().__init__(textures, np.zeros((1, 1, 1, 3), np.uint8) if photos is None else photos, canvas)
        self.kind, self.threshold = kind, threshold

    def forward(self, scenes: Sequence[Painting]) -> dict[str, Tensor]:
        """Return `image` and `background` uint8 [B,3,H,W] and `instances` uint8 [B,H,W] of the scenes."""
        background = self._backdrops(scenes)
        image, instances = background, torch.zeros_like(background[..., 0])
        for place in range(max(len(scene.layers) for scene in scenes)):
            patch = self._foreground(self._layers(scenes, place))
            alpha = patch[..., 3:]
            image = patch[..., :3] + (image * (255 - alpha) + 127) // 255
            instances = torch.where(alpha[..., 0] >= self.threshold, place + 1, instances)
        return {
            "image": image.to(torch.uint8).movedim(-1, 1),
            "background": background.to(torch.uint8).movedim(-1, 1),
            "instances": instances.to(torch.uint8),
        }

    def _layers(self, scenes: Sequence[Painting], place: int) -> dict[str, Tensor]:
        beyond = Layer(foreground=0, flip=0, x=self.canvas[1], y=self.canvas[0], width=1, height=1)  # shows nothing
        layers = [scene.layers[place] if place < len(scene.layers) else beyond for scene in scenes]
        rows = [(*(getattr(layer, f.name) for f in fields(Layer)), *self._level(layer)) for layer in layers]
        table = torch.tensor(rows, device=self.texels.device)
        return {name: table[:, column, None] for column, name in enumerate(LAYER_COLUMNS)}

    def _backdrops(self, scenes: Sequence[Painting]) -> Tensor:
        plans = [asdict(scene.backdrop) for scene in scenes]
        device = self.texels.device
        plan = {name: torch.tensor([entry[name] for entry in plans], device=device) for name in plans[0]}
        if self.kind == "photo":
            return self._background({name: values[:, None] for name, values in plan.items()})
        height, width = self.canvas
        rows = torch.arange(height, device=device)[:, None, None]
        columns = torch.arange(width, device=device)[:, None]
        plan = {name: values.view(len(scenes), 1, 1, -1) for name, values in plan.items()}
        colours = colour_backdrop(self.kind, rows, columns, torch.arange(3, device=device), self.canvas, plan)
        return colours.expand(len(scenes), height, width, 3)
