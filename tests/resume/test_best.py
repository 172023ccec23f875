"""best.ckpt: held against its digest, made again where it can be, and missed before the work rather than after it."""

import json
from pathlib import Path

import pytest
import torch

from segbench import cli
from segbench.runs.checkpoints import best_record, digest, note_best, point_to, step_checkpoints
from segbench.training.checkpoints.storage import save_atomic

BEST = Path("run/checkpoints/best.ckpt")


@pytest.fixture
def run(made, tiny):
    """A run of one epoch, which is its best."""
    return made("run", *tiny, "trainer.max_epochs=1")


def flip_a_bit(path):
    """In a file of its own, so that the step checkpoint that it was linked to stays."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    path.write_bytes(content)


DAMAGES = {
    "a bit": flip_a_bit,
    "its end": lambda path: (content := path.read_bytes(), path.unlink(), path.write_bytes(content[:-100])),
    "all of it": lambda path: path.unlink(),
}


def go_on_to_a_worse_epoch(run):
    """As a second epoch that was no better leaves it, once the first step checkpoints are pruned."""
    folder = run / "checkpoints"
    content = torch.load(step_checkpoints(folder)[-1], weights_only=True)
    for path in step_checkpoints(folder):
        path.unlink()
    content["epoch"], content["global_step"] = 1, 4
    for counts in content["loops"]["fit_loop"]["epoch_progress"].values():
        counts.update(dict.fromkeys(counts, 2))
    save_atomic(content, folder / "step-00000004.ckpt")
    point_to(folder / "step-00000004.ckpt", 4)


def test_its_digest_is_written(run):
    record = best_record(run / "checkpoints")
    assert (record["sha256"], record["bytes"], record["step"]) == (digest(BEST), BEST.stat().st_size, 2)


@pytest.mark.parametrize("damage", DAMAGES)
def test_it_is_made_again_of_its_step_checkpoint(command, run, damage):
    before = digest(BEST)
    DAMAGES[damage](BEST)
    assert command("evaluate", "run", entry=cli.main).code == 0
    assert command("resume=run", "trainer.max_epochs=2").code == 0
    assert best_record(run / "checkpoints")["sha256"] == digest(BEST)
    assert json.loads((run / "results.json").read_text())["best_epoch"] == 1 or digest(BEST) == before


@pytest.mark.parametrize("damage", DAMAGES)
def test_where_it_cannot_be_made_again(command, run, damage):
    go_on_to_a_worse_epoch(run)
    DAMAGES[damage](BEST)
    outcome = command("resume=run", "trainer.max_epochs=3")
    assert outcome.code == 4
    assert "best.ckpt cannot be used" in outcome.err
    assert "resume.force=true" in outcome.err
    outcome = command("evaluate", "run", entry=cli.main)
    assert outcome.code == 4
    assert "best.ckpt" in outcome.err
    outcome = command("resume=run", "trainer.max_epochs=3", "resume.force=true")
    assert outcome.code == 0, outcome.err
    assert "without the best.ckpt so far" in outcome.out
    assert json.loads((run / "results.json").read_text())["best_epoch"] == 2
    assert best_record(run / "checkpoints")["sha256"] == digest(BEST)


def test_a_kill_between_its_digest_and_its_link(command, run):
    """The digest is of the newer checkpoint, the file of none: it is linked again."""
    newest = step_checkpoints(run / "checkpoints")[-1]
    note_best(newest)
    BEST.unlink()
    assert command("resume=run", "trainer.max_epochs=2").code == 0
    assert best_record(run / "checkpoints")["sha256"] == digest(BEST)


def test_the_best_epoch_is_trained_again_where_its_checkpoint_was_the_newest(command, tiny):
    """best.ckpt and the newest step checkpoint are one file on the disk, so that one fault takes both."""
    words = ["trainer.max_epochs=5", "hydra.run.dir=run"]
    assert command(*tiny, *words).code == 0
    folder = Path("run/checkpoints")
    newest = step_checkpoints(folder)[-1]
    note_best(newest)
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    BEST.unlink()
    for path in (newest, BEST):
        path.write_bytes(content)
    outcome = command("resume=run", "optimizer.lr=3", "trainer.max_epochs=6", "resume.force=true")
    assert outcome.code == 0, outcome.err
    results = json.loads(Path("run/results.json").read_text())
    assert results["best_epoch"] >= 4
    assert torch.load(BEST, weights_only=True)["epoch"] == results["best_epoch"]


def test_a_forced_setting_of_a_finished_run_is_refused(command, run):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    outcome = command("resume=run", "optimizer.lr=0.5", "resume.force=true")
    assert outcome.code == 2
    assert "is finished, so optimizer.lr (0.003 -> 0.5) would have no effect" in outcome.err
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_settings_that_train_nothing_are_refused_in_a_resume_as_well(command, run):
    outcome = command("resume=run", "optimizer.lr=0", "trainer.max_epochs=2", "resume.force=true")
    assert outcome.code == 2
    assert "optimizer.lr=0 trains nothing" in outcome.err


def test_what_another_loss_measures_is_in_the_table(command, run):
    before = Path("run/metrics.csv").read_text().splitlines()
    assert command("resume=run", "loss=focal", "trainer.max_epochs=2", "resume.force=true").code == 0
    after = Path("run/metrics.csv").read_text().splitlines()
    columns = after[0].split(",")
    assert columns[: len(before[0].split(","))] == before[0].split(",")
    assert "train/focal" in columns
    assert [line.rstrip(",") for line in after[1 : len(before)]] == [line.rstrip(",") for line in before[1:]]
    assert all(len(line.split(",")) == len(columns) for line in after)
    assert float(after[-1].split(",")[columns.index("train/loss")]) > 0
