"""Every two options of data, model, losses, optimizer, scheduler, task and inputs meet in a run, or are refused."""

import itertools

import pytest
import torch

from tests.models.test_models import need_packages
from tests.support import matrix
from tests.support.tiny_sources import SMALL, tiny_words

OPTIONS = matrix.choices()
COMBINATIONS = list(matrix.pairs(OPTIONS))


def shown(combination):
    return "-".join(combination.values()).replace("/", "_")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sources")


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:pycocotools")
@pytest.mark.parametrize("combination", COMBINATIONS, ids=shown)
def test_it_works_or_is_refused_in_one_sentence(combination, folder):
    """What is to be refused is so before any data is read: it has none to read."""
    need_packages(combination["model"])
    works = matrix.expected(combination)
    sentence = matrix.refusal(combination, tiny_words(combination["data"], folder) if works else SMALL)
    assert (sentence is None) == works, sentence
    if sentence is not None:
        assert "\n" not in sentence
        assert "; " in sentence or " needs " in sentence  # what would work


def test_every_two_options_that_can_meet_do_meet_in_a_run():
    met = {pair for c in COMBINATIONS if matrix.expected(c) for pair in itertools.combinations(c.items(), 2)}
    missing = []
    for one, other in itertools.combinations(OPTIONS, 2):
        for pair in itertools.product([(one, x) for x in OPTIONS[one]], [(other, x) for x in OPTIONS[other]]):
            unused = {("task", "depth"): "loss", ("task", "mask"): "loss/depth"}
            useless = any(unused.get(item) in (one, other) for item in pair)
            if pair not in met and not useless and matrix.fits(*pair):
                missing.append(pair)
    assert missing == []


def test_a_named_part_of_the_product():
    found = list(matrix.product({"model": ["unet", "fcn"], "loss": ["dice", "bce"], "task": ["mask", "depth"]}))
    assert len(found) == 2 * 2 + 2
    assert sum("loss" not in combination for combination in found) == 2
    assert matrix.expected({"model": "two_stem"}) is False
    assert matrix.expected({"model": "two_stem", "inputs": "image+background"}) is True


def test_some_are_refused():
    assert sum(not matrix.expected(combination) for combination in COMBINATIONS) > 10
