"""Real processes, really killed: what is left can be continued, and ends as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from segbench.runs.metrics_log import read_metrics

ROOT = Path(__file__).parents[2]
LONG = ["trainer.max_epochs=3", "data.train_size=40", "trainer.checkpoint_every=4", "loss=bce"]


def start(folder, *words):
    return subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *words], cwd=folder,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip


def wait_for_step(run, step, process):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if (run / "metrics.csv").is_file() and any(row["step"] >= step for row in read_metrics(run / "metrics.csv")):
            return
        time.sleep(0.01)
    raise AssertionError(process.communicate()[1])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_killed_and_continued(tmp_path, command, tiny, number, code):
    assert command(*tiny, *LONG, "hydra.run.dir=whole").code == 0
    here = Path.cwd()
    process = start(here, *tiny, *LONG, "hydra.run.dir=parts")
    wait_for_step(here / "parts", 13, process)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    state = json.loads((here / "parts/status.json").read_text())["state"]
    if process.returncode == 0:
        pytest.skip("the run was over before the signal came")
    assert process.returncode == code, error
    assert state == ("running" if number == signal.SIGKILL else "interrupted")
    assert "Traceback" not in error
    assert command("resume=parts").code == 0
    for name in ("step-00000030.ckpt", "best.ckpt"):
        whole, parts = (torch.load(f"{run}/checkpoints/{name}", weights_only=True) for run in ("whole", "parts"))
        assert all(torch.equal(whole["state_dict"][key], parts["state_dict"][key]) for key in whole["state_dict"])
        moments = [checkpoint["optimizer_states"][0]["state"] for checkpoint in (whole, parts)]
        assert all(torch.equal(moments[0][key]["exp_avg"], moments[1][key]["exp_avg"]) for key in moments[0])
    assert read_metrics(Path("whole/metrics.csv")) == read_metrics(Path("parts/metrics.csv"))


def test_killed_before_the_first_checkpoint(command, tiny, tmp_path):
    here = Path.cwd()
    process = start(here, *tiny, "data.train_size=4000", "hydra.run.dir=run")
    wait_for_step(here / "run", 1, process)
    process.kill()
    process.communicate()
    outcome = command("resume=run")
    assert outcome.code == 4
    assert "no checkpoint yet" in outcome.err


def test_debug_does_everything_with_a_handful_of_steps(process, tiny):
    outcome = process(*tiny, check=0)
    (results,) = Path(process.folder).rglob("results.json")
    assert json.loads(results.read_text())["steps"] == 4
    assert "run folder" in outcome.out
