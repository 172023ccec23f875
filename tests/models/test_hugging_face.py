"""Networks of transformers behind the adapter: the library itself is the oracle. Nothing is fetched."""

import sys

import pytest
import torch
from torch.nn import functional as F

from segbench.core.errors import ConfigError
from segbench.models.weights import IMAGENET_MEAN
from segbench.training.parameter_groups import Grouping
from tests.support.tiny_networks import SEGFORMER

transformers = pytest.importorskip("transformers", reason="an extra: pip install -e '.[transformers]'")

from segbench.models.hugging_face import HuggingFace, semantic  # noqa: E402  after the extra it needs

SWIN = {
    "model_type": "swin",
    "embed_dim": 12,
    "depths": [1, 1, 1, 1],
    "num_heads": [1, 1, 2, 2],
    "out_features": ["stage1", "stage2", "stage3", "stage4"],
}
MASK2FORMER = {
    "backbone_config": SWIN,
    "hidden_dim": 32,
    "feature_size": 32,
    "mask_feature_size": 32,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "num_queries": 8,
    "encoder_feedforward_dim": 32,
    "dim_feedforward": 32,
    "num_attention_heads": 2,
}
EOMT = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": 64,
    "num_blocks": 1,
    "num_queries": 8,
    "num_upscale_blocks": 1,
}


def segformer(in_channels=3, heads=None, **settings):
    return HuggingFace(in_channels, heads or {"mask": 1}, config=SEGFORMER, **settings)


def test_logits_at_a_quarter_come_to_full_size():
    network = segformer(4, {"mask": 3, "depth": 1}).eval()
    image = torch.randn(2, 4, 50, 70)
    with torch.no_grad():
        found = network(image)
        padded = F.pad(image, (0, 26, 0, 14), mode="replicate")
        logits = network.network(pixel_values=padded).logits
        whole = F.interpolate(logits, size=(64, 96), mode="bilinear", align_corners=False)[..., :50, :70]
    assert logits.shape == (2, 4, 16, 24)
    assert torch.equal(torch.cat([found["mask"], found["depth"]], dim=1), whole)
    assert network.encoder_parts == ("network.segformer",)


@pytest.mark.parametrize("heads", [{"mask": 1}, {"mask": 3}])
def test_queries_give_the_librarys_semantic_map(heads):
    """The class of every pixel is what transformers' own post-processing says, which computes it from scores."""
    torch.manual_seed(0)
    network = HuggingFace(4, heads, network="Mask2FormerForUniversalSegmentation", config=MASK2FORMER).eval()
    image = torch.randn(2, 4, 64, 96)
    with torch.no_grad():
        found = network(image)["mask"]
        output = network.network(pixel_values=image)
    processor = transformers.Mask2FormerImageProcessor
    expected = processor.post_process_semantic_segmentation(None, output, target_sizes=None)
    logits = semantic(output, heads["mask"])
    ids = (logits > 0).long()[:, 0] if heads["mask"] == 1 else logits.argmax(dim=1)
    small = torch.stack(
        [F.interpolate(one[None, None].float(), ids.shape[-2:], mode="nearest")[0, 0] for one in expected]
    )
    assert found.shape == (2, heads["mask"], 64, 96)
    assert (ids == small.long()).float().mean() > 0.9  # theirs is enlarged before the maximum is taken
    if heads["mask"] > 1:
        assert torch.allclose(logits.exp().sum(1), _scores(output).sum(1), atol=1e-4)


def _scores(output):
    classes = output.class_queries_logits.softmax(-1)[..., :-1]
    masks = output.masks_queries_logits.sigmoid()
    return sum(classes[:, q, :, None, None] * masks[:, q, None] for q in range(classes.shape[1]))


def test_a_network_of_one_size_is_shown_that_size():
    network = HuggingFace(3, {"mask": 3}, network="EomtForUniversalSegmentation", config=EOMT, side=64)
    found = network(torch.randn(2, 3, 40, 90))["mask"]
    assert found.shape == (2, 3, 40, 90)
    found.mean().backward()
    trained = [p for p in network.parameters() if p.requires_grad]
    assert trained and all(torch.isfinite(p.grad).all() for p in trained)


def test_the_encoder_of_a_transformer_for_queries_has_its_patches_and_its_last_norm(tmp_path):
    """All of it is frozen or trained at other rates, the patches as its stem, the norm with the last layer."""

    def eomt(**settings):
        return HuggingFace(3, {"mask": 3}, network="EomtForUniversalSegmentation", config=EOMT, side=64, **settings)

    network = eomt()
    assert network.encoder_parts == ("network.embeddings", "network.layers", "network.layernorm")
    rates = Grouping(layer_decay=0.5).groups(network, list(network.named_parameters()), options={"lr": 8.0})
    rate = {id(parameter): group.get("lr", 8.0) for group in rates for parameter in group["params"]}
    inner = network.network
    found = [next(part.parameters()) for part in (inner.embeddings, *inner.layers, inner.layernorm, inner.mask_head)]
    assert [rate[id(parameter)] for parameter in found] == [0.5, 1.0, 2.0, 4.0, 4.0, 8.0]
    parts = ("embeddings.", "layers.", "layernorm.")
    encoder = {name: value for name, value in inner.state_dict().items() if name.startswith(parts)}
    torch.save(encoder, tmp_path / "encoder.pth")
    filled = eomt(weights=str(tmp_path / "encoder.pth")).network.state_dict()
    assert all(torch.equal(filled[name], value) for name, value in encoder.items())


def test_a_file_fills_it_and_a_layer_of_other_classes_stays_new(tmp_path):
    torch.manual_seed(0)
    first = segformer(heads={"mask": 5})
    torch.save(first.network.state_dict(), tmp_path / "whole.pth")
    other = segformer(heads={"mask": 3}, weights=str(tmp_path / "whole.pth"))
    before, after = first.network.state_dict(), other.network.state_dict()
    changed = {name for name in before if before[name].shape != after[name].shape}
    assert changed == {"decode_head.classifier.weight", "decode_head.classifier.bias"}
    assert all(torch.equal(before[name], after[name]) for name in before if name not in changed)
    assert other.mean == IMAGENET_MEAN
    encoder = {name: value for name, value in before.items() if name.startswith("segformer.")}
    torch.save(encoder, tmp_path / "encoder.pth")
    third = segformer(weights=str(tmp_path / "encoder.pth")).network.state_dict()
    assert all(torch.equal(before[name], third[name]) for name in encoder)
    torch.save({**encoder, "segformer.more": torch.zeros(1)}, tmp_path / "more.pth")
    with pytest.raises(ConfigError, match=": segformer.more.* unknown or of another shape"):
        segformer(weights=str(tmp_path / "more.pth"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"network": "SegformerForSemanticSegmentatio"}, "did you mean 'SegformerForSemanticSegmentation'"),
        ({"network": "SegformerModel"}, "no model.network=SegformerModel"),
        ({"network": "AutoModelForSemanticSegmentation"}, "no model.network=AutoModelForSemanticSegmentation"),
        ({"network": "OneFormerForUniversalSegmentation"}, "wants task_inputs, and a run has pictures alone"),
        ({"network": "VideomtForUniversalSegmentation"}, "wants pixel_values_videos, and a run has pictures alone"),
        ({"config": {"depth": [1]}}, r"SegformerConfig\) takes no 'depth'; did you mean 'depths'"),
        ({"config": {"num_labels": 3}}, "follows from the classes"),
        ({"config": {"_name_or_path": "x/y"}}, "takes no '_name_or_path'"),
        (
            {
                "network": "Mask2FormerForUniversalSegmentation",
                "config": {"backbone_config": {"model_type": "timm_backbone", "use_pretrained_backbone": True}},
            },
            "would fetch weights",
        ),
        ({"network": "EomtForUniversalSegmentation", "heads": {"mask": 1, "depth": 1}}, "gives masks alone"),
        ({"multiple": 0}, "must be at least 1"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        HuggingFace(**settings)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ConfigError, match=r"pip install -e '\.\[transformers\]'"):
        HuggingFace()
