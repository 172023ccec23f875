"""The batched renderer in torch, for any device: the same pixels as `render`, a whole batch at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from segbench.data.generated.plan import COLUMNS, Layer, Scene, as_table
from segbench.data.generated.textures import Texture


class BatchRenderer(nn.Module):
    """Holds all pictures as uint8 tensors and renders batches of plans where it lies.

    Args:
        textures: The foregrounds by number.
        backgrounds: uint8 `[number, H + margin, W + margin, 3]`.
        canvas: H and W of a scene.
    """

    texels: Tensor
    backgrounds: Tensor

    def __init__(self, textures: Sequence[Texture], backgrounds: np.ndarray, canvas: tuple[int, int]) -> None:
        super().__init__()
        self.textures, self.canvas = textures, canvas
        self._offsets: list[list[int]] = []
        start = 0
        for texture in textures:
            offsets = []
            for level in texture.levels:
                offsets.append(start)
                start += level.shape[0] * level.shape[1]
            self._offsets.append(offsets)
        flat = np.concatenate([level.reshape(-1, 4) for texture in textures for level in texture.levels])
        self.register_buffer("texels", torch.from_numpy(flat), persistent=False)
        self.register_buffer("backgrounds", torch.from_numpy(np.ascontiguousarray(backgrounds)), persistent=False)

    def forward(self, scenes: Sequence[Scene]) -> dict[str, Tensor]:
        """Return `image` uint8 [B,3,H,W], `alpha` uint8 [B,H,W] and `background` uint8 [B,3,H,W] of the scenes."""
        table = np.concatenate([as_table(scenes), np.array([self._level(scene) for scene in scenes])], axis=1)
        names = (*COLUMNS, "offset", "level_height", "level_width")
        on_device = torch.from_numpy(table).to(self.texels.device, non_blocking=True)
        plan = {name: on_device[:, place, None] for place, name in enumerate(names)}
        background = self._background(plan)
        patch = self._foreground(plan)
        alpha = patch[..., 3:]
        image = patch[..., :3] + (background * (255 - alpha) + 127) // 255
        return {
            "image": image.to(torch.uint8).movedim(-1, 1),
            "alpha": alpha[..., 0].to(torch.uint8),
            "background": background.to(torch.uint8).movedim(-1, 1),
        }

    def _level(self, scene: Scene | Layer) -> tuple[int, int, int]:
        texture = self.textures[scene.foreground]
        number = texture.level_for(scene.height, scene.width)
        height, width = texture.levels[number].shape[:2]
        return self._offsets[scene.foreground][number], height, width

    def _background(self, plan: dict[str, Tensor]) -> Tensor:
        height, width = self.canvas
        rows = torch.arange(height, device=self.texels.device) + plan["background_y"]
        columns = torch.arange(width, device=self.texels.device).expand(rows.shape[0], -1)
        columns = torch.where(plan["background_flip"] > 0, width - 1 - columns, columns) + plan["background_x"]
        return self.backgrounds[plan["background"][:, :, None], rows[:, :, None], columns[:, None, :]].long()

    def _foreground(self, plan: dict[str, Tensor]) -> Tensor:
        height, width = self.canvas
        row = torch.arange(height, device=self.texels.device) - plan["y"]
        column = torch.arange(width, device=self.texels.device) - plan["x"]
        inside = ((row >= 0) & (row < plan["height"]))[:, :, None] & ((column >= 0) & (column < plan["width"]))[:, None]
        column = torch.where(plan["flip"] > 0, plan["width"] - 1 - column, column)
        y0, y1, fy = _taps(row, plan["height"], plan["level_height"])
        x0, x1, fx = _taps(column, plan["width"], plan["level_width"])
        fx, fy = fx[:, None, :, None], fy[:, :, None, None]

        def texel(y: Tensor, x: Tensor) -> Tensor:
            place = plan["offset"][:, :, None] + y[:, :, None] * plan["level_width"][:, :, None] + x[:, None, :]
            return self.texels[place].long()

        upper = texel(y0, x0) * (256 - fx) + texel(y0, x1) * fx
        lower = texel(y1, x0) * (256 - fx) + texel(y1, x1) * fx
        return ((upper * (256 - fy) + lower * fy + 32768) >> 16) * inside[..., None]


def _taps(position: Tensor, size: Tensor, source: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    place = torch.div((2 * position + 1) * source * 256, 2 * size, rounding_mode="floor") - 128
    first = place >> 8
    last = source - 1
    zero = torch.zeros_like(last)
    return first.clamp(zero, last), (first + 1).clamp(zero, last), place & 255
