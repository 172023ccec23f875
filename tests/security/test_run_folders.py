"""An untrusted run folder: used without executing, hanging, writing outside it, or telling what it should not."""

import os
import shutil
from pathlib import Path

import pytest
import yaml

from segbench.commands.resume import settings_of
from segbench.config.continued import dropped_settings
from segbench.config.quoting import rendered
from segbench.config.saved import MAX_BYTES, read_saved_config
from segbench.config.words import parse
from segbench.core.errors import CheckpointError
from segbench.runs.folder import MAX_JSON, RunFolder, open_run
from tests.support import warm

TENSORBOARD = {
    "tensorboard": {"_target_": "pytorch_lightning.loggers.TensorBoardLogger", "name": "tensorboard", "version": ""}
}
MLFLOW = {"_target_": "segbench.tracking.mlflow.Mlflow", "uri": "sqlite:///mlflow.db", "experiment": "segbench"}
TRAIN = Path(__file__).parents[2] / "train.py"
VERBS = ("evaluate", "predict", "resume")
LEVELS = "\n".join(f"b{n}: &b{n} [{','.join([f'*b{n - 1}'] * 10)}]" for n in range(1, 12))
BOMB = f"b0: &b0 [x]\n{LEVELS}\n"
"""Two kilobytes that would unfold to 10^11 strings."""

NOT_PLAIN = {
    "bomb": (BOMB, "it uses aliases"),
    "python": ("model:\n  _target_: !!python/object/apply:os.system ['touch outside/pwned']\n", "it uses tags"),
    "tag": ("seed: !!binary aGFsbG8=\n", "it uses tags"),
    "deep": ("[" * 100_000, "not plain YAML"),
    "long": ("seed: " + "9" * 5000, "limit"),
    "no date": ("seed: 2001-99-99", "month"),
    "broken": ("a: [1, 2\nb: 'secret words", "not plain YAML: line"),
    "list": ("- a\n", "is not the configuration of a run"),
    "escape": ("\x1b]0;title\x07", "characters are not allowed"),
}


def change_config(run, change):
    loaded = yaml.safe_load((run / "config.yaml").read_text())
    change(loaded)
    (run / "config.yaml").write_text(yaml.safe_dump(loaded))


def add_overrides(run, *words):
    path = run / ".hydra/overrides.yaml"
    path.write_text(yaml.safe_dump([*yaml.safe_load(path.read_text()), *words]))


@pytest.mark.parametrize(
    ("verb", "kind"), [*(("evaluate", kind) for kind in NOT_PLAIN), ("resume", "bomb"), ("resume", "python")]
)
def test_a_configuration_that_is_no_plain_yaml(refused, run, kind, verb):
    text, message = NOT_PLAIN[kind]
    (run / "config.yaml").write_text(text)
    told = refused(verb)
    assert message in told
    assert "config.yaml" in told
    assert "secret words" not in told
    assert "\x1b" not in told


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("value", ["name: ${oc.env:SECRET}", r'name: "\x24{oc.env:SECRET}"'])
def test_a_configuration_cannot_read_the_environment(refused, run, verb, value):
    text = (run / "config.yaml").read_text()
    line = next(line for line in text.splitlines() if line.startswith("name:"))
    (run / "config.yaml").write_text(text.replace(line, value))
    assert "${...}" in refused(verb)


def test_a_resume_writes_nothing_of_the_environment(attempt, run):
    add_overrides(run, r"optimizer.lr=$\{oc.env\:SECRET\}", "name='${oc.env:NAME,${oc.env:SECRET}}'")
    before = yaml.safe_load((run / "config.yaml").read_text())
    outcome = attempt("resume")
    assert outcome.code == 0, outcome.err
    after = yaml.safe_load((run / "config.yaml").read_text())
    assert (after["optimizer"], after["name"]) == (before["optimizer"], before["name"])
    files = [path.read_bytes() for path in Path().rglob("*") if path.is_file()]
    told = [outcome.out.encode(), outcome.err.encode(), *files]
    assert not any(os.environ["SECRET"].encode() in text for text in told)


@pytest.mark.parametrize("text", [BOMB, "[" * 100_000, "- optimizer.lr=9\n- hydra.run.dir=outside/elsewhere\n", None])
def test_recorded_words_decide_nothing(attempt, run, text):
    """config.yaml is what a run is continued from; the words that it was started with are there to be read."""
    path = run / ".hydra/overrides.yaml"
    before = yaml.safe_load((run / "config.yaml").read_text())
    path.unlink() if text is None else path.write_text(text)
    assert attempt("resume").code == 0
    after = yaml.safe_load((run / "config.yaml").read_text())
    assert after.pop("trainer") == {**before.pop("trainer"), "max_epochs": 3}
    assert {**after, "about": None, "resume": None} == {**before, "about": None, "resume": None}
    assert not list(Path("outside").glob("elsewhere"))


def test_settings_of_hydra_are_not_taken_over(attempt, run):
    add_overrides(
        run,
        "hydra.run.dir=outside/elsewhere",
        "hydra.sweep.dir=outside",
        "hydra/job_logging=default",
        "hydra/launcher=basic",
        "hydra.job_logging.handlers.file.filename=outside/log.txt",
        "hydra.output_subdir=outside",
        "+hydra.job.env_set.PATH=outside",
        "hydra.searchpath=[file://outside]",
        "plugins=[outside]",
        "resume.force=true",
    )
    outside = {path for path in Path().rglob("*") if "run" not in path.parts[:1]}
    path = os.environ["PATH"]
    outcome = attempt("resume")
    assert outcome.code == 0, outcome.err
    assert {path for path in Path().rglob("*") if "run" not in path.parts[:1]} == outside
    assert os.environ["PATH"] == path
    recorded = (run / "config.yaml").read_text()
    assert "hydra." not in recorded
    assert "outside" not in recorded


REACHING = {
    "logger": {"logger": {"wandb": {"_target_": "pytorch_lightning.loggers.WandbLogger", "project": "x"}}},
    "logger  ": {"logger": {"mlflow": {**MLFLOW, "uri": "http://server"}}},
    "logger   ": {"logger": {"mlflow": {**MLFLOW, "experiment": ["x"]}}},
    "logger ": {"logger": {**TENSORBOARD, "tensorboard": {**TENSORBOARD["tensorboard"], "save_dir": "../../x"}}},
    "data.download": {"data": {"download": True}},
    "data.cache": {"data": {"cache": "outside"}},
    "data.root": {"data": {"root": "s3://bucket/of-another"}},
}


@pytest.mark.parametrize("key", REACHING)
def test_what_reaches_beyond_the_folder_is_not_taken_over(run, key):
    part, changes = next(iter(REACHING[key].items()))
    change_config(run, lambda config: config.update({part: {**config[part], **changes}}))
    kept = settings_of(RunFolder(run), [])[0].plain()
    cache = "auto" if part == "data" and "cache" in changes else None  # a generated set has no such setting
    assert (kept["logger"], kept["data"].get("download", False), kept["data"].get("cache")) == ({}, False, cache)
    assert kept["data"].get("root") is None
    raw = yaml.safe_load((run / "config.yaml").read_text())
    assert dropped_settings(raw, []) == [key.strip()]
    assert dropped_settings(raw, [f"++{key.strip()}=null"]) == []


def test_what_is_not_taken_over_is_told(attempt, run):
    change_config(run, lambda config: config.update(REACHING["logger"]))
    outcome = attempt("resume")
    assert outcome.code == 0
    assert "logger reaches beyond the run folder and is not taken over" in outcome.out
    assert yaml.safe_load((run / "config.yaml").read_text())["logger"] == {}


def test_shipped_loggers_and_a_cache_that_is_one_are_taken_over(run):
    Path("cache/123").mkdir(parents=True)
    Path("cache/123/pixels.bin").touch()
    change_config(run, lambda config: config.update(logger=TENSORBOARD, data={**config["data"], "cache": "cache"}))
    config = settings_of(RunFolder(run), [])[0].plain()
    assert (config["logger"], config["data"]["cache"]) == (TENSORBOARD, "cache")
    several = {"csv": {"_target_": "segbench.tracking.csv_files.CsvFiles"}, "mlflow": {**MLFLOW, "experiment": "mine"}}
    change_config(run, lambda config: config.update(logger=several))
    assert settings_of(RunFolder(run), [])[0].plain()["logger"] == several


@pytest.mark.parametrize(
    "node",
    [{"weights": "torchvision"}, {"weights": "outside/precious.txt"}, {"_target_": "segmentation_models_pytorch.Unet"}],
)
def test_a_run_without_a_checkpoint_fetches_no_weights(refused, run, node):
    change_config(run, lambda config: config["model"].update(node))
    shutil.rmtree(run / "checkpoints")
    for name in ("digests.csv", "results.json"):
        (run / name).unlink()
    assert "begins with pretrained weights: give model." in refused("resume")


def test_a_saved_configuration_fetches_nothing_and_makes_no_cache(run):
    change_config(run, lambda config: config["data"].update(download=True, cache="outside"))
    data = read_saved_config(run / "config.yaml")["data"]
    assert (data["download"], data["cache"]) == (False, "auto")


@pytest.mark.parametrize("verb", VERBS)
def test_a_link_to_secrets_is_not_quoted(refused, run, verb):
    (run / "config.yaml").unlink()
    (run / "config.yaml").symlink_to("/proc/self/environ")
    assert "config.yaml" in refused(verb)


@pytest.mark.parametrize("verb", ["evaluate", "resume"])
def test_files_of_a_gigabyte(refused, run, verb):
    os.truncate(run / "config.yaml", 1 << 30)
    assert "is larger than" in refused(verb)


READERS = """
import sys
from pathlib import Path
from segbench import cli
from segbench.commands.resume import settings_of
from segbench.config.saved import read_saved_config
from segbench.core.errors import SegbenchError
from segbench.runs.folder import RunFolder, open_run
from segbench.runs.metrics_log import read_metrics
from segbench.inference.checkpoints import load_safely
from segbench.training.checkpoints.storage import newest_good, sweep_temporary
run = RunFolder(Path("run"))
sweep_temporary(run.checkpoints)
for read in (lambda: read_saved_config(run.config), lambda: read_metrics(run.metrics), run.read_results,
             lambda: load_safely(run.checkpoints / "best.ckpt"), lambda: newest_good(run.checkpoints),
             lambda: settings_of(run, []), run.check_writable_inside, lambda: open_run("run")):
    try:
        read()
    except SegbenchError as error:
        print(error)
cli.main()
"""


@pytest.mark.slow
def test_pipes_hold_nobody_up(run):
    files = [path for path in run.rglob("*") if path.is_file()]
    for path in files:
        path.unlink()
        os.mkfifo(path)
    os.mkfifo(run / "checkpoints/.latest.json.99.tmp")
    environment = {name: value for name, value in os.environ.items() if name != "HYDRA_FULL_ERROR"}
    Path("readers.py").write_text(READERS)
    ends = []
    for words in (["readers.py", "evaluate", "run"], [str(TRAIN), "resume=run"]):
        ends.append(warm.run(words, cwd=Path.cwd(), env=environment, timeout=120))
        assert ends[-1].returncode == 4
        assert "has no status.json" in ends[-1].stderr
    told = ends[0].stdout.splitlines()
    assert len(told) == 8, told
    assert sum("not a regular file" in line for line in told) == 4
    assert "has no status.json" in told[-1]


@pytest.mark.parametrize(
    "name",
    [
        "metrics.csv",
        "run.log",
        "command.txt",
        "results.json",
        "environment.json",
        "test_images.csv",
        "digests.csv",
        ".lock",
        "samples/epoch_0002.png",
        ".hydra/config.yaml",
        "plots/confusion.png",
        "tensorboard/events",
    ],
)
def test_a_resume_does_not_write_through_a_link_to_a_file(refused, run, name):
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(Path("outside/precious.txt").absolute())
    told = refused("resume")
    assert f"{name} is a symbolic link" in told
    assert "only inside the run folder" in told
    assert Path("outside/precious.txt").read_text() == "precious"


@pytest.mark.parametrize("name", ["checkpoints", "samples", "plots", ".hydra", "tensorboard"])
def test_a_resume_does_not_write_through_a_link_to_a_folder(refused, run, name):
    if (run / name).is_dir():
        shutil.move(run / name, "outside")
    else:
        Path("outside", name).mkdir()
    (run / name).symlink_to(Path("outside", name).absolute())
    assert f"{name} is a symbolic link" in refused("resume")


def test_a_run_folder_may_be_reached_through_a_link(attempt, run):
    run.rename("outside/moved")
    Path("run").symlink_to("outside/moved")
    assert attempt("resume").code == 0


def test_a_name_that_hydra_would_look_up(attempt, run):
    run.rename("${oc.env:SECRET}")
    Path("run").symlink_to("${oc.env:SECRET}")
    assert attempt("resume").code == 0
    Path("run").unlink()
    assert open_run("${oc.env:SECRET}").path == Path("${oc.env:SECRET}").absolute()


def test_names_that_need_quotes(run):
    for name in ("it's", "a\\", "a\\'b", "=1+2", "x,y [1] {2}", "<b>"):
        run = run.rename(name)
        word = parse([f"hydra.run.dir={rendered(str(run.absolute()))}"])[0]
        assert (word.key_or_group, word.value()) == ("hydra.run.dir", str(run.absolute()))


TARGETS = [
    {"_target_": "os.system", "command": "touch outside/pwned"},
    {"_target_": "subprocess.Popen", "args": ["touch", "outside/pwned"]},
    {"_target_": "torch.nn.Sequential", "x": {"_target_": "os.system", "command": "touch outside/pwned"}},
    {"_target_": "segbench.models.unet.UNet", "width": {"_target_": "pathlib.Path.touch", "self": "outside/pwned"}},
    {"_target_": "segbench.models.unet.UNet", "_partial_": True},
    {"_target_": "segbench.models.unet.UNet", "_args_": ["x"]},
    {"_target_": "segbench.config.instantiate.importlib.import_module", "name": "antigravity"},
    {"_target_": "torch.nn.modules.module.os.system", "command": "touch outside/pwned"},
    {"_target_": "torch.hub.load", "repo_or_dir": "outside", "source": "local", "model": "x"},
    {"_target_": "torch.load", "f": "outside/precious.txt", "weights_only": False},
    {"_target_": "hydra.utils.instantiate", "config": {}},
    {"_target_": ["os", "system"]},
    {"_target_": None},
]


@pytest.mark.parametrize(
    ("part", "node"), [*(("model", node) for node in TARGETS), *(("augment", node) for node in TARGETS[:3])]
)
def test_only_parts_of_experiments_are_built(refused, run, part, node):
    change = {"model": node} if part == "model" else {"augment": {"first": node}}
    change_config(run, lambda config: (config if part == "model" else config["data"]).update(change))
    verb = "evaluate" if part == "model" else "resume"
    assert "segbench: " in refused(verb)
    assert not Path("outside/pwned").exists()


@pytest.mark.parametrize("state", ["{}", "[]", "1", '{"state": []}', "{" * 100_000, '{"state": "completed"'])
def test_a_status_that_is_none(refused, run, state):
    (run / "status.json").write_text(state)
    assert "status.json" in refused("resume", 4)


@pytest.mark.parametrize(
    "text", ["{}", '{"metrics": {"x": 1}}', '{"metrics": {}, "steps": 1}', '{"metrics": {}, "monitor": [], "steps": 1}']
)
def test_results_that_are_none(run, text):
    (run / "results.json").write_text(text)
    with pytest.raises(CheckpointError, match="not the results of a run"):
        RunFolder(run).read_results()
    os.truncate(run / "results.json", MAX_JSON + 1)
    with pytest.raises(CheckpointError, match="is larger than"):
        RunFolder(run).read_results()


def test_the_limit_of_a_configuration_is_far_above_what_is_written(run):
    assert (run / "config.yaml").stat().st_size * 50 < MAX_BYTES
