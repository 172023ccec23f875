"""Which parameters are trained at which rate: read from the optimizer itself, tensor by tensor."""

import pytest
import torch
from torch import nn

from segbench.config.compose import compose_config, run_config
from segbench.config.schema import Part
from segbench.core.errors import ConfigError
from segbench.models.unet import UNet
from segbench.training.frozen import Frozen
from segbench.training.parameter_groups import Grouping, layers
from segbench.training.parts import build_experiment


def optimizer_of(*words):
    experiment = build_experiment(run_config(compose_config([*words, "data.size=[64,64]", "trainer.accelerator=cpu"])))
    module = experiment.module()
    return module.configure_optimizers(), dict(module.network.named_parameters()), module


def by_name(optimizer, parameters):
    """The learning rate and weight decay of every parameter that the optimizer has."""
    found = {}
    for group in optimizer.param_groups:
        for one in group["params"]:
            (name,) = [name for name, other in parameters.items() if other is one]
            assert name not in found
            found[name] = (group["lr"], group["weight_decay"])
    return found


def test_biases_and_normalisations_do_not_decay():
    optimizer, parameters, module = optimizer_of("model=unet", "model.width=4", "optimizer.weight_decay=0.02")
    found = by_name(optimizer, parameters)
    assert set(found) == set(parameters)
    norms = {
        f"{path}.{name}"
        for path, part in module.network.named_modules()
        if isinstance(part, nn.BatchNorm2d)
        for name, _ in part.named_parameters()
    }
    spared = {name for name, (_, decay) in found.items() if decay == 0}
    assert spared == norms | {"heads.mask.bias"}
    assert {decay for name, (_, decay) in found.items() if name not in spared} == {0.02}
    assert {rate for rate, _ in found.values()} == {3e-3}


def test_they_decay_where_that_is_asked_for():
    optimizer, parameters, _ = optimizer_of("model=unet", "model.width=4", "optimizer.decay_norms=true")
    assert len(optimizer.param_groups) == 1
    assert list(by_name(optimizer, parameters)) == list(parameters)


def test_the_encoder_has_a_rate_of_its_own():
    words = ("model=fcn_resnet", "model.encoder=resnet18", "optimizer.lr=0.01", "optimizer.encoder_lr_factor=0.1")
    optimizer, parameters, _ = optimizer_of(*words)
    for name, (rate, _) in by_name(optimizer, parameters).items():
        assert rate == pytest.approx(0.001 if name.startswith("backbone.") else 0.01), name
    assert optimizer.param_groups[0]["lr"] == 0.01  # the one that metrics.csv shows


def test_each_layer_of_the_encoder_has_less_than_the_one_above():
    words = ("model=fcn_resnet", "model.encoder=resnet18", "optimizer.lr=0.01", "optimizer.layer_decay=0.5")
    found = by_name(*optimizer_of(*words)[:2])
    blocks = [f"backbone.layer{stage}.{block}" for stage in (1, 2, 3, 4) for block in (0, 1)]
    for place, block in enumerate(blocks, 1):
        rates = {rate for name, (rate, _) in found.items() if name.startswith(f"{block}.")}
        assert list(rates) == pytest.approx([0.01 * 0.5 ** (len(blocks) + 1 - place)]), block
    stem = found["backbone.conv1.weight"][0]
    assert stem == pytest.approx(0.01 * 0.5**9)
    assert found["heads.mask.weight"][0] == 0.01


def test_position_embeddings_and_tokens_of_a_vision_transformer_do_not_decay():
    pytest.importorskip("segmentation_models_pytorch", reason="an extra: pip install -e '.[smp]'")
    words = ("model=smp", "model.arch=linear", "model.encoder=tu-test_vit", "optimizer.layer_decay=0.5")
    found = by_name(*optimizer_of(*words)[:2])
    assert found["encoder.model.pos_embed"][1] == 0
    assert found["encoder.model.cls_token"][1] == 0
    assert found["encoder.model.blocks.0.attn.qkv.weight"][1] > 0
    rates = [found[f"encoder.model.blocks.{block}.mlp.fc1.weight"][0] for block in range(6)]
    assert rates == pytest.approx([3e-3 * 0.5 ** (6 - block) for block in range(6)])
    assert found["encoder.model.patch_embed.proj.weight"][0] == pytest.approx(3e-3 * 0.5**7)


def test_a_name_without_a_number_belongs_to_the_layer_before():
    names = ["e.stem.weight", "e.blocks.0.a", "e.blocks.0.b", "e.blocks.1.a", "e.norm.weight"]
    assert layers(names) == dict(zip(names, [0, 1, 1, 2, 2], strict=True))


def test_what_is_frozen_is_not_in_the_optimizer_and_keeps_its_statistics():
    words = ("model=fcn_resnet", "model.encoder=resnet18", "trainer.freeze=encoder")
    optimizer, parameters, module = optimizer_of(*words)
    found = by_name(optimizer, parameters)
    assert set(found) == {name for name in parameters if not name.startswith("backbone.")}
    module.setup("fit")
    module.eval()
    module.train()  # as Lightning does after each validation
    backbone = module.network.backbone
    assert not any(part.training for part in backbone.modules())
    assert module.network.classifier.training
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    module.network(torch.randn(2, 3, 64, 64))["mask"].sum().backward()
    optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


def test_what_is_unfrozen_later_is_in_the_optimizer_from_the_start():
    words = ("model=fcn_resnet", "model.encoder=resnet18", "trainer.freeze=encoder", "trainer.unfreeze_at=2")
    optimizer, parameters, module = optimizer_of(*words)
    assert set(by_name(optimizer, parameters)) == set(parameters)
    module.train()
    for epoch, frozen in ((0, True), (1, True), (2, False), (3, False), (1, True)):
        module.frozen.apply(epoch)
        assert module.network.backbone.training is not frozen
        assert parameters["backbone.conv1.weight"].requires_grad is not frozen


def test_a_parameter_that_was_never_trained_is_not_unfrozen():
    network = UNet(3, {"mask": 1}, width=4, depth=2)
    network.encoder[0][0].weight.requires_grad_(False)
    frozen = Frozen(network, ("encoder.",), until=1)
    frozen.apply(0)
    frozen.apply(1)
    assert not network.encoder[0][0].weight.requires_grad
    assert network.encoder[1][0].weight.requires_grad


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=fcn", "trainer.freeze=encoder"], r"model \(FCN\) has no part called encoder"),
        (["model=fcn", "optimizer.encoder_lr_factor=0.1"], r"model \(FCN\) has no part called encoder"),
        (["optimizer.layer_decay=1.5"], r"optimizer\.layer_decay in \(0, 1\]"),
        (["optimizer.encoder_lr_factor=0"], r"must be above 0"),
        (["optimizer.decay_norms=3"], r"optimizer\.decay_norms must be true or false"),
        (["trainer.unfreeze_at=2"], r"does nothing without trainer\.freeze"),
        (["trainer.freeze=head"], r"trainer\.freeze"),
        (["trainer.freeze=encoder", "trainer.unfreeze_at=14"], r"is never reached.*max_epochs=14"),
        (["trainer.freeze=encoder", "optimizer.layer_decay=0.5"], r"do nothing, as the encoder is frozen throughout"),
        (["trainer.sync_batchnorm=true"], r"does nothing with one device"),
    ],
)
def test_what_cannot_be_is_refused(words, message):
    with pytest.raises(ConfigError, match=message):  # before any data is read
        build_experiment(run_config(compose_config([*words, "data.size=[64,64]"])))


def test_an_encoder_without_numbered_layers_has_no_decay_by_layer():
    """As that of a DenseNet: all of it would be one layer, below the whole rate."""
    network = nn.ModuleDict({"encoder": nn.ModuleDict({"block1": nn.Conv2d(3, 4, 3)}), "head": nn.Conv2d(4, 1, 1)})
    parameters = list(network.named_parameters())
    with pytest.raises(ConfigError, match=r"layer_decay finds no layers, .*; give optimizer\.encoder_lr_factor"):
        Grouping(layer_decay=0.5).groups(network, parameters, options={"lr": 0.1})
    groups = Grouping(encoder_lr_factor=0.5).groups(network, parameters, options={"lr": 0.1})
    assert [group.get("lr", 0.1) for group in groups] == [0.1, 0.05]


def test_an_optimizer_that_does_not_name_them_has_one_group():
    part = Part(target="torch.optim.SGD", arguments={"lr": 0.1, "weight_decay": 0.1})
    grouping, rest = Grouping.of(part)
    network = UNet(3, {"mask": 1}, width=4, depth=2)
    assert rest == part
    assert len(grouping.groups(network, list(network.named_parameters()), options=rest.arguments)) == 1
