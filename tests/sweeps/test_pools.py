"""Processes, queues and clusters that run jobs: what they are given, and what happens when one of them ends."""

import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

from segbench.config.sweep_settings import read_launcher
from segbench.core.errors import ConfigError
from segbench.core.states import RunState
from segbench.sweeps.folder import SweepFolder
from segbench.sweeps.plan import Job
from segbench.sweeps.pool import keep_busy
from segbench.sweeps.slurm import Queue, Task
from segbench.sweeps.workers import Workers

ROOT = Path(__file__).parents[2]
RAY = {"kind": "ray", "jobs": None, "address": None, "cpus_per_job": 1.0, "gpus_per_job": 0.0}
SLURM = {
    "kind": "submitit",
    "cluster": "slurm",
    "jobs": None,
    "partition": "gpu",
    "timeout_min": 90,
    "requeues": 4,
    "gpus_per_node": 2,
    "cpus_per_task": 3,
    "mem_gb": 5,
    "signal_delay_s": 77,
}


def jobs(count):
    return [Job(f"{number:03}", (), {}) for number in range(count)]


def joblib_settings(count, gpus=None):
    pytest.importorskip("joblib")
    return read_launcher({"kind": "joblib", "jobs": count, "gpus": gpus})


class FakePool:
    """Ends the job that was begun last."""

    def __init__(self):
        self.events = []

    def submit(self, jobs):
        self.events += [f"begin {job.name}" for job in jobs]
        return [job.name for job in jobs]

    def wait(self, handles):
        last = max(handles)
        self.events.append(f"end {last}")
        return [(last, RunState.COMPLETED)]

    def stop(self, handles):
        self.events.append(f"stop {sorted(handles)}")

    def close(self):
        self.events.append("close")


def test_a_job_is_taken_when_there_is_room_and_all_that_ended_has_been_seen():
    pool = FakePool()

    def taken():
        for job in jobs(4):
            pool.events.append(f"take {job.name}")
            yield job

    for job, _ in keep_busy(pool, taken(), at_once=2):
        pool.events.append(f"seen {job.name}")
    first = ["take 000", "take 001", "begin 000", "begin 001", "end 001", "seen 001"]
    second = ["take 002", "begin 002", "end 002", "seen 002", "take 003", "begin 003", "end 003", "seen 003"]
    assert pool.events == [*first, *second, "end 000", "seen 000", "close"]


def test_all_at_once_are_one_array_and_what_is_left_is_stopped():
    pool = FakePool()
    outcomes = keep_busy(pool, iter(jobs(3)), at_once=None)
    assert next(outcomes)[0].name == "002"
    outcomes.close()
    assert pool.events == ["begin 000", "begin 001", "begin 002", "end 002", "stop ['000', '001']", "close"]


def test_processes_are_kept_and_have_their_share_of_threads_and_gpus(tmp_path, monkeypatch):
    import joblib

    method = multiprocessing.get_start_method()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(joblib, "cpu_count", lambda: 7)

    def run(folder, job, *, typed):
        if sys.platform == "linux":
            assert "segbench.training.run" in sys.modules, "it is no fork of a server that has imported torch"
            assert multiprocessing.get_start_method() == method
        words = [str(os.getpid()), os.environ["OMP_NUM_THREADS"], os.environ["CUDA_VISIBLE_DEVICES"], *typed]
        Path(folder, job.name).write_text(" ".join(words))
        return RunState.COMPLETED

    workers = Workers(joblib_settings(2, gpus=2), str(tmp_path), typed=["x=1"], run=run)
    states = [state for _, state in keep_busy(workers, iter(jobs(6)), at_once=2)]
    assert states == [RunState.COMPLETED] * 6
    said = [path.read_text().split() for path in tmp_path.iterdir()]
    assert len(said) == 6
    assert {tuple(words[1:]) for words in said} == {("3", "0", "x=1"), ("3", "1", "x=1")}
    assert len({words[0] for words in said}) == 2  # no process was started anew


def test_a_process_that_is_killed_takes_no_other_job_with_it(tmp_path):
    def run(folder, job, *, typed):
        if job.name == "000":
            os.kill(os.getpid(), signal.SIGKILL)
        deadline = time.monotonic() + 60
        while job.name == "001" and not Path(folder, "002").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        Path(folder, job.name).touch()
        return RunState.COMPLETED

    workers = Workers(joblib_settings(2), str(tmp_path), typed=[], run=run)
    states = {job.name: state for job, state in keep_busy(workers, iter(jobs(3)), at_once=2)}
    assert states == {"000": RunState.FAILED, "001": RunState.COMPLETED, "002": RunState.COMPLETED}


HELD = []
"""What a process holds until it ends."""


def waiting(folder, job, *, typed):
    """Wait for a signal, and say that it came."""
    HELD.append(FileLock(Path(folder, f"{job.name}.held")))
    HELD[-1].acquire()
    came = []
    signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    Path(folder, f"{job.name}.begun").touch()
    while not came:
        time.sleep(0.01)
    Path(folder, f"{job.name}.stopped").touch()
    return RunState.INTERRUPTED


def test_a_command_that_stops_waits_for_the_checkpoints_of_its_processes(tmp_path):
    class Watched(Workers):
        def wait(self, handles):
            while len(list(tmp_path.glob("*.begun"))) < 2:
                time.sleep(0.01)
            raise KeyboardInterrupt

    workers = Watched(joblib_settings(2), str(tmp_path), typed=[], run=waiting)
    with pytest.raises(KeyboardInterrupt):
        list(keep_busy(workers, iter(jobs(2)), at_once=2))
    assert sorted(path.name for path in tmp_path.glob("*.stopped")) == ["000.stopped", "001.stopped"]


ABANDONED = """
import sys
from tests.sweeps.test_pools import Workers, jobs, joblib_settings, keep_busy, waiting

list(keep_busy(Workers(joblib_settings(1), sys.argv[1], typed=[], run=waiting), iter(jobs(1)), at_once=1))
"""


def test_processes_stop_where_the_command_was_killed(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = subprocess.Popen([sys.executable, "-c", ABANDONED, str(tmp_path)], cwd=tmp_path, env=environment)
    deadline = time.monotonic() + 120
    while not (tmp_path / "000.begun").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    command.kill()
    command.wait()
    with FileLock(tmp_path / "000.held", timeout=120):  # so the process has ended
        assert (tmp_path / "000.stopped").exists()


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Commands of SLURM that say what they were given."""
    pytest.importorskip("submitit")
    commands = tmp_path / "commands"
    commands.mkdir()
    for name, said in (("sbatch", f'cp "$1" {tmp_path}/script; echo Submitted batch job 17'), ("srun", "")):
        file = commands / name
        file.write_text(f"#!/bin/sh\n{said}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    return tmp_path / "script"


def test_the_array_that_slurm_is_given(slurm, tmp_path):
    queue = Queue(read_launcher({**SLURM, "jobs": 3}), SweepFolder(tmp_path), typed=[])
    handles = queue.submit(jobs(5))
    assert [handle.job_id for handle in handles] == [f"17_{number}" for number in range(5)]
    lines = slurm.read_text().splitlines()
    for line in ("array=0-4%3", "time=90", "signal=USR2@77", "partition=gpu", "gpus-per-node=2", "cpus-per-task=3"):
        assert f"#SBATCH --{line}" in lines
    assert "#SBATCH --requeue" in lines
    assert "#SBATCH --mem=5GB" in lines
    queue.submit(jobs(1))
    assert "--array" not in slurm.read_text()  # a trial of a search comes alone


def test_notice_puts_a_job_back_into_the_queue_and_a_signal_without_it_leaves_no_result(monkeypatch):
    heard = []
    monkeypatch.setattr(signal, "raise_signal", heard.append)

    def stopped(has_notice):
        return Task("here", jobs(1)[0], typed=[], run=lambda *_, **__: (RunState.INTERRUPTED, has_notice))

    with pytest.raises(SystemExit) as end:
        stopped(False)()
    assert (end.value.code, heard) == (143, [])
    with pytest.raises(SystemExit):
        stopped(True)()
    assert heard == [signal.SIGUSR2]
    done = Task("here", jobs(1)[0], typed=[], run=lambda *_, **__: (RunState.COMPLETED, False))
    assert done() == "completed"


def test_a_job_that_is_put_back_goes_on(tmp_path):
    """By submitit's own stand-in for SLURM, which starts the process again."""
    pytest.importorskip("submitit")

    def run(folder, job, *, typed):
        import signal
        import time
        from pathlib import Path

        from segbench.core.states import RunState

        if Path(folder, "begun").exists():
            return RunState.COMPLETED, False
        came = []
        before = signal.signal(signal.SIGUSR2, lambda number, frame: came.append(number))
        Path(folder, "new").write_text(str(os.getpid()))
        Path(folder, "new").rename(Path(folder, "begun"))
        while not came:
            time.sleep(0.01)
        signal.signal(signal.SIGUSR2, before)
        return RunState.INTERRUPTED, True

    settings = read_launcher({**SLURM, "cluster": "local", "gpus_per_node": 0})
    queue = Queue(settings, SweepFolder(tmp_path), typed=[], run=run)
    handles = queue.submit(jobs(1))
    deadline = time.monotonic() + 120
    while not (tmp_path / "begun").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(int((tmp_path / "begun").read_text()), signal.SIGUSR2)
    assert queue.wait(handles) == [(handles[0], RunState.COMPLETED)]


def test_a_ray_cluster_of_two_machines(tmp_path):
    """An existing one, which is left as it is: two jobs on two machines, of which one has what the jobs ask for."""
    pytest.importorskip("ray")
    import ray

    from segbench.sweeps.ray_cluster import Cluster

    def run(folder, job, *, typed):
        from pathlib import Path

        import ray

        from segbench.core.states import RunState

        Path(folder, job.name).write_text(ray.get_runtime_context().get_node_id())
        if job.name == "001":
            raise OSError("its disk is gone")
        return RunState.COMPLETED

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    with two_machines() as (address, second):
        settings = read_launcher({**RAY, "jobs": 2, "address": address, "gpus_per_job": 0.5})
        cluster = Cluster(settings, SweepFolder(tmp_path), typed=[], run=run)
        states = {job.name: state for job, state in keep_busy(cluster, iter(jobs(2)), at_once=2)}
        assert not ray.is_initialized()
        assert states == {"000": RunState.COMPLETED, "001": RunState.FAILED}
        assert {path.read_text() for path in tmp_path.glob("00*")} == {second.node_id}


ATTEMPTS = 3
"""Ray gives its own processes thirty seconds, whatever it is told, which a busy machine can outrun; the next time they
start sooner."""


@contextmanager
def two_machines():
    """Yield the address of a cluster, and its second machine, which has a GPU; skip where none starts."""
    from ray.cluster_utils import Cluster as Machines

    for _ in range(ATTEMPTS):
        machines = Machines()
        try:
            machines.add_node(num_cpus=1, include_dashboard=False)
            second = machines.add_node(num_cpus=1, num_gpus=1)
        except Exception as error:
            machines.shutdown()
            if "timed out during startup" not in str(error):
                raise
            continue
        try:
            yield machines.address, second
        finally:
            machines.shutdown()
        return
    pytest.skip(f"Ray's processes did not come up in time on this machine, {ATTEMPTS} times")


def test_more_than_this_machine_has_is_refused(tmp_path):
    pytest.importorskip("ray")
    from segbench.sweeps.ray_cluster import Cluster

    class Ray:
        """One that has been started, with four CPUs."""

        is_initialized = staticmethod(lambda: True)
        cluster_resources = staticmethod(lambda: {"CPU": 4.0})

    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(sys.modules, "ray", Ray)
        with pytest.raises(ConfigError, match=r"gpus_per_job=0\.5 is more than there is here, 0; give less"):
            Cluster(read_launcher({**RAY, "gpus_per_job": 0.5}), SweepFolder(tmp_path), typed=[])
