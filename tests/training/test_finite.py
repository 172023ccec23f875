"""A loss that is not finite never reaches the weights: stop, leave the step out, or go back."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from segbench.core.errors import NonFiniteError
from segbench.training.finite import MOST_SKIPPED, FiniteCheck, all_finite
from segbench.training.module import SegmentationModule


@pytest.fixture
def broken_at(monkeypatch):
    """Make the training loss NaN in chosen calls of the loss, counted from 0 over all runs."""
    original, calls = SegmentationModule.training_step, []

    def install(*numbers, rate=None):
        def step(self, batch, batch_idx):
            calls.append(self.trainer.optimizers[0].param_groups[0]["lr"])
            if len(calls) - 1 in numbers or (rate is not None and calls[-1] > rate and self.global_step >= 13):
                batch = {**batch, "image": batch["image"].float() * torch.nan}
            return original(self, batch, batch_idx)

        monkeypatch.setattr(SegmentationModule, "training_step", step)
        return calls

    return install


def test_raise_names_step_samples_and_checkpoint(command, tiny, broken_at):
    broken_at(13)
    outcome = command(*tiny, "data.train_size=40", "hydra.run.dir=run")
    assert outcome.code == 5
    assert len(outcome.err.strip().splitlines()) == 1
    assert "in epoch 1 at step 14, on the samples train " in outcome.err
    assert outcome.err.count("train ") >= 4
    assert "step-00000010.ckpt" in outcome.err
    status = json.loads(Path("run/status.json").read_text())
    assert status["state"] == "failed"
    assert not Path("run/results.json").exists()


def test_a_broken_run_goes_on_from_its_checkpoint(command, tiny, broken_at, monkeypatch):
    assert command(*tiny, "data.train_size=40", "hydra.run.dir=whole").code == 0
    with monkeypatch.context():
        broken_at(13)
        assert command(*tiny, "data.train_size=40", "hydra.run.dir=run").code == 5
        assert command("resume=run").code == 0
    rows = [Path(f"{name}/digests.csv").read_text() for name in ("whole", "run")]
    assert rows[0] == rows[1]


def test_skip_leaves_the_step_out(command, tiny, broken_at):
    calls = broken_at(3)
    outcome = command(*tiny, "data.train_size=40", "trainer.non_finite=skip", "hydra.run.dir=run")
    assert outcome.code == 0
    assert len(calls) == 20
    checkpoint = torch.load("run/checkpoints/step-00000020.ckpt", weights_only=True)
    assert checkpoint["non_finite"]["skipped"] == [4]
    assert all(tensor.isfinite().all() for tensor in checkpoint["state_dict"].values())
    steps = {int(entry["step"]) for entry in checkpoint["optimizer_states"][0]["state"].values()}
    assert steps == {19}
    rows = Path("run/metrics.csv").read_text().splitlines()
    assert [row.split(",")[4] for row in rows if row.startswith("train,0,4,")] == [""]
    assert "nan" not in [row.split(",")[4] for row in rows if row.startswith("epoch,")]
    counts = [row.split(",")[rows[0].split(",").index("train/skipped_steps")] for row in rows if row[:5] == "epoch"]
    assert counts == ["1", "1"]
    assert json.loads(Path("run/results.json").read_text())["skipped_steps"] == {"count": 1, "steps": [4]}
    log = Path("run/run.log").read_text()
    for told in (" ".join(outcome.out.split()), log):
        assert "the training loss became nan in epoch 0 at step 4, on the samples train " in told
        assert "the step was left out (1 of at most 10)" in told
        assert "1 of 20 steps were left out, as their loss was not finite: 4" in told


def test_what_was_skipped_before_a_resume_is_told_at_the_end(command, tiny, broken_at, monkeypatch):
    broken_at(3)
    words = [*tiny, "data.train_size=40", "trainer.non_finite=skip", "hydra.run.dir=run"]
    assert command(*words, "trainer.max_steps=10").code == 0
    assert command("resume=run", "trainer.max_steps=20").code == 0
    assert json.loads(Path("run/results.json").read_text())["skipped_steps"] == {"count": 1, "steps": [4]}


def test_a_run_without_any_says_so(command, tiny):
    assert command(*tiny, "data.train_size=16", "hydra.run.dir=run").code == 0
    assert json.loads(Path("run/results.json").read_text())["skipped_steps"] == {"count": 0, "steps": []}
    assert "skipped" not in Path("run/metrics.csv").read_text()


def test_skip_gives_up(command, tiny, broken_at):
    broken_at(*range(MOST_SKIPPED + 1))
    outcome = command(*tiny, "data.train_size=80", "trainer.non_finite=skip", "hydra.run.dir=run")
    assert outcome.code == 5
    assert f"{MOST_SKIPPED} steps were left out before" in outcome.err


def test_rollback_halves_the_rate(command, tiny, broken_at):
    """The loss breaks after step 13 while the rate is above the one that the first rollback leads to."""
    words = [*tiny, "data.train_size=40", "trainer.non_finite=rollback", "scheduler=none", "optimizer.lr=0.01"]
    calls = broken_at(rate=0.006)
    assert command(*words, "hydra.run.dir=run").code == 0
    assert calls[:14] == [0.01] * 14
    assert calls[14:] == [0.005] * 10  # from the checkpoint of epoch 0, at step 10
    results = json.loads(Path("run/results.json").read_text())
    assert (results["rollbacks"], results["steps"]) == (1, 20)


def test_rollback_gives_up(command, tiny, broken_at):
    broken_at(rate=0.0)
    outcome = command(*tiny, "data.train_size=40", "trainer.non_finite=rollback", "scheduler=none")
    assert outcome.code == 5
    assert "went back 3 times before" in outcome.err


def test_rollback_before_any_checkpoint_starts_over(command, tiny, broken_at):
    broken_at(2)
    assert command(*tiny, "data.train_size=40", "trainer.non_finite=rollback", "hydra.run.dir=run").code == 0
    assert json.loads(Path("run/results.json").read_text())["rollbacks"] == 1


def test_no_checkpoint_of_broken_weights(command, tiny, monkeypatch):
    original = SegmentationModule.optimizer_step

    def spoil(self, *arguments, **settings):
        original(self, *arguments, **settings)
        if self.global_step == 19:
            next(self.network.parameters()).data.fill_(torch.inf)

    monkeypatch.setattr(SegmentationModule, "optimizer_step", spoil)
    outcome = command(*tiny, "data.train_size=40", "hydra.run.dir=run")
    assert outcome.code == 5
    assert "weights are not finite any more at step 20" in outcome.err
    assert not Path("run/checkpoints/step-00000020.ckpt").exists()
    assert Path("run/checkpoints/step-00000010.ckpt").exists()


def test_accumulated_batches_are_left_out_together():
    layer = nn.Linear(1, 1)
    check = FiniteCheck("skip")
    check.note(torch.tensor(1.0), torch.tensor([0]))
    check.note(torch.tensor(torch.inf), torch.tensor([1]))
    layer(torch.ones(1)).backward()
    assert "the step was left out (1 of at most 10)" in check.before_step(1, "", network=layer, describe=str)
    assert all(parameter.grad is None for parameter in layer.parameters())
    layer(torch.ones(1)).backward()
    check.note(torch.tensor(1.0), torch.tensor([2]))
    assert check.before_step(2, "", network=layer, describe=str) is None
    assert check.record() == {"count": 1, "steps": [1]}
    assert all(parameter.grad is not None for parameter in layer.parameters())


def test_a_long_batch_is_not_named_in_full():
    check = FiniteCheck()
    check.note(torch.tensor(torch.nan), torch.arange(100))
    with pytest.raises(NonFiniteError, match=r"nan in epoch 0, on the samples 0, 1, 2, 3, 4, 5, 6, 7 and 92 more"):
        check.before_step(1, "in epoch 0", network=nn.Identity(), describe=str)


def test_all_finite():
    layer = nn.BatchNorm2d(2)
    assert all_finite(layer)
    layer.running_var[1] = torch.nan
    assert not all_finite(layer)
