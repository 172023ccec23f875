"""The counter-based random numbers."""

import random

import numpy as np
import pytest

from segbench.core.choices import Split
from segbench.core.rng import Bijection, generator, key64


def test_key_depends_on_every_word_and_its_type():
    keys = {key64("a", 1), key64("a", 2), key64("b", 1), key64("a", "1"), key64(1, "a"), key64("a1"), key64("a", 1, 0)}
    assert len(keys) == 7


def test_key_is_the_same_for_ever():
    # a stored value: changing the key function would silently change every data set
    assert key64("scene", 0, "train", 3, 17) == 1398755597926465868


def test_generator_is_philox_by_its_key():
    for word in range(50):
        ours = generator("x", word)
        numpys = np.random.Generator(np.random.Philox(key=key64("x", word)))
        assert str(ours.bit_generator.state) == str(numpys.bit_generator.state)
        assert np.array_equal(ours.integers(1 << 40, size=9), numpys.integers(1 << 40, size=9))


def test_generator_asks_the_system_for_no_entropy(monkeypatch):
    def draw(bits):
        raise AssertionError(f"{bits} bits were asked for")

    monkeypatch.setattr("numpy.random.bit_generator.randbits", draw)
    with pytest.raises(AssertionError, match="128 bits"):  # where numpy would ask
        np.random.Philox(key=5)
    generator("x", 5).random()


def test_generator_ignores_global_state():
    np.random.seed(1)
    random.seed(1)
    first = generator("x", 5).random(4)
    np.random.seed(2)
    assert np.array_equal(first, generator("x", 5).random(4))
    assert not np.array_equal(first, generator("x", 6).random(4))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 16, 100, 1023, 4096])
def test_bijection_takes_every_value_once(size):
    order = Bijection(size, "order", 0)
    assert sorted(order(position) for position in range(size)) == list(range(size))


def test_bijection_is_shuffled_and_keyed():
    one, two = Bijection(1000, "a"), Bijection(1000, "b")
    values = [one(position) for position in range(1000)]
    assert sum(value == position for position, value in enumerate(values)) < 10
    assert abs(np.corrcoef(values, range(1000))[0, 1]) < 0.1
    assert values != [two(position) for position in range(1000)]


def test_bijection_of_a_billion_starts_at_once():
    order = Bijection(10**9, "big")
    assert len({order(position) for position in range(1000)}) == 1000


def test_bijection_refuses_what_is_outside():
    with pytest.raises(IndexError, match="outside"):
        Bijection(5, "a")(5)


def test_a_member_of_an_enumeration_is_its_word():
    assert key64("scene", 0, Split.TRAIN, 1) == key64("scene", 0, "train", 1)
    assert key64("train") != key64("val")
