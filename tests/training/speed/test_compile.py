"""`trainer.compile=auto` in runs: what is measured changes nothing, and what was decided is kept."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from segbench.training.speed import choosing, decision, measuring
from segbench.training.speed.compiled import MOST_SHAPES, Compiled
from segbench.training.speed.decision import Decision, Form


class Net(nn.Module):
    """A network that counts its calls, with dropout and statistics."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 2, 3, padding=1)
        self.norm = nn.BatchNorm2d(2)
        self.seen = []
        self.register_forward_hook(lambda *_: self.seen.append("hook"))

    def forward(self, image):
        return {"mask": self.norm(self.layer(image)).relu()}


@pytest.fixture
def compilations(monkeypatch):
    """Let torch.compile trace, without a compiler of machine code, and note the shapes that it compiles for."""
    torch.compiler.reset()
    found = []
    original = torch.compile

    def backend(graph, inputs):
        found.append(next(tuple(one.shape) for one in inputs if one.ndim == 4 and one.shape[-1] > 3))  # not the weights
        return graph.forward

    monkeypatch.setattr(
        torch, "compile", lambda model, *, dynamic, mode: original(model, dynamic=dynamic, backend=backend)
    )
    return found


def test_pictures_of_other_sizes_compile_nothing(compilations):
    network = Net().train()
    shapes = [(2, 3, 16, 16), (2, 3, 8, 8)]
    compiled = Compiled(network, form=Form.COMPILED, shapes=shapes)
    assert not compilations
    for _ in range(2):
        for shape in [*shapes, (1, 3, 16, 16), (2, 3, 16, 24), (2, 3, 9, 9)]:
            image = torch.randn(shape)
            statistics = {name: value.clone() for name, value in network.norm.state_dict().items()}
            found = compiled(image)["mask"]
            network.norm.load_state_dict(statistics)
            assert torch.equal(found, network(image)["mask"])
            assert found.requires_grad
    assert compilations == shapes
    assert len(network.seen) == 20  # hooks run for the compiled form too
    assert "forward" not in vars(network)
    assert list(network.state_dict()) == list(Net().state_dict())


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_what_was_compiled_to_be_measured_is_not_compiled_again(command, tiny, compilations, monkeypatch, precision):
    monkeypatch.setattr(decision, "WORTH", 0.0)
    monkeypatch.setattr(choosing, "decided", lambda trials, batches, *, sizes: (Form.COMPILED, "as it is"))
    outcome = command(*tiny, "trainer.compile=auto", f"trainer.precision={precision}", "hydra.run.dir=run")
    assert outcome.code == 0, outcome.err
    assert json.loads(Path("run/environment.json").read_text())["compilation"]["form"] == "compiled"
    assert compilations == [(4, 3, 32, 32)]


def test_so_many_shapes_are_compiled_at_most():
    shapes = [(1, 3, side, side) for side in range(4, 12)]
    assert Compiled(Net(), form=Form.COMPILED, shapes=shapes).shapes == shapes[:MOST_SHAPES]


def test_an_error_within_leaves_the_network_as_it_was(monkeypatch):
    def broken(image):
        raise RuntimeError("no")

    monkeypatch.setattr(torch, "compile", lambda model, **_: broken)
    network = Net()
    with pytest.raises(RuntimeError, match="no"):
        Compiled(network, form=Form.COMPILED, shapes=[(1, 3, 4, 4)])(torch.zeros(1, 3, 4, 4))
    assert network(torch.zeros(1, 3, 4, 4))["mask"].shape == (1, 2, 4, 4)


@pytest.fixture
def slower(monkeypatch):
    """A compiler whose networks are slower than before, but never doubted to be worth a try."""
    calls = []

    def compile(function, **how):
        def called(image):
            calls.append(how["mode"])
            time.sleep(0.02)
            return function(image)

        return called

    monkeypatch.setattr(torch, "compile", compile)
    monkeypatch.setattr(decision, "WORTH", 0.0)
    return calls


def test_what_is_measured_changes_no_bit(command, tiny, slower):
    words = [*tiny, "model.dropout=0.2", "trainer.ema=0.9"]
    assert command(*words, "hydra.run.dir=plain").code == 0
    assert not slower
    outcome = command(*words, "trainer.compile=auto", "hydra.run.dir=measured")
    assert outcome.code == 0, outcome.err
    assert set(slower) == {"default"}
    assert "trainer.compile=auto: eager, as the 4 batches left take " in " ".join(outcome.out.split())
    for name in ("digests.csv", "metrics.csv"):
        assert Path("plain", name).read_text() == Path("measured", name).read_text()
    kept = json.loads(Path("measured/environment.json").read_text())["compilation"]
    assert kept["form"] == "eager"
    assert kept["steps_left"] == 4
    assert kept["seconds"].keys() == {"eager", "compiled"}
    assert json.loads(Path("measured/results.json").read_text())["compilation"] == kept
    assert json.loads(Path("plain/results.json").read_text())["compilation"] is None


def test_a_resume_and_a_repeat_keep_what_was_decided(command, segbench, tiny, slower, monkeypatch):
    calls = []

    def once(experiment, *, steps, stop):
        calls.append(steps)
        return Decision(form=Form.COMPILED, reason="as it is", device="cpu", steps=steps)

    monkeypatch.setattr(choosing, "decide", once)
    words = [*tiny, "trainer.compile=auto", "hydra.run.dir=run"]
    assert command(*words, "trainer.max_epochs=1").code == 0
    assert len(slower) == 2  # training alone runs compiled
    kept = json.loads(Path("run/environment.json").read_text())["compilation"]
    outcome = segbench("verify", "run")
    assert outcome.code == 0, outcome.err
    assert len(slower) == 4
    outcome = command("resume=run", "trainer.max_epochs=2")
    assert outcome.code == 0, outcome.err
    assert "compiled, as it was decided when the run began" in " ".join(outcome.out.split())
    assert calls == [2]
    assert len(slower) == 6
    environment = json.loads(Path("run/environment.json").read_text())
    assert environment["compilation"] == kept
    assert environment["resumes"][0]["inexact"] == []


def test_a_signal_while_it_compiles_ends_the_run_at_once(command, tiny, monkeypatch):
    def compile(function, **how):
        def called(image):
            os.kill(os.getpid(), signal.SIGTERM)
            return function(image)

        return called

    monkeypatch.setattr(decision, "WORTH", 0.0)
    words = [*tiny, "trainer.compile=auto", "hydra.run.dir=run"]
    with monkeypatch.context() as patch:
        patch.setattr(torch, "compile", compile)
        outcome = command(*words)
    assert outcome.code == 143
    assert "stopped before the first step of this session; nothing was lost" in outcome.err
    assert json.loads(Path("run/status.json").read_text())["state"] == "interrupted"
    assert not list(Path("run/checkpoints").iterdir())
    monkeypatch.setattr(torch, "compile", lambda function, **how: function)
    assert command("resume=run").code == 0


def test_a_compiler_that_fails_is_told_and_done_without(command, tiny, monkeypatch):
    def compile(function, **how):
        def called(image):
            raise RuntimeError("there is no g++")

        return called

    monkeypatch.setattr(torch, "compile", compile)
    monkeypatch.setattr(decision, "WORTH", 0.0)
    outcome = command(*tiny, "trainer.compile=auto", "hydra.run.dir=run")
    assert outcome.code == 0, outcome.err
    assert "compiled does not work: RuntimeError: there is no g++" in " ".join(outcome.out.split())


def test_what_is_measured_is_the_largest_phase_of_the_training(command, tiny, slower):
    """Of which `data.size` need not be one: a size that nothing is compiled for would be measured twice as it is."""
    outcome = command(*tiny, "model.depth=2", "resolution=[8,16]", "trainer.compile=auto", "hydra.run.dir=run")
    assert outcome.code == 0, outcome.err
    assert slower


def test_phases_count_by_their_pixels_as_far_as_they_are_compiled():
    shapes = [(2, 3, side, side) for side in (8, 4)]
    assert choosing._share(shapes, shapes) == (64 + 16) / (2 * 64)
    assert choosing._share(shapes[:1], shapes) == 0.5
    assert choosing._share(shapes[:1], shapes[:1]) == 1


@pytest.mark.parametrize(
    ("loss", "expected", "close"),
    [
        (1.0, [1.02, 1.02, 1.02], True),
        (1.3, [1.0, 1.0, 1.0], False),
        (1.3, [0.8, 1.1, 1.0], True),  # as dropout lets them be
        (float("nan"), [1.0, 1.0, 1.0], False),
        (float("nan"), [1.0, float("nan"), 1.0], True),
    ],
)
def test_a_loss_is_held_against_those_of_the_network_as_it_is(loss, expected, close):
    assert measuring._is_close(torch.tensor(loss), torch.tensor(expected)) is close
