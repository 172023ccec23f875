"""`segbench.load("model.onnx")` predicts as the run did, and needs neither the run nor, looking once, torch."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import segbench as front_door
from segbench.core.errors import ConfigError
from tests.support import tiny_bands
from tests.support.tiny_files import write_folder

pytest.importorskip("onnx", reason="an extra: pip install -e '.[export]'")
pytest.importorskip("onnxruntime", reason="an extra: pip install -e '.[export]'")

ROOT = Path(__file__).parents[2]
BOTH = ["", "normalisation", "normalisation,resize"]


def picture(height, width, seed=0):
    draw = np.random.default_rng(seed)
    small = draw.integers(0, 256, (height // 5 + 2, width // 5 + 2, 3)).astype(np.uint8)
    return np.array(Image.fromarray(small).resize((width, height), Image.Resampling.BILINEAR))


def agree(model, run, *pictures, share=1e-5):
    """Whether a file says what a run says: probabilities and depth, and ids wherever two classes are not equal."""
    wanted = run(*pictures)
    found = model(*pictures)
    assert np.abs(found.probabilities - wanted.probabilities).max() < share
    apart = np.sort(wanted.probabilities, axis=0)
    clear = apart[-1] - apart[-2] > 2 * share
    assert np.array_equal(found.mask[clear], wanted.mask[clear])
    if wanted.depth is not None:
        assert np.abs(found.depth - wanted.depth).max() < share


@pytest.mark.parametrize("steps", BOTH)
def test_two_heads_and_a_background(segbench, made, tiny, steps):
    run = made("run", *tiny, "task=mask_depth", "inputs=image+background")
    assert segbench("export", run, "--out", "out", "--with", steps).code == 0
    model = front_door.load("out/model.onnx")
    trained = front_door.load(run)
    assert model.classes == trained.classes
    share = 5e-3 if "resize" in steps else 1e-5  # a resize within the file rounds nothing
    for size in ((32, 32), (50, 71), (90, 20)):
        agree(model, trained, picture(*size), picture(*size, seed=1), share=share)
    with pytest.raises(ConfigError, match="takes image and background, got 1"):
        model(picture(32, 32))


@pytest.mark.parametrize("steps", BOTH)
def test_bands_of_sixteen_bits(segbench, made, steps):
    root = tiny_bands.write_bands(Path("bands").absolute())
    words = [*tiny_bands.words(root), "trainer=debug", "trainer.threads=1", "model.width=4", "model.depth=2"]
    run = made("run", *words)
    outcome = segbench("export", run, "--out", "out", "--with", steps)
    assert outcome.code == 0, outcome.err
    model = front_door.load("out/model.onnx")
    trained = front_door.load(run)
    for path in sorted((root / "images").glob("*.tif"))[:3]:
        agree(model, trained, path, share=1e-4)


def test_crops_tiles_and_further_looks_at_own_size(segbench, made):
    root = write_folder(Path("data").absolute(), size=(60, 75))
    words = [
        "data=folder",
        f"data.root={root}",
        "data.masks=binary",
        "data.view=crop",
        "data.size=[32,32]",
        "data.batch_size=4",
    ]
    looks = ["evaluate.tta=[hflip,0.75]", "evaluate.tile=32", "trainer=debug", "trainer.threads=1"]
    run = made("run", *words, *looks, "model.width=4", "model.depth=2")
    outcome = segbench("export", run, "--out", "out", "--with", "normalisation")
    assert outcome.code == 0, outcome.err
    agree(front_door.load("out/model.onnx"), front_door.load(run), picture(60, 75), share=1e-4)


def test_several_runs_in_one_file_are_averaged_at_own_size(segbench, made, tiny):
    first = made("first", *tiny)
    second = made("second", *tiny, "seed=1", "data.size=[40,24]")
    outcome = segbench("export", first, second, "--out", "out", "--with", "normalisation,resize")
    assert outcome.code == 0, outcome.err
    image = picture(50, 61)
    Image.fromarray(image).save("one.png")
    assert segbench("predict", first, second, "one.png", "--out", "masks", "--probabilities").code == 0
    wanted = np.load("masks/one.npz")["probabilities"]
    found = front_door.load("out/model.onnx")(image)
    assert np.abs(found.probabilities - wanted).max() < 5e-3
    assert "the mean of 2 runs" in Path("out/model-card.md").read_text()


def test_ids_at_the_size_of_the_view_do_not_become_finer(segbench, run):
    assert segbench("export", run, "--out", "out", "--with", "argmax").code == 0
    model = front_door.load("out/model.onnx")
    trained = front_door.load(run)
    image = picture(32, 32)
    assert np.array_equal(model(image).mask, trained(image).mask)
    assert model(image).probabilities is None
    with pytest.raises(ConfigError, match="export it --with normalisation,resize,argmax"):
        model(picture(40, 40))


def test_what_a_file_does_not_take(segbench, run, tmp_path):
    assert segbench("export", run, "--out", "out").code == 0
    with pytest.raises(ConfigError, match="load it without changes, plugins and side"):
        front_door.load("out/model.onnx", side=64)
    with pytest.raises(ConfigError, match="there is no device 'tpu'"):
        front_door.load("out/model.onnx", device="tpu")
    (tmp_path / "x.onnx").write_bytes(b"no graph")
    with pytest.raises(ConfigError, match=r"x\.onnx cannot be read as ONNX"):
        front_door.load(tmp_path / "x.onnx")
    with pytest.raises(ConfigError, match=r"y\.onnx is not there"):
        front_door.load(tmp_path / "y.onnx")


WITHOUT = """
import importlib.abc, sys
class Refusing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {refused!r}:
            raise ImportError(f"this machine has no {{name}}")
sys.meta_path.insert(0, Refusing())
"""


def without(refused, code, *words):
    """Run code in a new Python that lacks some packages."""
    command = [sys.executable, "-c", WITHOUT.format(refused=refused) + code, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_a_file_predicts_on_a_machine_without_torch(segbench, run):
    assert segbench("export", run, "--out", "out").code == 0
    Image.fromarray(picture(50, 61)).save("one.png")
    code = (
        "import numpy, segbench\nfound = segbench.load('out/model.onnx')('one.png')\n"
        "numpy.savez('found.npz', mask=found.mask, probabilities=found.probabilities)"
    )
    done = without(["torch", "pytorch_lightning", "torchmetrics", "albumentations", "torchvision"], code)
    assert done.returncode == 0, done.stderr
    wanted = front_door.load(run)("one.png")
    with np.load("found.npz") as found:
        assert np.abs(found["probabilities"] - wanted.probabilities).max() < 1e-5
        assert (found["mask"] == wanted.mask).mean() > 0.999


def test_the_example_of_the_documentation_needs_neither_segbench_nor_torch(segbench, run):
    import re

    page = (ROOT / "docs/export-model.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(# predict\.py.*?)```", page, re.DOTALL)
    assert len(example.splitlines()) <= 30
    assert segbench("export", run, "--out", "out", "--with", "normalisation,resize,argmax").code == 0
    Image.fromarray(picture(50, 61)).save("one.png")
    done = without(["segbench", "torch"], example, "out", "one.png", "mask.png")
    assert done.returncode == 0, done.stderr
    mask = np.array(Image.open("mask.png"))
    assert mask.shape == (50, 61)
    wanted = front_door.load(run)("one.png").mask
    assert (mask == wanted).mean() > 0.99
    for name, pixels in re.findall(r"(\w+): ([\d.]+) %", done.stdout):
        number = ["background", "foreground"].index(name)
        assert float(pixels) == pytest.approx(100 * (mask == number).mean(), abs=0.06)


FPN = """_target_: segmentation_models_pytorch.FPN
encoder_name: resnet18
encoder_weights: null
classes: ${num_classes:}
"""
CONVOLUTION = """_target_: torch.nn.Conv2d
in_channels: 3
out_channels: ${num_classes:}
kernel_size: 5
padding: 2
"""


@pytest.mark.parametrize(("network", "size"), [(FPN, (64, 32)), (CONVOLUTION, (64, 48))])
def test_a_network_of_another_library_is_shown_multiples_of_its_stride(segbench, made, tiny, tmp_path, network, size):
    """But for the size of its training, which may be none."""
    pytest.importorskip("segmentation_models_pytorch", reason="an extra: pip install -e '.[smp]'")
    (tmp_path / "options/model").mkdir(parents=True)
    (tmp_path / "options/model/theirs.yaml").write_text(network)
    words = [word for word in tiny if not word.startswith(("model.", "data.size"))]
    own = [f"hydra.searchpath=[file://{tmp_path / 'options'}]", "model=theirs", f"data.size=[{size[0]},{size[1]}]"]
    run = made("run", *words, *own)
    for steps in BOTH:
        outcome = segbench("export", run, "--out", "out", "--with", steps)
        assert outcome.code == 0, outcome.err
        share = 5e-3 if "resize" in steps else 1e-4
        for shape in (size, (75, 50)):
            agree(front_door.load("out/model.onnx"), front_door.load(run), picture(*shape), share=share)
