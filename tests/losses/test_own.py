"""A loss of the user's own is called once before data is read: what cannot be minimised is refused in a sentence."""

import pytest
import torch

from segbench.core.errors import ConfigError
from segbench.losses.base import Loss, MapLoss, MaskLoss
from segbench.losses.contract import check_own_losses
from segbench.losses.weighted_sum import WeightedSum


def own(compute, names=("own",)):
    class Own(MaskLoss):
        terms = names

        def compute(self, logits, target, valid):
            return compute(logits, target, valid)

    return Own()


class Distance(MapLoss):
    terms = ("distance",)

    def compute(self, predicted, truth, valid):
        return ((predicted - truth).square() * valid).mean()


@pytest.mark.parametrize("classes", [["a", "b"], ["a", "b", "c"]])
@pytest.mark.parametrize("loss", [own(lambda logits, *_: logits.mean()), Distance(), Distance("depth")])
def test_what_keeps_the_contract_passes(loss, classes):
    check_own_losses(loss, classes)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (own(lambda logits, target, _: (logits[:, 0] - target) ** 2), r"got a tensor \[2, 64, 64\]$"),
        (own(lambda *_: torch.tensor(1.0)), r"one number that depends on the prediction, got a number that does not$"),
        (own(lambda *_: 3), r"^loss \(Own\) cannot be computed: AttributeError"),
        (own(lambda logits, *_: logits.men()), r"^loss \(Own\) cannot be computed: AttributeError: .*'men'"),
        (own(lambda logits, *_: logits.mean(), names=()), r"^loss \(Own\) must name what it reports, as in terms = "),
    ],
)
def test_what_breaks_it_is_named(loss, message):
    with pytest.raises(ConfigError, match=message):
        check_own_losses(loss, ["a", "b"])
    with pytest.raises(ConfigError, match=message):
        check_own_losses(WeightedSum({"one": loss}, {"one": 1.0}), ["a", "b"])


class Counting(Loss):
    heads = ("mask",)
    terms = ("counting",)

    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.tensor(0))

    def forward(self, prediction, batch):
        self.seen += 1
        value = (prediction["mask"] * torch.rand(1)).mean()
        return value, {"counting": value.detach()}


def test_it_is_as_new_after_it_was_looked_at():
    loss = Counting()
    before = torch.get_rng_state()
    check_own_losses(loss, ["background", "foreground"])
    assert loss.seen == 0
    assert torch.equal(torch.get_rng_state(), before)
