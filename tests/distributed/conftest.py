"""Processes of one run, started by torch's launcher or as a cluster would; they begin warm."""

import os
import tempfile
from pathlib import Path

import pytest
import torch.distributed.run

from tests.conftest import Outcome
from tests.support import warm
from tests.support.acts import acting, end_all

ROOT = Path(__file__).parents[2]
TORCHRUN = torch.distributed.run.__file__
PAIR = ["trainer.accelerator=cpu", "trainer.devices=2", "data.batch_size=4"]
FEW = ["data.train_size=40", "data.val_size=7", "data.test_size=9", "trainer.log_every=1"]
SHORT = ["data.train_size=8", "trainer.max_epochs=1"]
"""Where only the starting and meeting of processes is of interest."""


@pytest.fixture
def few(tiny):
    """Words of a small run, in which the images of val and test come out uneven."""
    return [*tiny, *FEW]


class Started:
    """A process of the command line, or a launcher, with what it printed."""

    def __init__(self, words, folder, **environment):
        self.temporary = tempfile.mkdtemp(dir=folder.parent)
        variables = {**os.environ, "TMPDIR": self.temporary, "HYDRA_FULL_ERROR": "0", **environment}
        variables.pop("OMP_NUM_THREADS", None)  # few set it, and trainer.threads is to hold without it
        self._files = [Path(self.temporary) / name for name in ("out", "err")]
        out, err = (file.open("wb") for file in self._files)
        with out, err:
            arguments = [str(word) for word in words]
            self.process = warm.start(arguments, cwd=folder, env=variables, stdout=out, stderr=err)

    def ends(self, timeout=240) -> Outcome:
        """Wait for its end."""
        try:
            self.process.wait(timeout)
        finally:
            self.process.kill()
        return Outcome(self.process.returncode, *self.said())

    def said(self) -> list[str]:
        """Return what it has printed so far, its errors last."""
        return [file.read_text() for file in self._files]


@pytest.fixture
def start(tmp_path):
    """Start train.py, or torchrun with `torchrun=[...]`, in an empty folder; `acts` are those of its processes."""
    folder = tmp_path / "there"
    folder.mkdir(exist_ok=True)
    started = []

    def run(*words, torchrun=None, acts=(), **environment):
        launcher = [] if torchrun is None else [TORCHRUN, *torchrun]
        variables = {**acting(tmp_path, acts), **environment}
        started.append(Started([*launcher, ROOT / "train.py", *words], folder, **variables))
        return started[-1]

    run.folder = folder
    yield run
    end_all(tmp_path)
    for one in started:
        one.process.kill()
