"""Architectures of segmentation_models_pytorch on encoders of its own and of timm: the libraries are the oracles."""

import sys

import pytest
import torch
from torch.nn import functional as F
from torchvision.models import resnet18, resnet34

from segbench.core.errors import ConfigError
from segbench.models.weights import IMAGENET_MEAN, IMAGENET_STD

smp = pytest.importorskip("segmentation_models_pytorch", reason="an extra: pip install -e '.[smp]'")
timm = pytest.importorskip("timm")

from segbench.models.smp import SMP  # noqa: E402  after the extras it needs

BOTH = {"mask": 3, "depth": 1}
LEAN = {
    "unet": {"decoder_channels": [16, 8, 8, 8, 8]},
    "unetplusplus": {"decoder_channels": [16, 8, 8, 8, 8]},
    "manet": {"decoder_channels": [16, 8, 8, 8, 8]},
    "fpn": {"decoder_pyramid_channels": 16, "decoder_segmentation_channels": 32},
    "deeplabv3": {"decoder_channels": 16},
    "deeplabv3plus": {"decoder_channels": 16},
    "upernet": {"decoder_channels": 16},
    "segformer": {"decoder_segmentation_channels": 16},
    "dpt": {"decoder_intermediate_channels": [8, 8, 8, 8], "decoder_fusion_channels": 8},
}
ARCHITECTURES = sorted(smp.MODEL_ARCHITECTURES_MAPPING)


def make(arch="unet", in_channels=3, heads=None, **settings):
    return SMP(in_channels, heads or {"mask": 1}, arch=arch, **{**LEAN.get(arch, {}), **settings})


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_it_is_the_librarys_network(arch):
    """The same output to the last bit with the library's weights, at a size that needs no padding and one that does."""
    encoder = "tu-convnext_atto" if arch == "dpt" else "resnet18"
    network = make(arch, heads={"mask": 4}, encoder=encoder).eval()
    kind = smp.MODEL_ARCHITECTURES_MAPPING[arch]
    oracle = kind(encoder, encoder_weights=None, classes=4, **LEAN.get(arch, {})).eval()
    oracle.encoder.load_state_dict(network.encoder.state_dict())
    oracle.decoder.load_state_dict(network.decoder.state_dict())
    head = getattr(oracle.segmentation_head, "head", oracle.segmentation_head)
    convolutions = [layer for layer in head if isinstance(layer, torch.nn.Conv2d)]
    convolutions[-1].load_state_dict(network.heads["mask"].state_dict())
    for place, layer in enumerate(network.neck):
        head[place].load_state_dict(layer.state_dict())
    image = torch.randn(1, 3, 160, 192)
    with torch.no_grad():
        assert torch.equal(network(image)["mask"], oracle(image))
        padded = F.pad(image[..., :150, :180], (0, 12, 0, 10), mode="replicate")
        multiple = network.multiple
        height, width = (-(-side // multiple) * multiple for side in (150, 180))
        expected = oracle(padded[..., :height, :width])[..., :150, :180]
        assert torch.equal(network(image[..., :150, :180])["mask"], expected)
    assert sum(p.numel() for p in network.parameters()) == sum(p.numel() for p in oracle.parameters())


@pytest.mark.parametrize("arch", ["dpt", "upernet", "linear"])
@pytest.mark.parametrize("encoder", ["tu-vit_small_patch16_dinov3", "tu-vit_small_patch14_dinov2"])
def test_dinov2_and_dinov3_have_heads_at_any_size(arch, encoder):
    """On the meta device, where shapes are worked out without computing: the networks have their full size."""
    with torch.device("meta"):
        network = make(arch, 4, BOTH, encoder=encoder)
        for size in ((network.min_size, 50), (224, 150)):
            found = network(torch.zeros(2, 4, *size))
            assert {name: tuple(value.shape) for name, value in found.items()} == {
                "mask": (2, 3, *size),
                "depth": (2, 1, *size),
            }
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("arch", ["dpt", "upernet", "linear"])
def test_a_vision_transformer_learns_in_every_parameter(arch):
    torch.manual_seed(0)
    network = make(arch, heads=BOTH, encoder="tu-test_vit")
    found = network(torch.randn(2, 3, network.min_size, network.min_size + 9))
    sum((value * torch.randn_like(value)).mean() for value in found.values()).backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


def test_a_linear_head_is_a_convolution_of_the_normalised_tokens():
    network = make("linear", heads={"mask": 2}, encoder="tu-test_vit").eval()
    image = torch.randn(1, 3, 48, 64)
    with torch.no_grad():
        tokens = network.encoder.model.forward_intermediates(image, indices=1, intermediates_only=True)[0]
        weight, bias = network.heads["mask"].weight[..., 0, 0], network.heads["mask"].bias
        scaled = tokens / (1 + 1e-5) ** 0.5  # an untrained normalisation
        expected = torch.einsum("kc,bchw->bkhw", weight, scaled) + bias[:, None, None]
        found = network(image)["mask"]
    assert found.shape == (1, 2, 48, 64)
    corners = (slice(None), slice(None), slice(None, None, 47), slice(None, None, 63))
    assert torch.allclose(found[corners], expected[..., ::2, ::3], atol=1e-5)


@pytest.mark.parametrize(("arch", "encoder"), [("pspnet", "resnet18"), ("dpt", "tu-convnext_atto")])
def test_what_no_prediction_depends_on_is_not_trained(arch, encoder):
    network = make(arch, encoder=encoder)
    found = network(torch.randn(2, 3, 64, 64))["mask"]
    found.sum().backward()
    unused = {name for name, p in network.named_parameters() if not p.requires_grad}
    assert unused
    assert all(p.grad is not None for name, p in network.named_parameters() if name not in unused)


@pytest.mark.parametrize("arch", ["unet", "deeplabv3", "pspnet", "upernet", "linear"])
def test_one_smallest_picture_can_be_trained(arch):
    torch.manual_seed(0)
    network = make(arch, encoder="tu-tf_efficientnet_lite0" if arch == "deeplabv3" else "resnet18")
    side = network.min_size
    network.check_size(side, side)
    if arch == "upernet":  # its pyramid of averages ends in 1 x 1
        with pytest.raises(ConfigError, match="too small"):
            network.check_size(side - 1, side)
    found = network(torch.randn(1, 3, side, side))["mask"]
    found.mean().backward()
    assert torch.isfinite(found).all()


def test_swin_sees_other_sizes_than_it_was_trained_at():
    network = make("upernet", encoder="tu-swin_tiny_patch4_window7_224").eval()
    with torch.no_grad():
        assert network(torch.randn(1, 3, 70, 90))["mask"].shape == (1, 1, 70, 90)


def test_drop_path_leaves_out_branches_in_training():
    torch.manual_seed(0)
    network, image = make(encoder="tu-convnext_atto", drop_path=0.9), torch.randn(2, 3, 64, 64)
    deepest = [network.encoder(image)[-1] for _ in range(2)]
    assert not torch.equal(*deepest)
    assert torch.equal(*(network.eval().encoder(image)[-1] for _ in range(2)))


@pytest.mark.parametrize("channels", [3, 6])
def test_a_file_fills_the_encoder(channels, resnet18_file):
    network = make(in_channels=channels, weights=str(resnet18_file)).eval()  # torchvision's names, and an fc too many
    oracle = resnet18(weights=None).eval()
    oracle.load_state_dict(torch.load(resnet18_file, weights_only=True))
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        found = network.encoder(image.repeat(1, channels // 3, 1, 1))[-1]
        expected = torch.nn.Sequential(*list(oracle.children())[:-2])(image)
    assert torch.allclose(found, expected, atol=1e-5)
    assert (network.mean, network.std) == (IMAGENET_MEAN, IMAGENET_STD)


@pytest.mark.parametrize("classifier", [True, False])
def test_a_file_of_timm_with_and_without_its_classifier(classifier, tmp_path):
    oracle = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    state = {name: value for name, value in oracle.state_dict().items() if classifier or "classifier" not in name}
    torch.save(state, tmp_path / "lite0.pth")
    network = make(encoder="tu-tf_efficientnet_lite0", weights=str(tmp_path / "lite0.pth")).eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        found = network.encoder(image)[-1]
        expected = oracle.blocks(oracle.bn1(oracle.conv_stem(image)))
    assert torch.allclose(found, expected, atol=1e-5)
    assert network.mean == (0.5, 0.5, 0.5)


def test_a_file_of_a_vision_transformer_fills_it(tmp_path):
    oracle = timm.create_model("test_vit", pretrained=False).eval()
    torch.save(oracle.state_dict(), tmp_path / "vit.pth")
    network = make("dpt", encoder="tu-test_vit", weights=str(tmp_path / "vit.pth")).eval()
    image = torch.randn(1, 3, 160, 160)
    with torch.no_grad():
        found = network.encoder(image)[0]
        expected = oracle.forward_intermediates(image, indices=1, intermediates_only=True)
    assert torch.equal(found[-1], expected[-1])


def test_a_file_of_other_names_is_taken_in_its_order(tmp_path):
    oracle = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    foreign = {
        f"layer{place}.{name.rpartition('.')[2]}": v for place, (name, v) in enumerate(oracle.state_dict().items())
    }
    torch.save(foreign, tmp_path / "foreign.pth")
    network = make(encoder="tu-tf_efficientnet_lite0", weights=str(tmp_path / "foreign.pth")).eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(network.encoder(image)[-1], oracle.blocks(oracle.bn1(oracle.conv_stem(image))))
    names = list(foreign)
    foreign[names[6]], foreign[names[60]] = foreign[names[60]], foreign[names[6]]
    torch.save(foreign, tmp_path / "swapped.pth")
    with pytest.raises(ConfigError, match="does not fit model.encoder=tu-tf_efficientnet_lite0"):
        make(encoder="tu-tf_efficientnet_lite0", weights=str(tmp_path / "swapped.pth"))


def test_none_is_a_word_for_nothing():
    assert make(weights="none").mean is None


def test_wrong_settings_and_files_are_refused(tmp_path):
    torch.save(resnet34(weights=None).state_dict(), tmp_path / "resnet34.pth")
    for settings, message in (
        ({"encoder": "resnet19"}, r"no model\.encoder=resnet19; did you mean 'resnet18'\?"),
        ({"encoder": "tu-resnet19"}, r"did you mean 'tu-resnet18'\?"),
        ({"arch": "unett"}, r"no model\.arch=unett; did you mean 'unet'\?"),
        ({"arch": "unet", "encoder": "tu-test_vit"}, r"use model\.arch=dpt, upernet or linear"),
        ({"arch": "dpt"}, r"give model\.encoder=tu-resnet18"),
        ({"arch": "linear", "decoder_channels": 8}, r"model\.arch=linear takes no 'decoder_channels'"),
        ({"classes": 3}, r"model\.classes is not set: it follows"),
        ({"activation": "sigmoid"}, r"model\.activation is not set: .* gives logits"),
        ({"aux_params": {"classes": 2}}, r"model\.aux_params is not set"),
        ({"encoder_weights": "imagenet"}, r"model\.encoder_weights is not set: it follows from .* model\.weights"),
        ({"arch": "fpn", "upsampling": 2}, r"model\.upsampling is not set"),
        ({"drop_path": 0.1}, r"has no drop path"),
        ({"drop_path": 1.0}, r"share in \[0, 1\)"),
        ({"decoder_channels": [8, 8]}, "must be 3 to 5 numbers"),
        ({"weights": str(tmp_path / "no.pth")}, "null for none"),
        ({"weights": str(tmp_path / "resnet34.pth")}, r": layer1\.2\.conv1\.weight, "),
    ):
        with pytest.raises(ConfigError, match=message):
            make(**settings)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    with pytest.raises(ConfigError, match=r"pip install -e '\.\[smp\]'"):
        SMP(3, {"mask": 1})
