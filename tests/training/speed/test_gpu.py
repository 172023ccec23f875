"""Whole runs on a GPU: repeated bit by bit, compiled, and recorded as CUDA graphs."""

import json
from pathlib import Path

import pytest
import torch

from segbench.training.speed import choosing
from segbench.training.speed.decision import Decision, Form

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
GPU = ["trainer.accelerator=gpu", "data.pin_memory=true", "data.train_size=24", "optimizer=adamw"]


def results(run):
    return json.loads((Path(run) / "results.json").read_text())


def test_a_deterministic_run_is_repeated_bit_by_bit(command, segbench, tiny):
    words = [*tiny, *GPU, "trainer.deterministic=true"]
    assert command(*words, "hydra.run.dir=run").code == 0
    environment = json.loads(Path("run/environment.json").read_text())
    assert environment["device"] == "cuda"
    assert environment["fused_optimizer"] is True
    outcome = segbench("verify", "run")
    assert outcome.code == 0, outcome.err


@pytest.mark.parametrize("form", [Form.COMPILED, Form.GRAPHS])
def test_other_forms_train_alike(command, tiny, monkeypatch, form):
    def decide(experiment, *, steps, stop):
        return Decision(form=form, reason="as it is tried", device="cuda", steps=steps)

    assert command(*tiny, *GPU, "hydra.run.dir=plain").code == 0
    monkeypatch.setattr(choosing, "decide", decide)
    words = [*tiny, *GPU, "trainer.compile=auto", "trainer.accumulate=2", "trainer.gradient_clip=1.0"]
    assert command(*words, f"hydra.run.dir={form}-accumulated").code == 0
    assert command(*tiny, *GPU, "trainer.compile=auto", f"hydra.run.dir={form}").code == 0
    losses = [results(run)["metrics"]["train/loss"]["last"] for run in ("plain", str(form))]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_every_precision_goes_with_what_speeds_it_up(command, tiny, precision):
    words = [*tiny, *GPU, f"trainer.precision={precision}", "trainer.gradient_clip=1.0", "trainer.compile=auto"]
    outcome = command(*words, "hydra.run.dir=run")
    assert outcome.code == 0, outcome.err
    assert json.loads(Path("run/environment.json").read_text())["fused_optimizer"] is (precision != "16-mixed")
