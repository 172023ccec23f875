"""The main job through the command line: what it prints, writes, refuses, and how it is resumed."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from segbench import cli
from segbench.runs.metrics_log import read_metrics
from tests.support.tiny_files import write_folder


def runs(folder="outputs"):
    return sorted(path.parent for path in Path(folder).rglob("status.json"))


def state_digest(path):
    checkpoint = torch.load(path, weights_only=True)
    parts = [checkpoint["state_dict"], checkpoint["optimizer_states"]]
    tensors = []

    def walk(node):
        if isinstance(node, torch.Tensor):
            tensors.append(node)
        elif isinstance(node, dict):
            for key in sorted(node, key=str):
                walk(node[key])
        elif isinstance(node, list | tuple):
            for item in node:
                walk(item)

    walk(parts)
    return [tensor.double().sum().item() for tensor in tensors], tensors


def same(one, two):
    return len(one) == len(two) and all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_a_run_leaves_everything_the_house_promises(command, tiny):
    outcome = command(*tiny, "trainer.plots=true")
    assert outcome.code == 0, outcome.err
    (run,) = runs()
    assert run.parent.name == "unet-dice-fgbg"
    for name in (
        "config.yaml",
        "command.txt",
        "environment.json",
        "metrics.csv",
        "results.json",
        "run.log",
        "val_images.csv",
        "test_images.csv",
        "checkpoints/latest.json",
        "checkpoints/best.ckpt",
        "samples/epoch-0001.png",
        "samples/test.png",
        "plots/loss.png",
        "plots/iou.png",
        "plots/confusion.png",
        ".hydra/config.yaml",
        ".hydra/overrides.yaml",
        ".hydra/hydra.yaml",
    ):
        assert (run / name).stat().st_size > 0, name
    assert json.loads((run / "status.json").read_text())["state"] == "completed"
    results = json.loads((run / "results.json").read_text())
    for split in ("val", "test"):
        for name in ("mean_iou", "mean_dice", "accuracy", "iou/background", "iou/foreground", "dice/foreground"):
            entry = results["metrics"][f"{split}/{name}"]
            assert set(entry) == {"best", "last", "best_epoch"}
            assert entry["best"] is None or 0 <= entry["best"] <= 1
    environment = json.loads((run / "environment.json").read_text())
    assert environment["packages"]["numpy"] == np.__version__
    assert "resumes" in environment
    assert results["steps"] == 4
    assert results["parameters"] > 1000
    assert results["flops_per_image"] > 1e5
    assert results["images_per_second"] > 0
    assert results["peak_memory_bytes"] > 1e7
    for text in (
        "training unet-dice-fgbg",
        "8 scenes of",
        "val IoU",
        "most frequent",
        "foreground",
        "images/s",
        str(run),
    ):
        assert text in outcome.out, text
    assert "training unet-dice-fgbg" in (run / "run.log").read_text()
    assert Image.open(run / "samples" / "test.png").width > 3 * 32
    with (run / "test_images.csv").open() as file:
        scores = {int(row["index"]): float(row["mean_iou"]) for row in csv.DictReader(file) if row["mean_iou"]}
    worst = sorted(scores, key=lambda index: (scores[index], index))[:8]
    assert {path.name for path in (run / "samples" / "worst").iterdir()} == {f"{index:06d}.png" for index in worst}


def test_plots_are_drawn_where_they_are_wanted(command, tiny):
    outcome = command(*tiny, "trainer.plots=false", "hydra.run.dir=run")
    assert outcome.code == 0, outcome.err
    assert list(Path("run/plots").iterdir()) == []


def test_the_best_epoch_is_what_is_tested(command, tiny):
    command(*tiny, "trainer.max_epochs=4", "optimizer.lr=0.02")
    (run,) = runs()
    rows = [row for row in read_metrics(run / "metrics.csv") if row["split"] == "epoch"]
    results = json.loads((run / "results.json").read_text())
    best = max(rows, key=lambda row: row["val/mean_iou"])
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3]
    assert results["best_epoch"] == best["epoch"]
    metrics = results["metrics"]["val/mean_iou"]
    assert metrics["best"] == pytest.approx(best["val/mean_iou"], abs=1e-6)
    assert metrics["last"] == pytest.approx(rows[-1]["val/mean_iou"], abs=1e-6)
    # the per-image table was made from best.ckpt: its counts give the same score
    table = list(csv.DictReader((run / "val_images.csv").open()))
    assert len(table) == 4
    iou = []
    for name in ("background", "foreground"):
        tp, fp, fn = (sum(int(row[f"{kind}/{name}"]) for row in table) for kind in ("tp", "fp", "fn"))
        iou.append(tp / (tp + fp + fn))
    assert np.mean(iou) == pytest.approx(best["val/mean_iou"], abs=1e-6)


def test_runs_repeat_bit_by_bit_and_workers_do_not_matter(command, tiny):
    for extra in ([], [], ["data.num_workers=2"], ["seed=1"]):
        assert command(*tiny, *extra).code == 0
    one, two, workers, other = (state_digest(max((r / "checkpoints").glob("step-*.ckpt")))[1] for r in runs())
    assert same(one, two)
    assert same(one, workers)
    assert not same(one, other)


@pytest.mark.parametrize("scheduler", ["onecycle", "plateau"])
def test_a_stopped_run_continues_as_if_nothing_had_happened(command, tiny, scheduler, monkeypatch):
    """Stopped by a signal in the middle of the second epoch, resumed: the same weights, optimizer and metrics."""
    words = [
        *tiny,
        "trainer.max_epochs=3",
        "data.train_size=16",
        f"scheduler={scheduler}",
        "augment=flip",
        "model.dropout=0.3",
        "optimizer=adam",
    ]
    assert command(*words, "hydra.run.dir=whole").code == 0

    from segbench.training.callbacks.checkpointer import Checkpointer
    from segbench.training.signals import StopSignals, signal

    original = Checkpointer.on_train_batch_end

    def interrupt(self, trainer, *rest):
        if trainer.global_step == 6:
            self.signals.received = signal.SIGTERM
        original(self, trainer, *rest)

    monkeypatch.setattr(Checkpointer, "on_train_batch_end", interrupt)
    stopped = command(*words, "hydra.run.dir=parts")
    assert stopped.code == 143
    assert "stopped at step 6" in stopped.err
    assert json.loads(Path("parts/status.json").read_text())["state"] == "interrupted"
    monkeypatch.setattr(Checkpointer, "on_train_batch_end", original)
    assert StopSignals().received is None
    rows = len(Path("parts/metrics.csv").read_text().splitlines())

    resumed = command("resume=parts")
    assert resumed.code == 0, resumed.err
    assert "resuming unet-dice-fgbg" in resumed.out
    assert Path("parts/metrics.csv").read_text().splitlines()[:rows]
    for name in ("step-00000012.ckpt", "best.ckpt", "step-00000008.ckpt"):
        assert same(state_digest(f"whole/checkpoints/{name}")[1], state_digest(f"parts/checkpoints/{name}")[1]), name
    assert read_metrics(Path("whole/metrics.csv")) == read_metrics(Path("parts/metrics.csv"))
    whole, parts = (json.loads(Path(f"{name}/results.json").read_text())["metrics"] for name in ("whole", "parts"))
    assert whole == parts
    assert len(Path("parts/command.txt").read_text().splitlines()) == 2

    before = {path: path.stat().st_mtime_ns for path in Path("parts").rglob("*") if path.is_file()}
    again = command("parts", entry=lambda: cli.app(["resume", "parts"]))
    assert again.code == 0
    assert "is finished" in again.out
    assert before == {path: path.stat().st_mtime_ns for path in Path("parts").rglob("*") if path.is_file()}

    longer = command("resume=parts", "trainer.max_epochs=4")
    assert longer.code == 0
    assert json.loads(Path("parts/results.json").read_text())["steps"] == 16
    changed = command("resume=parts", "optimizer.lr=1.0", "trainer.max_epochs=5")
    assert changed.code == 2
    assert "optimizer.lr" in changed.err


def test_resuming_from_the_end_of_an_epoch(command, tiny, monkeypatch):
    from segbench.training.callbacks.checkpointer import Checkpointer
    from segbench.training.signals import signal

    words = [*tiny, "trainer.max_epochs=3"]
    command(*words, "hydra.run.dir=whole")
    original = Checkpointer.on_train_epoch_end

    def interrupt(self, trainer, *rest):
        self.signals.received = signal.SIGINT if trainer.current_epoch == 1 else None
        original(self, trainer, *rest)

    monkeypatch.setattr(Checkpointer, "on_train_epoch_end", interrupt)
    assert command(*words, "hydra.run.dir=parts").code == 130
    monkeypatch.setattr(Checkpointer, "on_train_epoch_end", original)
    assert command("resume=parts").code == 0
    assert same(*(state_digest(f"{name}/checkpoints/step-00000006.ckpt")[1] for name in ("whole", "parts")))
    assert read_metrics(Path("whole/metrics.csv")) == read_metrics(Path("parts/metrics.csv"))


def test_killed_between_a_checkpoint_and_its_link_to_best(command, tiny):
    """What such a kill leaves: the newest checkpoint is the best one, best.ckpt is missing, the status says running."""
    assert command(*tiny, "trainer.max_epochs=1", "hydra.run.dir=run").code == 0
    before = json.loads(Path("run/results.json").read_text())["metrics"]
    for name in ("checkpoints/best.ckpt", "results.json"):
        Path("run", name).unlink()
    Path("run/status.json").write_text('{"state": "running"}')
    assert command("resume=run").code == 0
    assert json.loads(Path("run/results.json").read_text())["metrics"] == before


def test_a_folder_with_an_awkward_name_is_resumed_after_it_was_moved(command, tiny):
    assert command(*tiny, "hydra.run.dir=first").code == 0
    moved = Path("it's a=b, [c] {d} $e")
    Path("first").rename(moved)
    outcome = command(f"resume={moved}", "trainer.max_epochs=3")
    assert outcome.code == 0, outcome.err
    assert json.loads((moved / "results.json").read_text())["steps"] == 6
    assert sorted(path.name for path in Path().iterdir()) == [moved.name]


def test_a_limit_in_steps_is_validated_and_tested(command, tiny):
    limits = ("trainer.max_epochs=9", "trainer.max_steps=14", "trainer.val_every=2")
    outcome = command(*tiny, "data.train_size=16", *limits)
    assert outcome.code == 0, outcome.err
    (run,) = runs()
    results = json.loads((run / "results.json").read_text())
    assert results["steps"] == 14
    rows = [row for row in read_metrics(run / "metrics.csv") if row["split"] == "epoch"]
    validated = [(row["epoch"], row["step"], "val/mean_iou" in row) for row in rows]
    assert validated == [(0, 4, False), (1, 8, True), (2, 12, False), (3, 14, True)]
    lines = [line for line in outcome.out.splitlines() if line.startswith("epoch ")]
    assert ["val IoU" in line for line in lines] == [False, True, False, True]  # no old score beside a new epoch


def test_checkpoints_within_an_epoch(command, tiny):
    words = ("data.train_size=16", "trainer.checkpoint_every=3", "trainer.max_epochs=2")
    assert command(*tiny, *words).code == 0
    (run,) = runs()
    assert [path.name for path in sorted((run / "checkpoints").glob("step-*"))] == [
        "step-00000006.ckpt",
        "step-00000008.ckpt",
    ]
    latest = json.loads((run / "checkpoints/latest.json").read_text())
    assert latest["file"] == "step-00000008.ckpt"
    assert latest["bytes"] == (run / "checkpoints/step-00000008.ckpt").stat().st_size


def test_a_damaged_checkpoint_is_set_aside(command, tiny):
    assert command(*tiny, "hydra.run.dir=run").code == 0
    newest = Path("run/checkpoints/step-00000004.ckpt")
    newest.write_bytes(newest.read_bytes()[:5000])
    outcome = command("resume=run", "trainer.max_epochs=3")
    assert outcome.code == 0, outcome.err
    assert "step-00000004.ckpt is damaged" in outcome.out
    assert Path("run/checkpoints/step-00000004.ckpt.damaged").exists()
    for path in Path("run/checkpoints").glob("step-*.ckpt"):
        path.write_bytes(b"rubbish")
    outcome = command("resume=run", "trainer.max_epochs=4")
    assert outcome.code == 4
    assert "every checkpoint" in outcome.err


def test_a_sweep_makes_a_folder_for_each_job(command, tiny):
    # the network's depth and width are settings of unet alone, so that fcn can be swept with it
    shared = [word for word in tiny if not word.startswith("model.")]
    outcome = command("-m", "model=fcn,unet", "loss=dice,bce", *shared)
    assert outcome.code == 0, outcome.err
    names = [run.name for run in runs("outputs/sweeps")]
    assert names == ["000_fcn-dice", "001_fcn-bce", "002_unet-dice", "003_unet-bce"]
    assert all(json.loads((run / "status.json").read_text())["state"] == "completed" for run in runs())


def test_one_failing_job_does_not_stop_a_sweep(command, tiny):
    outcome = command("-m", "data.train_size=2,8", *tiny)
    assert outcome.code == 3
    assert "1 of 2 jobs failed; the first, 000_train_size=2: the train split has 2 samples" in outcome.err
    (run,) = runs("outputs/sweeps")
    assert run.name == "001_train_size=8"


def test_background_as_further_input(command, tiny):
    assert command(*tiny, "inputs=image+background").code == 0
    (run,) = runs()
    weights = torch.load(run / "checkpoints/best.ckpt", weights_only=True)["state_dict"]
    assert weights["network.encoder.0.0.weight"].shape[1] == 6


def test_a_nan_loss_is_never_a_finished_run(command, tiny):
    outcome = command(*tiny, "optimizer=sgd", "optimizer.lr=1e38", "loss=bce")
    assert outcome.code == 5
    assert "training loss became" in outcome.err
    (run,) = runs()
    assert json.loads((run / "status.json").read_text())["state"] == "failed"


def test_tensorboard(command, tiny):
    pytest.importorskip("tensorboard")
    assert command(*tiny, "logger=tensorboard").code == 0
    (run,) = runs()
    assert list((run / "tensorboard").glob("events.out.*"))


def test_preview_writes_a_grid(command, tiny):
    words = [word for word in tiny if word.startswith("data.")]
    outcome = command(
        entry=lambda: cli.app(["data", "preview", "data=fgbg", *words, "--out", "grid.png", "--count", "3"])
    )
    assert outcome.code == 0, outcome.err
    assert "3 of 1,280 scenes" in outcome.out
    assert Image.open("grid.png").height > 3 * 96


def test_preview_of_fewer_samples_than_a_batch(command, tmp_path):
    root = write_folder(tmp_path / "few", count=12)
    words = ["data=folder", f"data.root={root}", "data.masks=binary", "data.size=[40,48]", "augment=flip"]
    shares = ["data.val_share=0.3", "data.test_share=0.3"]
    outcome = command(entry=lambda: cli.app(["data", "preview", *words, *shares, "--out", "grid.png"]))
    assert outcome.code == 0, outcome.err
    assert Path("grid.png").is_file()


def test_an_experiment_is_an_overlay(command, tiny):
    assert command("experiment=better/fgbg_unet", *tiny).code == 0
    (run,) = runs()
    assert "inputs: image+background" in (run / "config.yaml").read_text()


def test_debug_does_everything_with_a_handful_of_steps(process, tiny):
    outcome = process(*tiny, check=0, cold=True)
    (results,) = Path(process.folder).rglob("results.json")
    assert json.loads(results.read_text())["steps"] == 4
    assert "run folder" in outcome.out
