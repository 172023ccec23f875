"""FC-DenseNet: the paper's three variants counted by hand, and the way its features take."""

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from segbench.config.paths import conf_dir
from segbench.core.errors import ConfigError
from segbench.models.fc_densenet import DenseBlock, FCDenseNet

SMALL = {"layers": [1, 2], "bottleneck": 2, "growth": 4, "width": 8}


def preset(name):
    """Return the settings of a file in conf/model that say how large the network is."""
    node = OmegaConf.load(conf_dir() / "model" / f"{name}.yaml")
    return {key: OmegaConf.to_container(node)[key] for key in ("layers", "bottleneck", "growth", "width", "dropout")}


def by_hand(layers, bottleneck, growth, width, outputs, in_channels=3):
    """Return the number of parameters, added up layer by layer from the paper's description."""

    def convolution(before, after, side):
        return before * after * side * side + after

    def block(channels, count):
        return sum(
            2 * (channels + number * growth) + convolution(channels + number * growth, growth, 3)
            for number in range(count)
        )

    total, skips = convolution(in_channels, width, 3), []
    for count in layers:
        total += block(width, count)
        width += count * growth
        total += 2 * width + convolution(width, width, 1)
        skips.append(width)
    total += block(width, bottleneck)
    new = bottleneck * growth
    for count, skip in zip(layers[::-1], skips[::-1], strict=True):
        total += convolution(new, new, 3)
        width, new = new + skip, count * growth
        total += block(width, count)
    return total + convolution(width + new, outputs, 1)


@pytest.mark.parametrize(
    ("name", "count", "published", "tolerance"),
    [
        ("fc_densenet", 1_376_795, 1.5e6, 0.09),  # as described it has 8 % less than the paper says
        ("fc_densenet67", 3_463_243, 3.5e6, 0.03),
        ("fc_densenet103", 9_322_091, 9.4e6, 0.03),
    ],
)
def test_parameter_counts(name, count, published, tolerance):
    settings = preset(name)
    with torch.device("meta"):
        network = FCDenseNet(3, {"mask": 11}, **settings)
    found = sum(value.numel() for value in network.parameters())
    settings.pop("dropout")
    assert found == by_hand(**settings, outputs=11) == count
    assert found == pytest.approx(published, rel=tolerance)


@pytest.mark.parametrize(("name", "depth"), [("fc_densenet", 56), ("fc_densenet67", 67), ("fc_densenet103", 103)])
def test_the_name_is_the_number_of_convolutions(name, depth):
    with torch.device("meta"):
        network = FCDenseNet(3, {"mask": 11}, **preset(name))
    assert sum(isinstance(module, nn.Conv2d | nn.ConvTranspose2d) for module in network.modules()) == depth


def test_channels_at_each_size_are_those_of_the_paper():
    """Of FC-DenseNet103: 48, then 112, 192, 304, 464, 656 on the way down, 256 before the last convolution."""
    with torch.device("meta"):
        network = FCDenseNet(3, {"mask": 11}, **preset("fc_densenet103"))
    assert [shrink[0].num_features for shrink in network.shrinkers] == [112, 192, 304, 464, 656]
    assert network.heads["mask"].in_channels == 256
    # only the new channels are upsampled: 15, 12, 10, 7 and 5 layers of 16
    assert [upsample.in_channels for upsample in network.upsamplers] == [240, 192, 160, 112, 80]
    inputs = [block.layers[0][0].num_features for block in network.up]
    assert [before + 16 * count for before, count in zip(inputs, (12, 10, 7, 5, 4), strict=True)] == [
        1088,
        816,
        576,
        384,
        256,
    ]


def test_a_dense_block_returns_its_new_channels_and_each_layer_sees_all_before():
    block = DenseBlock(5, 3, layers=4, dropout=0.0)
    assert [layer[0].num_features for layer in block.layers] == [5, 8, 11, 14]
    assert block(torch.rand(2, 5, 6, 7)).shape == (2, 12, 6, 7)
    assert [type(part) for part in block.layers[0]] == [nn.BatchNorm2d, nn.ReLU, nn.Conv2d, nn.Dropout]


def test_a_block_does_not_change_what_it_is_given():
    """Its ReLU works in place, and what comes in is used again beside what comes out."""
    block, features = DenseBlock(5, 3, layers=2, dropout=0.0), torch.randn(2, 5, 6, 7)
    before = features.clone()
    block(features)
    assert torch.equal(features, before)


@pytest.mark.parametrize("size", [(33, 33), (37, 50), (64, 35)])
def test_odd_sizes_two_heads_and_six_channels(size):
    network = FCDenseNet(6, {"mask": 3, "depth": 1}).eval()
    with torch.no_grad():
        prediction = network(torch.randn(1, 6, *size))
    assert {head: tuple(value.shape) for head, value in prediction.items()} == {
        "mask": (1, 3, *size),
        "depth": (1, 1, *size),
    }


def test_every_parameter_gets_a_finite_gradient():
    torch.manual_seed(0)
    network = FCDenseNet(3, {"mask": 11, "depth": 1})
    prediction = network(torch.randn(2, 3, 32, 32))
    sum((value * torch.randn_like(value)).mean() for value in prediction.values()).backward()
    for key, parameter in network.named_parameters():
        assert torch.isfinite(parameter.grad).all(), key
        assert parameter.grad.abs().sum() > 0, key


def test_the_prediction_moves_with_the_image():
    """By one stride: upsampling puts each pixel back where it was."""
    torch.manual_seed(0)
    network = FCDenseNet(3, {"mask": 1}, **SMALL).eval()
    image = torch.zeros(1, 3, 64, 64)
    image[..., 24:36, 24:36] = torch.randn(1, 3, 12, 12)
    moved = network(torch.roll(image, (4, 8), (2, 3)))["mask"]
    expected = torch.roll(network(image)["mask"], (4, 8), (2, 3))
    assert expected[..., 20:48, 20:48].std() > 0
    assert torch.allclose(moved[..., 20:44, 20:44], expected[..., 20:44, 20:44], atol=1e-5)


def test_dropout_is_off_outside_of_training():
    network, image = FCDenseNet(3, {"mask": 1}, dropout=0.5, **SMALL), torch.randn(1, 3, 16, 16)
    assert not torch.equal(network(image)["mask"], network(image)["mask"])
    network.eval()
    assert torch.equal(network(image)["mask"], network(image)["mask"])


@pytest.mark.parametrize("settings", [{"layers": []}, {"layers": [4, 0]}, {"growth": 0}, {"dropout": 1.0}])
def test_fc_densenet_refuses(settings):
    with pytest.raises(ConfigError, match=r"model.layers, bottleneck, growth and width must be at least 1"):
        FCDenseNet(3, {"mask": 1}, **settings)
