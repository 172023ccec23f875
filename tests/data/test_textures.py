"""Cut-outs scaled and laid: against the plain formulas, on any size; what is kept of them stays bounded."""

import numpy as np
import pytest

from segbench.data.scenes.plan import Layer
from segbench.data.scenes.render import covered, cut_patch, lay
from segbench.data.scenes.textures import Kept, Texture, resample, taps

LAYER = Layer(foreground=0, flip=1, x=-2, y=3, width=9, height=6)


@pytest.fixture
def draw():
    return np.random.default_rng(0)


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (20, 13), (33, 40), (64, 3)])
def test_a_copy_is_the_weighted_sum_of_four_pixels(draw, size):
    level = draw.integers(0, 256, (4, 20, 13)).astype(np.uint8)
    level[:, :5] = 255  # the largest sums
    y0, y1, fy = taps(np.arange(size[0]), size[0], source=20)
    x0, x1, fx = taps(np.arange(size[1]), size[1], source=13)
    wide = level.astype(np.int64)
    upper = wide[:, y0][:, :, x0] * (256 - fx) + wide[:, y0][:, :, x1] * fx
    lower = wide[:, y1][:, :, x0] * (256 - fx) + wide[:, y1][:, :, x1] * fx
    expected = (upper * (256 - fy[:, None]) + lower * fy[:, None] + 32768) >> 16
    assert np.array_equal(resample(level, height=size[0], width=size[1]), expected)


def test_every_opacity_on_every_value_is_divided_exactly():
    alpha, under = np.meshgrid(np.arange(256), np.arange(256))
    for colour in (np.zeros_like(alpha), alpha):  # none, and as much as there can be of it
        patch = np.stack([colour] * 3 + [alpha]).astype(np.uint8)
        found = np.stack([under] * 3).astype(np.uint8)
        lay(patch, found)
        assert np.array_equal(found, np.stack([colour + (under * (255 - alpha) + 127) // 255] * 3))


def test_a_patch_is_the_visible_part_mirrored(draw):
    texture = Texture((draw.integers(0, 256, (4, 12, 18)).astype(np.uint8),))
    rows, columns = covered(LAYER, (8, 16))
    assert (rows, columns) == (slice(3, 8), slice(0, 7))
    mirrored = texture.scaled(6, 9)[:, :, ::-1]
    assert np.array_equal(cut_patch(LAYER, texture, rows=rows, columns=columns), mirrored[:, :5, 2:])


@pytest.mark.parametrize(("x", "y"), [(-9, 0), (-40, -40), (16, 2), (3, 8)])
def test_outside_of_the_canvas_nothing_is_covered(x, y):
    rows, columns = covered(Layer(0, 0, x, y, 9, 6), (8, 16))
    assert np.zeros((8, 16))[rows, columns].size == 0


def test_no_more_is_kept_than_fits(draw):
    kept = Kept(most=4 * 50)
    one, other = (Texture((draw.integers(0, 256, (4, 9, 9)).astype(np.uint8),), kept) for _ in range(2))
    first = one.scaled(5, 5)
    other.scaled(5, 4)
    assert one.scaled(5, 5) is first  # asked for again, so the other is the oldest now
    one.scaled(4, 5)
    assert kept.bytes == 4 * 45
    assert kept.get((other, 5, 4)) is None
    assert kept.get((one, 5, 5)) is first
    one.scaled(9, 9)  # larger than all that is kept
    assert kept.bytes == 0
