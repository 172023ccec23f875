"""No training step and no scored batch waits for the device: on the meta device, and on a GPU where there is one."""

from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf

from segbench.config.compose import compose_config, run_config
from segbench.config.instantiate import build
from segbench.config.paths import conf_dir
from segbench.core.choices import Split
from segbench.inference.tiles import Tiling, tiled
from segbench.training.parts import build_experiment
from segbench.training.speed.device_batches import SideStream
from tests.models.test_models import CHANNELS, MODELS, make
from tests.support.waits import no_waits

FOLDERS = {"mask": conf_dir() / "loss", "depth": conf_dir() / "loss/depth"}
BINARY_ONLY = {"bce", "bce_dice"}
LOSSES = [
    (head, path.stem, channels)
    for head, folder in FOLDERS.items()
    for path in sorted(folder.glob("*.yaml"))
    for channels in (1, 4)
    if channels == 1 or not (head == "depth" or path.stem in BINARY_ONLY)
]
WORDS = [
    "data=synthetic",
    "data.size=[32,32]",
    "data.batch_size=4",
    "data.train_size=8",
    "data.val_size=4",
    "data.test_size=4",
    "model.width=4",
    "model.depth=2",
]


def loss_of(head, name):
    return build(OmegaConf.to_container(OmegaConf.load(FOLDERS[head] / f"{name}.yaml")), where="loss")


def test_a_question_to_the_device_is_found(monkeypatch):
    values = torch.ones(3, device="meta")
    mask = torch.ones(3, dtype=torch.bool, device="meta")
    questions = [
        lambda: values.sum().item(),
        lambda: values.nonzero(),
        lambda: values[mask],
        lambda: values.unique(),
        lambda: bool(mask.any()),
        lambda: values.cpu(),
        lambda: torch.tensor([1.0], device="meta"),
        lambda: values.new_tensor(1.0),
        lambda: torch.ones(3).to("meta"),
        lambda: values.copy_(torch.ones(3)),
    ]
    for question in questions:
        with pytest.raises((RuntimeError, AssertionError)), no_waits(monkeypatch):
            question()


@pytest.mark.parametrize(("head", "name", "channels"), LOSSES)
def test_no_loss_waits_for_the_device(monkeypatch, head, name, channels):
    loss = loss_of(head, name).to("meta")
    shape = (2, channels, 24, 24)
    batch = {
        "mask": torch.empty(2, 24, 24, dtype=torch.long, device="meta"),
        "depth": torch.empty(2, 1, 24, 24, device="meta"),
    }
    with no_waits(monkeypatch):
        prediction = torch.empty(shape, device="meta", requires_grad=True)
        value, _ = loss({head: prediction}, batch)
        torch.autograd.backward([value])
    assert prediction.grad.shape == shape


@pytest.mark.parametrize("name", MODELS)
def test_no_network_waits_for_the_device(monkeypatch, name):
    network = make(name).to("meta").train()
    shape = (2, CHANNELS.get(name, 3), 64, 64)
    with no_waits(monkeypatch):
        found = network(torch.empty(shape, device="meta"))
        torch.autograd.backward([torch.stack([values.sum() for values in found.values()]).sum()])
    assert next(network.parameters()).grad is not None


def experiment(*words):
    found = build_experiment(run_config(compose_config([*WORDS, *words])))
    found.read_data()
    return found


@pytest.fixture(params=["task=mask", "task=mask_depth", "trainer.ema=0.9", "resolution=[16,32]"])
def parts(request):
    return experiment(request.param)


def on_meta(batch):
    def moved(value):
        return [one.to("meta") for one in value] if isinstance(value, list) else value.to("meta")

    return {name: moved(value) for name, value in batch.items()}


def trained(module, device="meta"):
    module.trainer = SimpleNamespace(
        accumulate_grad_batches=1, num_training_batches=2, current_epoch=0, max_epochs=2, world_size=1, global_step=0
    )
    return module.to(device).train()


def test_no_training_step_waits_for_the_device(monkeypatch, parts):
    module = trained(parts.module(4))
    batch = on_meta(next(iter(parts.data.loader(Split.TRAIN))))
    optimizer = module.configure_optimizers()
    with no_waits(monkeypatch):
        outputs = module.training_step(batch, 0)
        torch.autograd.backward([outputs["loss"]])
        torch.nn.utils.clip_grad_norm_(module.network.parameters(), 1.0)
    assert outputs["value"].device.type == "meta"
    assert all(group["lr"] == 3e-3 for group in optimizer.param_groups)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_steps_on_a_gpu_do_not_wait_for_it(parts):
    module = trained(parts.module(4), "cuda")
    optimizer = module.configure_optimizers()
    transfer = SideStream()
    read = next(iter(parts.data.loader(Split.TRAIN)))
    pinned = {name: values.pin_memory() for name, values in read.items()}

    def step(number):
        torch.manual_seed(number)
        batch = transfer.finish(transfer.begin(pinned))
        with torch.autocast("cuda", dtype=torch.bfloat16):
            outputs = module.training_step(batch, number)
        torch.autograd.backward([outputs["loss"]])
        torch.nn.utils.clip_grad_norm_(module.network.parameters(), 1.0)
        module.finite.before_step(number + 1, "here", network=module.network, describe=str)
        optimizer.step()
        optimizer.zero_grad()
        if module.average is not None:
            module.average.update(module.network, number)

    step(0)  # the first one allocates
    torch.cuda.set_sync_debug_mode("error")
    try:
        step(0)
        step(1)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_no_scored_batch_waits_for_the_device(monkeypatch, parts):
    module = trained(parts.module(4)).eval()
    batch = on_meta(next(iter(parts.data.loader(Split.VAL))))
    with no_waits(monkeypatch), torch.no_grad():
        said = module.score_batch(batch, Split.VAL, singly=False)
    assert {len(each) for each in said.values()} == {4}


def test_no_tile_waits_for_the_device(monkeypatch):
    batch = {"image": torch.empty(1, 3, 40, 30, device="meta")}
    network = tiled(lambda seen: {"mask": seen["image"][:, :1]}, Tiling(16))
    with no_waits(monkeypatch):
        assert network(batch)["mask"].shape == (1, 1, 40, 30)
