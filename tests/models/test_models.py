"""Every model in conf/model: sizes, heads, gradients, parameter counts."""

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from segbench.config.instantiate import build
from segbench.config.paths import conf_dir
from segbench.core.errors import ConfigError
from segbench.models.base import AUXILIARY
from segbench.models.cnn import CNN
from segbench.models.external import as_network
from segbench.models.fcn import FCN
from segbench.models.two_stem import TwoStem
from segbench.models.unet import UNet
from segbench.models.unet_valid import UNetValid
from tests.support.tiny_networks import SEGFORMER

MODELS = sorted(path.stem for path in Path(conf_dir() / "model").glob("*.yaml"))
CHANNELS = {"two_stem": 6, "gcn_original": 3}
"""Networks that take one kind of input alone."""

SMALL = {"width": 4, "encoder": "resnet18", "layers": [1, 1, 1, 1, 1], "bottleneck": 1}
"""Settings that make a network fast, where it has them; the presets' own sizes are counted below, without running."""

OWN_SMALL = {
    "dinov3": {"encoder": "tu-test_vit"},
    "segformer": {"config": SEGFORMER},
}
"""What makes a network fast that has no such setting."""

PACKAGES = {
    "segbench.models.smp": "segmentation_models_pytorch",
    "segbench.models.hugging_face": "transformers",
}
"""Packages that a network needs and that are extras."""


def need_packages(name):
    for module, package in PACKAGES.items():
        if settings_of(name)["_target_"].startswith(module):
            pytest.importorskip(package, reason="an extra: see pyproject.toml")


def small_of(name):
    node = settings_of(name)
    return {key: value for key, value in SMALL.items() if key in node} | OWN_SMALL.get(name, {})


def settings_of(name):
    return OmegaConf.to_container(OmegaConf.load(conf_dir() / "model" / f"{name}.yaml"))


def make(name, in_channels=3, heads=None, **settings):
    need_packages(name)
    node = settings_of(name)
    channels = CHANNELS.get(name, in_channels)
    given = {"in_channels": channels, "heads": heads or {"mask": 1}, **small_of(name), **settings}
    return build({**node, **given}, where="model")


def picture(name, *shape, in_channels=3):
    return torch.randn(shape[0], CHANNELS.get(name, in_channels), *shape[1:])


@pytest.mark.parametrize("name", MODELS)
def test_predictions_lie_on_the_images_pixels(name):
    network = make(name, 6, {"mask": 3, "depth": 1}).eval()
    # in training, batch normalisation needs min_size; a picture that is scored may be smaller than any crop
    for size in ((32, 32), (37, 50), (97, 61), (16, 16), (1, 1), (3, 40)):
        with torch.no_grad():
            prediction = network(picture(name, 2, *size, in_channels=6))
        assert {head: tuple(value.shape) for head, value in prediction.items()} == {
            "mask": (2, 3, *size),
            "depth": (2, 1, *size),
        }


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_learns(name):
    network = make(name, 3)
    torch.manual_seed(0)
    size = max(33, network.min_size), max(47, network.min_size)
    # a random direction: the mean square would be blind to a network that ends in a normalisation
    predictions = network(picture(name, 2, *size)).values()
    sum((prediction * torch.randn_like(prediction)).mean() for prediction in predictions).backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
        assert parameter.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("heads", [{"mask": 11}, {"depth": 1}])
def test_one_head_alone_and_a_batch_of_one(name, heads):
    network = make(name, heads=heads)
    size = max(40, network.min_size), max(33, network.min_size)
    prediction = {
        head: value for head, value in network(picture(name, 1, *size)).items() if not head.startswith(AUXILIARY)
    }
    assert {head: value.shape[1] for head, value in prediction.items()} == heads
    assert all(torch.isfinite(value).all() for value in prediction.values())


@pytest.mark.parametrize("name", MODELS)
def test_evaluation_repeats(name):
    network = make(name).eval()
    image = picture(name, 1, max(32, network.min_size), max(32, network.min_size))
    with torch.no_grad():
        assert torch.equal(network(image)["mask"], network(image)["mask"])


@pytest.mark.parametrize("name", MODELS)
def test_memory_format_does_not_change_the_prediction(name):
    torch.manual_seed(0)
    network = make(name).eval()
    image = picture(name, 2, max(32, network.min_size), max(48, network.min_size))
    plain = network(image)["mask"]
    last = network.to(memory_format=torch.channels_last)(image.contiguous(memory_format=torch.channels_last))["mask"]
    assert torch.allclose(plain, last, atol=1e-5)


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "in_channels", "outputs", "count"),
    [
        ("fcn", 3, 5, 6_405),
        ("cnn", 3, 1, 6_381),
        ("autoencoder", 3, 1, 87_969),
        ("two_stem", 6, 1, 386_816),
        ("custom_net", 6, 1, 523_521),
        ("gcn_original", 3, 1, 2_056),
        ("unet_camvid", 3, 32, 17_269_408),
        ("unet_camvid", 3, 11, 17_268_043),
        ("unet_classic", 3, 1, 31_037_633),
        ("unet_valid", 6, 1, 34_520_514),
        ("unet", 3, 1, 1_964_097),  # by hand: 9 double convolutions and a 1 x 1 head
        ("fc_densenet", 3, 12, 1_376_988),
        ("fc_densenet67", 3, 12, 3_463_532),
        ("fc_densenet103", 3, 12, 9_322_348),
    ],
)
def test_parameter_counts_are_those_of_the_originals(name, in_channels, outputs, count):
    node = settings_of(name)
    with torch.device("meta"):
        network = make(name, in_channels, {"mask": outputs}, **{key: node[key] for key in SMALL if key in node})
    assert parameters(network) == count


def test_the_classic_unet_against_the_published_count():
    with torch.device("meta"):
        classic = UNet(3, {"mask": 2}, width=64, transposed=True)
    # the classic 31,031,810 without biases, which batch normalisation makes useless, and with its scales and offsets
    biases = 2 * sum([64, 128, 256, 512, 1024, 512, 256, 128, 64])
    assert parameters(classic) == 31_031_810 - biases + 2 * biases


def test_unet_valid_lies_where_the_image_is():
    """A prediction's gradient reaches as far to the left as to the right, within the coarsest stride."""
    torch.manual_seed(0)
    network = UNetValid(3, {"mask": 1}, width=4).eval()
    image = torch.randn(1, 3, 256, 256, requires_grad=True)
    for y, x in ((127, 120), (130, 131)):
        (gradient,) = torch.autograd.grad(network(image)["mask"][0, 0, y, x], image)
        reach = gradient.abs().sum((0, 1)).nonzero()
        top, left = reach.min(dim=0).values.tolist()
        bottom, right = reach.max(dim=0).values.tolist()
        assert abs((top + bottom) / 2 - y) <= 16
        assert abs((left + right) / 2 - x) <= 16
        weights = gradient.abs().sum((0, 1))
        rows, columns = torch.arange(256), torch.arange(256)
        assert abs((weights.sum(1) * rows).sum() / weights.sum() - y) < 4
        assert abs((weights.sum(0) * columns).sum() / weights.sum() - x) < 4


def test_unet_valid_can_say_no():
    """The original ended in ReLU: no probability was below one half."""
    torch.manual_seed(0)
    logits = UNetValid(3, {"mask": 1}, width=4)(torch.randn(2, 3, 40, 40))["mask"]
    assert (logits < 0).float().mean() > 0.2


def test_two_stem_needs_two_pictures():
    with pytest.raises(ConfigError, match=r"inputs=image\+background"):
        TwoStem(3, {"mask": 1})


def test_dropout_of_the_cnn_is_off_at_the_test():
    network, image = CNN(3, {"mask": 1}), torch.randn(1, 3, 20, 20)
    assert not torch.equal(network(image)["mask"], network(image)["mask"])
    network.eval()
    assert torch.equal(network(image)["mask"], network(image)["mask"])


@pytest.mark.parametrize("settings", [{"kernel": 4}, {"dropout": 1.0}, {"channels": []}])
def test_cnn_refuses(settings):
    with pytest.raises(ConfigError, match="model.kernel must be odd"):
        CNN(3, {"mask": 1}, **settings)


def test_unet_is_shifted_with_its_image():
    """A shift by the encoder's stride shifts the prediction: skips and upsampling are aligned."""
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
