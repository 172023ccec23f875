"""The small network with unpadded convolutions: its size, and that its output lies where the image is."""

import pytest
import torch

from segbench.core.errors import ConfigError
from segbench.models.custom_net import CustomNet


def test_parameter_count():
    with torch.device("meta"):
        network = CustomNet(6, {"mask": 1})
    assert sum(parameter.numel() for parameter in network.parameters()) == 523_521  # as published


@pytest.mark.parametrize("height", [64, 192, 224])
def test_the_unpadded_network_has_the_originals_output_size(height):
    """64 to 24, 192 to 88, 224 to 104, as published."""
    network = CustomNet(3, {"mask": 1}, width=1).eval()
    with torch.no_grad():
        features = network.heads["mask"](network.coarse(network.fine(torch.rand(1, 3, height, height))))
    assert features.shape[-1] == {64: 24, 192: 88, 224: 104}[height]


@pytest.mark.parametrize(("y", "x"), [(30, 30), (31, 40), (32, 33)])
def test_a_pixel_sees_as_far_to_each_side(y, x):
    torch.manual_seed(0)
    network, image = CustomNet(3, {"mask": 1}, width=4).eval(), torch.rand(1, 3, 64, 71, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(image)["mask"][0, 0, y, x], image)
    seen = gradient.abs().sum((0, 1)).nonzero().float()
    # bilinear upsampling looks at the cell of the pixel and at the one next to it: half a cell off, at most
    assert (seen.min(0).values + seen.max(0).values).div(2).tolist() == pytest.approx([y, x], abs=1.0)


def test_a_shift_by_the_stride_shifts_the_prediction():
    torch.manual_seed(0)
    network, image = CustomNet(3, {"mask": 1}, width=4).eval(), torch.rand(1, 3, 60, 60)
    whole, cut = network(image)["mask"], network(image[..., 4:, 2:])["mask"]
    assert torch.allclose(whole[..., 20:40, 20:40], cut[..., 16:36, 18:38], atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (33, 18)])
def test_any_size(size):
    for in_channels in (3, 6):
        prediction = CustomNet(in_channels, {"mask": 3, "depth": 1}, width=2)(torch.rand(1, in_channels, *size))
        assert {name: tuple(value.shape) for name, value in prediction.items()} == {
            "mask": (1, 3, *size),
            "depth": (1, 1, *size),
        }


def test_refuses_no_channels():
    with pytest.raises(ConfigError, match="model.width must be at least 1, got 0"):
        CustomNet(3, {"mask": 1}, width=0)
