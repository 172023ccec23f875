"""A run that was killed before its first checkpoint starts again at step 0, however little of it there is."""

import shutil
from pathlib import Path

import pytest

from tests.support import killing

SENTENCE = "holds no checkpoint yet, so the run starts again at step 0"
NOTHING = {
    "an empty folder": [],
    "a lock": [".lock"],
    "a lock and an empty folder": [".lock", "checkpoints/"],
    "a lock and half a configuration": [".lock", "checkpoints/", ".config.yaml.4194304.tmp"],
}
"""What a kill leaves before config.yaml has its name."""
BEGUN = {
    "a configuration": ["config.yaml", "checkpoints/"],
    "folders": [".lock", "config.yaml", "checkpoints/", "samples/", "plots/", ".hydra/"],
    "no status": ["config.yaml", "checkpoints/", ".hydra/overrides.yaml", "command.txt", "run.log"],
    "no environment": ["config.yaml", "checkpoints/", "status.json", "run.log"],
    "steps": ["config.yaml", "checkpoints/", "status.json", "environment.json", "metrics.csv", "run.log"],
    "half a checkpoint": [
        "config.yaml",
        "checkpoints/.step-00000001.ckpt.4194304.tmp",
        "checkpoints/latest.json",
        "status.json",
        "environment.json",
        "metrics.csv",
    ],
}
"""What one leaves before there is a checkpoint."""


@pytest.fixture
def before(made, tiny):
    """A run that was never killed."""
    return made("before", *tiny)


def leave(names, whole, folder):
    """Make a folder with only some files of a whole run, and others of no content."""
    folder.mkdir(parents=True)
    for name in names:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        elif name == "status.json":
            path.write_text('{"state": "running"}')
        elif (whole / name).is_file():
            shutil.copy(whole / name, path)
        else:
            path.write_bytes(b"x")


@pytest.mark.parametrize("state", NOTHING)
def test_what_holds_nothing_is_started_by_its_command(command, tiny, before, state):
    leave(NOTHING[state], before, Path("run"))
    refused = command("resume=run")
    assert refused.code == 4
    assert "start it again with the same command and hydra.run.dir=" in refused.err
    assert command(*tiny, "hydra.run.dir=run").code == 0
    assert list(killing.differences(before, Path("run"))) == []


@pytest.mark.parametrize("by", ["resume", "command"])
@pytest.mark.parametrize("state", BEGUN)
def test_what_has_begun_starts_again(command, tiny, before, state, by):
    leave(BEGUN[state], before, Path("run"))
    if "metrics.csv" in BEGUN[state]:
        with Path("run/metrics.csv").open("a") as file:
            file.write("train,7,99,0.5,0.5\n")  # of other settings, which nothing came of
    outcome = command(*(["resume=run"] if by == "resume" else [*tiny, "hydra.run.dir=run"]))
    assert outcome.code == 0, outcome.err
    assert SENTENCE in " ".join(outcome.out.split())
    assert list(killing.differences(before, Path("run"))) == []


def test_in_a_sweep(command, tiny):
    words = ["-m", *tiny, "trainer.max_epochs=1", "seed=1,2,3"]
    assert command(*words, "hydra.sweep.dir=before").code == 0
    Path("sweep").mkdir()
    shutil.copy("before/sweep.json", "sweep/sweep.json")
    jobs = sorted(path.parent.name for path in Path("before").glob("*/status.json"))
    for job, names in zip(jobs, (BEGUN["a configuration"], NOTHING["a lock"], BEGUN["steps"]), strict=True):
        leave(names, Path("before", job), Path("sweep", job))
    outcome = command("resume=sweep")
    assert outcome.code == 0, outcome.err
    assert Path("sweep/summary.csv").read_bytes() == Path("before/summary.csv").read_bytes()
    assert list(killing.differences_of_sweeps(Path("before"), Path("sweep"))) == []


def test_other_settings_are_refused_or_forced(command, before):
    leave(BEGUN["steps"], before, Path("run"))
    outcome = command("resume=run", "model.width=8")
    assert outcome.code == 2
    assert "model.width (4 -> 8)" in outcome.err
    assert command("resume=run", "model.width=8", "optimizer=sgd", "resume.force=true").code == 0


def test_checkpoints_that_were_lost_are_not_taken_for_none(command, before):
    shutil.rmtree(before / "checkpoints")
    outcome = command("resume=before", "trainer.max_epochs=3")
    assert outcome.code == 4
    assert "holds no checkpoint" in outcome.err


def test_a_folder_of_something_else_is_refused(command, tiny):
    Path("run/checkpoints").mkdir(parents=True)
    Path("run/checkpoints/model.pt").write_bytes(b"x")
    outcome = command(*tiny, "hydra.run.dir=run")
    assert outcome.code == 2
    assert "is not empty and holds no run" in outcome.err
