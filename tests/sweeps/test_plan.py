"""Which jobs a sweep has, and what they are called."""

import re

import pytest

from segbench.core.errors import ConfigError
from segbench.sweeps.plan import plan_jobs


def test_every_combination_the_last_word_fastest():
    jobs = plan_jobs(["model=fcn,unet", "loss=dice", "optimizer.lr=1e-3,3e-4", "seed=range(0,2)"])
    assert len(jobs) == 8
    assert [job.name for job in jobs[:3]] == [
        "000_fcn-lr=0.001-seed=0",
        "001_fcn-lr=0.001-seed=1",
        "002_fcn-lr=0.0003-seed=0",
    ]
    assert jobs[7].words == ("model=unet", "loss=dice", "optimizer.lr=0.0003", "seed=1")
    assert jobs[7].varied == {"model": "unet", "optimizer.lr": "0.0003", "seed": "1"}


def test_a_word_given_twice_holds_the_last_time():
    jobs = plan_jobs(["seed=1,2,3", "loss=dice", "seed=7"])
    assert [job.words for job in jobs] == [("loss=dice", "seed=7")]


@pytest.mark.parametrize(
    "word",
    [
        "data.size=[32,32],[64,64]",
        "data.root='a b','../c;rm -rf $HOME'",
        "optimizer.lr=0.00012345678,1",
        "+model.note='<img>','`x`'",
    ],
)
def test_names_are_safe_in_a_shell(word):
    for job in plan_jobs([word, "seed=1,2"]):
        assert re.fullmatch(r"[A-Za-z0-9._=+-]+", job.name)
        assert len(job.name) <= 100
    assert len({job.name for job in plan_jobs([word, "seed=1,2"])}) == 4


def test_long_numbers_are_short_in_a_name():
    assert plan_jobs(["optimizer.lr=0.00012345678,1"])[0].name == "000_lr=0.0001235"


def test_an_interval_needs_a_search():
    with pytest.raises(ConfigError, match="interval"):
        plan_jobs(["optimizer.lr=interval(1e-4,1e-2)"])
