"""Counter-based random numbers: every draw is a pure function of what it is for, never of what was drawn before.

A key names its purpose, for example `("scene", seed, split, epoch, index)`. The same key gives the same numbers in any
process, any order and any number of workers. Exact resume and honest comparison rest on this.
"""

from __future__ import annotations

import hashlib
from typing import Any, cast

import numpy as np
from numpy.random.bit_generator import ISeedSequence

Word = str | int


class _Key(ISeedSequence):
    """A key as what Philox is begun with: given as `key=`, it would draw from the system's entropy for nothing."""

    def __init__(self, key: int) -> None:
        self._key = key

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> np.ndarray:
        """Return the words of Philox's key; it asks for two of 64 bits."""
        return np.array([self._key, 0], dtype)


def key64(*words: Word) -> int:
    """Return a 64-bit key of the words; different words, or the same in another order, give unrelated keys."""
    text = "\x1f".join(f"{'str' if isinstance(word, str) else type(word).__name__}:{word}" for word in words)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def generator(*words: Word) -> np.random.Generator:
    """Return a fresh numpy generator (Philox) keyed by the words."""
    key = cast("np.random.SeedSequence", _Key(key64(*words)))  # numpy asks for no more than ISeedSequence
    return np.random.Generator(np.random.Philox(key))


def torch_seed(*words: Word) -> int:
    """Return a non-negative 63-bit seed for `torch.manual_seed`, keyed by the words."""
    return key64(*words) >> 1


class Bijection:
    """A keyed pseudo-random permutation of `range(size)` that is never written out: start-up is free for any size.

    A four-round Feistel network over the next power of four, cycle-walked into the range (Black and Rogaway, "Ciphers
    with arbitrary finite domains", 2002).
    """

    def __init__(self, size: int, *words: Word) -> None:
        if size < 1:
            raise ValueError(f"a permutation needs at least one element, got {size}")
        self.size = size
        self._half = max(1, ((size - 1).bit_length() + 1) // 2)
        self._mask = (1 << self._half) - 1
        self._keys = [key64("bijection", *words, turn) for turn in range(4)]

    def __call__(self, position: int) -> int:
        """Return the element at `position`, which must lie in `range(size)`."""
        if not 0 <= position < self.size:
            raise IndexError(f"position {position} is outside 0..{self.size - 1}")
        value = position
        while True:
            value = self._encrypt(value)
            if value < self.size:
                return value

    def _encrypt(self, value: int) -> int:
        left = value >> self._half
        right = value & self._mask
        for key in self._keys:
            mixed = ((right ^ key) * 0x9E3779B97F4A7C15 + (key >> 32)) & 0xFFFFFFFFFFFFFFFF
            mixed = ((mixed ^ (mixed >> 29)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
            left, right = right, left ^ ((mixed >> 32) & self._mask)
        return (left << self._half) | right
