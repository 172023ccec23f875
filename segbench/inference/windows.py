"""Predictions of pictures too large to be held, window by window."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from segbench.data.loading.views import Size
from segbench.inference.forward import Answer, Heads
from segbench.inference.prediction import Predictor, arrays_of
from segbench.inference.tiles import Tiling, blend_heads
from segbench.inference.tta import mean_of

Windows = Callable[[int, int, int, int], Sequence[np.ndarray]]
"""Returns what each network is given of the rectangle (top, left, height, width), `[height,width,C]`."""


@torch.inference_mode()
def predict_by_windows(
    predictors: Sequence[Predictor], size: Size, windows: Windows
) -> Iterator[tuple[int, int, dict[str, np.ndarray]]]:
    """Yield (top, left, `mask` and `depth`) of one block of a picture after the other; they cover each pixel once.

    They are those that the networks would give of the whole picture, in the same tiles.

    Args:
        predictors: Networks that see pictures at their own scale; what they say is averaged.
        size: Height and width of the picture.
        windows: Reads it.
    """
    tilings = [Tiling.of(predictor.module.settings, predictor.view.size) for predictor in predictors]
    tiling = max(tilings, key=lambda one: one.tile)

    def say(top: int, left: int, height: int, width: int) -> Heads:
        images = windows(top, left, height, width)
        each = [
            predictor.look({"image": predictor.tensor(image)})
            for predictor, image in zip(predictors, images, strict=True)
        ]
        return each[0] if len(each) == 1 else mean_of(each)

    for top, left, heads in blend_heads(size, tiling, say):
        block = next(iter(heads.values())).shape[-2:]
        answer = Answer(heads, predictors[0].view, (block[0], block[1]))
        yield top, left, arrays_of(answer, probabilities=False)
