"""Which of how many processes this is, from the variables of torchrun, SLURM and clusters."""

import pytest

from segbench.core.errors import ConfigError
from segbench.core.world import World, first_node, tasks_of_node

TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "x",
    "TORCHELASTIC_USE_AGENT_STORE": "True",
    "RANK": "5",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "4",
    "MASTER_ADDR": "gpu03",
    "MASTER_PORT": "4711",
}
SLURM = {
    "SLURM_JOB_ID": "987654",
    "SLURM_STEP_NUM_TASKS": "7",
    "SLURM_PROCID": "6",
    "SLURM_LOCALID": "2",
    "SLURM_NODEID": "1",
    "SLURM_STEP_TASKS_PER_NODE": "4,3",
    "SLURM_STEP_NODELIST": "gpu[03,05-07]",
}


def test_one_process_is_alone():
    assert World.here({}) == World(size=1, rank=0, local_size=1, local_rank=0)
    assert not World.here({}).is_launched
    assert not World.here({"RANK": "0", "WORLD_SIZE": "1", "SLURM_STEP_NUM_TASKS": "1"}).is_launched


def test_torchrun():
    world = World.here(TORCHRUN)
    assert (world.size, world.rank, world.local_size, world.local_rank) == (8, 5, 4, 1)
    assert (world.address, world.port, world.starter, world.has_agent) == ("gpu03", 4711, "torchrun", True)
    one = {**TORCHRUN, "RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
    assert World.here(one).is_launched  # it may be started again


def test_torchrun_within_slurm_is_torchrun():
    assert World.here({**SLURM, **TORCHRUN}).size == 8


def test_srun():
    world = World.here(SLURM)
    assert (world.size, world.rank, world.local_size, world.local_rank) == (7, 6, 3, 2)
    assert (world.address, world.port, world.starter, world.has_agent) == ("gpu03", 15000 + 7654, "srun", False)
    given = World.here({**SLURM, "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"})
    assert (given.address, given.port) == ("10.0.0.1", 29500)


def test_a_job_script_of_several_tasks_is_one_process():
    """Before `srun`, SLURM has set the tasks of the job, but those of no step."""
    assert not World.here({"SLURM_JOB_ID": "1", "SLURM_NTASKS": "8", "SLURM_PROCID": "0"}).is_launched


def test_a_cluster_that_names_no_local_rank():
    world = World.here({"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "job-master-0", "MASTER_PORT": "23456"})
    assert (world.rank, world.local_rank, world.local_size, world.has_agent) == (1, 0, 1, False)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"RANK": "8"}, "process 8 of 8"),
        ({"RANK": "two"}, "RANK is 'two', not a whole number"),
        ({"MASTER_PORT": None}, "MASTER_PORT is not set"),
        ({"MASTER_ADDR": None}, "MASTER_ADDR is not set"),
        ({"LOCAL_RANK": "4"}, "4 of 4 on this machine"),
    ],
)
def test_what_contradicts_itself_is_refused(change, said):
    environment = {**TORCHRUN, **change}
    with pytest.raises(ConfigError, match=said):
        World.here({name: value for name, value in environment.items() if value is not None})


def test_mpirun_is_refused():
    with pytest.raises(ConfigError, match="mpirun"):
        World.here({"OMPI_COMM_WORLD_SIZE": "2"})


@pytest.mark.parametrize(
    ("nodes", "first"),
    [("a", "a"), ("a,b", "a"), ("gpu[3-5]", "gpu3"), ("gpu[03,05-07],x1", "gpu03"), ("r1-n[2]-ib,r2", "r1-n2-ib")],
)
def test_the_first_node_of_a_list(nodes, first):
    assert first_node(nodes) == first


def test_tasks_of_nodes():
    assert [tasks_of_node("4(x2),3", node) for node in range(3)] == [4, 4, 3]
    with pytest.raises(ConfigError, match="no such node"):
        tasks_of_node("4(x2)", 2)
    with pytest.raises(ConfigError, match="no list"):
        tasks_of_node("four", 0)


def test_other_numbers_are_refused_before_anything_is_done(command, monkeypatch):
    one = {**TORCHRUN, "RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
    for name, value in one.items():
        monkeypatch.setenv(name, value)
    from segbench.training.distributed.together import with_devices

    with pytest.raises(ConfigError, match="torchrun has started 1 process: leave trainer.devices out"):
        with_devices(["trainer.devices=2"])
    assert with_devices(["seed=1"]) == ["seed=1", "trainer.devices=1"]
    monkeypatch.setenv("WORLD_SIZE", "2")
    outcome = command("-m", "seed=1,2")
    assert outcome.code == 2
    assert "torchrun has started 2 processes, but a sweep starts those of its jobs itself" in outcome.err
    assert command("--cfg", "job").code == 0
    monkeypatch.setenv("RANK", "1")
    quiet = command("-m", "seed=1,2")
    assert (quiet.code, quiet.out, quiet.err) == (2, "", "")
    shown = command("--cfg", "job")
    assert (shown.code, shown.out) == (0, "")
