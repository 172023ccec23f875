"""Composing: every option composes, mistakes name the nearest valid name."""

import pytest
from omegaconf import OmegaConf

from segbench.config import compose
from segbench.config.compose import check_sweep, compose_config, plain_config
from segbench.config.options import groups
from segbench.config.words import spelled_out
from segbench.core.errors import ConfigError

OPTIONS = [(group, option) for group, options in groups().items() for option in options if "/" not in group]


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_composes(group, option):
    config = compose_config([f"{group}={option}"])
    assert config.hydra.runtime.choices[group] == option
    plain = plain_config(config)
    assert {"data", "model", "loss", "optimizer", "scheduler", "trainer"} <= set(plain)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["seed=3", "hydra.run.dir=/tmp/x"],
        ["model=fcn", "optimizer.lr=1e-4", "loss=bce", "data=synthetic", "data.size=[32,32]"],
        ["trainer=debug", "+optimizer.amsgrad=true", "++model.width=8", "note='x y'", "tags=[a,b]"],
        ["experiment=better/synthetic_unet", "trainer.max_epochs=3", "logger=tensorboard", "hydra.sweep.dir=/tmp/z"],
        ["task=depth", "loss/depth=l1", "plugins=[tests]"],
    ],
)
def test_values_put_into_options_are_what_hydra_composes(words, tmp_path, monkeypatch):
    """Also its own node, with the words, and every flag of every node; the folder is that of now."""
    compose._reference(tuple(word for word in words if word.partition("=")[0] in groups()))  # elsewhere, before
    monkeypatch.chdir(tmp_path)
    found = compose_config(words)
    composed = compose._compose(words)
    assert OmegaConf.to_yaml(found) == OmegaConf.to_yaml(composed)
    assert found.hydra.runtime.cwd == str(tmp_path)
    plain_config(composed)  # which shows it to HydraConfig, as the other one was
    assert list(_flags(found)) == list(_flags(composed))


def _flags(node):
    for key in node:
        inner = node._get_node(key)
        if OmegaConf.is_dict(inner) and not OmegaConf.is_missing(node, key) and inner._value() is not None:
            yield key, OmegaConf.is_struct(inner), OmegaConf.is_readonly(inner), OmegaConf.get_type(inner)
            yield from _flags(inner) if not inner._is_interpolation() else ()


def test_the_issue_of_the_house_is_complete():
    found = groups()
    assert set(found["optimizer"]) >= {"adam", "adamw", "sgd"}
    assert set(found["scheduler"]) >= {"none", "plateau", "step", "cosine", "onecycle", "poly"}
    assert set(found["loss"]) >= {"dice", "bce", "cross_entropy", "focal"}
    assert set(found["model"]) >= {"unet", "fcn"}
    assert set(found["trainer"]) >= {"default", "gpu", "debug"}
    assert set(found["augment"]) >= {"none", "flip", "standard"}
    assert set(found["logger"]) >= {"none", "tensorboard"}
    assert set(found["data"]) >= {"fgbg"}


def test_heads_and_channels_follow_from_data_task_and_inputs():
    plain = plain_config(compose_config([]))
    assert plain["model"]["in_channels"] == 3
    assert plain["model"]["heads"] == {"mask": 1}
    plain = plain_config(compose_config(["inputs=image+background", "task=mask_depth", "data.classes=[a,b,c]"]))
    assert plain["model"]["in_channels"] == 6
    assert plain["model"]["heads"] == {"mask": 3, "depth": 1}


@pytest.mark.parametrize("option", [option for option in groups()["trainer"] if option != "debug"])
def test_a_trainer_asks_for_no_number_of_pictures_that_a_data_set_may_lack(option):
    sizes = [plain_config(compose_config(["data=camvid", *words]))["data"] for words in ([], [f"trainer={option}"])]
    assert [one["train_size"] for one in sizes] == [None, None]


def test_debug_changes_only_sizes():
    debug, usual = (plain_config(compose_config(words)) for words in (["trainer=debug"], []))
    assert debug["trainer"].keys() == usual["trainer"].keys()
    assert debug["data"]["train_size"] == 8


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=unett"], "no model called 'unett'; did you mean 'unet'?"),
        (["mödel=unet"], "cannot read 'mödel=unet': names of settings have letters of ASCII alone"),
        (["los=dice"], "no setting 'los'; did you mean 'loss'?"),
        (["optimizer.lrr=1"], "no setting 'lrr' in optimizer=adamw; did you mean 'lr'?"),
        (["+trainer.max_epoch=5"], "no setting 'trainer.max_epoch'; did you mean 'max_epochs'?"),
        (["optimizer.lr=abc"], "optimizer.lr must be a number (the default is 0.003), got 'abc'"),
        (
            ["trainer.max_epochs=1.5"],
            "must be a whole number of at least 1 (the default is 14), got 1.5",
        ),
        (["seed="], "seed must be a whole number (the default is 0), got nothing"),
        (["seed=true"], "seed must be a whole number"),
        (["trainer=null"], "trainer needs an option; choose from ddp, debug, default, gpu"),
        (["loss=[dice,bce]"], "names several options"),
        (["model=../data/fgbg"], "no model called"),
        (["data.size=64"], "data.size must be a list (a whole number each) (the default is [96, 96]), got 64"),
        (["data.size=[a,b]"], "data.size must be a list"),
        (["data=3"], "no data called '3'"),
        (["data.depth.horizn=0.3"], "no setting 'horizn' in data.depth; did you mean 'horizon'?"),
        (["nonsense"], "cannot read 'nonsense'"),
        (["resume.force=1"], "resume.force must be true or false, got 1"),
        (["task=masks"], "there is no task 'masks'; did you mean 'mask'?"),
        (["inputs=images"], "there is no inputs 'images'; did you mean 'image'?"),
        (["data.flip=yess"], "data.flip must be true or false, got 'yess'"),
        (["trainer.max_epochs=null"], "got nothing"),
        (["data.classes=[one]"], "at least two classes"),
        (["model.heads=5"], "model.heads"),
        (["~optimizer.lr"], "cannot read '~optimizer.lr'"),
    ],
)
def test_mistakes_name_what_would_work(words, message):
    with pytest.raises(ConfigError) as caught:
        compose_config(words)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value).strip()


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        (["data=folder", "data.cache=null"], "cache", None),
        (["data=folder", "data.range=[0,10]"], "range", [0, 10]),
        (["data=folder", "data.lists=null"], "lists", None),
        (["data=folder", "data.lists={train: a.txt}"], "lists", {"train": "a.txt"}),
        (["data=voc", "data.lists=null"], "lists", None),
        (["data=voc", "+data.lists.val=b.txt"], "lists", {"train": "ImageSets/Segmentation/train.txt"}),
        (["data=shards", "data.storage={endpoint_url: 'http://x'}"], "storage", {"endpoint_url": "http://x"}),
        (["data=shards", "+data.storage.anon=true"], "storage", {"anon": True}),
        (["data.depth=null"], "depth", None),
    ],
)
def test_a_value_of_another_shape_than_the_default_is_taken_where_the_class_takes_it(words, key, value):
    found = plain_config(compose_config(words))["data"][key]
    assert {**found, **value} == found if isinstance(value, dict) else found == value


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data=folder", "data.cache=5"], r"^data\.cache must be text or null \(the default is auto\), got 5$"),
        (["data=folder", "data.size=256"], r"^data\.size must be a list \(a whole number each\) .*, got 256$"),
        (["data.depth=3"], r"^data\.depth must be a group of settings or null, got 3$"),
        (["model.width=null"], r"^model\.width must be a whole number \(the default is 16\), got nothing$"),
        (["data.classes=[a]"], r"^data\.classes must name at least two classes, got \['a'\]$"),
        (["+logger.mine=3"], r"^logger\.mine must describe a part, with its class as _target_, got 3$"),
    ],
)
def test_what_neither_default_nor_class_takes_is_refused(words, message):
    with pytest.raises(ConfigError, match=message):
        compose_config(words)


def test_a_file_that_is_no_yaml_is_named_with_its_line(command, tmp_path):
    file = tmp_path / "options/model/mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("_target_: segbench.models.unet.UNet\n\twidth: 3\n")
    words = [f"hydra.searchpath=[file://{tmp_path / 'options'}]", "model=mine"]
    for further in ([], ["--cfg", "job"]):
        outcome = command(*words, *further)
        assert outcome.code == 2
        assert f"{file}, line 2, is no YAML: found character" in outcome.err


def test_sweeps_are_checked_value_by_value():
    check_sweep(["model=unet,fcn", "optimizer.lr=1e-3,3e-4", "seed=1,2"])
    with pytest.raises(ConfigError, match="did you mean 'unet'"):
        check_sweep(["model=fcn,unett", "seed=1,2"])
    with pytest.raises(ConfigError, match="must be a number"):
        check_sweep(["optimizer.lr=1e-3,abc"])


def test_own_arguments_are_left_to_the_class():
    assert plain_config(compose_config(["+optimizer.amsgrad=true"]))["optimizer"]["amsgrad"] is True


def test_letters_of_any_language_are_text(tmp_path):
    for value in ("/x/root_ü", "/daten/größe 2/日本", "~/é:1"):
        assert plain_config(compose_config(spelled_out(["data=folder", f"data.root={value}"])))["data"]["root"] == value
    typed = ["data.root='/x/ü'", "data.root=[ü]", "note=schön, oder?", "model=unet"]
    assert spelled_out(typed) == [*typed[:2], "note='schön, oder?'", "model=unet"]


def test_a_letter_that_needs_quotes_is_named():
    with pytest.raises(ConfigError, match="the ü in its value needs quotes inside quotes"):
        compose_config(spelled_out(["data=folder", "data.root=/x/ü,y"]))
    with pytest.raises(ConfigError, match="a value with = , . or spaces in it needs quotes inside quotes"):
        compose_config(spelled_out(["data.size=[1,2"]))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("group", "{group}/*"),
        ("group", "patient{group}_*"),
        ("images", "{split}/{a,b}/{stem}.jpg"),
        ("images", "i/{n}.*"),
    ],
)
def test_a_pattern_with_fields_needs_no_quotes_of_its_own(key, value):
    for typed in (value, f"'{value}'"):
        words = ["data=folder", "data.root=d", f"data.{key}={typed}"]
        assert plain_config(compose_config(spelled_out(words)))["data"][key] == value
    assert spelled_out(["-m", "data.group=a{group},b{group}"])[1] == "data.group=a{group},b{group}"
