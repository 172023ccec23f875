"""A learning rate and a batch size, looked for before a run: by losses worked out, and with a tiny training."""

import json
import math
from pathlib import Path

import pytest

from segbench import cli
from segbench.core.errors import ConfigError
from segbench.training.tuning.batch import Size, chosen
from segbench.training.tuning.rate import Rising, judged, smoothed


def test_the_rate_rises_by_one_factor():
    rising = Rising(first=1e-3, last=10.0)
    factors = [rising.factor(step, 5) for step in range(5)]
    assert factors == pytest.approx([1e-3, 1e-2, 1e-1, 1, 10])


def test_the_running_mean_of_a_constant_is_the_constant():
    assert smoothed([3.0] * 5) == pytest.approx([3.0] * 5)
    assert smoothed([1.0, 2.0]) == pytest.approx([1.0, (0.9 * 0.1 * 1 + 0.1 * 2) / 0.19])


def test_the_suggestion_is_where_the_loss_falls_fastest():
    """A loss that falls as a logistic curve about 1e-2, and rises from 1 on."""
    rates = [10 ** (-6 + 7 * step / 399) for step in range(400)]
    losses = [1 / (1 + (rate / 1e-2) ** 2) + 0.5 * max(0.0, math.log10(rate)) for rate in rates]
    found = judged(rates, losses)
    assert 5e-3 < found.suggested < 3e-2  # the running mean is some steps late
    assert 0.3 < found.least < 3
    assert len(found.smoothed) == len(found.losses) == 400


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ([1.0 + step for step in range(20)], r"falls at no rate from 1 to 20"),
        ([1.0] * 4, r"not finite any more after 4 steps, at a rate of 4"),
    ],
)
def test_losses_that_say_nothing_are_told(losses, message):
    with pytest.raises(ConfigError, match=message):
        judged([float(step) for step in range(1, len(losses) + 1)], losses)


def test_the_smallest_of_the_fast_sizes_is_suggested():
    speeds = {1: 10.0, 2: 19.0, 4: 30.0, 8: 31.0, 16: 29.0}
    sizes = [
        Size(batch_size=size, images_per_second=speed, milliseconds=1000 * size / speed, peak_memory_bytes=None)
        for size, speed in speeds.items()
    ]
    found = chosen(sizes, "--most=16")
    assert (found.suggested, found.largest) == (4, 16)


def test_a_search_leaves_one_file_and_no_run(command, tiny):
    words = [word for word in tiny if word != "trainer=debug"] + ["data.train_size=8", "data.batch_size=2"]
    outcome = command("tune", "lr", *words, "out=lr.json", "--steps", "25", "--last", "10", entry=cli.main)
    assert outcome.code == 0, outcome.err
    found = json.loads(Path("lr.json").read_text())
    assert found["setting"] == "optimizer.lr"
    assert found["rates"][0] == pytest.approx(1e-6)
    assert f"optimizer.lr={found['suggested']:.2g}" in outcome.out
    outcome = command("tune", "batch", *words, "--steps", "1", "--most", "64", entry=cli.main)
    assert outcome.code == 0, outcome.err
    (file,) = Path("outputs/tune").glob("unet-dice-fgbg-batch-*.json")
    found = json.loads(file.read_text())
    assert [one["batch_size"] for one in found["sizes"]] == [1, 2, 4, 8]
    assert found["ended"] == "there are 8 pictures"
    assert f"data.batch_size={found['suggested']} " in " ".join(outcome.out.split())
    assert not list(Path().rglob("config.yaml"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lr", "--first", "1", "--last", "0.1"], "tune lr needs 0 < first < last, got 1.0 and 0.1"),
        (["lr", "trainer.devices=2"], "tune works with one process"),
        (["lr", "out=lr.png"], "must end in .json"),
    ],
)
def test_what_cannot_be_is_refused(command, words, message):
    outcome = command("tune", *words, entry=cli.main)
    assert outcome.code == 2
    assert message in outcome.err
    assert not any(Path().iterdir())
