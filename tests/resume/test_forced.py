"""`resume.force=true`: what is recorded is what trains, and what cannot be carried over changes nothing."""

import json
from pathlib import Path

import pytest
import torch
import yaml

from segbench.runs.checkpoints import point_to, step_checkpoints
from segbench.runs.metrics_log import read_metrics
from segbench.training.checkpoints.storage import save_atomic

MORE = "trainer.max_epochs=2"
FORCE = "resume.force=true"


def newest(run):
    return torch.load(step_checkpoints(Path(run) / "checkpoints")[-1], weights_only=True)


def first_group(run):
    return newest(run)["optimizer_states"][0]["param_groups"][0]


def rates(run):
    return [row["lr"] for row in read_metrics(Path(run) / "metrics.csv") if row["split"] == "train"]


def contents(folder):
    return {
        str(path): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def started(made, tiny):
    """Make a run of one epoch of two steps."""
    return lambda *words: made("run", *tiny, "trainer.max_epochs=1", "trainer.log_every=1", *words)


OPTIONS = {
    "adamw": (
        ["optimizer.lr=1e-4", "optimizer.weight_decay=0.5", "optimizer.betas=[0.5,0.6]", "optimizer.eps=1e-3"],
        {"lr": 1e-4, "weight_decay": 0.5, "betas": [0.5, 0.6], "eps": 1e-3},
    ),
    "sgd": (
        ["optimizer.lr=1e-4", "optimizer.momentum=0.1", "optimizer.nesterov=false", "optimizer.weight_decay=0.25"],
        {"lr": 1e-4, "momentum": 0.1, "nesterov": False, "weight_decay": 0.25},
    ),
}


@pytest.mark.parametrize("optimizer", OPTIONS)
def test_every_option_of_the_optimizer_is_the_one_of_now(command, started, optimizer):
    words, wanted = OPTIONS[optimizer]
    run = started(f"optimizer={optimizer}", "scheduler=none")
    before = rates(run)
    assert command("resume=run", MORE, FORCE, *words).code == 0
    group = first_group(run)
    assert {name: list(group[name]) if name == "betas" else group[name] for name in wanted} == wanted
    assert rates(run) == [*before, 1e-4, 1e-4]
    recorded = yaml.safe_load((run / "config.yaml").read_text())["optimizer"]
    assert {name: recorded[name] for name in wanted} == wanted


def test_the_state_of_the_optimizer_stays(command, started, tiny):
    """SGD with a rate of nothing moves no weight: then only momentum is seen, which is a sum over all steps."""
    run = started("optimizer=sgd", "optimizer.momentum=0.9", "scheduler=none")
    weights = newest(run)["state_dict"]
    kept = newest(run)["optimizer_states"][0]["state"][0]["momentum_buffer"].clone()
    assert (
        command("resume=run", MORE, FORCE, "optimizer.lr=1e-30", "optimizer.momentum=0.5", "trainer.max_steps=3").code
        == 0
    )
    after = newest(run)
    name = next(name for name in weights if name.startswith("network.") and weights[name].ndim == 4)
    assert torch.equal(after["state_dict"][name], weights[name])
    gradient = after["optimizer_states"][0]["state"][0]["momentum_buffer"] - 0.5 * kept
    assert gradient.abs().sum() > 0
    assert after["global_step"] == 3


def test_the_schedule_keeps_its_progress_and_takes_the_new_settings(command, started):
    run = started("scheduler=plateau", "optimizer.lr=0.01", "scheduler.patience=0", "scheduler.threshold=1.0")
    best = newest(run)["schedule"]["best"]
    assert command("resume=run", MORE, FORCE, "scheduler.gamma=0.5").code == 0
    assert newest(run)["schedule"] == {"current": 0.5, "best": best, "waited": 0}
    assert command("resume=run", "trainer.max_epochs=3", FORCE, "scheduler=none", "optimizer.lr=0.02").code == 0
    assert rates(run)[-2:] == [0.02, 0.02]
    assert command("resume=run", "trainer.max_epochs=4", FORCE, "scheduler=plateau").code == 0
    assert newest(run)["schedule"]["best"] > 0


def test_an_average_begins_at_the_weights_and_ends(command, started):
    run = started("optimizer=sgd", "optimizer.lr=0.1", "scheduler=none")
    weights = newest(run)["state_dict"]
    name = next(name for name in weights if name.startswith("network.") and weights[name].ndim == 4)
    assert command("resume=run", MORE, FORCE, "trainer.ema=0.5", "trainer.max_steps=3").code == 0
    after = newest(run)["state_dict"]
    decay = min(0.5, (1 + 2) / (10 + 2))  # the warm-up of the average, after the third step
    expected = decay * weights[name] + (1 - decay) * after[name]
    torch.testing.assert_close(after[f"average.{name}"], expected, rtol=1e-5, atol=1e-7)
    assert command("resume=run", "trainer.max_epochs=4", "trainer.max_steps=null", FORCE, "trainer.ema=null").code == 0
    assert not [key for key in newest(run)["state_dict"] if key.startswith("average.")]
    assert command("evaluate", "run", entry=segbench).code == 0


def segbench():
    from segbench import cli

    cli.main()


LOSS = """
import torch
from segbench.losses.base import Loss


class Weighted(Loss):
    heads = ("mask",)
    terms = ("weighted",)

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.register_buffer("weight", torch.tensor(weight))
        self.register_buffer("seen", torch.tensor(0))

    def forward(self, prediction, batch):
        if self.training:
            self.seen += 1
        value = self.weight * prediction["mask"].square().mean()
        return value, {"weighted": value.detach()}
"""


def test_the_tensors_of_a_loss_are_those_of_its_settings(command, started, tmp_path, monkeypatch):
    (tmp_path / "own_loss.py").write_text(LOSS)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "options/loss").mkdir(parents=True)
    (tmp_path / "options/loss/own.yaml").write_text("_target_: own_loss.Weighted\nweight: 1.0\n")
    own = ["plugins=[own_loss]", f"hydra.searchpath=[file://{tmp_path / 'options'}]", "loss=own"]
    run = started(*own)
    assert newest(run)["state_dict"]["loss.seen"] == 2
    assert command("resume=run", MORE, own[0]).code == 0
    assert newest(run)["state_dict"]["loss.seen"] == 4
    assert command("resume=run", "trainer.max_epochs=3", own[0], "loss.weight=3.0", FORCE).code == 0
    state = newest(run)["state_dict"]
    assert (state["loss.weight"], state["loss.seen"]) == (3.0, 2)
    assert command("resume=run", "trainer.max_epochs=4", own[0]).code == 0  # as recorded now
    state = newest(run)["state_dict"]
    assert (state["loss.weight"], state["loss.seen"]) == (3.0, 4)


def test_other_mean_and_std_are_those_that_normalise(command, started):
    run = started()
    assert command("resume=run", MORE, FORCE, "data.mean=[0.1,0.2,0.3]", "data.std=[0.5,0.5,0.5]").code == 0
    state = newest(run)["state_dict"]
    torch.testing.assert_close(state["mean"].flatten(), torch.tensor([0.1, 0.2, 0.3]))
    torch.testing.assert_close(state["std"].flatten(), torch.tensor([0.5] * 3))


def test_accumulated_steps_do_not_shorten_a_run(command, started):
    """Two epochs of two steps; the third and fourth of one step each."""
    run = started()
    assert command("resume=run", MORE).code == 0
    assert command("resume=run", "trainer.max_epochs=4", "trainer.accumulate=2", FORCE).code == 0
    results = json.loads((run / "results.json").read_text())
    assert (results["steps"], results["epochs"]) == (6, 4)
    before = contents(run)
    assert "this run is finished" in command("resume=run").out
    assert contents(run) == before


def spoil_checkpoints(run):
    for path in [*step_checkpoints(run / "checkpoints")]:
        path.write_bytes(b"x" + path.read_bytes()[1:])


def cut_the_best(run):
    """As after a second epoch that was no better, when the step checkpoint of the first is gone."""
    folder = run / "checkpoints"
    content = newest(run)
    for path in step_checkpoints(folder):
        path.unlink()
    content["epoch"], content["global_step"] = 1, 4
    save_atomic(content, folder / "step-00000004.ckpt")
    point_to(folder / "step-00000004.ckpt", 4)
    cut = (folder / "best.ckpt").read_bytes()[:1000]
    (folder / "best.ckpt").write_bytes(cut)


def stop_before_the_results(run):
    (run / "results.json").unlink()
    (run / "status.json").write_text('{"state": "interrupted"}')


def link_the_log(run):
    (run / "run.log").rename("elsewhere.log")
    (run / "run.log").symlink_to(Path("elsewhere.log").absolute())


REFUSED = {
    "another learning rate": (["optimizer.lr=0.5"], 2, "optimizer.lr (0.003 -> 0.5)"),
    "another option": (["optimizer=sgd"], 2, "optimizer._target_ (torch.optim.AdamW -> torch.optim.SGD)"),
    "another optimizer, forced": (["optimizer=sgd", FORCE], 2, "optimizer._target_ (torch.optim.AdamW"),
    "another width, forced": (["model.width=8", FORCE], 2, "model.width (4 -> 8) cannot be changed"),
    "another network, forced": (["model=cnn", FORCE], 2, "cannot be changed in a run that has begun"),
    "state that is not there, forced": (["+optimizer.amsgrad=true", FORCE], 2, "optimizer.amsgrad (None -> True)"),
    "another task": (["task=mask_depth", FORCE], 2, "task=mask is what the network was trained for"),
    "other classes": (["data.classes=[a,b,c]", FORCE], 2, "must be 2 names"),
    "no such setting": (["loss.smoth=2"], 2, "did you mean 'smooth'?"),
    "no such option": (["loss=dicee"], 2, "did you mean 'dice'?"),
    "another kind of value": (["optimizer.lr=fast"], 2, "optimizer.lr must be a number"),
    "a value out of range": (["trainer.accumulate=0"], 2, "trainer.accumulate must be"),
    "several values": (["seed=1,2"], 2, "has several values"),
    "a folder": (["hydra.run.dir=other"], 2, "it stays in its folder"),
    "an experiment": (["experiment=better/camvid"], 2, "chosen when a run is started"),
    "another launcher": (["launcher=joblib"], 2, "is about a sweep"),
    "no data": (["data.foregrounds=nowhere"], 3, "nowhere"),
    "an end that lies behind": (["trainer.max_steps=1", stop_before_the_results], 2, "stands at step 2, beyond"),
    "a class from elsewhere": (["model._target_=mylab.Net", FORCE], 2, "plugins=[mylab]"),
    "damaged checkpoints": ([spoil_checkpoints], 4, "every checkpoint"),
    "a damaged best": ([cut_the_best], 4, "best.ckpt cannot be used"),
    "a link": ([link_the_log], 2, "run.log is a symbolic link"),
    "no configuration": ([lambda run: (run / "config.yaml").unlink()], 4, "has no config.yaml"),
    "half a configuration": ([lambda run: (run / "config.yaml").write_text("seed: 1")], 2, "it must hold"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_refused_resume_changes_no_file(command, started, kind):
    words, code, message = REFUSED[kind]
    run = started()
    for word in words:
        if callable(word):
            word(run)
    before = contents(run)
    outcome = command("resume=run", MORE, *[word for word in words if not callable(word)])
    assert outcome.code == code, outcome.out + outcome.err
    assert message in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1
    assert contents(run) == before
    assert not Path("other").exists()


def test_the_same_command_with_another_network_changes_no_file(command, tiny, started):
    run = started()
    before = contents(run)
    outcome = command(*tiny, "trainer.max_epochs=2", "model.width=8", FORCE, "hydra.run.dir=run")
    assert outcome.code == 2
    assert "model.width (4 -> 8) cannot be changed" in outcome.err
    assert contents(run) == before
