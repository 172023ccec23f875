"""Every model in conf/model: sizes, heads, gradients, parameter counts."""

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from segbench.config.instantiate import build
from segbench.config.paths import conf_dir
from segbench.core.errors import ConfigError
from segbench.models.external import as_network
from segbench.models.fcn import FCN
from segbench.models.unet import UNet

MODELS = sorted(path.stem for path in Path(conf_dir() / "model").glob("*.yaml"))


def make(name, in_channels=3, heads=None, **settings):
    node = OmegaConf.load(conf_dir() / "model" / f"{name}.yaml")
    if "width" in node:
        node["width"] = 4
    node = {**OmegaConf.to_container(node), "in_channels": in_channels, "heads": heads or {"mask": 1}, **settings}
    return build(node, where="model")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("size", [(32, 32), (37, 50), (97, 61), (16, 16)])
def test_predictions_lie_on_the_images_pixels(name, size):
    network = make(name, 6, {"mask": 3, "depth": 1}).eval()
    prediction = network(torch.randn(2, 6, *size))
    assert {head: tuple(value.shape) for head, value in prediction.items()} == {
        "mask": (2, 3, *size),
        "depth": (2, 1, *size),
    }


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_learns(name):
    network = make(name)
    torch.manual_seed(0)
    network(torch.randn(2, 3, 33, 47))["mask"].pow(2).mean().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", MODELS)
def test_memory_format_does_not_change_the_prediction(name):
    torch.manual_seed(0)
    network, image = make(name).eval(), torch.randn(2, 3, 32, 48)
    plain = network(image)["mask"]
    last = network.to(memory_format=torch.channels_last)(image.contiguous(memory_format=torch.channels_last))["mask"]
    assert torch.allclose(plain, last, atol=1e-5)


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_parameter_counts():
    assert parameters(FCN(3, {"mask": 5})) == 6405  # as published
    assert parameters(UNet(3, {"mask": 1})) == 1_964_097  # by hand: 9 double convolutions and a 1 x 1 head
    with torch.device("meta"):
        classic = UNet(3, {"mask": 2}, width=64, transposed=True)
    # the classic 31,031,810 without biases, which batch normalisation makes useless, and with its scales and offsets
    biases = 2 * sum([64, 128, 256, 512, 1024, 512, 256, 128, 64])
    assert parameters(classic) == 31_031_810 - biases + 2 * biases


def test_unet_is_shifted_with_its_image():
    """A shift by the encoder's stride shifts the prediction: skips and enlarging are aligned."""
    torch.manual_seed(0)
    network = UNet(3, {"mask": 1}, width=4, depth=2).eval()
    image = torch.zeros(1, 3, 96, 96)
    image[..., 40:56, 40:56] = torch.randn(1, 3, 16, 16)
    moved = torch.roll(image, (8, 4), (2, 3))
    expected = torch.roll(network(image)["mask"], (8, 4), (2, 3))
    assert torch.allclose(network(moved)["mask"][..., 24:72, 24:72], expected[..., 24:72, 24:72], atol=1e-5)


def test_padding_does_not_move_the_picture():
    torch.manual_seed(0)
    network, image = UNet(3, {"mask": 1}, width=4, depth=2).eval(), torch.randn(1, 3, 45, 47)
    whole = network(image)["mask"]
    cut = network(image[..., :44, :44])["mask"]
    assert torch.allclose(whole[..., :16, :16], cut[..., :16, :16], atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"width": 0}, "at least 1"), ({"depth": 0}, "at least 1"), ({"dropout": 1.0}, "dropout")],
)
def test_unet_refuses(settings, message):
    with pytest.raises(ConfigError, match=message):
        UNet(3, {"mask": 1}, **settings)


def test_too_small_an_image_is_refused():
    with pytest.raises(ConfigError, match=r"too small for UNet: it needs at least 16 x 16"):
        UNet(3, {"mask": 1}).check_size(64, 15)


def test_fcn_refuses_kernels_that_do_not_fit():
    with pytest.raises(ConfigError, match="3 odd numbers"):
        FCN(3, {"mask": 1}, kernels=[7, 4, 5])


def test_a_network_of_torch_is_wrapped():
    network = as_network(torch.nn.Conv2d(3, 1, 3, padding=1), {"mask": 1})
    assert network(torch.randn(1, 3, 8, 8))["mask"].shape == (1, 1, 8, 8)
    with pytest.raises(ConfigError, match="set its number of classes to 4"):
        as_network(torch.nn.Conv2d(3, 1, 3, padding=1), {"mask": 4})(torch.randn(1, 3, 8, 8))
    with pytest.raises(ConfigError, match="gives one prediction"):
        as_network(torch.nn.Conv2d(3, 1, 3), {"mask": 1, "depth": 1})
