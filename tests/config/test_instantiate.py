"""The one door from configuration to objects: what may pass, and what may not."""

import cProfile
import pstats
import re
import sys

import pytest
import torch

from segbench.config.instantiate import build
from segbench.config.unnamed import Unnamed
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
        "os.system",
        "subprocess.Popen",
        "builtins.eval",
        "torch.load",
        "torch.hub.load",
        "numpy.load",
        "pathlib.Path",
        "segbench.cli.main",
        "segbench.core.files.write_atomic",
        "segbench.training.run.train",
        "torch.nn.init.zeros_",
        "torch.nn.functional.relu",
        "torch.optim.lr_scheduler.StepLR",
        "segbench.models.unet.double_convolution",
        "torch.nn.modules.module.warnings.warn",
        "segbench.data.pictures.open_picture",
        "albumentations.load",
        "torch",
        "torch.nn.utils.parametrize.torch.load",
        "segbench.models.unet.torch.hub.load",
        "",
        None,
        3,
    ],
)
def test_nothing_else_is_called(target):
    with pytest.raises(ConfigError):
        build({"_target_": target}, where="model")


def test_nested_and_listed_targets_are_held_to_the_same_rule():
    for node in (
        {"a": {"_target_": "os.getcwd"}},
        [{"_target_": "os.getcwd"}],
        {"_target_": "torch.nn.Sequential", "args": {"_target_": "os.getcwd"}},
    ):
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


UNNAMED = """
import torch

class Base(torch.nn.Module):
    def __init__(self, depth=1, **further):
        super().__init__()
        self.depth, self.bias = depth, further.get("bias", True)

class Passing(Base):
    def __init__(self, width=1, **further):
        super().__init__(**further)

class Keeping(torch.nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.options = options

class Copying(torch.nn.Module):
    def __init__(self, **options):
        super().__init__()
        settings = {"depth": 1, **options}
        self.depth = settings.pop("depth")
        self.bias = settings.pop("bi" + "as", True)

class KeepingACopy(torch.nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.options = dict(options)

class HandingACopy(torch.nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.depth = read(dict(options))

def read(options):
    return options["de" + "pth"]

class Choosing(torch.nn.Module):
    def __init__(self, kind, **further):
        super().__init__()
        torch.nn.Conv2d(3, 3, 1, bias=True)
        self.part = Passing(**further) if kind == "passing" else None
"""


@pytest.mark.parametrize(
    ("name", "values", "refused"),
    [
        ("Passing", {"width": 2, "depth": 3}, None),
        ("Passing", {"bias": False}, None),
        ("Passing", {"depht": 3}, "model (Passing) takes no 'depht'; did you mean 'depth'?"),
        ("Passing", {"depth": 3, "freeze": "backbone"}, "takes no 'freeze'; choose from depth, width"),
        ("Keeping", {"anything": 1}, None),
        ("Copying", {"depth": 2, "bias": False}, None),
        ("KeepingACopy", {"anything": 1}, None),
        ("HandingACopy", {"depth": 2}, None),
        ("Choosing", {"kind": "passing", "depth": 3, "bias": False}, None),
        ("Choosing", {"kind": "other", "depth": 3}, "model (Choosing) takes no 'depth'"),
        ("Choosing", {"kind": "other", "bias": False}, "takes no 'bias'"),
        ("Choosing", {"kind": "other", "bias": True, "depth": 3}, "takes no 'bias'"),
    ],
)
def test_an_unnamed_setting_that_nothing_asks_for_is_refused(tmp_path, monkeypatch, name, values, refused):
    (tmp_path / "unnamed_lab.py").write_text(UNNAMED)
    monkeypatch.syspath_prepend(tmp_path)
    node = {"_target_": f"unnamed_lab.{name}", **values}
    if refused is None:
        build(node, plugins=["unnamed_lab"], where="model")
        return
    with pytest.raises(ConfigError, match=re.escape(refused)):
        build(node, plugins=["unnamed_lab"], where="model")


@pytest.mark.parametrize(("name", "values"), [("Passing", {"width": 2, "depth": 3}), ("Keeping", {"anything": 1})])
def test_a_profiler_changes_nothing(tmp_path, monkeypatch, name, values):
    (tmp_path / "unnamed_lab.py").write_text(UNNAMED)
    monkeypatch.syspath_prepend(tmp_path)
    profiler = cProfile.Profile()
    with profiler:
        build({"_target_": f"unnamed_lab.{name}", **values}, plugins=["unnamed_lab"], where="model")
        sum(range(3))
    calls = [call for (_, _, call) in pstats.Stats(profiler).stats]
    assert "build" in calls
    assert "<built-in method builtins.sum>" in calls  # it watches on
    assert sys.getprofile() is None


def test_settings_that_smp_swallows_are_refused():
    pytest.importorskip("segmentation_models_pytorch")
    node = {"_target_": "segmentation_models_pytorch.Unet", "encoder_name": "resnet18", "encoder_weights": None}
    with pytest.raises(ConfigError, match=r"model \(Unet\) takes no 'freeze'; choose from .*encoder_name"):
        build({**node, "freeze": "backbone"}, where="model")
    with pytest.raises(ConfigError, match="takes no 'drop_path_rate'"):
        build({**node, "drop_path_rate": 0.1}, where="model")
    built = build({**node, "encoder_name": "tu-resnet18", "drop_path_rate": 0.1}, where="model")
    assert any(type(module).__name__ == "DropPath" for module in built.modules())
    with pytest.raises(ConfigError, match="cannot be built: .*freeze"):
        build({**node, "encoder_name": "tu-resnet18", "freeze": "backbone"}, where="model")
    build({**node, "aux_params": {"classes": 2}}, where="model")


@pytest.mark.parametrize(
    ("target", "given"),
    [
        ("torch.nn.Identity", "x"),
        ("torch.optim.SGD", "betas"),
        ("segbench.training.schedules.Cosine", "power"),
        ("torch.nn.BCEWithLogitsLoss", "ignore_index"),
        ("albumentations.HorizontalFlip", "limit"),
        ("pytorch_lightning.loggers.CSVLogger", "project"),
    ],
)
def test_every_kind_of_part_refuses_what_it_does_not_take(target, given):
    arguments = [[torch.nn.Parameter(torch.zeros(1))]] if "optim" in target else []
    with pytest.raises(ConfigError, match=f"takes no '{given}'"):
        build(
            {"_target_": target, given: 1}, *arguments, where="part", **({"save_dir": "x"} if "CSV" in target else {})
        )


def test_watching_leaves_an_earlier_profiler_as_it_was():
    def profiler(frame, event, argument):
        return None

    sys.setprofile(profiler)
    try:
        with pytest.raises(ConfigError):
            build({"_target_": "torch.nn.Identity", "x": 1}, where="model")
        assert sys.getprofile() is profiler
    finally:
        sys.setprofile(None)


def test_a_profiler_goes_on_after_a_class_was_watched():
    """As in `python -m cProfile train.py`."""

    def takes_some(**others):
        return others.get("known")

    profiler = cProfile.Profile()
    profiler.enable()
    try:
        with Unnamed([]):
            pass
        with Unnamed(["known", "unknown"]) as watched:
            takes_some(known=1, unknown=2)
        takes_some()
    finally:
        profiler.disable()
    assert watched.left == {"unknown"}
    calls = {entry.code.co_name: entry.callcount for entry in profiler.getstats() if hasattr(entry.code, "co_name")}
    assert calls["takes_some"] >= 1, "the profiler counts what came after"
