"""What CONTRIBUTING promises: parts of a package outside the tree, a Python and a YAML file each, trained together."""

import yaml

from tests.conftest import ROOT

PACKAGE = """
import albumentations
import numpy as np
import torch.nn.functional as F
from torch import nn

from segbench.core.rng import generator
from segbench.data.loading.datamodule import SegmentationData
from segbench.losses.base import MaskLoss
from segbench.models.base import Network


class Tiny(Network):
    def __init__(self, in_channels: int, heads: dict[str, int], width: int = 4):
        super().__init__()
        self.body = nn.Conv2d(in_channels, width, 3, padding=1)
        self.heads = nn.ModuleDict({name: nn.Conv2d(width, channels, 1) for name, channels in heads.items()})

    def forward(self, image):
        return {name: head(self.body(image)) for name, head in self.heads.items()}


class Poly1(MaskLoss):
    terms = ("poly1",)

    def __init__(self, epsilon: float = 1.0):
        super().__init__()
        self.epsilon = epsilon

    def compute(self, logits, target, valid):
        cost = F.binary_cross_entropy_with_logits(logits[:, 0], target.float(), reduction="none")
        return ((cost + self.epsilon * (1 - (-cost).exp())) * valid).sum() / valid.sum().clamp(min=1)


class Speckle(albumentations.ImageOnlyTransform):
    def get_params(self):
        return {"noise_seed": self.py_random.randrange(2**32)}

    def apply(self, img, noise_seed, **params):
        noise = np.random.default_rng(noise_seed).integers(-9, 10, img.shape)
        return (img + noise).clip(0, 255).astype(np.uint8)


class Stripes(SegmentationData):
    def __init__(self, train_size: int = 8, val_size: int = 4, test_size: int = 4, **common):
        super().__init__(**common)
        self.sizes = {"train": train_size, "val": val_size, "test": test_size}

    def prepare(self):
        pass

    def num_samples(self, split):
        return self.sizes[split]

    def sample(self, split, *, epoch, index):
        start = int(generator("stripes", self.seed, split, epoch, index).integers(0, 16))
        mask = np.zeros(tuple(self.size), np.uint8)
        mask[:, start : start + 8] = 1
        return {"image": np.repeat(mask[..., None] * np.uint8(200), 3, axis=2), "mask": mask}

    def fingerprint(self, split):
        return f"stripes {self.seed} {split} {self.sizes[split]} {list(self.size)}"
"""
OPTIONS = {
    "model/tiny": """
_target_: lab_of_newcomer.Tiny
in_channels: ${in_channels:${inputs}}
heads: ${heads:${task},${data.classes}}
width: 4
""",
    "loss/poly1": """
_target_: lab_of_newcomer.Poly1
epsilon: 1.0
""",
    "augment/speckle": """
_target_: segbench.data.loading.augment.Augment
transforms:
- _target_: lab_of_newcomer.Speckle
  p: 0.5
""",
    "data/stripes": """
_target_: lab_of_newcomer.Stripes
classes: [background, stripe]
size: [32, 32]
mean: [0.5, 0.5, 0.5]
std: [0.25, 0.25, 0.25]
batch_size: 4
num_workers: 0
pin_memory: false
seed: 0
augment: ${augment}
train_size: 8
val_size: 4
test_size: 4
""",
}


def test_a_model_a_loss_an_augmentation_and_a_data_set_of_ones_own(command, tmp_path, monkeypatch):
    (tmp_path / "lab_of_newcomer.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(tmp_path)
    chosen = []
    for name, text in OPTIONS.items():
        file = tmp_path / "conf" / f"{name}.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(text)
        chosen.append("=".join(name.split("/")))
    words = [f"hydra.searchpath=[file://{tmp_path / 'conf'}]", "plugins=[lab_of_newcomer]", "trainer=debug"]
    outcome = command(*words, *chosen, "model.width=6", "hydra.run.dir=run", "trainer.threads=1")
    assert outcome.code == 0, outcome.err
    saved = yaml.safe_load((tmp_path / "here/run/config.yaml").read_text())
    assert saved["about"]["choices"].items() >= {"model": "tiny", "loss": "poly1", "augment": "speckle"}.items()
    assert (saved["model"]["width"], saved["data"]["_target_"]) == (6, "lab_of_newcomer.Stripes")
    assert "poly1" in (tmp_path / "here/run/metrics.csv").read_text().splitlines()[0]


def test_contributing_names_the_file_where_a_batch_becomes_a_loss():
    said = " ".join((ROOT / "CONTRIBUTING.md").read_text().split())
    assert "Where a batch becomes a loss: `training/module.py` (`loss_of`)" in said
    module = (ROOT / "segbench/training/module.py").read_text()
    called, becomes = (
        module.partition(f"def {name}(")[2].partition("\n    def ")[0] for name in ("training_step", "loss_of")
    )
    assert "self.loss_of(batch)" in called
    assert "prediction = self(batch)" in becomes and "self.loss(prediction, batch)" in becomes
