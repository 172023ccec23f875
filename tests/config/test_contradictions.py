"""Settings that contradict each other, or that do nothing, are refused when they are typed."""

import pytest

from segbench.config.compose import compose_config, run_config
from segbench.config.words import spelled_out
from segbench.core.errors import ConfigError
from segbench.training.parts import build_experiment

REFUSED = [
    (["task=depth", "loss=dice"], "loss is about masks, which task=depth does not train; give loss.depth="),
    (["task=depth", "loss=cross_entropy"], "loss is about masks"),
    (["task=depth", "loss.smooth=2.0"], "loss.smooth is about masks"),
    (["loss.depth=l1"], "loss/depth is about depth, which task=mask does not train; add task=depth"),
    (["task=mask", "loss.depth.weights.l1=2.0"], "loss.depth.weights.l1 is about depth"),
    (["depth_weight=2.0"], "depth_weight weighs two losses, but task=mask has one; add task=mask_depth"),
    (["task=depth", "depth_weight=2.0"], "depth_weight weighs two losses, but task=depth has one"),
    (["optimizer.lr=0"], "optimizer.lr=0 trains nothing; give a number above 0"),
    (["optimizer=sgd", "optimizer.lr=0.0"], "optimizer.lr=0 trains nothing"),
    (["plugins=[not_there]"], "plugins=not_there: there is no package of this name"),
    (["plugins=[json,not_there.deep]"], "plugins=not_there.deep: there is no package of this name"),
    (["plugins=[json.not_there]"], "plugins=json.not_there: there is no package of this name"),
]


@pytest.mark.parametrize(("words", "said"), REFUSED)
def test_what_comes_to_nothing_is_refused(words, said):
    with pytest.raises(ConfigError) as error:
        compose_config(spelled_out(words))
    assert str(error.value).startswith(said)


@pytest.mark.parametrize(
    "words",
    [
        ["task=depth"],
        ["task=depth", "loss.depth=l1"],
        ["task=depth", "loss.depth.weights.l1=2.0"],
        ["task=mask_depth", "loss=dice", "loss.depth=l1", "depth_weight=2.0"],
        ["loss=focal", "loss.gamma=1.0"],
        ["plugins=[json]"],
        ["plugins=[json.decoder]"],
    ],
)
def test_what_comes_to_something_is_not(words):
    compose_config(spelled_out(words))


def test_looking_for_a_plugin_does_not_run_it(tmp_path, monkeypatch):
    folder = tmp_path / "loud_lab"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise SystemExit('it ran')")
    (folder / "nets.py").write_text("raise SystemExit('it ran')")
    monkeypatch.syspath_prepend(tmp_path)
    compose_config(["plugins=[loud_lab,loud_lab.nets]"])
    with pytest.raises(ConfigError, match="loud_lab.losses: there is no package"):
        compose_config(["plugins=[loud_lab.losses]"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["resolution=16,32,64", "trainer.max_epochs=2"],
            r"resolution=\[16, 32, 64\] has 3 phases, of which trainer.max_epochs=2 would leave some out",
        ),
        (["trainer.max_epochs=3", "resolution=16,32,64"], None),
    ],
)
def test_phases_that_have_no_epoch_are_refused(words, said):
    config = run_config(compose_config(spelled_out(["model=fcn", "data.size=[64,64]", *words])))
    if said is None:
        assert build_experiment(config).resolution.of_epoch(2, 3) == (64, 64)
        return
    with pytest.raises(ConfigError, match=said):
        build_experiment(config)


def test_a_gradient_clip_of_zero_is_refused(command):
    outcome = command("trainer.gradient_clip=0.0")
    assert outcome.code == 2
    assert "trainer.gradient_clip must be a number above 0 or null, got 0.0" in outcome.err
