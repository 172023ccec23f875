"""The one door from configuration to objects: what may pass, and what may not."""

import pytest
import torch

from segbench.config.instantiate import build
from segbench.core.errors import ConfigError


def test_nested_nodes_are_built_first():
    node = {"_target_": "torch.nn.Sequential", "x": 1}
    with pytest.raises(ConfigError, match="takes no 'x'"):
        build(node, where="model")
    assert build({"a": [{"_target_": "torch.nn.ReLU"}]})["a"][0].__class__ is torch.nn.ReLU
    layers = build({"_target_": "torch.nn.Sequential"}, torch.nn.ReLU())
    assert len(layers) == 1


@pytest.mark.parametrize(
    "target",
    [
        "os.system", "subprocess.Popen", "builtins.eval", "torch.load", "torch.hub.load", "numpy.load", "pathlib.Path",
        "segbench.cli.main", "segbench.core.files.write_atomic", "segbench.training.fit.train", "torch.nn.init.zeros_",
        "torch.nn.functional.relu", "torch.optim.lr_scheduler.StepLR", "segbench.models.unet.double_convolution",
        "torch.nn.modules.module.warnings.warn", "segbench.data.pictures.open_picture", "albumentations.load", "torch",
        "torch.nn.utils.parametrize.torch.load", "segbench.models.unet.torch.hub.load", "", None, 3,
    ],
)  # fmt: skip
def test_nothing_else_is_called(target):
    with pytest.raises(ConfigError):
        build({"_target_": target}, where="model")


def test_nested_and_listed_targets_are_held_to_the_same_rule():
    for node in ({"a": {"_target_": "os.getcwd"}}, [{"_target_": "os.getcwd"}], {"_target_": "torch.nn.Sequential",
                 "args": {"_target_": "os.getcwd"}}):  # fmt: skip
        with pytest.raises(ConfigError, match="os.getcwd"):
            build(node)


def test_wrong_names_and_arguments_name_the_nearest():
    with pytest.raises(ConfigError, match=r"there is no UNett in segbench.models.unet; did you mean 'UNet'"):
        build({"_target_": "segbench.models.unet.UNett"}, where="model")
    with pytest.raises(ConfigError, match=r"model \(UNet\) takes no 'widht'; did you mean 'width'"):
        build({"_target_": "segbench.models.unet.UNet", "widht": 3}, where="model")
    with pytest.raises(ConfigError, match="needs a value for losses, weights"):
        build({"_target_": "segbench.losses.weighted_sum.WeightedSum"}, where="loss")


def test_plugins_are_trusted_by_name_only(tmp_path, monkeypatch):
    (tmp_path / "mylab.py").write_text(
        "import torch\n\nclass Net(torch.nn.Module):\n    pass\n\ndef run():\n    1 / 0\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    node = {"_target_": "mylab.Net"}
    with pytest.raises(ConfigError, match=r"plugins=\[mylab\]"):
        build(node, where="model")
    assert build(node, plugins=["mylab"]).__class__.__name__ == "Net"
    with pytest.raises(ConfigError):
        build({"_target_": "mylab.run"}, plugins=["mylab"])
