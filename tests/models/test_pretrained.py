"""Networks with pretrained parts: torchvision is the oracle, files stand in for downloads."""

import re

import pytest
import torch
from torchvision.models import mobilenet_v3_large, resnet18, resnet34
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.segmentation import DeepLabV3, fcn_resnet50, lraspp_mobilenet_v3_large
from torchvision.models.segmentation.deeplabv3 import DeepLabHead

from segbench.core.errors import ConfigError
from segbench.models.fcn_resnet import FCNResNet
from segbench.models.lraspp import LRASPP
from segbench.models.weights import IMAGENET_MEAN, IMAGENET_STD, inflate

BOTH = {"mask": 3, "depth": 1}


def small(in_channels=3, heads=None, **settings):
    return FCNResNet(in_channels, heads or {"mask": 1}, **{"encoder": "resnet18", **settings})


@pytest.mark.parametrize("head", ["fcn", "deeplabv3"])
@pytest.mark.parametrize("heads", [{"mask": 1}, {"depth": 1}, BOTH])
def test_predictions_lie_on_the_images_pixels(head, heads):
    for in_channels, size in ((3, (33, 50)), (6, (61, 47))):
        network = small(in_channels, heads, head=head).eval()
        prediction = network(torch.randn(1, in_channels, *size))
        assert {name: tuple(value.shape) for name, value in prediction.items()} == {
            name: (1, channels, *size) for name, channels in heads.items()
        }


def torchvisions_fcn():
    return fcn_resnet50(weights=None, weights_backbone=None, num_classes=21, aux_loss=True)


def torchvisions_deeplab():
    return DeepLabV3(IntermediateLayerGetter(resnet18(weights=None), {"layer4": "out"}), DeepLabHead(512, 21))


@pytest.mark.parametrize(
    ("encoder", "head", "make"),
    [("resnet50", "fcn", torchvisions_fcn), ("resnet18", "deeplabv3", torchvisions_deeplab)],
)
def test_is_torchvisions_network_with_torchvisions_weights(encoder, head, make, tmp_path):
    """Same number of parameters, and the same output from the same file, also with its auxiliary classifier in it."""
    torch.manual_seed(0)
    oracle = make().eval()
    torch.save(oracle.state_dict(), tmp_path / "oracle.pth")
    network = FCNResNet(3, {"mask": 21}, encoder=encoder, head=head, weights=str(tmp_path / "oracle.pth")).eval()
    oracle.aux_classifier = None
    assert count(network) == count(oracle)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(network(image)["mask"], oracle(image)["out"])
    assert (network.mean, network.std) == (IMAGENET_MEAN, IMAGENET_STD)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_features_are_at_an_eighth_of_the_size_only_with_dilation():
    with torch.device("meta"):
        image = torch.randn(1, 3, 64, 64)
        assert small().eval().backbone(image).shape == (1, 512, 2, 2)
        assert FCNResNet(3, {"mask": 1}).eval().backbone(image).shape == (1, 2048, 8, 8)


def test_the_auxiliary_head_is_torchvisions_and_speaks_in_training_alone():
    torch.manual_seed(0)
    oracle = torchvisions_fcn().train()
    network = FCNResNet(3, {"mask": 21}, encoder="resnet50", head="fcn", auxiliary=0.4).train()
    state = {
        name.replace("classifier.4.", "heads.mask.") if name.startswith("classifier") else name: value
        for name, value in oracle.state_dict().items()
    }
    state = {
        name.replace("aux_classifier.4.", "auxiliary.heads.mask.").replace(
            "aux_classifier.", "auxiliary.classifier."
        ): v
        for name, v in state.items()
    }
    network.load_state_dict(state)
    for module in [*network.modules(), *oracle.modules()]:
        if isinstance(module, torch.nn.Dropout):
            module.eval()  # draws of its own
    image = torch.randn(2, 3, 32, 32)
    expected = oracle(image)
    found = network(image)
    assert torch.allclose(found["mask"], expected["out"], atol=1e-5)
    assert torch.allclose(found["auxiliary.mask"], expected["aux"], atol=1e-5)
    assert set(network.eval()(image)) == {"mask"}
    assert network.auxiliary_weight == 0.4


def test_lraspp_is_torchvisions_with_torchvisions_weights(tmp_path):
    torch.manual_seed(0)
    oracle = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=4).eval()
    torch.save(oracle.state_dict(), tmp_path / "oracle.pth")
    network = LRASPP(3, {"mask": 3, "depth": 1}, weights=str(tmp_path / "oracle.pth")).eval()
    image = torch.randn(1, 3, 50, 61)
    with torch.no_grad():
        found = network(image)
        expected = oracle(image)["out"]
    assert torch.equal(torch.cat([found["mask"], found["depth"]], dim=1), expected)
    assert network.mean == IMAGENET_MEAN
    backbone = mobilenet_v3_large(weights=None)
    torch.save(backbone.state_dict(), tmp_path / "mobilenet.pth")
    other = LRASPP(6, {"mask": 1}, weights=str(tmp_path / "mobilenet.pth"))
    state = backbone.state_dict()
    assert torch.equal(other.backbone["4"].block[0][0].weight, state["features.4.block.0.0.weight"])
    assert torch.allclose(other.backbone["0"][0].weight[:, 3:], state["features.0.0.weight"] / 2)
    with pytest.raises(ConfigError, match="does not fit model=torchvision_lraspp"):
        LRASPP(3, {"mask": 1}, weights=str(_saved(resnet34(weights=None), tmp_path)))


def _saved(module, folder):
    torch.save(module.state_dict(), folder / "other.pth")
    return folder / "other.pth"


@pytest.mark.parametrize("head", ["fcn", "deeplabv3"])
def test_one_smallest_picture_can_be_trained(head):
    torch.manual_seed(0)
    network = small(head=head)
    network.check_size(33, 33)
    with pytest.raises(ConfigError, match="at least 33 x 33"):
        network.check_size(33, 32)
    loss = network(torch.randn(1, 3, 33, 33))["mask"].pow(2).mean()
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())


def test_pooled_normalisation_of_one_picture_uses_running_statistics_and_of_two_their_own():
    pooled = small(head="deeplabv3").classifier[0].convs[-1][2]
    pooled.running_mean.fill_(2.0)
    pooled.running_var.fill_(4.0)
    one = pooled(torch.full((1, 256, 1, 1), 6.0))
    assert torch.allclose(one, torch.full_like(one, 2.0), atol=1e-4)  # (6 - 2) / sqrt(4)
    assert pooled.num_batches_tracked == 0
    assert torch.equal(pooled.running_mean, torch.full((256,), 2.0))
    two = pooled(torch.tensor([1.0, 3.0]).view(2, 1, 1, 1).expand(2, 256, 1, 1))
    assert torch.allclose(two[:, 0, 0, 0], torch.tensor([-1.0, 1.0]), atol=1e-4)
    assert torch.allclose(pooled.running_mean, torch.full((256,), 2.0))  # 0.9 * 2 + 0.1 * 2
    assert torch.allclose(pooled.running_var, torch.full((256,), 3.8))  # 0.9 * 4 + 0.1 * 2


@pytest.mark.parametrize(("freeze", "learning"), [("backbone", ("classifier.", "heads.")), ("all_but_head", "heads.")])
def test_what_is_frozen_keeps_its_weights_and_statistics(freeze, learning):
    torch.manual_seed(0)
    network = small(head="fcn", freeze=freeze)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.eval()
    network.train()  # as Lightning does after each validation
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1, weight_decay=0.1)
    network(torch.randn(2, 3, 64, 64))["mask"].sub(1).pow(2).mean().backward()
    optimizer.step()
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if name.startswith(learning)}


def test_none_is_a_word_for_nothing():
    network = small(weights="none", freeze="none")
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert network.mean is None


def test_without_freezing_everything_learns():
    network = small()
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert all(module.training for module in network.modules())
    assert network.mean is None and network.std is None


def test_two_equal_pictures_give_the_pretrained_response(resnet18_file):
    one, two = (small(channels, weights=str(resnet18_file)).eval() for channels in (3, 6))
    image = torch.randn(2, 3, 40, 50)
    with torch.no_grad():
        expected, found = (
            network.backbone(picture) for network, picture in ((one, image), (two, torch.cat([image, image], dim=1)))
        )
    assert torch.allclose(found, expected, atol=1e-5)
    assert torch.equal(two.backbone.conv1.weight[:, :3], two.backbone.conv1.weight[:, 3:])


def test_a_plain_resnet_fills_the_backbone_and_leaves_the_head_new(resnet18_file):
    oracle = resnet18(weights=None).eval()
    oracle.load_state_dict(torch.load(resnet18_file, weights_only=True))
    network, image = small(weights=str(resnet18_file)).eval(), torch.randn(1, 3, 64, 64)
    stages = torch.nn.Sequential(*list(oracle.children())[:-2])
    with torch.no_grad():
        assert torch.equal(network.backbone(image), stages(image))


def test_own_weights_come_back_and_a_classifier_of_another_size_stays_new(tmp_path):
    first = small(heads=BOTH)
    torch.save(first.state_dict(), tmp_path / "own.pt")
    same = small(heads=BOTH, weights=str(tmp_path / "own.pt")).state_dict()
    assert all(torch.equal(value, same[name]) for name, value in first.state_dict().items())
    other = small(heads={"mask": 5}, weights=str(tmp_path / "own.pt"))
    assert other.heads["mask"].weight.shape == (5, 128, 1, 1)
    assert torch.equal(other.classifier[0].weight, first.classifier[0].weight)


def test_weights_from_before_batches_were_counted(resnet18_file, tmp_path):
    state = torch.load(resnet18_file, weights_only=True)
    old = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    assert len(old) < len(state)
    torch.save(old, tmp_path / "old.pth")
    network = small(weights=str(tmp_path / "old.pth"))
    assert torch.equal(network.backbone.layer4[1].bn2.running_var, state["layer4.1.bn2.running_var"])


def test_safetensors(resnet18_file, tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    state = torch.load(resnet18_file, weights_only=True)
    safetensors.save_file(state, tmp_path / "resnet18.safetensors")
    network = small(weights=str(tmp_path / "resnet18.safetensors"))
    assert torch.equal(network.backbone.conv1.weight, state["conv1.weight"])
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="cannot be read as weights"):
        small(weights=str(tmp_path / "broken.safetensors"))


def test_files_that_do_not_fit_are_refused_in_one_sentence(resnet18_file, tmp_path):
    def refuse(message, content=None, path=tmp_path / "file.pth", **settings):
        if content is not None:
            torch.save(content, path)
        with pytest.raises(ConfigError, match=message) as error:
            small(weights=str(path), **settings)
        assert "\n" not in str(error.value)

    state = torch.load(resnet18_file, weights_only=True)
    missing = {name: value for name, value in state.items() if not name.startswith("layer4.1.")}
    refuse("null for none", path=tmp_path / "absent.pth")
    refuse("null for none", path=tmp_path)
    refuse("is not a state dict", content=[torch.zeros(1)])
    refuse("is not a state dict", content={"epoch": 3, "state_dict": state})
    refuse("is not a state dict", content={})
    refuse(r": backbone\.layer4\.1\.conv1\.weight, (\S+, ){3}backbone\.layer4\.1\.bn1\.running_var and 5", missing)
    refuse(r": backbone\.layer1\.2\.conv1\.weight,", content=resnet34(weights=None).state_dict())  # silently cut else
    refuse(r"conv1\.weight", content={**state, "conv1.weight": torch.zeros(64, 4, 7, 7)})
    refuse(r"classifier\.0\.weight, classifier\.", content=small(head="deeplabv3").state_dict())
    (tmp_path / "file.pth").write_bytes(b"<html>404</html>")
    refuse("cannot be read as weights")


def test_a_file_that_would_run_code_is_refused(tmp_path):
    torch.save({"conv1.weight": re.compile("x")}, tmp_path / "code.pth")
    with pytest.raises(ConfigError, match=r"cannot be read as weights \(UnpicklingError\)"):
        small(weights=str(tmp_path / "code.pth"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"encoder": "resnet19"}, r"no model\.encoder 'resnet19'; did you mean 'resnet18'\?"),
        ({"encoder": "vgg"}, r"choose from resnet101, resnet18, resnet34, resnet50"),
        ({"head": "deeplab"}, r"no model\.head 'deeplab'; did you mean 'deeplabv3'\?"),
        ({"freeze": "backbon"}, r"no model\.freeze 'backbon'; did you mean 'backbone'\?"),
    ],
)
def test_wrong_names_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        small(**settings)


@pytest.mark.parametrize("channels", [1, 2, 4, 6, 7])
def test_a_stem_is_inflated_to_any_number_of_bands(channels):
    weight = torch.arange(2 * 3 * 1 * 1, dtype=torch.float32).view(2, 3, 1, 1)  # kernels 0 1 2 and 3 4 5
    found = inflate(weight, torch.empty(2, channels, 1, 1))
    if channels == 1:
        assert found.flatten().tolist() == [3.0, 12.0]
    else:
        wanted = [[3 / channels * (3 * row + band % 3) for band in range(channels)] for row in range(2)]
        assert torch.allclose(found[..., 0, 0], torch.tensor(wanted))
    assert inflate(weight, torch.empty(2, 3, 1, 1)) is weight
