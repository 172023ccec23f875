"""Mistakes: an exit status, one sentence, nothing written, no traceback."""

from pathlib import Path

import pytest
from PIL import Image

CONFIG = [
    "model=unett", "los=dice", "optimizer.lrr=1", "+trainer.max_epoch=5", "optimizer.lr=abc", "trainer.max_epochs=1.5",
    "seed=", "data.flip=perhaps", "data.scale=[0.5,1.5]", "data.split=by_sourc", "data.position=gird",
    "trainer.precision=bf16", "trainer.accelerator=gpux", "trainer.max_epochs=0", "data.batch_size=0",
    "+optimizer.amsgard=true", "model.width=0", "data.size=[8,8]", "loss.smooth=0.0", "task=masks", "loss.depth=l2",
    "resolution=0", "resolution=64,1000", "resolution=small", "depth_weight=much", "data=camvidd",
    "experiment=seed/camvid", "model=two_stem", "+model.freeze=backbone", "loss.depth.weights.l1=-1",
    "optimizer.lr=-1.0", "scheduler.rise=2.0", "data.classes=[a,b,c]", "+model.frozen=true", "resume=",
    "resume=/nowhere",
    "model._target_=os.system", "loss._target_=torch.load", "optimizer._target_=torch.optim.Adamm", "nonsense",
    "data.depth.far=0.5", "experiment=none_such", "trainer=null",
]  # fmt: skip


def check(outcome, code, before):
    assert outcome.code == code, (outcome.err, outcome.out)
    lines = outcome.err.strip().splitlines()
    assert len(lines) == 1, outcome.err
    assert lines[0].startswith("segbench: ")
    assert "Traceback" not in outcome.err + outcome.out
    assert sorted(Path().rglob("*")) == before


TOGETHER = {
    "data.classes=[a,b,c]": ["loss=bce"],
    "loss.depth.weights.l1=-1": ["task=depth"],
}
"""Mistakes that only show beside another setting."""


@pytest.mark.parametrize("word", CONFIG)
def test_config_mistakes(command, word):
    check(command(*TOGETHER.get(word, []), word), 2, [])


COMBINATIONS = [
    (["data=mnist_cifar", "task=depth"], "needs a depth with every image"),
    (["data=camvid", "inputs=image+background"], "needs a background with every image"),
    (["data=camvid", "loss=bce_dice"], "works on two classes, but the data has 11"),
    (["model=fcn_resnet", "model.weights=/nowhere/w.pth"], "/nowhere/w.pth"),
    (["model=fcn_resnet", "model.encoder=resnet51"], "did you mean 'resnet50'"),
    (["model=unet", "model.lean=true", "model.transposed=true"], "model.transposed=false"),
    (["loss=ce_dice", "loss.weights.dice=-1"], "at least 0"),
    (["loss=cross_entropy", "loss.class_weights=median"], "median_frequency"),
    (["data=coco", "data.mode=many"], "mode"),
    (["data=camvid", "data.fit=squeeze"], "fit"),
    (["data=synthetic", "data.background=flatt"], "did you mean 'flat'"),
    (["data=mnist_cifar", "data.blend=mix"], "blend"),
]


@pytest.mark.parametrize(("words", "message"), COMBINATIONS)
def test_combinations_that_cannot_work(command, words, message):
    outcome = command(*words)
    check(outcome, 2, [])
    assert message in outcome.err


@pytest.mark.parametrize("option", ["camvid", "camvid_32", "coco", "folder", "mnist_cifar", "mnist_cifar_11"])
def test_data_that_the_person_has_to_bring(command, option):
    """One sentence that says which setting names the place."""
    outcome = command(f"data={option}", "loss=cross_entropy")
    assert outcome.code in (2, 3)
    check(outcome, outcome.code, [])
    assert "data.root" in outcome.err
    missing = command(f"data={option}", "loss=cross_entropy", "data.root=/nowhere")
    check(missing, 3, [])
    assert "/nowhere" in missing.err


def break_text(folders):
    (folders["foregrounds"] / "text.png").write_text("hello")


def break_opaque(folders):
    Image.new("RGB", (9, 9)).save(folders["foregrounds"] / "opaque.png")


def break_empty(folders):
    for path in folders["backgrounds"].iterdir():
        path.unlink()


def break_half(folders):
    path = folders["backgrounds"] / "b0.png"
    path.write_bytes(path.read_bytes()[:300])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [(break_text, "text.png: not a PNG"), (break_opaque, "opaque.png: no alpha"), (break_empty, "holds no pictures"),
     (break_half, "b0.png")],
)  # fmt: skip
def test_data_mistakes(command, tiny, pictures, spoil, message):
    spoil(pictures)
    outcome = command(*tiny)
    check(outcome, 3, [])
    assert message in outcome.err


def test_a_missing_folder(command, pictures):
    near = str(pictures["foregrounds"].parent / "fgg")
    outcome = command(f"data.foregrounds={near}")
    check(outcome, 3, [])
    assert "did you mean 'fg'" in outcome.err


def test_fewer_scenes_than_a_batch(command, tiny):
    check(command(*tiny, "data.train_size=2"), 3, [])


def test_a_mistake_in_a_sweep_shows_before_its_first_job(command):
    check(command("-m", "model=fcn,unett"), 2, [])
    check(command("-m", "resume=somewhere"), 2, [])


def test_a_folder_with_something_else_is_left_alone(command, tiny):
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("keep")
    check(command(*tiny, "hydra.run.dir=mine"), 2, [Path("mine"), Path("mine/notes.txt")])


def test_an_empty_folder_of_the_person_stays(command, tiny):
    Path("runs/mine").mkdir(parents=True)
    for place in ("runs/mine", "runs/new"):
        check(command(*tiny, "data.train_size=2", f"hydra.run.dir={place}"), 3, [Path("runs"), Path("runs/mine")])


def test_a_large_foreground_is_made_to_fit(command, tiny, pictures):
    Image.new("RGBA", (900, 700), (255, 0, 0, 200)).save(pictures["foregrounds"] / "large.png")
    assert command(*tiny).code == 0


def test_the_traceback_is_there_on_request(command, monkeypatch):
    from segbench.commands.launch import train_main
    from segbench.core.errors import ConfigError

    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ConfigError):
        train_main(["model=unett"])
