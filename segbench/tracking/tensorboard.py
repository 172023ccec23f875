"""TensorBoard: event files in the run folder, written without torch and without TensorFlow."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from segbench.core.states import RunState
from segbench.tracking.tracker import About, Identity, Tracker, need

if TYPE_CHECKING:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

FOLDER = "tensorboard"
FILE = "events.out.tfevents.{nanoseconds}.segbench"
"""TensorBoard reads files in the order of their names."""
VERSION = "brain.Event:2"
"""What each file begins with."""


class TensorBoard(Tracker):
    """Writes `tensorboard/` in the run folder: `tensorboard --logdir outputs` shows all runs."""

    def __init__(self) -> None:
        need("tensorboard", FOLDER)

    @property
    def place(self) -> str:
        """Always the folder of the run."""
        return FOLDER

    def open(self, about: About, identity: Identity | None, *, last: int) -> Identity:
        """Begin a further file; TensorBoard forgets what earlier ones hold beyond the last step that is known."""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        folder = about.folder / FOLDER
        folder.mkdir(exist_ok=True)
        goes_on = identity is not None and (folder / Path(identity.get("first", "")).name).is_file()
        name = FILE.format(nanoseconds=time.time_ns())
        # its own writer of events would raise in a thread that nobody listens to
        self._records = RecordWriter((folder / name).open("xb"))
        self._write(Event(file_version=VERSION))
        step = last + 1 if goes_on else 0
        self._write(Event(step=step, session_log=SessionLog(status=SessionLog.START)))
        self._text("config", json.dumps(about.config, indent=2, default=str), step=step)
        self._text("run", f"{about.folder}\n\n{', '.join(about.tags)}\n\n{about.note}", step=step)
        self._hparams(about)
        self.flush()
        if goes_on and identity is not None:
            return identity
        return {"first": name}

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write one event."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._add(Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]), step)

    def image(self, name: str, png: bytes, *, step: int) -> None:
        """Write the picture as it is."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        width, height = struct.unpack(">II", png[16:24])
        image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png)
        self._add(Summary(value=[Summary.Value(tag=name, image=image)]), step)

    def summary(self, values: Mapping[str, float], *, step: int) -> None:
        """Write them as scalars, which the table of settings shows too."""
        self.scalars(step, values)

    def flush(self) -> None:
        """Have the file hold everything."""
        self._records.flush()

    def close(self, state: RunState) -> None:
        """Close the file."""
        self._records.close()

    def _add(self, summary: Summary, step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._write(Event(step=step, summary=summary))

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())

    def _text(self, tag: str, text: str, *, step: int) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.compat.proto.types_pb2 import DT_STRING

        plugin = SummaryMetadata.PluginData(plugin_name="text")
        indented = "\n".join(f"    {line}" for line in text.split("\n"))  # Markdown of a block of code
        tensor = TensorProto(dtype=DT_STRING, string_val=[indented.encode()])
        value = Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=plugin), tensor=tensor)
        self._add(Summary(value=[value]), step)

    def _hparams(self, about: About) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
        from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG
        from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionStartInfo

        start = SessionStartInfo(group_name=about.name, start_time_secs=time.time())
        for name, value in about.settings().items():
            if isinstance(value, bool):
                start.hparams[name].bool_value = value
            elif isinstance(value, str):
                start.hparams[name].string_value = value
            else:
                start.hparams[name].number_value = value
        content = HParamsPluginData(version=0, session_start_info=start).SerializeToString()
        metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="hparams", content=content))
        self._add(Summary(value=[Summary.Value(tag=SESSION_START_INFO_TAG, metadata=metadata)]), 0)
