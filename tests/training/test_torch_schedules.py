"""Schedules of torch: the same rates as torch itself gives, from any position, and what is refused."""

import warnings

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler as theirs

from segbench.config.compose import compose_config, run_config
from segbench.config.schema import Part
from segbench.core.errors import ConfigError
from segbench.training.length import Length, Position
from segbench.training.parts import build_experiment
from segbench.training.torch_schedules import make_schedule

HERE = "torch.optim.lr_scheduler."
STEPS = 12
CONSTANT = {"_target_": f"{HERE}ConstantLR", "factor": 0.5, "total_iters": 3}
FALLING = {"_target_": f"{HERE}ExponentialLR", "gamma": 0.8}
CASES = {
    "StepLR": {"step_size": 3, "gamma": 0.5},
    "MultiStepLR": {"milestones": [2, 5, 5], "gamma": 0.3},
    "ConstantLR": {"factor": 0.25, "total_iters": 4},
    "LinearLR": {"start_factor": 0.1, "total_iters": 6},
    "ExponentialLR": {"gamma": 0.9},
    "PolynomialLR": {"total_iters": 9, "power": 2.0},
    "CosineAnnealingLR": {"T_max": 7, "eta_min": 1e-4},
    "CosineAnnealingWarmRestarts": {"T_0": 3, "T_mult": 2},
    "CyclicLR": {"base_lr": 0.01, "step_size_up": 4},
    "OneCycleLR": {},
    "SequentialLR": {"schedulers": [CONSTANT, FALLING], "milestones": [4]},
    "ChainedScheduler": {"schedulers": [CONSTANT, FALLING]},
}


def sgd(*rates):
    return torch.optim.SGD([{"params": [nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates], momentum=0.9)


def schedule(name, *, higher=True, **arguments):
    return make_schedule(Part(target=HERE + name, arguments=arguments), higher=higher, plugins=())


def rates_of(optimizer):
    return [(group["lr"], group["momentum"]) for group in optimizer.param_groups]


def by_torch(name, arguments, *, steps=STEPS):
    """The rates and momenta that a loop on torch alone has."""
    optimizer = sgd(0.1)
    further = {"max_lr": 0.1} if name in ("CyclicLR", "OneCycleLR") else {}
    further |= {"total_steps": steps} if name == "OneCycleLR" else {}
    arguments = dict(arguments)
    if "schedulers" in arguments:
        parts = [dict(part) for part in arguments["schedulers"]]
        kinds = [getattr(theirs, part.pop("_target_").removeprefix(HERE)) for part in parts]
        arguments["schedulers"] = [kind(optimizer, **part) for kind, part in zip(kinds, parts, strict=True)]
    kind = getattr(theirs, name)
    scheduler = kind(**arguments) if name == "ChainedScheduler" else kind(optimizer, **arguments, **further)
    found = []
    for _ in range(steps):
        found += rates_of(optimizer)
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.filterwarnings("ignore:The epoch parameter:UserWarning")
@pytest.mark.parametrize("name", CASES)
def test_the_rates_are_those_of_torch(name):
    expected = by_torch(name, CASES[name])
    for start in (0, 5):  # from the beginning, and as a resume begins
        made, optimizer = schedule(name, **CASES[name]), sgd(0.1)
        found = []
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for step in range(start, STEPS):
                made.set_options(optimizer, Position(step=step), of=Length(steps=STEPS, epochs=2))
                found += rates_of(optimizer)
        assert found == expected[start:]  # to the last bit


def test_every_class_of_torch_is_among_them():
    known = {name for name, value in vars(theirs).items() if isinstance(value, type) and name[0] != "_"}
    known = {name for name in known if issubclass(getattr(theirs, name), theirs.LRScheduler)}
    needs_a_function = {"LambdaLR", "MultiplicativeLR"}
    assert known - needs_a_function == {*CASES, "LRScheduler", "ReduceLROnPlateau"}


def test_epochs_count_where_that_is_asked_for():
    made, optimizer = schedule("StepLR", step_size=2, gamma=0.5, interval="epoch"), sgd(0.1)
    found = []
    for step in range(8):
        made.set_options(optimizer, Position(step=step, epoch=step // 2), of=Length(steps=8, epochs=4))
        found.append(optimizer.param_groups[0]["lr"])
    assert found == [0.1] * 4 + [0.05] * 4


def test_total_is_the_length_of_the_training():
    for interval, length in (("step", 30), ("epoch", 3)):
        made, optimizer = schedule("CosineAnnealingLR", T_max="total", interval=interval), sgd(0.1)
        made.set_options(optimizer, Position(step=30, epoch=3), of=Length(steps=30, epochs=3))
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-12), length


def test_groups_keep_their_ratio_and_a_rollback_halves_all():
    made, optimizer = schedule("OneCycleLR"), sgd(0.1, 0.01)
    made.set_options(optimizer, Position(step=6), of=Length(steps=20, epochs=1))
    whole = [rate for rate, _ in rates_of(optimizer)]
    assert whole[1] == pytest.approx(whole[0] / 10)
    made.set_options(optimizer, Position(step=6), of=Length(steps=20, epochs=1), scale=0.5)
    assert [rate for rate, _ in rates_of(optimizer)] == [rate / 2 for rate in whole]


SCORES = [0.5, 0.6, 0.6, 0.6, 0.55, 0.7, 0.1, 0.1, 0.1]


@pytest.mark.parametrize(
    ("higher", "monitor", "values"),
    [
        (True, {}, SCORES),
        (False, {}, [-score for score in SCORES]),  # minus the RMSE
        (True, {"monitor": "val/loss"}, SCORES),
        (True, {"monitor": "val/accuracy", "mode": "max"}, SCORES),
    ],
)
def test_the_plateau_is_torchs_and_its_scores_are_remembered(higher, monitor, values):
    options = {"patience": 1, "factor": 0.5, "threshold": 0.01}
    mode = monitor.get("mode", "max" if higher and not monitor else "min")
    optimizer = sgd(0.1)
    scheduler = theirs.ReduceLROnPlateau(optimizer, mode=mode, **options)
    made, own = schedule("ReduceLROnPlateau", higher=higher, **options, **monitor), sgd(0.1)
    made.check_scores(["val/loss", "val/accuracy"])
    for place, value in enumerate(values):
        if place == 4:  # a resume
            state = made.state_dict()
            made, own = schedule("ReduceLROnPlateau", higher=higher, **options, **monitor), sgd(0.1)
            made.load_state_dict(state)
        score = abs(value)
        made.observe(value, {"val/loss": score, "val/accuracy": score})
        scheduler.step(score)
        made.set_options(own, Position(step=place, epoch=place), of=Length(steps=20, epochs=20))
        assert rates_of(own) == rates_of(optimizer)
    assert own.param_groups[0]["lr"] < 0.1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["+scheduler.step_size=3"], r"scheduler \(OneCycleLR\) takes no 'step_size'"),
        (["+scheduler.pct_star=0.3"], r"takes no 'pct_star'; did you mean 'pct_start'"),
        (["scheduler._target_=torch.optim.lr_scheduler.StepL"], r"no StepL in .*did you mean 'StepLR'"),
        (["scheduler._target_=torch.optim.lr_scheduler.StepLR"], r"scheduler \(StepLR\) needs a value for step_size"),
        (["scheduler._target_=torch.optim.SGD"], r"is no schedule"),
        (["+scheduler.pct_start=much"], r"scheduler\.pct_start must be a number"),
        (["scheduler.interval=month"], r"scheduler\.interval.*month"),
        (["+scheduler.last_epoch=3"], r"last_epoch is where the run stands"),
        (["+scheduler.monitor=val/loss"], r"monitor does nothing for OneCycleLR"),
        (
            ["scheduler._target_=torch.optim.lr_scheduler.LambdaLR", "+scheduler.lr_lambda=x"],
            r"LambdaLR\)",
        ),
        (
            ["scheduler._target_=torch.optim.lr_scheduler.OneCycleLR", "+scheduler.max_lr=0.1"],
            r"scheduler\.max_lr is optimizer\.lr here",
        ),
        (
            [
                *("scheduler._target_=torch.optim.lr_scheduler.CyclicLR", "+scheduler.base_lr=0.1"),
                *("model=fcn_resnet", "model.encoder=resnet18", "optimizer.encoder_lr_factor=0.1"),
            ],
            r"gives all parameters the same rate; leave out optimizer\.encoder_lr_factor",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_data_is_read(words, message):
    with pytest.raises(ConfigError, match=message):
        build_experiment(run_config(compose_config(["scheduler=torch", *words, "data.size=[64,64]"])))


def test_scores_and_lengths_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match=r"monitor=val/los is no score of this run; did you mean 'val/loss'"):
        schedule("ReduceLROnPlateau", monitor="val/los", mode="min").check_scores(["val/loss"])
    with pytest.raises(ConfigError, match=r"needs scheduler\.mode"):
        schedule("ReduceLROnPlateau", monitor="val/accuracy")
    with pytest.raises(ConfigError, match=r"mode follows from the score"):
        schedule("ReduceLROnPlateau", mode="min")
    with pytest.raises(ConfigError, match=r"total_steps=5 is less than the 12 steps"):
        schedule("OneCycleLR", total_steps=5).set_options(sgd(0.1), Position(), of=Length(steps=12, epochs=1))
