"""Progressive resolution: sizes by epoch, and what shrinking does to pictures, masks and depth."""

import pytest
import torch

from segbench.core.errors import ConfigError
from segbench.training.resolution import Resolution


def test_epochs_are_shared_by_the_phases():
    resolution = Resolution([64, 128, 192], (192, 256))
    sizes = [resolution.of_epoch(epoch, 7) for epoch in range(7)]
    assert sizes == [(64, 85)] * 3 + [(128, 171)] * 2 + [(192, 256)] * 2
    assert resolution.smallest() == (64, 85)


def test_fewer_epochs_than_phases_end_at_a_later_one():
    assert [Resolution([8, 16, 32], (32, 32)).of_epoch(epoch, 2) for epoch in (0, 1)] == [(8, 8), (16, 16)]


@pytest.mark.parametrize("sides", [[], [0], [64, 200]])
def test_sizes_that_cannot_be(sides):
    with pytest.raises(ConfigError, match="shorter side, 192"):
        Resolution(sides, (192, 256))


def test_shrinking_makes_no_new_ids_and_keeps_unknown_depth():
    mask = torch.tensor([[[0, 0, 3, 3], [0, 0, 3, 3], [255, 255, 7, 7], [255, 255, 7, 7]]], dtype=torch.uint8)
    image = torch.arange(16, dtype=torch.uint8).view(1, 1, 4, 4).expand(1, 3, 4, 4)
    depth = torch.ones(1, 1, 4, 4)
    depth[..., :2, :2] = torch.nan
    batch = {"image": image, "mask": mask, "depth": depth, "index": torch.tensor([5])}
    small = Resolution([2, 4], (4, 4)).shrink(batch, 0, epochs=2)
    assert small["mask"].tolist() == [[[0, 3], [255, 7]]]
    assert small["mask"].dtype == torch.uint8
    assert torch.allclose(small["image"][0, 0] * 255, torch.tensor([[2.5, 4.5], [10.5, 12.5]]))
    assert small["depth"].isnan().tolist() == [[[[True, False], [False, False]]]]
    assert Resolution([2, 4], (4, 4)).shrink(batch, 1, epochs=2) is batch
