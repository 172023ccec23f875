"""Mistakes with the verbs beside train: an exit status, one sentence, nothing written, no traceback."""

import os
import shutil
import sys

import pytest
import yaml
from PIL import Image

from segbench import cli
from segbench.commands.launch import train_main
from tests.support.tiny_sources import write_pictures


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a tiny finished run, damaged copies of it, and files that are not what they should be."""
    top = tmp_path_factory.mktemp("bad")
    folders = write_pictures(top)
    here = top / "here"
    here.mkdir()
    words = [f"data.{name}={folders[name]}" for name in ("foregrounds", "backgrounds")]
    words += [
        "trainer=debug",
        "trainer.threads=1",
        "trainer.max_steps=1",
        "data.size=[32,32]",
        "model.width=4",
        "model.depth=2",
        "hydra.run.dir=run",
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        patch.setattr(sys, "argv", ["train.py"])
        with pytest.raises(SystemExit) as stop:
            train_main(words)
        assert not stop.value.code
    for name in ("empty", "full"):
        (here / name).mkdir()
    for name in ("file", "full/notes.txt", "text.png"):
        (here / name).write_text("hello")
    (here / "none.png").touch()
    Image.new("RGB", (9, 9)).save(here / "photo.png")
    os.mkfifo(here / "pipe.png")
    for name, damage in DAMAGES.items():
        shutil.copytree(here / "run", here / name)
        damage(here / name)
    return here


@pytest.fixture
def segbench(command, place, monkeypatch):
    """The command in that folder, which every mistake must leave as it is."""
    monkeypatch.chdir(place)

    def run(*words):
        before = _contents(place)
        outcome = command(*words, entry=cli.main)
        assert _contents(place) == before, "something was written or taken away"
        return outcome

    return run


def _contents(folder):
    return sorted((path, path.stat().st_mtime_ns if path.is_file() else 0) for path in folder.rglob("*"))


def changed(**parts):
    """Return a damage that changes settings in the run's configuration."""

    def damage(run):
        config = yaml.safe_load((run / "config.yaml").read_text())
        (run / "config.yaml").write_text(yaml.safe_dump({**config, **parts}))

    return damage


DAMAGES = {
    "young": lambda run: [(run / "checkpoints" / name).unlink() for name in ("best.ckpt", "latest.json")],
    "spoilt": lambda run: [path.write_text("hello") for path in (run / "checkpoints").glob("*.ckpt")],
    "bare": lambda run: (run / "config.yaml").unlink(),
    "wrong": lambda run: (run / "config.yaml").write_text("a: 1"),
    "list": lambda run: (run / "config.yaml").write_text("[1]"),
    "status": lambda run: (run / "status.json").write_text("[1"),
    "task": changed(task="x"),
    "headless": changed(task="mask_depth"),
    "inputs": changed(inputs=5),
    "trainer": changed(trainer={}),
    "model": changed(model={"_target_": "segbench.models.unet.UNet", "in_channels": 3, "heads": {"mask": "x"}}),
    "called": changed(model={"_target_": "os.system", "command": "touch here"}),
}
LONG = "x" * 5000

EVALUATE = [
    (["nowhere"], 4, "there is no run folder"),
    (["empty"], 4, "is not a run folder"),
    (["file"], 4, "is not a run folder"),
    ([LONG], 4, "File name too long"),
    (["~nobody_at_all/x"], 4, "home directory"),
    (["young"], 4, "has no checkpoints/best.ckpt"),
    (["spoilt"], 4, "cannot be loaded"),
    (["bare"], 2, "config.yaml is missing"),
    (["wrong"], 2, "is not the configuration of a run"),
    (["list"], 2, "is not the configuration of a run"),
    (["task"], 2, "there is no task 'x'"),
    (["headless"], 2, "model.heads must have mask and depth"),
    (["inputs"], 2, "there is no inputs '5'"),
    (["trainer"], 2, "trainer"),
    (["model"], 2, "model.heads must be a group of settings"),
    (["called"], 2, "os.system is not in a package"),
    (["run", "--split", "train"], 2, "there is no split 'train' to evaluate"),
    (["run", "--out", "empty"], 2, "is not a file that can be written"),
    (["run", "--out", ""], 2, "is not a file that can be written"),
    (["run", "--out", "file/x.json"], 3, "cannot be made a folder"),
    (["run", "--out", "/proc/x.json"], 3, "cannot be written into"),
    (["run", "--out", LONG], 2, "File name too long"),
    (["run", "data.seed=abc"], 2, "data.seed must be a whole number"),
    (["run", "data.seed=nan"], 2, "data.seed must be a finite number"),
    (["run", "data.seed=" + "9" * 30], 2, "of at most 64 bits"),
    (["run", "data.seed=null"], 2, "data.seed must be a whole number"),
    (["run", "data.batch_size=1.5"], 2, "data.batch_size must be a whole number"),
    (["run", "data.batch_size=0"], 2, "data.batch_size must be at least 1"),
    (["run", "data.size=[1,x]"], 2, "data.size must be a list"),
    (["run", "data.size=[1000000,1000000]"], 2, "more than 64,000,000 pixels"),
    (["run", "data.foregrounds=5"], 2, "data.foregrounds must be text or null"),
    (["run", "data.foregrounds=/nowhere"], 3, "there is no folder /nowhere"),
    (["run", "data.foregrounds=${oc.env:HOME}"], 2, "is not looked up for a trained run"),
    (["run", "data.sed=5"], 2, "did you mean 'seed'"),
    (["run", "model=unet"], 2, "'model' is a group"),
    (["run", "~data"], 2, "a setting cannot be taken away"),
    (["run", "+data.x=1"], 2, "argument 'x'"),
    (["run", "nonsense"], 2, "cannot read 'nonsense'"),
    (["run", ""], 2, "cannot read ''"),
    (["run", "data._target_=os.system"], 2, "os.system is not in a package"),
    (["run", "task=masks"], 2, "did you mean 'mask'"),
    (["run", "task=depth"], 2, "task=mask is what the network was trained for"),
    (["run", "inputs=image+background"], 2, "inputs=image is what the network was trained for"),
    (["run", "data.classes=[a,b,c]"], 2, "data.classes must be 2 names"),
    (["run", "model.width=8"], 4, "does not fit the network"),
]
PREDICT = [
    (["run", "text.png"], 3, "0 of 1 pictures predicted"),
    (["run", "none.png"], 3, "0 of 1 pictures predicted"),
    (["run", "pipe.png"], 3, "pipe.png"),
    (["run", "empty"], 3, "there is no such picture"),
    (["run", "nowhere*.png"], 3, "there is no such picture"),
    (["run", ""], 3, "there is no such picture"),
    (["run", LONG], 3, "File name too long"),
    (["run", "~nobody_at_all/x.png"], 3, "home directory"),
    (["run", "photo.png", "--out", "file"], 3, "cannot be made a folder"),
    (["run", "photo.png", "--out", "file/x"], 3, "cannot be made a folder"),
    (["run", "photo.png", "--out", "/proc/x"], 3, "cannot be made a folder"),
    (["run", "photo.png", "--out", LONG], 2, "File name too long"),
    (["run", "photo.png", "--side", "0"], 2, "--side must be at least 1 pixel"),
    (["run", "photo.png", "--side", "1000000000"], 2, "--side must be at most 8,192 pixels"),
    (["run", "photo.png", "--device", "tpu"], 2, "there is no device 'tpu'"),
    (["run", "photo.png", "--backgrounds", "empty"], 2, "leave out --backgrounds"),
    (["empty", "photo.png"], 4, "is not a run folder"),
    (["young", "photo.png"], 4, "has no checkpoints/best.ckpt"),
    (["spoilt", "photo.png"], 4, "cannot be loaded"),
]
RESUME = [
    ([""], 2, "needs the path of a run folder"),
    (["nowhere"], 4, "there is no run folder"),
    (["empty"], 4, "is not a run folder"),
    (["file"], 4, "is not a run folder"),
    (["bare"], 4, "config.yaml"),
    (["status"], 4, "status.json"),
    (["run", "seed=1"], 2, "seed (0 -> 1)"),
    (["run", "model=unett"], 2, "did you mean 'unet'"),
    (["run", "trainer.max_epochs=1.5"], 2, "trainer.max_epochs must be a whole number"),
    (["run", "-m"], 2, "-m"),
    (["run", "--epochs", "3"], 2, "there is no option '--epochs'"),
]
DATA = [
    (["preview", "--split", "tests"], 2, "did you mean 'test'"),
    (["preview", "data=fgb"], 2, "did you mean 'fgbg'"),
    (["preview", "data.sead=1"], 2, "did you mean 'seed'"),
    (["preview", "seed=1,2"], 2, "has several values"),
    (["preview", "nonsense"], 2, "cannot read 'nonsense'"),
    (["preview", "data=folder"], 2, "data.root"),
    (["preview", "data=folder", "data.root=empty"], 3, "there are no pictures that fit"),
    (["preview", "--out", "empty"], 2, "is not a file that can be written"),
    (["preview", "--out", ""], 2, "is not a file that can be written"),
    (["preview", "--out", "x"], 2, "must end in .png"),
    (["preview", "--out", "file/x.png"], 3, "cannot be made a folder"),
    (["preview", "--out", "/proc/x.png"], 3, "cannot be written into"),
    (["preview", "--out", "new/x.png", "data=folder", "data.root=empty"], 3, "there are no pictures that fit"),
    (["check", "data=fgb"], 2, "did you mean 'fgbg'"),
    (["check", "data.size=[0,1]"], 2, "data.size must be [height, width]"),
    (["check", "--out", "empty"], 2, "is not a file that can be written"),
    (["check", "out="], 2, "is not a file that can be written"),
    (["check", "out=/proc/x.json"], 3, "cannot be written into"),
    (["check", "out=file/x.json"], 3, "cannot be made a folder"),
    (["check", "data=folder"], 2, "data.root is not set"),
    (["export"], 2, "give out=DIR"),
    (["export", "out=file"], 2, "file"),
    (["export", "out=full"], 2, "full"),
    (["export", "out=file/x"], 3, "file"),
    (["export", "out=/proc/x", "--count", "1"], 3, "/proc/x"),
    (["export", "out=new", "--format", "zip"], 2, "there is no format 'zip'"),
    (["export", "out=new", "--split", "tests"], 2, "did you mean 'test'"),
    (["export", "out=new", "--split", "val", "--split", "val"], 2, "different splits"),
    (["export", "out=new", "--image-format", "gif"], 2, "there is no image_format 'gif'"),
    (["export", "out=new", "data=folder", "data.root=empty"], 3, "there are no pictures that fit"),
    (["export", "out=new", "seed=nan"], 2, "seed must be a whole number"),
    (["export", "out=" + "x" * 300, "--count", "1"], 3, "File name too long"),
]
CASES = [
    *((["evaluate", *words], code, message) for words, code, message in EVALUATE),
    *(
        (["predict", *words, *([] if "--out" in words else ["--out", "new"])], code, message)
        for words, code, message in PREDICT
    ),
    *((["resume", *words], code, message) for words, code, message in RESUME),
    *((["data", *words], code, message) for words, code, message in DATA),
]


@pytest.mark.parametrize(
    ("words", "code", "message"), CASES, ids=[f"{n}-{' '.join(words)[:50]}" for n, (words, *_) in enumerate(CASES)]
)
def test_mistakes(segbench, words, code, message):
    if words[1:2] == ["export"]:
        pytest.importorskip("pyarrow", reason="an extra: pip install -e '.[export]'")
    outcome = segbench(*words)
    assert outcome.code == code, (outcome.err, outcome.out)
    (line,) = outcome.err.strip().splitlines()
    assert line.startswith("segbench: ")
    assert "Traceback" not in outcome.err + outcome.out
    assert message in line
