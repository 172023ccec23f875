"""Weights that are spread over two processes: the same training, and checkpoints that one process can load."""

import json
from copy import deepcopy
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh

from segbench import cli
from segbench.config.compose import compose_config, run_config
from segbench.core.errors import CheckpointError, ConfigError
from segbench.models.rehearsal import called_whole
from segbench.models.sharded import blocks_of, bring_together, is_sharded, load_whole, part_again, shard, whole
from segbench.runs.metrics_log import read_metrics
from segbench.training.distributed.sharding import spread
from segbench.training.parts import build_experiment
from tests.distributed.conftest import PAIR
from tests.support.acts import Act
from tests.support.killing import differences

SHARED = [
    *("trainer.ema=0.9", "trainer.gradient_clip=0.5", "trainer.accumulate=2", "trainer.non_finite=skip"),
    *("data.train_size=16", "optimizer=adamw"),
]
"""Eight batches, two of them a step: on a busy machine each exchange of weights waits for both processes."""


@pytest.fixture
def sharded(made, few):
    """A run whose weights two processes share."""
    return made("sharded", *few, *PAIR, *SHARED, "trainer.strategy=fsdp").absolute()


def losses(run):
    return [row["train/loss"] for row in read_metrics(run / "metrics.csv") if row["split"] == "train"]


def test_the_training_is_that_of_whole_copies(made, few, sharded):
    """But for the last bits, and for the memory that each process takes."""
    copies = made("copies", *few, *PAIR, *SHARED)
    assert losses(sharded) == pytest.approx(losses(copies), abs=1e-4)
    found, other = (json.loads((run / "results.json").read_text()) for run in (sharded, copies))
    same = ("images", "steps", "parameters", "trained_parameters", "flops_per_image", "images_with_class")
    assert {name: found[name] for name in same} == {name: other[name] for name in same}
    first, second = (torch.load(run / "checkpoints/best.ckpt", weights_only=True) for run in (sharded, copies))
    for part in ("state_dict", "optimizer_states"):
        states = [one[part] if part == "state_dict" else one[part][0]["state"] for one in (first, second)]
        assert shapes(states[0]) == shapes(states[1])
    assert all(type(tensor) is torch.Tensor for tensor in first["state_dict"].values())


def shapes(state):
    """Return the names in nested states, with the shape of each tensor."""
    if isinstance(state, dict):
        return {name: shapes(value) for name, value in state.items()}
    return tuple(getattr(state, "shape", ()))


def test_one_process_scores_it_and_goes_on_with_it(command, sharded):
    outcome = command("evaluate", str(sharded), "--split", "test", entry=cli.main)
    assert "the same as the run's own test scores in results.json" in " ".join(outcome.out.split())
    outcome = command(f"resume={sharded}", "trainer.max_epochs=3", "trainer.devices=1")
    assert outcome.code == 0, outcome.err
    (resume,) = json.loads((sharded / "environment.json").read_text())["resumes"]
    assert {"world_size 2 -> 1", "sharded True -> False"} <= set(resume["inexact"])
    assert json.loads((sharded / "results.json").read_text())["epochs"] == 3


def test_a_killed_process_costs_no_bit(start, few, sharded):
    acts = [Act(1, "step", 7, "SIGKILL")]
    words = [*few, *(word for word in PAIR if "devices" not in word), *SHARED, "trainer.strategy=fsdp"]
    torchrun = ["--nproc-per-node=2", "--max-restarts=2"]
    outcome = start(*words, "hydra.run.dir=run", torchrun=torchrun, acts=acts).ends(400)
    assert outcome.code == 0, outcome.err
    assert list(differences(sharded, start.folder / "run")) == []
    (resume,) = json.loads((start.folder / "run/environment.json").read_text())["resumes"]
    assert resume["inexact"] == []


@pytest.mark.parametrize("word", ["trainer.compile=true", "trainer.precision=16-mixed"])
def test_what_needs_whole_weights_is_refused(command, few, word):
    outcome = command(*few, *PAIR, "trainer.strategy=fsdp", word, "hydra.run.dir=run")
    assert outcome.code == 2
    assert f"{word} does not work with trainer.strategy=fsdp" in " ".join(outcome.err.split())
    assert not Path("run").exists()


def test_an_optimizer_of_whole_matrices_is_refused(few):
    config = run_config(compose_config([*few, *PAIR, "trainer.strategy=fsdp", "optimizer=muon"]))
    with pytest.raises(ConfigError, match=r"optimizer \(Muon\) turns whole matrices"):
        build_experiment(config)


def test_what_an_optimizer_keeps_in_another_shape_is_refused():
    weight = nn.Parameter(torch.zeros(4, 3))
    assert spread({"step": torch.tensor(3.0), "exp_avg": torch.zeros(4, 3)}, weight).keys() == {"step", "exp_avg"}
    with pytest.raises(CheckpointError, match=r"keeps a tensor 'rows' of \[4\] for weights of \[4, 3\]"):
        spread({"rows": torch.zeros(4)}, weight)


class Net(nn.Module):
    """A network with a list, a part that is reached into, and one that nothing calls."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Sequential(nn.Conv2d(3, 3, 1)), nn.Conv2d(3, 3, 1)])
        self.reached = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())
        self.idle = nn.Conv2d(3, 3, 1)

    def forward(self, image):
        for layer in self.layers:
            image = layer(image)
        self.reached(image)
        return {"mask": self.reached[0](image)}


@pytest.fixture
def mesh():
    """A process group of this process alone."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


def stepped(network, *, before=lambda: None):
    """Return the weights after steps with a frozen part, in bfloat16, and after something else in between."""
    optimizer = torch.optim.AdamW([one for one in network.parameters() if one.requires_grad], 0.01)
    draw = torch.Generator().manual_seed(0)
    for number in range(3):
        with torch.autocast("cpu", torch.bfloat16):
            prediction = network(torch.rand(2, 3, 8, 8, generator=draw))["mask"]
        prediction.float().square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        if number == 1:
            before()
    return {name: whole(tensor.detach()) for name, tensor in network.state_dict().items()}


def test_blocks_are_trained_as_the_whole_network_is(mesh):
    """Also after an evaluation in between, for which the weights are brought together; then loaded from whole ones."""
    plain = Net()
    plain.layers[0].requires_grad_(False)
    sharded = deepcopy(plain)
    shard(sharded, mesh, blocks=["layers.0", "layers.0.0", "layers.1"])
    assert is_sharded(sharded)

    def evaluate():
        bring_together(sharded)
        with torch.no_grad():
            assert not torch.equal(*(sharded(torch.full((1, 3, 8, 8), value))["mask"] for value in (0.1, 0.9)))
        part_again(sharded)
        assert is_sharded(sharded)

    first = {name: tensor.clone() for name, tensor in plain.state_dict().items()}
    expected = stepped(plain)
    found = stepped(sharded, before=evaluate)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    load_whole(sharded, first)
    assert all(torch.equal(whole(tensor), first[name]) for name, tensor in sharded.state_dict().items())


def test_only_what_is_called_as_a_whole_is_a_block():
    """A list is not called, and of `reached` a layer is called by itself as well."""
    assert called_whole(Net(), (2, 3, 8, 8)) == ["layers.0", "layers.0.0", "layers.1", "reached.0", "reached.1"]
    assert blocks_of(Net(), (2, 3, 8, 8), fewest=1) == ["layers.0", "layers.0.0", "layers.1", "reached.0"]
    assert blocks_of(Net(), (2, 3, 8, 8)) == []
    tied = Net()
    tied.layers[1].weight = tied.idle.weight
    assert blocks_of(tied, (2, 3, 8, 8), fewest=1) == []


def test_the_settings_of_one_process_may_name_it():
    """A run of two processes is continued by one with its settings as they are."""
    config = run_config(compose_config(["trainer.strategy=fsdp", "trainer.compile=true"]))
    assert not config.trainer.is_sharded
    with pytest.raises(ConfigError, match="does not work"):
        run_config(compose_config(["trainer.strategy=fsdp", "trainer.compile=true", "trainer.devices=2"]))
