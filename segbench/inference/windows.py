"""Predictions of pictures too large to be held, window by window."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np
import torch

from segbench.data.loading.views import Size
from segbench.data.windows import Window
from segbench.inference.ensemble import MeanAnswer
from segbench.inference.forward import Answer, Heads
from segbench.inference.prediction import Predictor, arrays_of
from segbench.inference.tiles import Tiling, blend_heads

Windows = Callable[[int, Window], np.ndarray]
"""Returns what the network of a number is given of a window, `[h,w,C]`."""

Said = tuple[int, int, Heads]
"""Where a block begins, top and left, and what a network says of it."""


@torch.inference_mode()
def predict_by_windows(
    predictors: Sequence[Predictor], size: Size, *, windows: Windows
) -> Iterator[tuple[int, int, dict[str, np.ndarray]]]:
    """Yield (top, left, `mask` and `depth`) of one block of a picture after the other; they cover each pixel once.

    They are those that the networks would give of the whole picture, each in tiles of its own.

    Args:
        predictors: Networks that see pictures at their own scale; what they say is averaged.
        size: Height and width of the picture.
        windows: Reads it.
    """
    tilings = [Tiling.of(predictor.module.settings, predictor.view.size) for predictor in predictors]
    each = [
        blend_heads(size, tiling, say=partial(_said, predictor, partial(windows, number)))
        for number, (predictor, tiling) in enumerate(zip(predictors, tilings, strict=True))
    ]
    blocks = in_common_rows(each, size[1])
    if len(set(tilings)) == 1:
        blocks = map(list, zip(*each, strict=True))
    for parts in blocks:
        answers = [
            Answer(heads, predictor.view, _size_of(heads))
            for predictor, (_, _, heads) in zip(predictors, parts, strict=True)
        ]
        top, left, _ = parts[0]
        yield top, left, arrays_of(MeanAnswer(answers), probabilities=False)


def _said(predictor: Predictor, read: Callable[[Window], np.ndarray], window: Window, /) -> Heads:
    return predictor.look({"image": predictor.tensor(read(window))})


def _size_of(heads: Heads) -> Size:
    height, width = next(iter(heads.values())).shape[-2:]
    return height, width


def in_common_rows(each: Sequence[Iterable[Said]], width: int) -> Iterator[list[Said]]:
    """Yield blocks as wide as the picture, the same for all networks, whose own blocks may end at different rows.

    Args:
        each: The blocks of each network, row by row, from left to right.
        width: That of the picture, in pixels.
    """
    rows = [_rows(blocks, width) for blocks in each]
    now = [next(row) for row in rows]
    top = 0
    while True:
        ends = [begin + _size_of(heads)[0] for begin, heads in now]
        bottom = min(ends)
        yield [
            (top, 0, {head: values[..., top - begin : bottom - begin, :] for head, values in heads.items()})
            for begin, heads in now
        ]
        following = [next(row, None) if end == bottom else old for row, end, old in zip(rows, ends, now, strict=True)]
        now = [row for row in following if row is not None]
        if len(now) < len(rows):  # all end at the last row
            return
        top = bottom


def _rows(blocks: Iterable[Said], width: int) -> Iterator[tuple[int, Heads]]:
    """Yield the blocks that lie beside each other as one, with the row at which it begins."""
    beside: list[Heads] = []
    for top, left, heads in blocks:
        beside.append(heads)
        if left + _size_of(heads)[1] == width:
            yield top, {head: torch.cat([one[head] for one in beside], dim=-1) for head in heads}
            beside = []
