"""One run of several processes that something else has started: torchrun on one and two machines, SLURM, a cluster."""

import contextlib
import csv
import json
import random
import socket

import pytest

from segbench.core.world import FIRST_PORT
from segbench.runs.metrics_log import read_metrics
from tests.distributed.conftest import PAIR, SHORT
from tests.support.acts import Act
from tests.support.killing import differences

CPU = ["trainer.accelerator=cpu", "data.batch_size=4"]


def free_port(first=0, last=0):
    """Return a port that nothing listens at, of those from first to last if there is a choice."""
    for port in random.sample(range(first, last + 1), last + 1 - first):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return probe.getsockname()[1]
    raise AssertionError("no port is free")


@pytest.fixture
def reference(made, few):
    """A run of two processes that were left in peace."""
    return made("reference", *few, *PAIR).absolute()


def test_each_process_killed_and_started_again(start, few, reference):
    """First process 1, then process 0, in a folder whose name nobody has given; torchrun does the rest."""
    acts = [Act(1, "step", 7, "SIGKILL"), Act(0, "step", 6, "SIGKILL")]
    outcome = start(*few, *CPU, torchrun=["--nproc-per-node=2", "--max-restarts=3"], acts=acts).ends()
    assert outcome.code == 0, outcome.err
    (run,) = (path.parent for path in start.folder.glob("outputs/*/*/status.json"))
    assert list(differences(reference, run)) == []
    resumes = json.loads((run / "environment.json").read_text())["resumes"]
    assert [resume["inexact"] for resume in resumes] == [[], []]
    assert (run / "command.txt").read_text().count("\n") == 3


@pytest.mark.parametrize("each", [1, 2])
def test_two_machines(start, few, reference, each):
    """With one process each, one is killed; with two, the images of all four are counted once."""
    port = free_port()
    words = [*few, *CPU, "hydra.run.dir=run", *(["trainer.max_epochs=1"] if each == 2 else [])]
    torchrun = [f"--nproc-per-node={each}", "--nnodes=2", "--max-restarts=2", "--rdzv-backend=c10d", "--rdzv-id=x"]
    torchrun.append(f"--rdzv-endpoint=127.0.0.1:{port}")
    acts = [Act(1, "step", 9, "SIGKILL")] if each == 1 else []
    both = [start(*words, torchrun=[*torchrun, "--local-addr=127.0.0.1"], acts=acts) for _ in range(2)]
    outcomes = [one.ends() for one in both]
    assert [outcome.code for outcome in outcomes] == [0, 0], outcomes[0].err + outcomes[1].err
    run = start.folder / "run"
    assert json.loads((run / "environment.json").read_text())["world_size"] == 2 * each
    if each == 1:
        assert list(differences(reference, run)) == []
        return
    for split, images in (("val", 7), ("test", 9)):
        with (run / f"{split}_images.csv").open(newline="") as file:
            assert [int(row["index"]) for row in csv.DictReader(file)] == list(range(images))
    losses = [[row["train/loss"] for row in read_metrics(one / "metrics.csv")] for one in (reference, run)]
    assert losses[0][0] == pytest.approx(losses[1][0], abs=0.05)


def slurm(rank):
    return {
        "SLURM_JOB_ID": str(1234560000 + free_port(FIRST_PORT, FIRST_PORT + 9999) - FIRST_PORT),
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_PROCID": str(rank),
        "SLURM_LOCALID": "0",
        "SLURM_NODEID": str(rank),
        "SLURM_STEP_TASKS_PER_NODE": "1(x2)",
        "SLURM_STEP_NODELIST": "localhost",
    }


def cluster(rank):
    """As a PyTorchJob of Kubernetes sets them."""
    return {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": str(free_port())}


def of_both(variables):
    """Return the variables of both processes, which agree about where they meet."""
    first, second = variables(0), variables(1)
    shared = {name: first[name] for name in ("MASTER_PORT", "SLURM_JOB_ID") if name in first}
    return first, {**second, **shared}


def test_started_by_slurm(start, few, reference):
    both = [start(*few, *CPU, "hydra.run.dir=run", **environment) for environment in of_both(slurm)]
    outcomes = [one.ends() for one in both]
    assert [outcome.code for outcome in outcomes] == [0, 0], outcomes[0].err + outcomes[1].err
    assert outcomes[1].out == ""
    assert list(differences(reference, start.folder / "run")) == []


def test_started_by_a_cluster(start, few):
    both = [start(*few, *CPU, *SHORT, "hydra.run.dir=run", **environment) for environment in of_both(cluster)]
    outcomes = [one.ends() for one in both]
    assert [outcome.code for outcome in outcomes] == [0, 0], outcomes[0].err + outcomes[1].err
    environment = json.loads((start.folder / "run/environment.json").read_text())
    assert environment["world_size"] == 2
