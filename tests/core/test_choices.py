"""Enumerations of the words that a setting can take."""

import csv
import io
import json

import pytest

from segbench.core.choices import SCORED, SPLITS, Fit, Precision, Split, one_of
from segbench.core.errors import ConfigError
from segbench.core.tasks import Head, Inputs, Task


def test_a_member_is_its_word_wherever_it_is_written():
    assert f"{Split.VAL}" == "val" == str(Split.VAL)
    assert json.dumps({Split.TEST: [Split.TRAIN]}) == '{"test": ["train"]}'
    assert {Split.TRAIN: 1}["train"] == 1
    file = io.StringIO()
    csv.writer(file).writerow([Precision.BF16_MIXED])
    assert file.getvalue().strip() == "bf16-mixed"


def test_splits_come_in_their_order_and_training_is_not_scored():
    assert SPLITS == ("train", "val", "test")
    assert SCORED == ("val", "test")


@pytest.mark.parametrize(
    ("task", "heads"), [("mask", ["mask"]), ("depth", ["depth"]), ("mask_depth", ["mask", "depth"])]
)
def test_heads_of_a_task(task, heads):
    assert list(Task(task).heads) == heads
    assert all(isinstance(head, Head) for head in Task(task).heads)


def test_names_of_inputs():
    assert Inputs.IMAGE.names == ("image",)
    assert Inputs.IMAGE_BACKGROUND.names == ("image", "background")


def test_a_word_becomes_its_member_or_a_sentence():
    assert one_of(Fit, "pad", what="data.fit") is Fit.PAD
    with pytest.raises(ConfigError, match=r"^there is no data.fit 'padd'; did you mean 'pad'\?$"):
        one_of(Fit, "padd", what="data.fit")
    with pytest.raises(ConfigError, match=r"^there is no split 'train' to score; choose from test, val$"):
        one_of(SCORED, "train", what="split", why="to score")
    for other in (None, 1, [], {}):
        with pytest.raises(ConfigError, match="there is no data.fit"):
            one_of(Fit, other, what="data.fit")
