"""Masks written as tiled TIFFs, against what was given."""

import numpy as np
import pytest
import tifffile

from segbench.commands import large_masks
from segbench.commands.large_masks import write_large_mask
from segbench.report.palette import palette


@pytest.mark.parametrize("size", [(40, 70), (32, 32), (33, 95)])
def test_a_large_mask_is_what_the_blocks_say(tmp_path, monkeypatch, size):
    monkeypatch.setattr(large_masks, "SIDE", 32)
    ids = np.random.default_rng(0).integers(0, 5, size).astype(np.uint8)
    blocks = [
        (top, left, ids[top : top + 24, left : left + 20])
        for top in range(0, size[0], 24)
        for left in range(0, size[1], 20)
    ]
    write_large_mask(tmp_path / "mask.tif", size, blocks=blocks, classes=5)
    with tifffile.TiffFile(tmp_path / "mask.tif") as file:
        page = file.pages.first
        assert page.is_tiled
        assert (page.tilelength, page.tilewidth) == (32, 32)
        assert np.array_equal(page.asarray(), ids)
        assert np.array_equal(page.colormap.T // 257, palette(5))
    assert [path.name for path in tmp_path.iterdir()] == ["mask.tif"]


def test_a_mask_that_ends_in_an_error_leaves_nothing(tmp_path):
    def blocks():
        yield 0, 0, np.zeros((10, 20), np.uint8)
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        write_large_mask(tmp_path / "mask.tif", (20, 20), blocks=blocks(), classes=2)
    assert not list(tmp_path.iterdir())
