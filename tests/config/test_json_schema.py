"""The JSON schema of an experiment: what it takes and refuses, judged by the package jsonschema."""

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator

from segbench import cli
from segbench.config.json_schema import as_schema, experiment_schema
from segbench.config.paths import conf_dir
from segbench.config.schema import RunConfig, hints_of
from segbench.config.trainer_settings import TrainerSettings

EXPERIMENTS = sorted((conf_dir() / "experiment").rglob("*.yaml"))


NET = """
import torch

class Net(torch.nn.Module):
    def __init__(self, cells: int = 3):
        super().__init__()
"""


@pytest.fixture(scope="module")
def validator():
    schema = experiment_schema()
    Draft7Validator.check_schema(schema)
    return Draft7Validator(json.loads(json.dumps(schema)))


def faults(validator, text):
    return [error.message for error in validator.iter_errors(yaml.safe_load(text))]


def test_what_a_class_hands_on_to_its_base_is_no_setting_of_its_own(validator):
    text = json.dumps(validator.schema)
    assert '"size"' in text
    assert '"common"' not in text
    assert '"kwargs"' not in text


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_every_shipped_experiment_is_valid(validator, file):
    assert faults(validator, file.read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        "trainer: {max_epochs: 3, precision: bf16-mixed, ema: 0.999}",
        "resolution: [64, 128]",
        "evaluate: {tta: [hflip, 0.75], tile: null}",
        "optimizer: {lr: '${trainer.max_epochs}'}",
        "optimizer: {encoder_lr_factor: 0.1}",
        "defaults: [override /optimizer: sgd]\noptimizer: {layer_decay: 0.75, decay_norms: true}",
        "defaults: [override /model: smp_unet]\nmodel: {encoder: resnet18, decoder_channels: [64, 32, 16, 8, 4]}",
        "defaults: [override /loss/depth: ssim]\nloss: {smooth: 1.0, depth: {window: 7}}",
        "data: {batch_size: 8, view: crop}",
        "model: {_target_: mylab.Net, anything: 1}",
        "defaults: [override /data: cityscapes]\ndata: {cache: null, labels: {7: road}, mean: null}",
    ],
)
def test_what_is_right_is_taken(validator, text):
    assert faults(validator, text) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("trainer: {max_epoch: 3}", "max_epoch"),
        ("trainer: {max_epochs: 0}", "0 is"),
        ("trainer: {max_epochs: many}", "'many' is not valid"),
        ("trainer: {precision: 32}", "32 is not valid"),
        ("trainer: {ema: 1.0}", "1.0 is not valid"),
        ("evaluate: {overlap: 0.6}", "0.6 is not valid"),
        ("evaluate: {boundary: nevr}", "'nevr' is not valid"),
        ("sed: 1", "sed"),
        ("task: masks", "'masks' is not valid"),
        ("model: {widht: 3}", "'widht' is not one of"),
        ("defaults: [override /model: unett]", "'unett' is not one of"),
        ("defaults: [override /modle: unet]", "override /modle"),
        ("defaults: [override /model: unet]\nmodel: {widht: 3}", "widht"),
        ("defaults: [override /model: unet]\nmodel: {width: wide}", "'wide' is not valid"),
        ("defaults: [override /model: unet]\nmodel: {in_channels: 4}", "in_channels"),
        ("defaults: [override /data: folder]\ndata: {size: 256}", "256 is not valid"),
        ("defaults: [override /loss/depth: ssim]\nloss: {depth: {heads: depth}}", "heads"),
        ("defaults: [override /optimizer: sgd]\noptimizer: {lr: fast}", "'fast' is not valid"),
        ("defaults: [override /optimizer: sgd]\noptimizer: {decay_norms: 1}", "1 is not valid"),
    ],
)
def test_what_is_wrong_is_refused(validator, text, said):
    found = faults(validator, text)
    assert any(said in message for message in found), found


def test_types_bounds_choices_and_meaning_are_those_of_the_schema(validator):
    properties = validator.schema["properties"]
    assert {*properties} == {"defaults", *hints_of(RunConfig)}
    trainer = properties["trainer"]["properties"]
    assert {*trainer} == {*hints_of(TrainerSettings)}
    assert {"type": "integer", "minimum": 1, "maximum": 1024} in trainer["threads"]["anyOf"]
    assert trainer["max_epochs"]["description"] == "Epochs of the whole training."
    assert {"enum": ["mask", "depth", "mask_depth"]} in properties["task"]["anyOf"]
    unet = validator.schema["definitions"]["model=unet"]["else"]["properties"]
    assert unet["width"]["description"]
    assert as_schema(tuple[float, float]) == {
        "type": "array",
        "items": {"type": "number"},
        "minItems": 2,
        "maxItems": 2,
    }


def test_options_of_ones_own_are_known_by_their_folder_and_package(command, tmp_path, monkeypatch):
    (tmp_path / "lab_of_schema.py").write_text(NET)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "options" / "model").mkdir(parents=True)
    (tmp_path / "options" / "model" / "cells.yaml").write_text("_target_: lab_of_schema.Net\ncells: 3\n")
    words = ["schema", "--options", str(tmp_path / "options"), "--plugins", "lab_of_schema"]
    outcome = command(*words, "--out", "s.json", entry=cli.main)
    assert outcome.code == 0, outcome.err
    validator = Draft7Validator(json.loads(Path("s.json").read_text()))
    chosen = "defaults: [override /model: cells]\nmodel: "
    assert faults(validator, chosen + "{cells: 4}") == []
    assert any("'many' is not valid" in one for one in faults(validator, chosen + "{cells: many}"))
    assert any("cell" in one for one in faults(validator, chosen + "{cell: 4}"))
    assert json.loads(command(*words, entry=cli.main).out) == validator.schema
    refused = command("schema", "--options", "nowhere", entry=cli.main)
    assert (refused.code, "there is no folder nowhere" in refused.err) == (2, True)
