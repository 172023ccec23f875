"""The data law for every class of data in conf/data: a sample depends on its number alone."""

import random

import numpy as np
import pytest
import torch

from segbench.config.compose import compose_config, plain_config
from segbench.config.instantiate import build
from tests.support.tiny_sources import data_options, tiny_words

TWENTY = "data.train_size=20"
MORE = {
    "fgbg": [TWENTY],
    "synthetic": [TWENTY, "data.background=noise"],
    "mnist_cifar": [TWENTY, "data.blend=alpha", "data.colour=random"],
    "mnist_cifar_11": [TWENTY, "data.blend=alpha", "data.colour=random"],
}
"""Settings under which more is drawn at random; what reads files has as few samples as its tiny files."""


def random_states():
    return random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:pycocotools")
@pytest.mark.parametrize("option", data_options())
def test_a_sample_depends_on_its_number_alone(option, tmp_path):
    words = [f"data={option}", *tiny_words(option, tmp_path), *MORE.get(option, [])]
    config = plain_config(compose_config(words))["data"]
    one, other = build(config, where="data"), build(config, where="data")
    one.prepare(), other.prepare()
    numbers = range(one.num_samples("train"))
    in_order = {number: one.sample("train", epoch=2, index=number) for number in numbers}
    np.random.seed(7)
    before = random_states()
    shuffled = {
        number: other.sample("train", epoch=2, index=number)
        for number in random.Random(0).sample(numbers, len(numbers))
    }
    assert random_states() == before
    for number in numbers:
        assert set(in_order[number]) == set(shuffled[number]) >= {"image", "mask"}
        for name in in_order[number]:
            assert np.array_equal(in_order[number][name], shuffled[number][name], equal_nan=name == "depth")
    assert len({in_order[number]["image"].tobytes() for number in numbers}) > 1
