"""`import segbench`: light, complete, typed, and its functions do what the command line does."""

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import segbench
from segbench.core.errors import ConfigError, DataError
from segbench.runs.folder import RunFolder

ROOT = Path(__file__).parents[2]
PACKAGES = ["segbench", "segbench.data", "segbench.losses", "segbench.metrics", "segbench.models"]
TINY = ["trainer=debug", "trainer.threads=1", "data.size=[32,32]", "model.width=4", "model.depth=2"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A tiny run of masks and depth."""
    folder = tmp_path_factory.mktemp("front") / "run"
    found = segbench.train(*TINY, "task=mask_depth", "loss.depth=l1", f"hydra.run.dir={folder}", quiet=True)
    assert found == RunFolder(folder)
    return found


@pytest.mark.parametrize("name", PACKAGES)
def test_names_are_there_and_known_to_type_checkers(name):
    package = importlib.import_module(name)
    tree = ast.parse(Path(package.__file__).read_text())
    typed = {
        alias.asname
        for node in tree.body
        if isinstance(node, ast.If)
        for line in node.body
        for alias in line.names
        if alias.asname == alias.name
    }
    assert typed | ({"__version__"} & set(package.__all__)) == set(package.__all__)
    for exported in package.__all__:
        assert getattr(package, exported) is not None
        assert exported in dir(package)
    with pytest.raises(AttributeError, match="has no attribute 'Unet'"):
        _ = package.Unet


def test_every_part_that_a_configuration_names_is_exported():
    for group in ("model", "loss", "data"):
        package = importlib.import_module(f"segbench.{ {'model': 'models', 'loss': 'losses'}.get(group, group) }")
        for file in (ROOT / "conf" / group).rglob("*.yaml"):
            node = yaml.safe_load(file.read_text())
            if "_target_" not in node:
                assert node["defaults"], file  # a preset, which takes the class of another option
                continue
            assert node["_target_"].rpartition(".")[2] in package.__all__, file


def test_importing_it_and_its_parts_imports_no_torch():
    code = (
        "import sys, segbench, segbench.losses, segbench.models, segbench.metrics, segbench.data; segbench.__version__;"
        " segbench.train, segbench.load, segbench.resume, segbench.evaluate; segbench.compare;"
        " print(sorted({'torch', 'pytorch_lightning', 'albumentations', 'hydra'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_package_is_marked_as_typed():
    assert (ROOT / "segbench" / "py.typed").is_file()


def defaults(file):
    """Return a part's settings in its YAML file that are plain values."""
    node = yaml.safe_load(file.read_text())
    return {name: value for name, value in node.items() if name != "_target_" and "${" not in str(value)}


@pytest.mark.parametrize("file", sorted((ROOT / "conf/model").glob("*.yaml")), ids=lambda file: file.stem)
def test_networks_have_the_defaults_of_their_yaml_file(file):
    """The file that is called as the module says what the constructor says; the others are variants of it."""
    import inspect

    module, _, name = yaml.safe_load(file.read_text())["_target_"].rpartition(".")
    if module.rpartition(".")[2] not in (file.stem, file.stem.removesuffix("_unet")):
        pytest.skip("a variant")
    signature = inspect.signature(getattr(importlib.import_module(module), name)).parameters
    further = {name for name, p in signature.items() if p.kind is p.VAR_KEYWORD}  # such as `**settings` of a library
    found = {name: p.default for name, p in signature.items() if name not in {"in_channels", "heads", *further}}
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}
    said = defaults(file)
    assert plain == ({name: said[name] for name in plain} if further else said)
    assert signature["in_channels"].default == (6 if file.stem == "two_stem" else 3)
    assert dict(signature["heads"].default) == {"mask": 1}


@pytest.mark.parametrize("name", ["dice", "jaccard", "tversky", "focal", "cross_entropy", "bce", "lovasz", "ssim"])
def test_losses_have_the_defaults_of_their_yaml_file(name):
    import inspect

    file = ROOT / f"conf/loss/{name}.yaml"
    target = yaml.safe_load(file.read_text())["_target_"].rpartition(".")[2]
    signature = inspect.signature(getattr(segbench.losses, target)).parameters
    assert {name: signature[name].default for name in defaults(file) if name != "defaults"} == {
        name: value for name, value in defaults(file).items() if name != "defaults"
    }


@pytest.mark.parametrize(("missing", "words"), [("heads", r"must be \[1, 3, "), ("in_channels", "expected input")])
def test_a_yaml_file_that_leaves_a_line_out_does_not_train_the_defaults_instead(missing, words):
    """The defaults are for Python: a configuration that forgot what follows from the data is refused."""
    from segbench.config.compose import compose_config, run_config
    from segbench.training.parts import build_experiment

    classes = "data.classes=[background,cat,dog]"
    words_of_run = ["data=synthetic", classes, "inputs=image+background", "loss=cross_entropy", *TINY]
    config = run_config(compose_config(words_of_run))
    del config.model.arguments[missing]
    with pytest.raises(ConfigError, match=words):
        build_experiment(config)


def test_a_network_without_arguments_is_the_one_of_the_readme():
    network = segbench.models.UNet()
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_964_097


class TestPlainTensors:
    logits = torch.tensor([[[[2.0, -1.0], [0.5, -3.0]]]])
    mask = torch.tensor([[[1, 0], [255, 1]]])

    def test_dice_is_that_of_a_hand(self):
        p = [1 / (1 + np.exp(-x)) for x in (2.0, -1.0, -3.0)]  # the third pixel is not labelled
        expected = 1 - (2 * (p[0] + p[2]) + 1) / (sum(p) + 2 + 1)
        for dtype in (torch.int64, torch.uint8):
            assert segbench.losses.Dice()(self.logits, self.mask.to(dtype)).item() == pytest.approx(expected, abs=1e-6)

    @pytest.mark.parametrize("name", ["BCE", "CrossEntropy", "Dice", "Focal", "Jaccard", "Lovasz", "Tversky", "MSE"])
    def test_the_same_as_with_dicts(self, name):
        loss = getattr(segbench.losses, name)()
        value, _ = loss({"mask": self.logits}, {"mask": self.mask})
        assert loss(self.logits, self.mask) == value

    def test_depth(self):
        truth = torch.tensor([[[[1.0, float("nan")], [3.0, 3.0]]]])
        assert segbench.losses.L1("depth")(torch.ones(1, 1, 2, 2), truth).item() == pytest.approx(4 / 3)

    @pytest.mark.parametrize(
        ("logits", "mask", "words"),
        [
            ((2, 1, 4, 4), torch.zeros(2, 1, 4, 4, dtype=torch.long), r"\[B,H,W\], got \[2, 1, 4, 4\] and \[2, 1, 4"),
            ((2, 1, 4, 4), torch.zeros(2, 4, 5, dtype=torch.long), r"got \[2, 1, 4, 4\] and \[2, 4, 5\]"),
            ((2, 1, 4, 4), torch.zeros(2, 4, 4), r"whole numbers, the class ids, got torch.float32; give mask.long"),
            ((2, 1, 4, 4), torch.full((2, 4, 4), 2), "from 0 to 1 and 255 .* 1 channels, got 2"),
            ((2, 3, 4, 4), torch.full((2, 4, 4), -1), "from 0 to 2 and 255 .* 3 channels, got -1"),
        ],
    )
    def test_what_would_only_fit_by_broadcasting_is_refused(self, logits, mask, words):
        with pytest.raises(ConfigError, match=words):
            segbench.losses.Dice()(torch.zeros(logits), mask)

    def test_what_does_not_fit_the_classes_is_refused(self):
        mask = torch.zeros(1, 4, 4, dtype=torch.long)
        with pytest.raises(ConfigError, match="two classes, but the data has 3"):
            segbench.losses.BCE()(torch.zeros(1, 3, 4, 4), mask)
        with pytest.raises(ConfigError, match="class weights: call set_class_weights"):
            segbench.losses.CrossEntropy("median_frequency")(torch.zeros(1, 3, 4, 4), mask)
        with pytest.raises(ConfigError, match=r"two depths \[B,1,H,W\]"):
            segbench.losses.L1("depth")(torch.zeros(1, 1, 4, 4), torch.zeros(1, 4, 4))


@pytest.fixture(scope="module")
def model(run):
    """The tiny run, loaded."""
    return segbench.load(run, device="cpu")


@pytest.fixture
def array():
    """A picture of another shape than those of the training."""
    return np.random.default_rng(3).integers(0, 256, (40, 57, 3)).astype(np.uint8)


class TestLoad:
    def test_masks_are_those_of_predict(self, run, model, array, tmp_path):
        from segbench.commands.predict import Wanted, predict_images

        Image.fromarray(array).save(tmp_path / "x.png")
        predict_images(str(run.path), [str(tmp_path / "x.png")], wanted=Wanted(tmp_path / "out", device="cpu"))
        found = model(tmp_path / "x.png")
        with Image.open(tmp_path / "out" / "x_mask.png") as written:
            np.testing.assert_array_equal(found.mask, np.array(written))
        np.testing.assert_array_equal(found.depth, np.load(tmp_path / "out" / "x_depth.npy"))

    def test_probabilities_add_up_and_say_what_the_mask_says(self, model, array):
        found = model(array)
        assert found.probabilities.shape == (2, 40, 57)
        np.testing.assert_allclose(found.probabilities.sum(0), 1, atol=1e-6)
        np.testing.assert_array_equal(found.mask, found.probabilities[1] > 0.5)
        assert found.mask.dtype == np.uint8
        assert found.depth.shape == (40, 57)

    def test_every_form_of_the_same_picture_gives_the_same(self, model, array, tmp_path):
        Image.fromarray(array).save(tmp_path / "x.png")
        opaque = np.dstack([array, np.full(array.shape[:2], 255, np.uint8)])
        expected = model(array)
        forms = [str(tmp_path / "x.png"), Image.fromarray(array), opaque, array / 255, (array / 255).astype("float32")]
        for form in forms:
            np.testing.assert_array_equal(model(form).probabilities, expected.probabilities)
        grey = model(array[..., 0])
        for form in (
            array[..., :1],
            array[..., 0] / 255,
            Image.fromarray(array[..., 0]),
            np.dstack([array[..., 0]] * 3),
        ):
            np.testing.assert_array_equal(model(form).probabilities, grey.probabilities)

    @pytest.mark.parametrize(
        ("picture", "words"),
        [
            (np.zeros((3, 40, 57), np.uint8), r"\[H,W,C\] with at most 4 bands, got \[3, 40, 57\]"),
            (np.zeros((0, 4, 3), np.uint8), r"got \[0, 4, 3\]"),
            (np.full((4, 4, 3), 2.0), "must lie in 0..1, got 2 to 2"),
            (np.full((4, 4, 3), np.nan), "must lie in 0..1, got nan"),
            (np.zeros((4, 4, 3), np.int64), "uint8, or floats from 0 to 1, got int64"),
            ("nowhere.png", "nowhere.png: the file is not there"),
            (3, "a path, a PIL picture or a numpy array, got int"),
        ],
    )
    def test_other_pictures_are_refused(self, model, picture, words):
        with pytest.raises(DataError, match=words):
            model(picture)

    def test_a_background_that_the_run_is_not_given_is_refused(self, model, array):
        with pytest.raises(ConfigError, match="is given the image alone; its setting is inputs=image"):
            model(array, array)


class TestVerbs:
    def test_evaluate_gives_what_the_run_recorded(self, run):
        found = segbench.evaluate(run.path, "test")
        assert found["scores"]["test/mean_iou"] == pytest.approx(found["recorded"]["test/mean_iou"], abs=1e-6)
        assert found["same_data"]

    def test_resume_extends_the_run(self, tmp_path):
        run = segbench.train(*TINY, f"hydra.run.dir={tmp_path / 'run'}", quiet=True)
        before = run.read_results()["epochs"]
        after = segbench.resume(str(run.path), f"trainer.max_epochs={before + 1}", quiet=True)
        assert (after, after.read_results()["epochs"]) == (run, before + 1)

    def test_compare_is_the_package_and_the_function(self, run):
        from segbench.compare.comparison import compare_runs

        found = segbench.compare(run, metric="val/mean_iou")
        expected = compare_runs([run.path], metric="val/mean_iou")
        assert found.groups[0].summary.mean == expected.groups[0].summary.mean
        assert found.groups[0].summary.mean == run.read_results()["metrics"]["val/mean_iou"]["best"]

    def test_mistakes_are_the_sentences_of_the_command_line_and_leave_nothing(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ConfigError, match="no model called 'unett'; did you mean 'unet'"):
            segbench.train("model=unett")
        with pytest.raises(DataError, match="there is no folder"):
            segbench.train(*TINY, "data.foregrounds=/nowhere/at/all", quiet=True)
        with pytest.raises(ConfigError, match="there is no split 'tset' to evaluate; did you mean 'test'"):
            segbench.evaluate("run", "tset")
        assert list(tmp_path.iterdir()) == []

    def test_quiet_prints_nothing(self, tmp_path, capfd):
        run = segbench.train(*TINY, f"hydra.run.dir={tmp_path / 'run'}", quiet=True)
        assert json.loads(run.status.read_text())["state"] == "completed"
        assert capfd.readouterr().out == ""
