"""A network that cannot do what it is wanted for is refused before data is read or a folder made."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from segbench.config.compose import compose_config, run_config
from segbench.config.schema import Part
from segbench.core.errors import ConfigError
from segbench.models.external import as_network
from segbench.models.rehearsal import check_output, check_training
from segbench.training.parts import build_experiment


class Given(nn.Module):
    """A network that gives what it is told to, whatever the picture."""

    def __init__(self, **shapes):
        super().__init__()
        self.shapes = shapes

    def forward(self, image):
        return {name: torch.zeros(shape) for name, shape in self.shapes.items()}


def normalised():
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Conv2d(4, 1, 1))


def with_network(**model):
    words = ["model=fcn", "data.size=[64,64]", "data.batch_size=1", "trainer.accelerator=cpu"]
    return build_experiment(replace(run_config(compose_config(words)), model=Part.of(model, "model")))


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        ({"mask": (1, 1, 8, 8)}, None),
        ({"mask": (1, 2, 8, 8)}, r"gives \[1, 2, 8, 8\] for the head 'mask', which must be \[1, 1, 8, 8\]"),
        ({"mask": (1, 1, 4, 8)}, r"gives \[1, 1, 4, 8\]"),
        ({"depth": (1, 1, 8, 8)}, r"model \(Given\) gives nothing for the head 'mask'"),
    ],
)
def test_an_output_that_does_not_fit_is_refused(shapes, said):
    if said is None:
        check_output(Given(**shapes), 3, heads={"mask": 1}, size=(8, 8))
        return
    with pytest.raises(ConfigError, match=said):
        check_output(Given(**shapes), 3, heads={"mask": 1}, size=(8, 8))


def test_a_picture_that_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match=r"model \(Linear\) does not work on pictures of 8 x 9: .*"):
        check_output(nn.Linear(8, 8), 3, heads={"mask": 3}, size=(8, 9))


def test_what_is_only_computed_works_too():
    """numpy knows no tensor without data; the picture is then passed on the CPU."""

    class ByNumpy(nn.Module):
        def forward(self, image):
            return {"mask": torch.from_numpy(image.numpy()[:, :1])}

    check_output(ByNumpy(), 3, heads={"mask": 1}, size=(8, 8))


def test_what_is_computed_sooner_than_its_shapes_are_worked_out_is_computed():
    devices = []

    class Noting(nn.Module):
        def __init__(self, weights=1):
            super().__init__()
            self.unused = nn.Parameter(torch.zeros(weights))

        def forward(self, image):
            devices.append(image.device.type)
            return {"mask": image[:, :1]}

    check_output(Noting(), 3, heads={"mask": 1}, size=(64, 64))
    check_training(Noting(), 3, sizes=[(64, 64)], batch=8)
    check_output(Noting(), 3, heads={"mask": 1}, size=(128, 128))
    check_training(Noting(), 3, sizes=[(64, 128)], batch=8)
    check_output(Noting(weights=300_000), 3, heads={"mask": 1}, size=(64, 64))
    assert devices == ["cpu", "cpu", "meta", "meta", "meta"]


def test_the_network_and_the_generators_stay_as_they_are():
    network = normalised()
    network[1].eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    state = torch.get_rng_state()
    wrapped = as_network(network, {"mask": 1})
    check_output(wrapped, 3, heads={"mask": 1}, size=(8, 8))
    check_training(wrapped, 3, sizes=[(8, 8)], batch=4)
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert {tensor.device.type for tensor in network.state_dict().values()} == {"cpu"}


def test_one_value_to_normalise_is_refused():
    check_training(normalised(), 3, sizes=[(1, 1)], batch=2)
    check_training(normalised(), 3, sizes=[(1, 2)], batch=1)
    with pytest.raises(
        ConfigError, match=r"batches of 1 with pictures of 1 x 1 \(Expected more than 1 value.*batch_size=2"
    ):
        check_training(normalised(), 3, sizes=[(8, 8), (1, 1)], batch=1)
    with pytest.raises(ConfigError, match=r"batches of 4 with pictures of 1 x 1 \(.*\); give larger pictures"):
        check_training(nn.Sequential(nn.Conv2d(3, 2, 1), nn.InstanceNorm2d(2)), 3, sizes=[(1, 1)], batch=4)


@pytest.mark.parametrize(
    "words",
    [
        ["data.size=[16,16]", "data.batch_size=1"],
        ["data.size=[64,64]", "data.batch_size=1", "resolution=16,64", "trainer.max_epochs=2"],
        ["data.size=[16,16]", "data.batch_size=2", "trainer.devices=2"],
    ],
)
def test_a_single_picture_of_1_x_1_is_one_sentence_and_no_folder(command, words):
    outcome = command("model=unet", "trainer.accelerator=cpu", *words, "hydra.run.dir=run")
    assert outcome.code == 2
    assert "model (UNet) cannot be trained on batches of 1 with pictures of 16 x 16" in outcome.err
    assert "give data.batch_size=2 or more for each device, or larger pictures" in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1
    assert not Path("run").exists()


def test_networks_of_smp_are_refused_before_data_is_read():
    pytest.importorskip("segmentation_models_pytorch")
    smp = {"encoder_name": "resnet18", "encoder_weights": None}
    deeplab = with_network(_target_="segmentation_models_pytorch.DeepLabV3Plus", **smp)
    with pytest.raises(ConfigError, match=r"model \(DeepLabV3Plus\) cannot be trained on batches of 1.*batch_size=2"):
        deeplab.check_training(1)
    with pytest.raises(ConfigError, match=r"Unet returned \[1, 5, 64, 64\] .* set its number of classes to 1"):
        with_network(_target_="segmentation_models_pytorch.Unet", classes=5, **smp)
