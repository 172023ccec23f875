"""The order of an epoch that reads shards in long runs of bytes and still mixes their samples.

Every position is worked out by itself: there is no list of samples, so that 10 billion of them cost as little as ten,
and an epoch continues at any position at once.
"""

from __future__ import annotations

from functools import lru_cache

from segbench.core.errors import ConfigError
from segbench.core.rng import Bijection, Word


class BlockOrder:
    """A permutation of `range(size)`: blocks of consecutive samples come in random order, mixed within a window.

    The blocks are shared out to `lanes`, and each batch takes the same number of samples from every lane. Processes
    that read whole lanes therefore read different blocks, and the order is the same for every number of processes that
    `lanes` is a multiple of. What cannot be shared out evenly is shuffled as a whole and comes last.

    Args:
        size: Samples.
        block: Consecutive samples that are read together.
        window: Blocks of a lane whose samples are mixed with each other.
        lanes: Parts that read different blocks.
        batch_size: Samples in a batch of all processes together; a multiple of `lanes`.
        words: Key of the order, with the epoch.

    Raises:
        ConfigError: if the lanes do not divide the batch.
    """

    def __init__(
        self, size: int, *, block: int, window: int, lanes: int, batch_size: int, words: tuple[Word, ...]
    ) -> None:
        if batch_size % lanes:
            raise ConfigError(f"data.lanes={lanes} must divide data.batch_size, got data.batch_size={batch_size}")
        self.size = size
        self.block = block
        self.window = window
        self.lanes = lanes
        self.batch_size = batch_size
        self.words = words
        self._share = batch_size // lanes
        whole_blocks = size // block
        self._lane_blocks = whole_blocks // lanes
        lane_samples = self._lane_blocks * block
        self._batches = lane_samples // self._share
        self._lane_rest = lane_samples - self._batches * self._share
        rest = size - self._batches * batch_size
        self._blocks = Bijection(max(1, whole_blocks), *words, "blocks")
        self._rest = Bijection(max(1, rest), *words, "rest")
        self._mix = lru_cache(maxsize=2 * lanes)(self._mix_of)  # those that the lanes are in now

    def __call__(self, position: int) -> int:
        """Return the sample at `position` of the epoch."""
        if not 0 <= position < self.size:
            raise IndexError(f"position {position} is outside 0..{self.size - 1}")
        batch, place = divmod(position, self.batch_size)
        if batch < self._batches:
            lane, within = divmod(place, self._share)
            return self._of_lane(lane, batch * self._share + within)
        return self._of_rest(self._rest(position - self._batches * self.batch_size))

    def _of_lane(self, lane: int, step: int) -> int:
        """Return the sample that a lane reads as its `step`-th."""
        number, within = divmod(step, self.window * self.block)
        first = number * self.window
        slot, offset = divmod(self._mix(lane, number)(within), self.block)
        return self._blocks((first + slot) * self.lanes + lane) * self.block + offset

    def _mix_of(self, lane: int, number: int) -> Bijection:
        blocks = min(self.window, self._lane_blocks - number * self.window)
        return Bijection(blocks * self.block, *self.words, "window", lane, number)

    def _of_rest(self, number: int) -> int:
        """Return a sample of those that no whole batch of all lanes has: ends of lanes, blocks left over, the tail."""
        ends = self.lanes * self._lane_rest
        if number < ends:
            lane, step = divmod(number, self._lane_rest)
            return self._of_lane(lane, self._batches * self._share + step)
        slot, offset = divmod(number - ends, self.block)
        slot += self._lane_blocks * self.lanes
        if slot < self.size // self.block:
            return self._blocks(slot) * self.block + offset
        return slot * self.block + offset
