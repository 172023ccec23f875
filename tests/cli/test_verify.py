"""`segbench verify`: the same bits again, or the step from which on they are not."""

import pytest

from segbench.cli import main


@pytest.fixture
def run(made, tiny):
    return made("run", *tiny, "data.train_size=40", "trainer.checkpoint_every=4", "trainer.ema=0.9")


def test_a_run_is_reproduced(command, run):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    outcome = command("verify", "run", entry=main)
    assert outcome.code == 0, outcome.err
    assert (
        "reproduced: the weights at 7 checkpoints, 22 rows of metrics.csv and the results are the same" in outcome.out
    )
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_other_weights_are_found_with_their_step(command, run):
    text = (run / "digests.csv").read_text().splitlines()
    text[3] = text[3][:-1] + ("0" if text[3][-1] != "0" else "1")
    (run / "digests.csv").write_text("\n".join(text) + "\n")
    outcome = command("verify", "run", entry=main)
    assert outcome.code == 1
    assert f"the first difference is the weights at step {text[3].split(',')[0]}" in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1


def test_another_loss_is_found_before_the_weights(command, run):
    lines = (run / "metrics.csv").read_text().splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("train,0,3,"))
    cells = lines[place].split(",")
    cells[4] = "0.123"
    lines[place] = ",".join(cells)
    (run / "metrics.csv").write_text("\n".join(lines) + "\n")
    outcome = command("verify", "run", entry=main)
    assert outcome.code == 1
    assert "train/loss at step 3: 0.123 then" in outcome.err


def test_a_resumed_run_is_reproduced_by_one_that_was_not(command, tiny):
    words = ["data.train_size=40", "hydra.run.dir=run"]
    assert command(*tiny, *words, "scheduler=none", "trainer.max_epochs=1").code == 0
    assert command("resume=run", "trainer.max_epochs=2").code == 0
    assert command("verify", "run", entry=main).code == 0


def test_a_length_that_was_changed_at_a_resume_is_named(command, tiny):
    words = ["data.train_size=40", "hydra.run.dir=run"]
    assert command(*tiny, *words, "scheduler=onecycle", "trainer.max_epochs=1").code == 0
    assert command("resume=run", "trainer.max_epochs=2").code == 0
    outcome = command("verify", "run", entry=main)
    assert outcome.code == 1
    assert "trainer.max_epochs (1 -> 2) at a resume" in outcome.err


def test_another_number_of_threads_is_named(command, run):
    outcome = command("verify", "run", "trainer.threads=2", entry=main)
    assert "threads 1 -> 2" in outcome.out + outcome.err


def test_nothing_to_verify(command, run):
    (run / "digests.csv").unlink()
    outcome = command("verify", "run", entry=main)
    assert outcome.code == 2
    assert "has not finished an epoch" in outcome.err
    assert command("verify", "nowhere", entry=main).code == 4
