"""Small data that tests make themselves, and the command line run within this process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import warm
from tests.support.tiny_sources import write_pictures
from tests.support.warm_python import WarmPython

ROOT = Path(__file__).parents[1]

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: workers share the cores already

SLOW = (
    "cli/test_app_runs.py",
    "cli/test_audit.py",
    "cli/test_bad_commands.py",
    "cli/test_bad_input.py",
    "cli/test_every_option.py",
    "cli/test_newcomer.py",
    "cli/test_outside_faults.py",
    "cli/test_predict.py",
    "cli/test_score.py",
    "cli/test_train.py",
    "cli/test_trained_run.py",
    "cli/test_traps.py",
    "cli/test_verify.py",
    "compare/test_simulations.py",
    "data/export/test_export_interrupted.py",
    "data/shards/test_shards.py",
    "data/test_fault_splits.py",
    "data/test_shared_heap.py",
    "data/test_workers.py",
    "distributed",
    "export/test_command.py",
    "export/test_loaded.py",
    "export/test_networks.py",
    "inference/test_looking.py",
    "inference/test_own_size.py",
    "losses/test_external.py",
    "models/test_hugging_face.py",
    "models/test_lite0.py",
    "models/test_pretrained.py",
    "models/test_smp.py",
    "python/test_front_door.py",
    "python/test_page.py",
    "report/test_browser.py",
    "report/test_browser_app.py",
    "resume",
    "security/test_checkpoints.py",
    "security/test_run_folders.py",
    "sweeps",
    "test_matrix.py",
    "test_warm.py",
    "test_windows.py",
    "tracking/test_all_at_once.py",
    "tracking/test_live.py",
    "tracking/test_mlflow.py",
    "tracking/test_track.py",
    "tracking/test_wandb.py",
    "training/test_average.py",
    "training/test_finite.py",
    "training/test_machine_faults.py",
    "training/test_own_callbacks.py",
    "training/test_patience.py",
    "training/speed/test_compile.py",
    "training/speed/test_device_batches.py",
    "training/speed/test_gpu.py",
    "training/test_rehearsal.py",
    "training/test_profile.py",
    "training/test_tune.py",
)
"""Files and folders whose tests train runs or start processes; `pytest -m "not slow"` leaves them out."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import what the fast lane would leave out."""
    if config.option.markexpr == "not slow" and collection_path.is_relative_to(ROOT / "tests"):
        return _place(collection_path).startswith(SLOW) or None
    return None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Have one more worker than processors for tests that wait for processes of their own."""
    if config.option.markexpr == "not slow":
        return None
    return len(os.sched_getaffinity(0)) + 1 if hasattr(os, "sched_getaffinity") else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Give each worker a contiguous part, so that files share what they make, and let an idle one take from others."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log) if config.option.dist == "load" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow by where it lies, or by its use of processes or of the wheel.

    What mostly waits comes first, so that it does so while others work.
    """
    items.sort(key=lambda item: not _place(item.path).startswith("distributed"))
    for item in items:
        if _place(item.path).startswith(SLOW) or {"process", "wheel"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


def _place(path: Path) -> str:
    return path.relative_to(ROOT / "tests").as_posix()


@dataclass
class Outcome:
    """What a command left behind: its exit status and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def pictures(tmp_path):
    """Folders of six small cut-outs and six backgrounds, of different sizes; a test may spoil them."""
    return write_pictures(tmp_path)


@pytest.fixture(scope="session")
def _shared_pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture
def tiny(request, _shared_pictures):
    """Overrides that make any run small: small pictures, a small network, two short epochs on one thread.

    The pictures are those of all tests, unless the test asks for pictures of its own.
    """
    own = "pictures" in request.fixturenames
    pictures = request.getfixturevalue("pictures") if own else _shared_pictures
    return [
        f"data.foregrounds={pictures['foregrounds']}",
        f"data.backgrounds={pictures['backgrounds']}",
        "trainer=debug",
        "trainer.threads=1",
        "trainer.plots=false",
        "data.size=[32,32]",
        "model.width=4",
        "model.depth=2",
    ]


@pytest.fixture
def command(capfd, monkeypatch, tmp_path):
    """Run train.py (or another entry) in this process, in an empty folder, and return its outcome."""
    from segbench.commands.launch import train_main

    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr("segbench.core.signals.SILENT", 300.0)  # a busy machine takes long to stop, and says so

    def run(*arguments: str, entry=train_main) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # a command sets it to 1; what was before comes back after the test
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            entry()
        captured = capfd.readouterr()
        code = stop.value.code
        return Outcome(code if isinstance(code, int) else 0 if code is None else 1, captured.out, captured.err)

    return run


@pytest.fixture
def segbench(command):
    """Run the command `segbench` in this process, likewise."""
    from segbench import cli

    return lambda *words: command(*map(str, words), entry=cli.main)


@pytest.fixture(scope="session")
def _made_before() -> dict[tuple[str, ...], Path]:
    return {}


@pytest.fixture
def made(command, _made_before, tmp_path_factory):
    """Have a run, or with -m a sweep, in a folder here; the words of an earlier test give a copy of what it made."""

    def make(folder: str, *words: str) -> Path:
        if words not in _made_before:
            place = "hydra.sweep.dir" if "-m" in words else "hydra.run.dir"
            outcome = command(*words, f"{place}={folder}")
            assert outcome.code == 0, outcome.err
            _made_before[words] = copied(Path(folder), tmp_path_factory.mktemp("made") / folder)
            return Path(folder)
        return copied(_made_before[words], Path(folder))

    return make


@pytest.fixture
def run(made, tiny):
    """A small run on generated pictures, for what a trained network is asked."""
    return made("run", *tiny)


def copied(source: Path, target: Path) -> Path:
    """Copy a folder with its times and its links, also those between best.ckpt and its step."""
    subprocess.run(["cp", "-a", source, target], check=True)
    return target


@pytest.fixture
def process(tmp_path):
    """Run train.py in a process of its own, in an empty folder; with `cold`, in one that has imported nothing yet."""
    folder = tmp_path / "there"

    def run(
        *arguments: str, check: int | None = None, entry: str = "train.py", cold: bool = False, **environment: str
    ) -> Outcome:
        folder.mkdir(exist_ok=True)
        start = run_cold if cold else warm.run
        variables = {**os.environ, "HYDRA_FULL_ERROR": "0", **environment}
        done = start([str(ROOT / entry), *arguments], cwd=folder, env=variables, timeout=300)
        if check is not None:
            assert done.returncode == check, done.stderr[-3000:]
        return Outcome(done.returncode, done.stdout, done.stderr)

    run.folder = folder
    return run


def run_cold(words, **options):
    """Run a Python file with arguments by a new Python."""
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, **options)


@pytest.fixture(autouse=True, scope="session")
def _hangups_are_heeded():
    """Let the tests' own signals come in, also where the tests themselves were started by nohup."""
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda number, frame: None)  # unlike SIG_IGN, no process that is started has it


@pytest.fixture(autouse=True, scope="session")
def _disks_are_not_waited_for():
    warm.forget_fsync()


@pytest.fixture(autouse=True, scope="session")
def _launchers_start_warm_processes():
    """Those of `trainer.devices=N` and of torchrun."""
    with tempfile.TemporaryDirectory(prefix="warm-") as folder, WarmPython(Path(folder)) as python:
        os.environ.update(python.environment)
        yield


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    os.environ["SEGBENCH_CACHE"] = str(tmp_path_factory.mktemp("cache"))  # never the user's
    for name in ("TRACKIO_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        os.environ[name] = str(tmp_path_factory.mktemp(name.lower()))


@pytest.fixture(autouse=True)
def _torch_switches_back():
    """Undo what a run sets globally, so that tests do not depend on their order."""
    threads = sys.modules["torch"].get_num_threads() if "torch" in sys.modules else None
    yield
    if (torch := sys.modules.get("torch")) is not None:
        torch.use_deterministic_algorithms(False)
        if threads is not None:
            with contextlib.suppress(RuntimeError):
                torch.set_num_threads(threads)
