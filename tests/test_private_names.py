"""Names that other libraries keep to themselves are used in one file a library, which breaks here when one changes."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader
from torchmetrics import Metric

from segbench.commands.typer_private import UsageError
from segbench.config.hydra_private import options_of, options_parser
from segbench.data.loading.torch_private import quiet_onnx_exporter, shut_down, workers_of
from segbench.metrics.torchmetrics_private import join_processes, leave_processes
from segbench.training import lightning_private as lightning

ROOT = Path(__file__).parents[1]
FILES = {
    "hydra-core": "segbench/config/hydra_private.py",
    "pytorch-lightning": "segbench/training/lightning_private.py",
    "torch": "segbench/data/loading/torch_private.py",
    "torchmetrics": "segbench/metrics/torchmetrics_private.py",
    "typer": "segbench/commands/typer_private.py",
}
EXIT_AT_ONCE = "_exit"
"""`os._exit` is documented, though it looks private."""


def test_nothing_private_is_used_elsewhere():
    trees = {path: ast.parse(path.read_text()) for path in (ROOT / "segbench").rglob("*.py")}
    ours = {name for tree in trees.values() for name in _defined(tree)}
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path, tree in trees.items()
        if path.relative_to(ROOT).as_posix() not in FILES.values()
        for line, name in _private(tree)
        if name not in ours
    ]
    assert found == []


def _defined(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _private(tree):
    """Yield attributes that begin with one underscore, and imports through or of such names, but of no own module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            names = [node.attr]
        elif isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("segbench"):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [part for alias in node.names for part in alias.name.split(".")]
        else:
            continue
        for name in names:
            if re.match(r"_(?!_)", name) and name != EXIT_AT_ONCE:
                yield node.lineno, name


@pytest.mark.parametrize(("library", "file"), FILES.items())
def test_each_file_has_an_upper_bound(library, file):
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    needed = tomllib.loads("\n".join(lines))["project"]["dependencies"]
    (bound,) = (one for one in needed if re.match(rf"{library}\b(?!-)", one))
    assert "<" in bound
    (line,) = (line for line in lines if f'"{bound}"' in line)
    assert file.removeprefix("segbench/") in line


class _Data(pl.LightningDataModule):
    def train_dataloader(self):
        return DataLoader(torch.zeros(3, 1), batch_size=1)


class _Module(pl.LightningModule):
    """Notes at the end of each batch what Lightning counts."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.seen = []

    def training_step(self, batch, batch_idx):
        self.seen.append((self.current_epoch, batch_idx, lightning.batches_begun(self.trainer)))
        return self.layer(batch).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class _Saver(pl.Callback):
    """Keeps a checkpoint after the first batch of the second epoch, and one at the end of that epoch."""

    def __init__(self):
        self.kept = {}
        self.over = {}

    def _keep(self, trainer, name):
        if trainer.current_epoch == 1:
            self.kept.setdefault(name, trainer._checkpoint_connector.dump_checkpoint(weights_only=False))
            self.over.setdefault(name, lightning.epoch_is_over(trainer))

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self._keep(trainer, "middle")

    def on_train_epoch_end(self, trainer, pl_module):
        self._keep(trainer, "end")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    module, saver = _Module(), _Saver()
    trainer = pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path_factory.mktemp("lightning"),
        callbacks=[saver],
    )
    trainer.fit(module, datamodule=_Data())
    return module, saver


def test_lightning_counts_batches(trained):
    module, saver = trained
    assert module.seen == [(epoch, batch, batch + 1) for epoch in (0, 1) for batch in range(3)]
    middle = saver.kept["middle"]
    assert lightning.epochs_completed(middle) == 1
    assert lightning.batches_ready(middle) == 1
    assert saver.over == {"middle": False, "end": True}


def test_lightning_counts_an_epoch_once(trained):
    end = trained[1].kept["end"]
    assert (lightning.epochs_processed(end), lightning.epochs_completed(end)) == (2, 1)
    lightning.complete_epoch(end)
    assert (lightning.epochs_processed(end), lightning.epochs_completed(end)) == (2, 2)


class _Sum(Metric):
    def __init__(self):
        super().__init__(sync_on_compute=False, distributed_available_fn=lambda: True)
        self.add_state("total", torch.zeros(()), dist_reduce_fx="sum")

    def update(self, value):
        self.total += value

    def compute(self):
        return self.total.clone()


def test_torchmetrics_leaves_the_counts_of_all_processes_in(monkeypatch):
    monkeypatch.setattr("torchmetrics.metric.gather_all_tensors", lambda value, group: [value, value + 10])
    metric = _Sum()
    metric.update(torch.tensor(3.0))
    join_processes(metric)
    assert metric.compute() == 16
    assert metric.total == 16  # not its own 3 again
    leave_processes(metric)
    assert metric.total == 3
    leave_processes(metric)  # a metric that was not joined stays as it is
    assert metric.total == 3


def test_torch_names_its_workers():
    iterator = iter(DataLoader(range(4), num_workers=2))
    workers = workers_of(iterator)
    assert [worker.is_alive() for worker in workers] == [True, True]
    shut_down(iterator)
    assert [worker.is_alive() for worker in workers] == [False, False]
    assert workers_of(iter(DataLoader(range(4)))) == workers_of(None) == []
    shut_down(None)


def test_torch_can_keep_its_exporter_quiet(capfd):
    with quiet_onnx_exporter():
        torch._C._jit_onnx_log("a graph of a thousand lines")
    assert capfd.readouterr().out == ""
    assert torch._C._jit_onnx_log.__name__ == "_jit_onnx_log"


def test_hydra_names_its_options():
    options = options_of(options_parser())
    assert options["multirun"] == ["--multirun", "-m"]
    assert options["cfg"] == ["--cfg", "-c"]
    assert {"config_dir", "config_name", "config_path", "help", "shell_completion"} < set(options)
    assert options_parser().parse_args(["-m", "a=1"]).overrides == ["a=1"]


def test_typer_raises_usage_errors():
    assert issubclass(UsageError, Exception)
    assert {"ctx", "format_message", "exit_code"} <= {*dir(UsageError), *vars(UsageError("x"))}
