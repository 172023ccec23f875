"""Parts of a network that are not trained for some epochs: no gradient, and their statistics stay as they are."""

from __future__ import annotations

from torch import nn


class Frozen:
    """What is frozen until when, as a function of the epoch: a resume cannot get it wrong.

    Args:
        network: The network.
        parts: What the names of the frozen parameters begin with, such as `encoder.`; nothing for none.
        until: The epoch, counted from 0, from which on everything is trained; None: never.
    """

    def __init__(self, network: nn.Module, parts: tuple[str, ...] = (), *, until: int | None = None) -> None:
        self.network = network
        self.modules = [network.get_submodule(part.rstrip(".")) for part in parts]
        self.until = until
        self._trainable = {name for name, one in network.named_parameters() if one.requires_grad}
        self._frozen = {name for name in self._trainable if parts and name.startswith(parts)}
        self.active = False

    def optimized(self) -> list[tuple[str, nn.Parameter]]:
        """Return the parameters that are ever trained, by name."""
        if self.until is not None:
            return self._named(self._trainable)
        return self._named(self._trainable - self._frozen)

    def _named(self, names: set[str]) -> list[tuple[str, nn.Parameter]]:
        """Return parameters in the network's order; asked for anew, as sharding a network replaces them."""
        return [(name, one) for name, one in self.network.named_parameters() if name in names]

    def apply(self, epoch: int) -> None:
        """Freeze or train what an epoch does; gradients that were left are forgotten."""
        active = bool(self.modules) and (self.until is None or epoch < self.until)
        if active == self.active:
            return
        self.active = active
        for _, parameter in self._named(self._frozen):
            parameter.requires_grad_(not active)
            parameter.grad = None
        for module in self.modules:
            module.train(not active and self.network.training)

    def hold(self) -> None:
        """Put what is frozen back into evaluation, after the network was switched to training."""
        if self.active:
            for module in self.modules:
                module.eval()
