"""Event files read back by TensorBoard's own reader."""

import pytest

from segbench.core.states import RunState
from segbench.tracking.sender import Sender, send
from segbench.tracking.tensorboard import TensorBoard
from tests.support.tracked import curves_of_tensorboard, events_of_tensorboard
from tests.tracking.conftest import curves

pytest.importorskip("tensorboard")
TAGS = curves(1).keys()


def test_everything_of_a_run(growing):
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    growing.train(0, 2)
    growing.finish(2)
    send(growing.folder, TensorBoard(), state=RunState.COMPLETED)
    events = events_of_tensorboard(growing.folder.path)
    assert curves_of_tensorboard(events, TAGS) == curves(2)
    assert [(event.step, event.value) for event in events.Scalars("test/mean_iou")] == [(4, 0.75)]
    panels = events.Images("panels/val")
    assert [(panel.step, panel.width, panel.height) for panel in panels] == [(2, 30, 20), (4, 30, 20)]
    assert panels[1].encoded_image_string == (growing.folder.samples / "epoch-0002.png").read_bytes()
    assert [event.step for event in events.Images("plots/confusion")] == [4]
    (config,) = events.Tensors("config")
    assert '"width": 32' in config.tensor_proto.string_val[0].decode()
    (about,) = events.Tensors("run")
    text = about.tensor_proto.string_val[0].decode()
    assert [words in text for words in (str(growing.folder.path), "paper", "the second try")] == [True] * 3
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    hparams = HParamsPluginData.FromString(content).session_start_info.hparams
    assert (hparams["model.width"].number_value, hparams["task"].string_value) == (32, "mask")


def test_a_resumed_curve_has_no_repeats(growing):
    growing.train(0, 2)
    for first, last in ((2, 2), (1, 3), (3, 4)):
        sender = Sender(growing.folder, TensorBoard())
        sender.open()
        growing.train(first, last)
        sender.send()  # killed: it is never closed
    events = events_of_tensorboard(growing.folder.path)
    assert curves_of_tensorboard(events, TAGS) == curves(4)
    assert [event.step for event in events.Images("panels/val")] == [2, 4, 6, 8]


def test_what_was_sent_and_not_remembered_is_forgotten_by_tensorboard(growing, send_and_die):
    growing.train(0, 1)
    sender = Sender(growing.folder, TensorBoard())
    sender.open()
    sender.send()
    growing.train(1, 3)
    send_and_die(sender)
    further = Sender(growing.folder, TensorBoard())
    further.open()
    further.send()
    assert curves_of_tensorboard(events_of_tensorboard(growing.folder.path), TAGS) == curves(3)


def test_a_run_begins_anew_where_its_files_are_gone(growing):
    growing.train(0, 2)
    send(growing.folder, TensorBoard(), state=RunState.FAILED)
    for file in (growing.folder.path / "tensorboard").iterdir():
        file.unlink()
    send(growing.folder, TensorBoard(), state=RunState.FAILED)
    assert curves_of_tensorboard(events_of_tensorboard(growing.folder.path), TAGS) == curves(2)
