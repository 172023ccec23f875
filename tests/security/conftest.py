"""One tiny trained run, a copy of it for each test to spoil, and the commands that are tried on it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench import cli
from tests.support import warm
from tests.support.tiny_sources import SMALL

ROOT = Path(__file__).parents[2]
SECRET = "0.61803398"
"""A value that Hydra reads as a number, so that it would be taken for a learning rate as well."""


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    words = ["data=synthetic", *SMALL, "model.width=4", "model.depth=2", f"hydra.run.dir={folder}"]
    done = warm.run([str(ROOT / "train.py"), *words], cwd=folder.parent, env=os.environ)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture
def run(command, trained, monkeypatch):
    """A copy of the trained run as `run` in the current folder, beside a picture and a folder that is not its own."""
    shutil.copytree(trained, "run")
    monkeypatch.setenv("SECRET", SECRET)
    Image.fromarray(np.full((32, 32, 3), 99, np.uint8)).save("photo.png")
    for name in ("outside", "out"):
        Path(name).mkdir()
    Path("outside/precious.txt").write_text("precious")
    return Path("run")


@pytest.fixture
def attempt(command):
    """Use the run in one of three ways and return the outcome."""
    words = {
        "evaluate": ["evaluate", "run"],
        "predict": ["predict", "run", "photo.png", "--out", "out"],
        "resume": ["resume=run", "trainer.max_epochs=3"],
    }

    def use(verb, *further):
        entry = {} if verb == "resume" else {"entry": cli.main}
        return command(*words[verb], *further, **entry)

    return use


@pytest.fixture
def refused(attempt):
    """Use the run; assert one sentence, the exit code, and that no file anywhere changed. Return the sentence."""

    def use(verb, code=2):
        before = contents(Path())
        outcome = attempt(verb)
        assert outcome.code == code, outcome.out + outcome.err
        assert len(outcome.err.strip().splitlines()) == 1, outcome.err
        assert outcome.err.startswith("segbench: ")
        assert contents(Path()) == before
        assert SECRET not in outcome.out + outcome.err
        return outcome.err

    return use


def contents(folder):
    """Return every path below a folder, links not followed, with its kind, size and time of change."""
    found = {}
    for path in sorted(folder.rglob("*")):
        facts = path.lstat()
        found[str(path)] = (facts.st_mode, facts.st_size, facts.st_mtime_ns if not path.is_dir() else 0)
    return found
