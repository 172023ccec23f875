"""What happens when the training loss is NaN or infinite: known before the optimizer's step, not after."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from segbench.core.choices import NonFinite
from segbench.core.errors import NonFiniteError
from segbench.core.text import and_more
from segbench.models.sharded import whole
from segbench.runs.results import SkippedSteps

MOST_SKIPPED = 10
"""Steps of a run that `trainer.non_finite=skip` leaves out before it gives up."""

MOST_RECORDED = 20
"""Most steps that results.json lists."""

NAMED = 8
"""Most samples that a message names."""


class FiniteCheck:
    """Looks at the loss of every batch before the optimizer uses its gradient.

    On a GPU the answer travels to the host while the backward pass runs, so that looking at it hardly waits.

    Args:
        policy: `raise` stops the run; `skip` leaves the step out, `MOST_SKIPPED` times in a run, and notes its number,
            from 1, in `skipped`; `rollback` stops as well, and `fit.train` starts again from the last checkpoint with
            half the learning rate.
    """

    def __init__(self, policy: NonFinite = NonFinite.RAISE) -> None:
        self.policy = policy
        self.skipped: list[int] = []
        self._pending: list[tuple[Tensor, torch.cuda.Event | None, Tensor, Tensor]] = []
        self._buffers: list[Tensor] = []

    def before_forward(self, network: nn.Module) -> None:
        """Keep the statistics of batch normalisation, which the forward pass changes, for a step that is left out."""
        if self.policy == NonFinite.SKIP and not self._pending:
            self._buffers = [buffer.clone() for buffer in network.buffers()]

    def note(self, loss: Tensor, index: Tensor) -> None:
        """Take note of a batch's loss and of the numbers `[B]` of its samples."""
        loss = loss.detach()
        if loss.device.type != "cuda":
            self._pending.append((loss.isfinite(), None, loss, index))
            return
        answer = torch.empty((), dtype=torch.bool, pin_memory=True)
        answer.copy_(loss.isfinite(), non_blocking=True)
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()
        self._pending.append((answer, event, loss, index))

    def before_step(
        self,
        step: int,
        where: str,
        *,
        network: nn.Module,
        describe: Callable[[int], str],
        agree: Callable[[bool], bool] = bool,
    ) -> str | None:
        """Let the step pass, or leave it out and return a sentence that says so, or raise.

        Args:
            step: Its number, from 1.
            where: Epoch and step, for the message.
            network: What the optimizer would change; without gradients it changes nothing.
            describe: Returns what a training sample is.
            agree: Whether any process has met one.

        Raises:
            NonFiniteError: naming the loss and the samples of the batch.
        """
        bad = [(loss, index) for answer, event, loss, index in self._pending if not _arrived(answer, event)]
        self._pending.clear()
        if self.policy != NonFinite.SKIP:
            if bad:
                raise NonFiniteError(_message(*bad[0], where=where, describe=describe))
            return None
        if not agree(bool(bad)):
            return None
        self.skipped.append(step)
        what = f"the training loss of another process broke {where}"
        if bad:
            what = _message(*bad[0], where=where, describe=describe)
        if len(self.skipped) > MOST_SKIPPED:
            raise NonFiniteError(f"{what}; {MOST_SKIPPED} steps were left out before")
        self._undo(network)
        return f"{what}; the step was left out ({len(self.skipped)} of at most {MOST_SKIPPED})"

    def _undo(self, network: nn.Module) -> None:
        for parameter in network.parameters():
            parameter.grad = None
        for buffer, before in zip(network.buffers(), self._buffers, strict=False):
            buffer.copy_(before)

    def record(self) -> SkippedSteps:
        """Return what results.json holds of the steps that were left out: `count`, and the first of their numbers."""
        return {"count": len(self.skipped), "steps": self.skipped[:MOST_RECORDED]}


def _arrived(answer: Tensor, event: torch.cuda.Event | None) -> bool:
    if event is not None:
        event.synchronize()
    return bool(answer)


def _message(loss: Tensor, index: Tensor, *, where: str, describe: Callable[[int], str]) -> str:
    numbers = index.tolist()
    names = ", ".join(describe(number) for number in numbers[:NAMED])
    more = and_more(len(numbers), NAMED)
    return f"the training loss became {loss.item()} {where}, on the samples {names}{more}"


def all_finite(module: nn.Module) -> bool:
    """Whether every weight and buffer of a module is finite; all processes call it where each has a part of them."""
    floats = [tensor for tensor in module.state_dict().values() if torch.is_floating_point(tensor)]
    return bool(torch.stack([whole(tensor.isfinite().all()) for tensor in floats]).all())
