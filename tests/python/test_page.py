"""The examples of docs/python.md are run, and a data module works in a Trainer that is not segbench's."""

import re
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image

from segbench.data import FgBg

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


def test_the_examples_run_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    Image.fromarray(draw.integers(0, 256, (60, 80, 3)).astype(np.uint8)).save("picture.jpg")
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 6
    names = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert names["found"].mask.shape == (60, 80)
    assert names["result"].groups[0].runs
    assert torch.isfinite(names["loss"])


class Seen(pl.LightningModule):
    """Notes what it is fed."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 1, 1)
        self.batches = []

    def training_step(self, batch, batch_idx):
        self.batches.append((self.current_epoch, batch["index"].tolist(), batch["image"].float().sum().item()))
        return self.layer(batch["image"] / 255).mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_a_bare_trainer_sees_every_epoch_as_segbench_does(pictures, monkeypatch):
    def make():
        return FgBg(
            foregrounds=str(pictures["foregrounds"]),
            backgrounds=str(pictures["backgrounds"]),
            classes=["background", "foreground"],
            size=(16, 16),
            mean=(0.5,) * 3,
            std=(0.25,) * 3,
            batch_size=2,
            train_size=6,
            val_size=2,
            test_size=2,
            split="random",
        )

    prepared = []
    monkeypatch.setattr(FgBg, "prepare", lambda self, real=FgBg.prepare: (prepared.append(1), real(self))[1])
    module, data = Seen(), make()
    trainer = pl.Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, datamodule=data)
    assert prepared == [1]
    alone = make()
    alone.setup()
    for epoch in range(3):
        alone.position = lambda epoch=epoch: (epoch, 0)
        expected = [(epoch, b["index"].tolist(), b["image"].float().sum().item()) for b in alone.loader("train")]
        assert [batch for batch in module.batches if batch[0] == epoch] == expected
    assert len({total for _, _, total in module.batches}) == 9  # new scenes and another order in every epoch
