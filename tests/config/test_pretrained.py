"""Weights that a configuration asks for: found wherever they are, since an untrusted folder must not reach a server."""

import json
import socket
from pathlib import Path

import pytest
import yaml

from segbench import cli
from segbench.config.compose import compose_config, run_config
from segbench.config.pretrained import loaded_weights, without_pretrained
from segbench.config.schema import RunConfig

SMP = {"_target_": "segmentation_models_pytorch.Unet", "classes": 1}
NESTED = {"_target_": "segbench.models.external.External", "heads": {"mask": 1}, "module": SMP}


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        (SMP, ["model.encoder_weights"]),
        ({**SMP, "encoder_weights": None}, []),
        (NESTED, ["model.module.encoder_weights"]),
        ({"_target_": "mylab.Net", "weights": "file.pt"}, ["model.weights"]),
        ({"_target_": "segbench.models.unet.UNet"}, []),
        ({"_target_": "a.B", "x": [{"_target_": "torchvision.models.X", "weights": "Y"}]}, ["model.x[0].weights"]),
    ],
)
def test_weights_are_found_and_left_out(model, settings):
    loss = {"_target_": "segbench.losses.weighted_sum.WeightedSum", "weights": {"l1": 1}}
    config = RunConfig.of({**run_config(compose_config([])).plain(), "model": model, "loss": loss})
    assert loaded_weights(config) == settings
    assert loaded_weights(without_pretrained(config)) == []
    assert without_pretrained(config).loss == config.loss


@pytest.mark.parametrize("model", [SMP, NESTED])
@pytest.mark.parametrize("verb", ["evaluate", "verify"])
def test_a_folder_does_not_make_a_command_ask_a_server(command, tiny, monkeypatch, model, verb):
    pytest.importorskip("segmentation_models_pytorch", reason="an extra: pip install -e '.[smp]'")
    assert command(*tiny, "trainer.max_epochs=1", "hydra.run.dir=run").code == 0
    config = yaml.safe_load(Path("run/config.yaml").read_text())
    config["model"] = json.loads(json.dumps(model))
    Path("run/config.yaml").write_text(yaml.safe_dump(config))
    asked = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *words, **settings: asked.append(words) or [])
    outcome = command(verb, "run", entry=cli.main)
    assert outcome.code in (2, 4)
    assert "Traceback" not in outcome.err
    assert asked == []
