"""A network that begins with the weights of another run, of a checkpoint or of a file."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch

from segbench import cli
from segbench.core.errors import ConfigError
from segbench.inference.loaded import begin_from, fill
from segbench.models.unet import UNet

HEADS = {"mask": 1}


def small(outputs, **settings):
    return UNet(3, outputs, width=4, depth=2, **settings)


def test_heads_of_other_classes_stay_new_and_are_named():
    first, second = small({"mask": 5}), small({"mask": 3, "depth": 1})
    before = {name: value.clone() for name, value in second.state_dict().items()}
    new = fill(second, first.state_dict(), where="model.init_from=x", heads=HEADS)
    assert new == [f"heads.{head}.{part}" for head in ("mask", "depth") for part in ("weight", "bias")]
    for name, value in second.state_dict().items():
        wanted = before[name] if name in new else first.state_dict()[name]
        assert torch.equal(value, wanted), name


def test_a_picture_and_its_background_begin_with_the_stem_of_one_picture():
    first, second = small({"mask": 1}), UNet(6, {"mask": 1}, width=4, depth=2)
    assert fill(second, first.state_dict(), where="model.init_from=x", heads=HEADS) == []
    stem = second.encoder[0][0].weight
    assert torch.allclose(stem[:, :3], first.encoder[0][0].weight / 2)


def test_another_network_is_refused():
    state = UNet(3, {"mask": 1}, width=8, depth=2).state_dict()
    with pytest.raises(ConfigError, match=r"model\.init_from=x is of another network: encoder\.0\.0\.weight, "):
        fill(small({"mask": 1}), state, where="model.init_from=x", heads=HEADS)
    with pytest.raises(ConfigError, match=r"of another network: encoder\.0\.0\.weight"):
        fill(small({"mask": 1}), {"heads.mask.weight": torch.zeros(1, 4, 1, 1)}, where="model.init_from=x", heads=HEADS)


def test_a_file_that_would_run_code_is_refused(tmp_path):
    import re

    torch.save({"heads.mask.weight": re.compile("x")}, tmp_path / "code.pth")
    with pytest.raises(ConfigError, match=r"model\.init_from=.*cannot be read as weights \(UnpicklingError\)"):
        begin_from(small({"mask": 1}), str(tmp_path / "code.pth"), heads=HEADS)
    with pytest.raises(ConfigError, match=r"holds no checkpoints/best\.ckpt"):
        begin_from(small({"mask": 1}), str(tmp_path), heads=HEADS)


@pytest.mark.slow
def test_a_run_begins_with_another_run_says_so_and_is_continued_without_it(command, tiny):
    begun = ["trainer.max_epochs=1", *tiny]
    assert command(*begun, "trainer.ema=0.9", "hydra.run.dir=first").code == 0
    checkpoint = torch.load("first/checkpoints/best.ckpt", weights_only=True)
    words = [*tiny, "model.init_from=first", "task=mask_depth", "trainer.max_steps=1", "hydra.run.dir=second"]
    outcome = command(*words)
    assert outcome.code == 0, outcome.err
    assert "model.init_from=first: new, since the classes or tasks are others: heads.depth.weight" in outcome.out
    digest = hashlib.sha256(Path("first/checkpoints/best.ckpt").read_bytes()).hexdigest()
    for file in ("second/results.json", "second/environment.json"):
        (record,) = json.loads(Path(file).read_text())["weights"]
        assert record["sha256"] == digest
        assert record["setting"] == "model.init_from"
    after = torch.load("second/checkpoints/best.ckpt", weights_only=True)["state_dict"]
    average = checkpoint["state_dict"]["average.network.encoder.0.0.weight"]
    assert (after["network.encoder.0.0.weight"] - average).abs().max() < 0.02  # a step away from it
    assert torch.equal(after["mean"], checkpoint["state_dict"]["mean"])

    shutil.rmtree("first")
    outcome = command("resume", "second", "trainer.max_steps=3", entry=cli.main)
    assert outcome.code == 0, outcome.err
    (record,) = json.loads(Path("second/results.json").read_text())["weights"]
    assert record["sha256"] == digest
    assert command("evaluate", "second", entry=cli.main).code == 0


@pytest.mark.slow
def test_a_folder_that_begins_anew_does_not_say_which_weights(command, tiny):
    """The configuration of an untrusted run names a file and asks for downloads: neither is followed."""
    assert command(*tiny, "trainer.max_epochs=1", "hydra.run.dir=run").code == 0
    path = Path("run/config.yaml")
    text = (
        path.read_text()
        .replace("init_from: null", "init_from: /etc/passwd")
        .replace("download: false", "download: true")
    )
    assert text.count("/etc/passwd") == 1
    path.write_text(text)
    for made in ("results.json", "metrics.csv", "digests.csv"):
        Path("run", made).unlink()
    shutil.rmtree("run/checkpoints")
    Path("run/checkpoints").mkdir()
    outcome = command("resume", "run", entry=cli.main)
    assert outcome.code == 2
    assert "begins with pretrained weights: give model.init_from=... again" in outcome.err
