"""The schema of a run: one check, a typed configuration, and its documentation written once."""

import dataclasses

import pytest
import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl

from segbench.commands import train as training
from segbench.config.check import SWEEPS
from segbench.config.compose import compose_config, plain_config, run_config
from segbench.config.options import groups
from segbench.config.paths import conf_dir
from segbench.config.reference import field_docs, help_text, markdown_table, settings
from segbench.config.schema import Losses, Part, RunConfig, hints_of
from segbench.config.trainer_settings import TrainerSettings
from segbench.core.choices import Accelerator, NonFinite, Precision
from segbench.core.errors import ConfigError
from segbench.core.tasks import Inputs, Task


@pytest.fixture(scope="module")
def plain():
    composed = plain_config(compose_config(["trainer=debug"]))
    return {name: value for name, value in composed.items() if name not in SWEEPS}


def test_the_values_of_yaml_come_out_typed_and_go_back(plain):
    config = RunConfig.of(plain)
    assert config.plain() == plain
    assert (config.task, config.inputs, config.trainer.precision) == (Task.MASK, Inputs.IMAGE, Precision.SINGLE)
    assert all(
        isinstance(value, kind) for value, kind in ((config.task, Task), (config.trainer.accelerator, Accelerator))
    )
    assert config.model.plain() == plain["model"]
    assert config.loss.depth.plain() == plain["loss"]["depth"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.seed = 1


def test_what_leaves_has_no_member_of_an_enumeration(plain):
    text = yaml.safe_dump(RunConfig.of(plain | {"task": Task.MASK_DEPTH}).plain())
    assert yaml.safe_load(text)["task"] == "mask_depth"


@pytest.mark.parametrize("option", groups()["trainer"])
def test_every_option_of_the_trainer_has_the_settings_of_the_schema(option):
    config = run_config(compose_config([f"trainer={option}"]))
    assert isinstance(config.trainer, TrainerSettings)
    default = yaml.safe_load((conf_dir() / "trainer" / "default.yaml").read_text())
    assert {*default} == {*hints_of(TrainerSettings)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": "x"}, r"^seed must be a whole number, got 'x'$"),
        ({"seed": None}, r"^seed must be a whole number, got nothing$"),
        ({"sed": 1}, r"^there is no setting 'sed'; did you mean 'seed'\?$"),
        ({"task": "masks"}, r"^there is no task 'masks'; did you mean 'mask'\?$"),
        ({"depth_weight": 0}, r"^depth_weight must be a number above 0, got 0$"),
        ({"resume": 1}, r"^resume is a group of settings and cannot be set to 1$"),
        ({"resume": {}}, r"^resume\.force is missing: give resume\.force=\.\.\.$"),
        ({"model": {"depth": 3}}, r"^model must describe a part, with its class as _target_, got"),
        ({"resolution": [64, "x"]}, r"^resolution must be a list \(a whole number each\) such as 64,128,192 or "),
        ({"trainer.ema": 1.0}, r"^trainer\.ema must be a number above 0 and below 1 or null, got 1\.0$"),
        ({"trainer.precision": "32"}, r"^there is no trainer\.precision '32'; "),
        ({"trainer.threads": 2000}, r"^trainer\.threads must be a whole number from 1 to 1,024 or null, got 2000$"),
        ({"trainer.compile": 1}, r"^trainer\.compile must be true or false or auto, got 1$"),
        ({"evaluate.overlap": 0.6}, r"^evaluate\.overlap must be a number from 0 to 0\.5, got 0\.6$"),
    ],
)
def test_one_sentence_for_each_mistake(plain, changes, message):
    wrong = dict(plain)
    for key, value in changes.items():
        section, _, name = key.rpartition(".")
        if section:
            wrong[section] = plain[section] | {name: value}
        else:
            wrong[name] = value
    with pytest.raises(ConfigError, match=message):
        RunConfig.of(wrong)


def test_a_missing_setting_is_named(plain):
    with pytest.raises(ConfigError, match=r"^trainer\.patience is missing"):
        RunConfig.of(plain | {"trainer": {k: v for k, v in plain["trainer"].items() if k != "patience"}})


def sections(kind=RunConfig):
    yield kind
    for hint in hints_of(kind).values():
        if dataclasses.is_dataclass(hint):
            yield from sections(hint)


def test_every_setting_says_what_it_does_and_help_and_page_show_it():
    kinds = set(sections())
    assert {RunConfig, TrainerSettings, Part, Losses} <= kinds
    for kind in kinds:
        assert {*field_docs(kind)} == {*hints_of(kind)}, kind
    told = {one.key: one for one in settings()}
    assert told["trainer.max_epochs"].kind == "a whole number of at least 1"
    assert told["trainer.non_finite"].kind == " or ".join(NonFinite)
    for one in told.values():
        assert f"{one.key}: {one.kind}\n    {one.meaning}" in help_text()
        assert f"| `{one.key}` | {one.kind} | {one.meaning} |" in markdown_table()


def test_a_default_is_a_value_in_yaml_and_nowhere_else():
    for kind in set(sections()) - {Part, Losses}:
        assert all(field.default is dataclasses.MISSING for field in dataclasses.fields(kind)), kind


@pytest.mark.parametrize("file", ["train", *(f"trainer/{option}" for option in groups()["trainer"])])
def test_yaml_holds_values_and_the_schema_what_they_mean(file):
    text = (conf_dir() / f"{file}.yaml").read_text()
    values = text.partition("\nhydra:")[0]
    assert [line for line in values.splitlines() if " #" in line.lstrip()] == []


def test_help_explains_the_settings(command):
    outcome = command("--help")
    assert "What a NaN or infinite training loss does" in outcome.out


def test_a_training_composes_at_most_twice(command, monkeypatch, tmp_path):
    counted = []
    load = ConfigLoaderImpl.load_configuration
    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", lambda *a, **k: (counted.append(1), load(*a, **k))[1])
    monkeypatch.setattr(training, "train_in", lambda folder, begin, console: counted.append(begin))
    assert command("trainer=debug", "seed=3", f"hydra.run.dir={tmp_path / 'run'}").code == 0
    *compositions, begin = counted
    assert len(compositions) <= 2
    assert begin.config.seed == 3
