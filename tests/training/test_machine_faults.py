"""Memory and disk: one sentence with an exit status, and nothing that was written before is lost."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from segbench.config.compose import compose_config, run_config
from segbench.core.errors import ConfigError, OutOfMemoryError
from segbench.inference import trainer
from segbench.runs.folder import RunFolder
from segbench.training import faults
from segbench.training.module import SegmentationModule

ROOT = Path(__file__).parents[2]
LIMITED = """
import resource, runpy, sys
resource.setrlimit(resource.{name}, ({size}, {size}))
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sys.argv = ["train.py", *sys.argv[1:]]
runpy.run_path({train!r}, run_name="__main__")
"""


def one_line(outcome):
    lines = outcome.err.strip().splitlines()
    assert len(lines) == 1, outcome.err
    assert "Traceback" not in outcome.err
    return lines[0]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory: you tried 1 bytes"),
    ],
)
def test_out_of_memory(command, tiny, monkeypatch, error):
    def step(self, batch, batch_idx):
        raise error

    monkeypatch.setattr(SegmentationModule, "training_step", step)
    outcome = command(*tiny, "hydra.run.dir=run")
    assert outcome.code == 6
    line = one_line(outcome)
    assert "data.batch_size=4 at 32 x 32 pixels" in line
    assert "data.batch_size=2 trainer.accumulate=2" in line
    assert json.loads(Path("run/status.json").read_text())["state"] == "failed"


def test_an_operation_that_does_not_repeat_is_told(command, tiny, monkeypatch):
    """torch's words, as a GPU says them in the backward pass."""

    def step(self, batch, batch_idx):
        raise RuntimeError(
            "adaptive_avg_pool2d_backward_cuda does not have a deterministic implementation, but you set"
            " 'torch.use_deterministic_algorithms(True)'. You can turn off determinism just for this operation"
        )

    monkeypatch.setattr(SegmentationModule, "training_step", step)
    outcome = command(*tiny, "trainer.deterministic=true", "hydra.run.dir=run")
    assert outcome.code == 2
    line = one_line(outcome)
    assert "trainer.deterministic=true: torch's adaptive_avg_pool2d_backward_cuda has no form that repeats" in line
    assert line.endswith("take another model or loss, or trainer.deterministic=false")


def test_a_workspace_that_does_not_repeat_is_refused(monkeypatch):
    settings = replace(run_config(compose_config(["trainer.deterministic=true"])).trainer, accelerator="auto")
    monkeypatch.setattr(trainer, "device_kind", lambda settings: "cuda")
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":0:0")
    with pytest.raises(ConfigError, match=r"needs CUBLAS_WORKSPACE_CONFIG to be :4096:8 or :16:8, but .* has :0:0"):
        trainer.prepare_torch(settings)


def test_memory_that_the_system_does_not_measure(monkeypatch):
    """Windows says nothing about what a process has taken at most."""
    monkeypatch.setattr(faults, "peak_memory", lambda device: None)
    data = SimpleNamespace(size=(32, 48), batch_size=1)
    settings = SimpleNamespace(accelerator="cpu", devices=1, accumulate=1, precision="32-true", threads=1)
    sentence = "data.batch_size=1 at 32 x 48 pixels were too many; a smaller data.size"
    with (
        pytest.raises(OutOfMemoryError, match=sentence),
        faults.in_one_sentence(RunFolder(Path("run")), settings, data=data),
    ):
        raise MemoryError


def test_a_batch_that_really_does_not_fit(command, tiny):
    """The allocator of the CPU refuses it by itself: 2 ** 56 bytes are more than a process can address."""
    original = SegmentationModule.training_step

    def step(self, batch, batch_idx):
        return torch.empty(2**56, dtype=torch.uint8)

    SegmentationModule.training_step = step
    try:
        outcome = command(*tiny)
    finally:
        SegmentationModule.training_step = original
    assert outcome.code == 6
    assert "out of memory on 1 CPU threads" in one_line(outcome)


def test_another_error_stays_an_error(command, tiny, monkeypatch):
    def step(self, batch, batch_idx):
        raise RuntimeError("a bug")

    monkeypatch.setattr(SegmentationModule, "training_step", step)
    with pytest.raises(RuntimeError, match="a bug"):
        command(*tiny)


@pytest.fixture
def half(made, tiny):
    return made("run", *tiny, "trainer.max_epochs=1")


def test_a_full_disk_under_the_table(command, half):
    """/dev/full answers every write as a full disk does."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    from segbench.runs import metrics_log

    original = metrics_log.MetricsLog._append
    kept = (half / "metrics.csv").read_text()

    def append(self, cells):
        with Path("/dev/full").open("a") as file:
            file.write("x" * 10_000)

    metrics_log.MetricsLog._append = append
    try:
        outcome = command("resume=run", "trainer.max_epochs=2")
    finally:
        metrics_log.MetricsLog._append = original
    assert outcome.code == 4
    assert "No space left on device" in one_line(outcome)
    assert (half / "metrics.csv").read_text() == kept
    assert command("resume=run", "trainer.max_epochs=2").code == 0


def test_a_checkpoint_that_does_not_fit_leaves_the_older_ones(process, tiny, tmp_path):
    """A limit on the size of files stands in for a disk that fills up in the middle of a checkpoint."""
    limited = tmp_path / "limited.py"
    limited.write_text(LIMITED.format(name="RLIMIT_FSIZE", size=40_000, train=str(ROOT / "train.py")))
    assert process(*tiny, "trainer.max_epochs=1", "model.width=4", "hydra.run.dir=run", check=0)
    run = Path(process.folder) / "run"
    before = {path.name: path.read_bytes() for path in (run / "checkpoints").iterdir()}
    outcome = process("resume=run", "trainer.max_epochs=2", entry=str(limited))
    assert outcome.code == 4
    assert "older ones are untouched" in one_line(outcome)
    assert {path.name: path.read_bytes() for path in (run / "checkpoints").iterdir()} == before
    assert process("resume=run", "trainer.max_epochs=2").code == 0


def test_a_folder_that_vanishes(command, half, monkeypatch):
    original = SegmentationModule.validation_step

    def step(self, batch, batch_idx):
        shutil.rmtree("run", ignore_errors=True)
        return original(self, batch, batch_idx)

    monkeypatch.setattr(SegmentationModule, "validation_step", step)
    outcome = command("resume=run", "trainer.max_epochs=2")
    assert outcome.code == 4
    assert "cannot be written" in one_line(outcome)
