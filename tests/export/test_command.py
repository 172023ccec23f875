"""`segbench export`: files that are checked, cards, labels, and what is refused."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from segbench.core.errors import CheckpointError, ConfigError
from segbench.export.check import Parity
from segbench.export.description import KEY, Description
from tests.support.exported import described

onnx = pytest.importorskip("onnx", reason="an extra: pip install -e '.[export]'")
runtime = pytest.importorskip("onnxruntime", reason="an extra: pip install -e '.[export]'")


def test_a_run_becomes_a_file_a_card_and_labels(segbench, run):
    outcome = segbench("export", run, "--out", "out", "--with", "normalisation,resize")
    assert outcome.code == 0, outcome.err
    said = re.fullmatch(
        r"checked on 4 pictures of val: largest difference (\S+), (\S+) % of the pixels have the class that predict"
        r" gives\nlabels.json, model-card.md, model.onnx: .*/out\n",
        outcome.out,
    )
    assert float(said[1]) < 1e-5
    assert float(said[2]) == 100
    assert json.loads(Path("out/labels.json").read_text()) == {"0": "background", "1": "foreground"}
    model = onnx.load("out/model.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 18)]
    card = Path("out/model-card.md").read_text()
    results = json.loads((run / "results.json").read_text())
    assert f"{results['metrics']['test/mean_iou']['best']:.4f}" in card
    for fingerprint in results["data_fingerprint"].values():
        assert fingerprint in card
    for words in ("opset 18", "uint8, as in the files", "any; inside, pictures come to 32 x 32", "not stated"):
        assert words in card
    assert sorted(path.name for path in Path("out").iterdir()) == ["labels.json", "model-card.md", "model.onnx"]


def test_the_default_folder_and_the_run_that_stays_as_it_is(segbench, run):
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    outcome = segbench("export", run)
    assert outcome.code == 0, outcome.err
    assert Path("exports", Path.cwd().name, "run", "model.onnx").is_file()
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_a_card_gives_intervals_where_the_test_carries_them(segbench, made, tiny):
    run = made("run", *tiny, "data.test_size=12", "data.split=random")
    assert segbench("export", run, "--out", "out").code == 0
    row = next(line for line in Path("out/model-card.md").read_text().splitlines() if "test/mean_iou" in line)
    value, low, high = map(float, re.findall(r"\d\.\d{4}", row))
    assert low < value < high
    results = json.loads((run / "results.json").read_text())
    (run / "results.json").write_text(json.dumps({**results, "test_is_val": True}))
    assert segbench("export", run, "--out", "out").code == 0
    assert "There is no test: these are scores of val" in Path("out/model-card.md").read_text()


def test_a_folder_for_the_hub(segbench, run):
    outcome = segbench("export", run, "--out", "out", "--hub-folder", "--licence", "mit")
    assert outcome.code == 0, outcome.err
    names = {"README.md", "config.json", "labels.json", "model-card.md", "model.onnx", "model.safetensors"}
    assert {path.name for path in Path("out").iterdir()} == names
    hub = pytest.importorskip("huggingface_hub", reason="brought by the extra huggingface")
    card = hub.ModelCard.load("out/README.md")
    assert card.data.license == "mit"
    assert card.data.pipeline_tag == "image-segmentation"
    (result,) = [one for one in card.data.eval_results if one.metric_name == "test/mean_iou"]
    best = json.loads((run / "results.json").read_text())["metrics"]["test/mean_iou"]["best"]
    assert result.metric_value == pytest.approx(best, abs=1e-6)
    config = json.loads(Path("out/config.json").read_text())
    assert config["id2label"] == {"0": "background", "1": "foreground"}
    assert config["network"]["width"] == 4
    assert str(Path.cwd()) not in Path("out/README.md").read_text() + Path("out/config.json").read_text()


def test_safetensors_are_the_best_weights_and_begin_a_run(segbench, command, run, tiny):
    outcome = segbench("export", run, "--out", "out", "--format", "safetensors")
    assert outcome.code == 0, outcome.err
    assert "tensors are those of the network, bit by bit" in outcome.out
    from safetensors.torch import load_file

    best = torch.load(run / "checkpoints/best.ckpt", weights_only=True)["state_dict"]
    state = load_file("out/model.safetensors")
    assert {f"network.{name}" for name in state if name not in ("mean", "std")} == {
        name for name in best if name.startswith("network.")
    }
    for name, value in state.items():
        assert torch.equal(value, best[name if name in ("mean", "std") else f"network.{name}"]), name
    words = [*tiny, "model.init_from=out/model.safetensors", "trainer.max_steps=1", "optimizer.lr=1e-12"]
    assert command(*words, "hydra.run.dir=second").code == 0
    after = torch.load("second/checkpoints/best.ckpt", weights_only=True)["state_dict"]
    assert torch.allclose(after["network.encoder.0.0.weight"], best["network.encoder.0.0.weight"], atol=1e-6)


@pytest.mark.parametrize("kept", ["trainer.ema=0.9", "optimizer=schedulefree"])
def test_averaged_weights_are_what_is_exported(segbench, made, tiny, kept):
    if "schedulefree" in kept:
        pytest.importorskip("schedulefree", reason="an extra: pip install -e '.[schedulefree]'")
    run = made("averaged", *tiny, kept)
    assert segbench("export", run, "--out", "out", "--format", "safetensors").code == 0
    from safetensors.torch import load_file

    best = torch.load(run / "checkpoints/best.ckpt", weights_only=True)["state_dict"]
    weight = load_file("out/model.safetensors")["encoder.0.0.weight"]
    assert torch.equal(weight, best["average.network.encoder.0.0.weight"])
    assert not torch.equal(weight, best["network.encoder.0.0.weight"])


def test_torchscript_needs_torch_alone(segbench, made, tiny):
    run = made("run", *tiny, "task=mask_depth", "inputs=image+background")
    outcome = segbench("export", run, "--out", "out", "--format", "torch", "--with", "normalisation,resize,argmax")
    assert outcome.code == 0, outcome.err
    recorded = json.loads((run / "results.json").read_text())["metrics"]
    card = Path("out/model-card.md").read_text()
    for name in ("test/mean_iou", "test/depth/rmse", "test/depth/mae"):
        assert f"| {name} | {recorded[name]['best']:.4f} |" in card
    model = torch.jit.load("out/model.pt")
    pictures = torch.randint(0, 256, (2, 3, 45, 70), dtype=torch.uint8)
    mask, depth = model(pictures, pictures.flip(-1))
    assert (mask.dtype, tuple(mask.shape)) == (torch.uint8, (2, 45, 70))
    assert (depth.dtype, tuple(depth.shape)) == (torch.float32, (2, 1, 45, 70))


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nowhere"], 4, "there is no run folder"),
        (["a=b"], 2, "export needs the folder of a run"),
        (["run", "--format", "onx"], 2, "did you mean 'onnx'"),
        (["run", "--with", "resize"], 2, "--with resize needs normalisation too"),
        (["run", "--format", "safetensors", "--with", "argmax"], 2, "holds weights alone"),
        (["run", "run", "--format", "safetensors"], 2, "the weights of several runs are no one network"),
        (["run", "run"], 2, "several runs are averaged at the pictures' own size: give --with normalisation,resize"),
        (["run", "evaluate.tta=hflip", "--with", "argmax"], 2, "or give evaluate.tta=null"),
        (["run", "data.seeed=1"], 2, "did you mean 'seed'"),
    ],
)
def test_what_is_refused_leaves_nothing(segbench, run, words, code, message):
    before = sorted(Path().rglob("*"))
    outcome = segbench("export", *words, "--out", "out")
    assert outcome.code == code
    assert message in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1
    assert sorted(Path().rglob("*")) == before


def test_a_run_that_is_running_is_refused(segbench, run):
    (run / "status.json").write_text(json.dumps({"state": "running", "machine": "another"}))
    outcome = segbench("export", run, "--out", "out")
    assert outcome.code == 4
    assert "is running, and its best weights may change; export it when it has ended" in outcome.err


def test_a_missing_package_is_named(segbench, run, monkeypatch):
    monkeypatch.setattr("segbench.export.write.find_spec", lambda name: None)
    outcome = segbench("export", run, "--out", "out")
    assert outcome.code == 2
    assert "--format onnx needs onnx and onnxruntime: pip install onnx onnxruntime" in outcome.err


def test_a_file_that_differs_is_not_kept(segbench, run, monkeypatch):
    from segbench.export import write
    from segbench.export.traced import write_onnx

    def spoiled(graph, description, *, path):
        with torch.no_grad():
            next(graph.members[0].network.heads.parameters()).add_(0.01)
        write_onnx(graph, description, path=path)

    monkeypatch.setattr(write, "write_onnx", spoiled)
    outcome = segbench("export", run, "--out", "out")
    assert outcome.code == 4
    assert re.search(
        r"model\.onnx differs from the network by \S+, more than 0\.0001, so it was not kept; --format safetensors",
        outcome.err,
    )
    assert not Path("out").exists()


def test_what_a_comparison_demands():
    Parity(4, 9e-5, 0.995).demand("x")
    for parity in (Parity(4, 1.1e-4, 1.0), Parity(4, float("nan"), 1.0), Parity(4, 0.0, 0.9)):
        with pytest.raises(CheckpointError, match="so it was not kept"):
            parity.demand("x")
    assert "pixels" not in str(Parity(4, 0.0, None))


def test_a_description_comes_back_and_that_of_another_program_is_refused(segbench, run):
    description = described(("mask",), looks=["hflip"], bands=[0, 2, 5])
    again = Description.of_text(description.as_text(), "x.onnx")
    assert again.settings.looks == ("hflip",)
    assert again.given.channels.bands == (0, 2, 5)
    for text in (None, "", "[]", "{}", '{"version": 1}', description.as_text().replace("stretch", "bend")):
        with pytest.raises(ConfigError, match="was not written by segbench export"):
            Description.of_text(text, "x.onnx")
    with pytest.raises(ConfigError, match="was exported by another segbench"):
        Description.of_text('{"version": 2}', "x.onnx")
    assert segbench("export", run, "--out", "out").code == 0
    metadata = runtime.InferenceSession("out/model.onnx").get_modelmeta().custom_metadata_map
    assert json.loads(metadata[KEY])["classes"] == ["background", "foreground"]
    assert np.allclose(json.loads(metadata[KEY])["mean"], 0.5)
