"""Mistakes: an exit status, one sentence, nothing written, no traceback."""

from pathlib import Path

import pytest
from PIL import Image

CONFIG = [
    "model=unett",
    "los=dice",
    "optimizer.lrr=1",
    "+trainer.max_epoch=5",
    "optimizer.lr=abc",
    "trainer.max_epochs=1.5",
    "seed=",
    "data.flip=perhaps",
    "data.scale=[0.5,1.5]",
    "data.split=by_sourc",
    "data.position=gird",
    "trainer.precision=bf16",
    "trainer.accelerator=gpux",
    "trainer.max_epochs=0",
    "data.batch_size=0",
    "+optimizer.amsgard=true",
    "model.width=0",
    "data.size=[8,8]",
    "loss.smooth=0.0",
    "task=masks",
    "loss.depth=l2",
    "resolution=0",
    "resolution=64,1000",
    "resolution=small",
    "depth_weight=much",
    "data=camvidd",
    "experiment=seed/camvid",
    "model=two_stem",
    "+model.freeze=backbone",
    "loss.depth.weights.l1=-1",
    "optimizer.lr=-1.0",
    "scheduler.rise=2.0",
    "data.classes=[a,b,c]",
    "+model.frozen=true",
    "resume=",
    "model._target_=os.system",
    "loss._target_=torch.load",
    "optimizer._target_=torch.optim.Adamm",
    "nonsense",
    "data.depth.far=0.5",
    "experiment=none_such",
    "trainer=null",
    "data.size=[32]",
    "optimizer.lr={a:1}",
    "model=5",
    "trainer.max_epochs.x=1",
    "data.size[0]=5",
    "+seed=3",
    "seed=???",
    "augment=null",
    "task=null",
    "loss.depth=null",
    "resolution=[64,[1]]",
    "_target_=os.system",
    "hydra.job.chdir=true",
    "+optimizer._args_=[1]",
]


def check(outcome, code, before):
    assert outcome.code == code, (outcome.err, outcome.out)
    lines = outcome.err.strip().splitlines()
    assert len(lines) == 1, outcome.err
    assert lines[0].startswith("segbench: ")
    assert "Traceback" not in outcome.err + outcome.out
    assert sorted(Path().rglob("*")) == before


TOGETHER = {
    "data.classes=[a,b,c]": ["loss=bce"],
    "loss.depth.weights.l1=-1": ["task=depth"],
}
"""Mistakes that only show beside another setting."""


@pytest.mark.parametrize("word", CONFIG)
def test_config_mistakes(command, word):
    check(command(*TOGETHER.get(word, []), word), 2, [])


SAID = [
    ("+trainer.max_epoch=5", "there is no setting 'trainer.max_epoch'; did you mean 'max_epochs'?"),
    ("trainer.lr=abc", "there is no setting 'lr' in trainer=default"),
    ("seed=", "seed must be a whole number (the default is 0), got nothing"),
    ("loss=[dice,bce]", "names several options"),
    ("model=unet,fcn", "'model=unet,fcn' has several values: sweep them with -m"),
    ("model=../secret", "there is no model called '../secret'"),
    ("data=../model/unet", "there is no data called '../model/unet'"),
    ("experiment=../trainer/gpu", "there is no experiment called"),
    ("experiment=seed/../../trainer/gpu", "there is no experiment called"),
    ("loss/depth=../dice", "there is no loss/depth called"),
    ("~model", "a setting cannot be taken away"),
    ("~trainer.max_epochs", "a setting cannot be taken away"),
    ("model@x=unet", "give model=... without the @"),
    ("+model@x=unet", "without the @"),
    ("data.size=[1,2", "quotes inside quotes"),
    ("data.size={a:1", "quotes inside quotes"),
    ("name='abc", "quotes inside quotes"),
    ('name="abc', "quotes inside quotes"),
    ("a=b=c", "quotes inside quotes"),
    ("==", "quotes inside quotes"),
    ("", "cannot read ''"),
    (" ", "cannot read ' '"),
    ("=", "there is no setting ''"),
    ("m\u00f6del=unet", "cannot read"),
    ("seed=\u0663", "seed must be a whole number"),
    ("name=\x1b[31m", "cannot be printed"),
    ("name='a\nb'", "cannot be printed"),
    ("name='\u202eb'", "cannot be printed"),
    ("name='\udcff'", "cannot be printed"),
    ("x" * 100_000, "it has 100,000 characters"),
    ("model=" + "u" * 100_000, "it has 100,006 characters"),
    ("seed=" + "9" * 3000, "of at most 64 bits"),
    ("data.size=" + "[" * 1500 + "]" * 1500, "segbench: "),
    ("data.size=[" + "1," * 300 + "1]", "data.size must be [height, width]"),
    ("a." * 200 + "b=1", "there is no setting"),
    ("seed=99999999999999999999999999", "seed must be a whole number of at most 64 bits"),
    ("data.seed=-99999999999999999999999999", "data.seed must be a whole number of at most 64 bits"),
    ("seed=true", "seed must be a whole number"),
    ("seed=nan", "seed must be a whole number"),
    ("trainer.devices=true", "trainer.devices must be a whole number"),
    ("trainer.max_epochs=1" + "0" * 30, "trainer.max_epochs must be a whole number of at most 64 bits"),
    ("data.train_size=1" + "0" * 30, "data.train_size must be a whole number of at most 64 bits"),
    ("trainer.max_steps=abc", "trainer.max_steps must be a whole number"),
    ("trainer.gradient_clip=inf", "trainer.gradient_clip must be a finite number, got inf"),
    (
        "trainer.checkpoint_minutes=nan",
        "trainer.checkpoint_minutes must be a finite number, got nan",
    ),
    *(
        (f"{key}={value}", f"{key} must be a finite number, got {float(value)}")
        for key, value in (
            ("optimizer.lr", "nan"),
            ("optimizer.lr", "inf"),
            ("optimizer.lr", "-inf"),
            ("optimizer.lr", "1e400"),
            ("depth_weight", "nan"),
            ("depth_weight", "1e400"),
            ("optimizer.eps", "nan"),
            ("scheduler.rise", "inf"),
            ("scheduler.end", "nan"),
            ("loss.smooth", "inf"),
            ("loss.smooth", "nan"),
            ("loss.depth.weights.l1", "nan"),
            ("data.val_share", "nan"),
            ("data.depth.far", "inf"),
        )
    ),
    ("data.mean=[nan,0,0]", "data.mean must be a finite number"),
    ("data.depth={far:nan}", "data.depth.far must be a finite number"),
    ("+optimizer.x=nan", "optimizer.x must be a finite number"),
    ("optimizer.betas=[0.9]", "optimizer.betas must be a list of 2"),
    ("optimizer.lr=true", "optimizer.lr must be a number (the default is 0.003), got True"),
    ("+optimizer.fused=maybe", "optimizer.fused must be true or false or null, got 'maybe'"),
    ("data.foregrounds=5", "data.foregrounds must be text or null, got 5"),
    ("optimizer.lr=${oc.env:HOME}", "optimizer.lr must be a number"),
    ("seed=${oc.env:HOME}", "seed must be a whole number"),
    ("seed=${data}", "seed must be a whole number"),
    ("depth_weight=${seed}x", "depth_weight must be a number"),
    ("data.size=${data.mean}", "data.size must be a list (a whole number each)"),
    ("seed=${nope}", "Interpolation key 'nope' not found"),
    ("seed=${seed}", "Recursive interpolation"),
    ("seed=${nope:1}", "Unsupported interpolation type nope"),
    ("seed=${", "cannot read"),
    ("model=${data}", "there is no model called '${data}'"),
    ("task=${oc.env:HOME}", "there is no task"),
    ("optimizer._target_=null", "optimizer._target_ must be text"),
    ("optimizer._target_=", "optimizer._target_ must be the name of a class, got nothing"),
    ("optimizer._target_=.torch.optim.Adam", "is not in a package"),
    ("optimizer._target_=torch.optim.Adam.step", "cannot be imported"),
    ("optimizer._target_=torch.optim.LBFGS", "takes no 'betas'"),
    ("+optimizer._partial_=true", "takes no '_partial_'"),
    ("+optimizer._recursive_=false", "takes no '_recursive_'"),
    ("+model.x={_target_:os.system,_partial_:true}", "model.x._target_=os.system is not in a package"),
    ("+trainer._target_=os.system", "there is no setting 'trainer._target_'"),
    ("optimizer.lr={_target_:os.getcwd}", "optimizer.lr must be a number"),
    ("model.in_channels=5", "model.in_channels follows from task, inputs, data.classes and data.bands"),
    ("model.heads={mask:0}", "model.heads follows from task, inputs, data.classes and data.bands"),
    ("model.width=100000", "needs more memory than there is"),
    ("name=", "name must be a folder's name"),
    ("name=../../x", "name must be a folder's name"),
    ("name=/etc/x", "name must be a folder's name"),
    ("name=" + "x" * 300, "name must be a folder's name"),
    ("plugins=abc", "plugins must be a list"),
    ("plugins=[1]", "plugins must be names of packages"),
    ("+logger.x=1", "logger.x must describe a part, with its class as _target_, got 1"),
    ("hydra=5", "'hydra=5' cannot be set"),
    ("hydra.mode=MULTIRUN", "use -m for a sweep"),
    ("hydra.output_subdir=x", "cannot be set"),
    ("hydra.nope=1", "'hydra.nope=1' has no effect; of Hydra's settings there are hydra.run.dir"),
    ("hydra/launcher=nope", "'hydra/launcher=nope' has no effect"),
    ("hydra.searchpath=[file:///nowhere]", "there is no folder '/nowhere'"),
    ("hydra.run.dir=", "hydra.run.dir must be the path of a folder"),
    ("hydra.run.dir=${nope}", "hydra.run.dir: Interpolation key 'nope' not found"),
    ("hydra.run.dir=/dev/null", "cannot be made: File exists: '/dev/null'"),
    ("hydra.run.dir=/dev/null/x", "cannot be made: Not a directory"),
    ("hydra.run.dir=/proc/x", "cannot be made"),
    ("hydra.run.dir=" + "x" * 300, "cannot be made: File name too long"),
    ("data.size=[1000000,1000000]", "more than 64,000,000 pixels"),
    ("data.num_workers=100000", "data.num_workers 0 to 512"),
    ("data.classes=['',b]", "data.classes must be 2 to 254 different names"),
    ("model.depth=100", "model.depth must be at most 8, got 100"),
    (
        "trainer.threads=1000000",
        "trainer.threads must be a whole number from 1 to 1,024 or null, got 1000000",
    ),
    (
        "trainer.devices=1000000",
        "trainer.devices must be a whole number from 1 to 1,024",
    ),
]


@pytest.mark.parametrize(("word", "message"), SAID, ids=[f"{n}-{word[:30]!a}" for n, (word, _) in enumerate(SAID)])
def test_mistakes_that_say_what_would_work(command, word, message):
    outcome = command(word)
    check(outcome, 2, [])
    assert message in outcome.err
    assert len(outcome.err) < 4000


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/nowhere", "there is no run folder at /nowhere"),
        ("x" * 300, "File name too long"),
        ("~nobody_at_all/x", "home directory"),
    ],
)
def test_a_run_that_is_not_there(command, path, message):
    outcome = command(f"resume={path}")
    check(outcome, 4, [])
    assert message in outcome.err


COMBINATIONS = [
    (["data=mnist_cifar", "task=depth"], "needs a depth with every image"),
    (["data=camvid", "inputs=image+background"], "needs a background with every image"),
    (["data=camvid", "loss=bce_dice"], "works on two classes, but the data has 11"),
    (["model=fcn_resnet", "model.weights=/nowhere/w.pth"], "/nowhere/w.pth"),
    (["model=fcn_resnet", "model.encoder=resnet51"], "did you mean 'resnet50'"),
    (["model=unet", "model.lean=true", "model.transposed=true"], "model.transposed=false"),
    (["loss=ce_dice", "loss.weights.dice=-1"], "at least 0"),
    (["loss=cross_entropy", "loss.class_weights=median"], "median_frequency"),
    (["data=coco", "data.mode=many"], "mode"),
    (["data=camvid", "data.fit=squeeze"], "fit"),
    (["data=synthetic", "data.background=flatt"], "did you mean 'flat'"),
    (["data=mnist_cifar", "data.blend=mix"], "blend"),
    (["data=folder", "data.root=5"], "data.root must be text or null, got 5"),
    (["data=folder", "data.root=.", "data.class_dict=5"], "data.class_dict must be text or null"),
    (["loss=focal", "loss.alpha=abc"], "loss.alpha must be a number or null"),
    (["loss=cross_entropy", "loss.class_weights=[nan,1]"], "loss.class_weights must be a finite number"),
    (["loss=ce_dice", "+loss.weights.nope=1"], "there is no setting 'loss.weights.nope'"),
    (["loss=ce_dice", "loss.losses.dice._target_=os.system"], "loss.losses.dice._target_=os.system is not"),
    (["scheduler=plateau", "scheduler.patience=-1"], "patience"),
    (["scheduler=poly", "scheduler.power=-1"], "scheduler.power must be at least 0"),
    (["scheduler=cosine", "scheduler.final=-5"], "scheduler.final is a share"),
    (["scheduler=step", "scheduler.gamma=-1"], "scheduler.gamma must be above 0"),
    (["scheduler=step", "scheduler.milestones=[nan]"], "scheduler.milestones must be a finite number"),
    (["optimizer=sgd", "optimizer.momentum=inf"], "optimizer.momentum must be a finite number"),
    (["plugins=[none_such]", "model._target_=none_such.Net"], "plugins=none_such: there is no package of this name"),
    (["plugins=[os]", "model._target_=os.system"], "is not a class that an experiment is made of"),
]


@pytest.mark.parametrize(("words", "message"), COMBINATIONS)
def test_combinations_that_cannot_work(command, words, message):
    outcome = command(*words)
    check(outcome, 2, [])
    assert message in outcome.err


@pytest.mark.parametrize("option", ["camvid", "camvid_32", "coco", "folder", "mnist_cifar", "mnist_cifar_11", "shards"])
def test_data_that_the_user_has_to_bring(command, option):
    """One sentence that says which setting names the place."""
    outcome = command(f"data={option}", "loss=cross_entropy")
    assert outcome.code in (2, 3)
    check(outcome, outcome.code, [])
    assert "data.root" in outcome.err
    missing = command(f"data={option}", "loss=cross_entropy", "data.root=/nowhere")
    check(missing, 3, [])
    assert "/nowhere" in missing.err


def break_text(folders):
    (folders["foregrounds"] / "text.png").write_text("hello")


def break_opaque(folders):
    Image.new("RGB", (9, 9)).save(folders["foregrounds"] / "opaque.png")


def break_empty(folders):
    for path in folders["backgrounds"].iterdir():
        path.unlink()


def break_half(folders):
    path = folders["backgrounds"] / "b0.png"
    path.write_bytes(path.read_bytes()[:300])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (break_text, "text.png: not a PNG"),
        (break_opaque, "opaque.png: no alpha"),
        (break_empty, "holds no pictures"),
        (break_half, "b0.png"),
    ],
)
def test_data_mistakes(command, tiny, pictures, spoil, message):
    spoil(pictures)
    outcome = command(*tiny)
    check(outcome, 3, [])
    assert message in outcome.err


def test_a_missing_folder(command, pictures):
    near = str(pictures["foregrounds"].parent / "fgg")
    outcome = command(f"data.foregrounds={near}")
    check(outcome, 3, [])
    assert "did you mean 'fg'" in outcome.err


def test_fewer_scenes_than_a_batch(command, tiny):
    check(command(*tiny, "data.train_size=2"), 3, [])


SWEEPS = [
    (["model=fcn,unett"], "did you mean 'unet'"),
    (["resume=somewhere"], "resume continues one run"),
    (["seed=1,2,x"], "seed must be a whole number"),
    (["optimizer.lr=1e-3,nan"], "optimizer.lr must be a finite number"),
    (["seed=range(1,1000)", "model=unett"], "did you mean 'unet'"),
    (["seed=range(1,100000000)", "model=unett"], "more than sweep.limit=1000"),
    (["seed=range(0,x)"], "cannot read"),
    (["seed=choice()"], "cannot read"),
    (["model="], "there is no model called ''"),
    (["model=,"], "cannot read"),
    (["model=unet,"], "cannot read"),
    (["nope=1,2"], "there is no setting 'nope'"),
    (["data.size=[32,32],[64,x]"], "data.size must be a list"),
    (["optimizer.lr=interval(0,1)"], "is for a search"),
    (["model=glob(none*)"], "fits no option"),
    (["seed=glob(*)"], "fits no option"),
    (["seed=1,2", "hydra/sweeper=nope"], "'hydra/sweeper=nope' has no effect"),
    (["seed=1,2", "hydra.sweep.dir=/dev/null/x"], "Not a directory"),
]


@pytest.mark.parametrize(("words", "message"), SWEEPS)
def test_a_mistake_in_a_sweep_shows_before_its_first_job(command, words, message):
    outcome = command("-m", *words)
    check(outcome, 3 if "dir=" in words[-1] else 2, [])
    assert message in outcome.err


def test_a_folder_with_something_else_is_left_alone(command, tiny):
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("keep")
    check(command(*tiny, "hydra.run.dir=mine"), 2, [Path("mine"), Path("mine/notes.txt")])


def test_an_empty_folder_of_the_user_stays(command, tiny):
    Path("runs/mine").mkdir(parents=True)
    for place in ("runs/mine", "runs/new"):
        check(command(*tiny, "data.train_size=2", f"hydra.run.dir={place}"), 3, [Path("runs"), Path("runs/mine")])


def test_a_large_foreground_is_made_to_fit(command, tiny, pictures):
    Image.new("RGBA", (900, 700), (255, 0, 0, 200)).save(pictures["foregrounds"] / "large.png")
    assert command(*tiny).code == 0


def test_the_traceback_is_there_on_request(command, monkeypatch):
    from segbench.commands.launch import train_main
    from segbench.core.errors import ConfigError

    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ConfigError):
        train_main(["model=unett"])
