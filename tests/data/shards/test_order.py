"""The order of shards: a permutation in long runs, mixed, shared out to lanes, a function of the position alone."""

from itertools import pairwise

import numpy as np
import pytest

from segbench.core.errors import ConfigError
from segbench.data.shards.order import BlockOrder


def order(size, *, block=4, window=3, lanes=1, batch_size=4, words=("order", 0, 0)):
    return BlockOrder(size, block=block, window=window, lanes=lanes, batch_size=batch_size, words=words)


@pytest.mark.parametrize("lanes", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [1, 3, 4, 23, 48, 97, 260])
def test_every_sample_comes_once(size, lanes):
    found = order(size, lanes=lanes, batch_size=12)
    assert sorted(found(position) for position in range(size)) == list(range(size))


def test_epochs_and_seeds_have_orders_of_their_own():
    one, other = order(97), order(97, words=("order", 0, 1))
    assert [one(p) for p in range(97)] == [order(97)(p) for p in range(97)]
    assert [one(p) for p in range(97)] != [other(p) for p in range(97)]


def test_a_window_reads_whole_blocks():
    found = order(4 * 60, block=4, window=3)
    samples = [found(position) for position in range(4 * 60)]
    for first in range(0, 240, 12):
        blocks = {sample // 4 for sample in samples[first : first + 12]}
        assert len(blocks) == 3, first
    firsts = [samples[first] // 4 for first in range(0, 240, 12)]
    assert firsts != sorted(firsts)
    changes = sum(one // 4 != other // 4 for one, other in pairwise(samples[:12]))
    assert changes > 2, "blocks that came one after the other would change twice"


def test_positions_are_as_likely_for_every_sample():
    """The mean place of each sample over 400 epochs is the middle: within five standard errors of uniform places."""
    size, epochs = 50, 400
    places = np.zeros(size)
    for epoch in range(epochs):
        found = order(size, block=5, window=2, batch_size=5, words=("order", 0, epoch))
        for position in range(size):
            places[found(position)] += position / epochs
    error = np.sqrt((size**2 - 1) / 12 / epochs)
    assert np.abs(places - (size - 1) / 2).max() < 5 * error


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_processes_of_whole_lanes_read_blocks_of_their_own(ranks):
    size, batch = 4 * 64, 8
    found = order(size, lanes=4, batch_size=batch)
    own = batch // ranks
    blocks = []
    for rank in range(ranks):
        positions = [b * batch + rank * own + j for b in range(size // batch) for j in range(own)]
        blocks.append({found(position) // 4 for position in positions})
    assert sum(map(len, blocks)) == 64, "no block is read by two processes"


def test_ten_billion_samples_cost_nothing():
    found = order(10**10, block=64, window=16, lanes=64, batch_size=4096)
    assert 0 <= found(10**10 - 1) < 10**10
    assert found(5 * 10**9) == order(10**10, block=64, window=16, lanes=64, batch_size=4096)(5 * 10**9)


def test_lanes_must_divide_the_batch():
    with pytest.raises(ConfigError, match=r"data\.lanes=3 must divide data\.batch_size, got data\.batch_size=4"):
        order(10, lanes=3)
    with pytest.raises(IndexError):
        order(10)(10)
