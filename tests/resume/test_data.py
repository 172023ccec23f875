"""Every class of data of conf/data: killed in its second epoch while a worker reads it, and continued without one."""

import pytest

from tests.support import killing
from tests.support.attacks import Case
from tests.support.tiny_sources import data_options

NETWORK = [
    "model.width=4",
    "model.depth=2",
    "loss=cross_entropy",
    "augment=standard",
    "trainer.max_epochs=3",
    "trainer.checkpoint_every=1",
]


def in_the_second_epoch(run):
    assert run.killed_at("step", 4, "data.num_workers=1")  # epochs have two steps
    assert sorted(path.name for path in run.folder.glob("checkpoints/step-*")) == [
        "step-00000002.ckpt",
        "step-00000003.ckpt",
    ]


CASES = [
    Case(f"data {option}", in_the_second_epoch, NETWORK, data=option) for option in data_options() if option != "fgbg"
]
"""fgbg is what test_killed.py uses throughout."""

CROPS = [*NETWORK, "data.view=crop", "data.scale=[0.5,2.0]", "data.crop_class_share=0.9", "data.crop_balanced=true"]
CASES.append(Case("crops of data folder", in_the_second_epoch, CROPS, data="folder"))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_killed_and_continued_to_the_same_end(case, attacks, command, tmp_path):
    attacks.submit(case)
    run, peace = attacks.runs[case.name], tmp_path / "peace"
    assert command(*run.words, f"hydra.run.dir={peace}").code == 0
    victim = attacks.victims[case.name].result()
    assert command(f"resume={victim}", "data.num_workers=0").code == 0
    assert list(killing.differences(peace, victim)) == []
