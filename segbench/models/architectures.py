"""Encoder and decoder of an architecture, built but without a head: what `SMP` is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from segbench.core.errors import ConfigError, nearest
from segbench.models.decoders import Last, Pyramid
from segbench.models.encoders import TIMM, Encoder, libraries, prune

LINEAR = "linear"
"""The architecture of ours: the last features, classified pixel by pixel."""

HALVING = ("unet", "unetplusplus", "manet")
"""Architectures whose `decoder_channels` say how often the picture is halved."""

FOLLOWING = ("encoder_name", "encoder_weights", "classes", "activation", "aux_params", "upsampling")
"""Arguments of the library's classes that other settings decide, or that belong to the heads, which are ours."""

OF_PLAIN = ("dpt", "upernet", LINEAR)
"""Architectures that take a plain vision transformer."""

MULTIPLES = {"dpt": 2}
"""Patches of a plain vision transformer that height and width are a multiple of, where it is more than one."""

LEAST_FEATURES = {"pan": 8}
"""Height and width of the last features that an architecture needs, where it needs more than one pixel."""

DPT_STRIDE = 16
"""The stride that DPT's decoder is made for; its output is brought to the picture's size from any other."""


@dataclass
class Parts:
    """What lies before the heads."""

    encoder: nn.Module
    """Maps a picture to features, or a plain vision transformer to features and prefix tokens."""
    decoder: nn.Module
    """Maps these to `[B, C, h, w]`."""
    neck: nn.Module
    """What a head has before its last convolution."""
    last: nn.Conv2d
    """A last convolution, as those of the heads are to be."""

    @property
    def stride(self) -> int:
        """Pixels that the deepest features stand for."""
        return int(getattr(self.encoder, "output_stride", 1))


def check_architecture(arch: str, encoder: Encoder) -> None:
    """Raise a ConfigError for an unknown architecture, or one that does not go with an encoder."""
    known = [*libraries()[0].MODEL_ARCHITECTURES_MAPPING, LINEAR]
    if arch not in known:
        raise ConfigError(f"there is no model.arch={arch}{nearest(arch, known)}")
    if encoder.plain and arch not in OF_PLAIN:
        raise ConfigError(
            f"model.arch={arch} needs features of several sizes, and model.encoder={encoder.name} is a plain vision"
            f" transformer; use model.arch={', '.join(OF_PLAIN[:-1])} or {OF_PLAIN[-1]}"
        )
    if arch == "dpt" and not encoder.of_timm:
        raise ConfigError(
            f"model.arch=dpt takes encoders of timm alone; give model.encoder={TIMM}{encoder.name}, or another arch"
        )


def make_parts(arch: str, encoder: Encoder, *, in_channels: int, drop_path: float, **settings: Any) -> Parts:
    """Return new parts; raises ConfigError for settings that do not exist, or an encoder that cannot be built.

    Args:
        arch: The architecture.
        encoder: The encoder.
        in_channels: Channels of the image.
        drop_path: Largest share of residual branches that is left out in training.
        **settings: Further arguments of the library's class.
    """
    told = encoder.settings(drop_path)
    for name in settings:
        if name in FOLLOWING:
            raise ConfigError(
                f"model.{name} is not set: it follows from model.encoder, model.weights and the classes and size of the"
                " data, and a head gives logits"
            )
    try:
        if encoder.plain:
            return make_plain(arch, encoder, in_channels=in_channels, told=told, **settings)
        if arch == LINEAR:
            return make_linear(encoder, in_channels, told=told, **settings)
        return make_shipped(arch, encoder, in_channels=in_channels, told=told, **settings)
    except ConfigError:
        raise
    except Exception as error:  # each of hundreds of encoders has its own way to refuse
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"model.encoder={encoder.name} with {in_channels} channels cannot be the encoder of model.arch={arch} with"
            f" these settings ({reason}); try resnet18"
        ) from error


def make_shipped(
    arch: str, encoder: Encoder, *, in_channels: int, told: Mapping[str, object], **settings: Any
) -> Parts:
    """Return the parts of the library's own network; raises whatever the library raises."""
    smp, _ = libraries()
    if arch in HALVING and "decoder_channels" in settings:
        told = {**told, "encoder_depth": halvings(settings["decoder_channels"])}
    network = smp.MODEL_ARCHITECTURES_MAPPING[arch](
        encoder.name, encoder_weights=None, in_channels=in_channels, **told, **settings
    )
    neck, last = split_head(network.segmentation_head)
    return Parts(network.encoder, network.decoder, neck, last)


def make_linear(encoder: Encoder, in_channels: int, *, told: Mapping[str, object], **settings: Any) -> Parts:
    """Return the parts of a linear classifier of an encoder's last features."""
    _refuse(LINEAR, settings)
    smp, _ = libraries()
    module = smp.encoders.get_encoder(encoder.name, in_channels=in_channels, weights=None, **told)
    return _linear(module)


def make_plain(arch: str, encoder: Encoder, *, in_channels: int, told: Mapping[str, object], **settings: Any) -> Parts:
    """Return the parts of an architecture on a plain vision transformer."""
    smp, _ = libraries()
    module = smp.encoders.TimmViTEncoder(
        encoder.name.removeprefix(TIMM),
        pretrained=False,
        in_channels=in_channels,
        depth=1 if arch == LINEAR else 4,
        **told,
    )
    prune(module)
    if arch == LINEAR:
        _refuse(LINEAR, settings)
        return _linear(module)
    if arch == "upernet":
        return make_upernet(module, **settings)
    return make_dpt(module, **settings)


def make_upernet(module: Any, decoder_channels: int = 256, **settings: Any) -> Parts:
    """Return the parts of UPerNet on a plain vision transformer."""
    from segmentation_models_pytorch.decoders.upernet.decoder import UPerNetDecoder

    _refuse("upernet", settings)
    channels = module.out_channels
    decoder = UPerNetDecoder([0, 0, *channels], encoder_depth=5, decoder_channels=decoder_channels)
    _initialize(decoder)
    return Parts(module, Pyramid(channels, decoder), nn.Identity(), nn.Conv2d(decoder_channels, 1, 1))


def make_dpt(
    module: Any,
    decoder_readout: str = "cat",
    *,
    decoder_intermediate_channels: Sequence[int] = (256, 512, 1024, 1024),
    decoder_fusion_channels: int = 256,
    **settings: Any,
) -> Parts:
    """Return the parts of DPT on a plain vision transformer, with the library's defaults."""
    from segmentation_models_pytorch.decoders.dpt.decoder import DPTDecoder, DPTSegmentationHead

    _refuse("dpt", settings)
    decoder = DPTDecoder(
        encoder_out_channels=module.out_channels,
        encoder_output_strides=[DPT_STRIDE] * len(module.out_channels),
        encoder_has_prefix_tokens=module.has_prefix_tokens,
        readout=decoder_readout if module.has_prefix_tokens else "ignore",
        intermediate_channels=decoder_intermediate_channels,
        fusion_channels=decoder_fusion_channels,
    )
    head = DPTSegmentationHead(decoder_fusion_channels, 1, upsampling=2)
    _initialize(decoder)
    _initialize(head)
    return Parts(module, decoder, *split_head(head))


def _linear(module: Any) -> Parts:
    channels = module.out_channels[-1]
    return Parts(module, Last(channels), nn.Identity(), nn.Conv2d(channels, 1, 1))


def _initialize(part: nn.Module) -> None:
    libraries()[0].base.initialization.initialize_decoder(part)


def _refuse(arch: str, settings: Mapping[str, object]) -> None:
    if settings:
        raise ConfigError(f"model.arch={arch} takes no '{next(iter(settings))}'")


def halvings(decoder_channels: Any) -> int:
    """Return how often a picture is halved for a decoder of these channels; raises ConfigError."""
    fits = isinstance(decoder_channels, Sequence) and 3 <= len(decoder_channels) <= 5
    if not fits or not all(isinstance(count, int) and count >= 1 for count in decoder_channels):
        raise ConfigError(
            f"model.decoder_channels={decoder_channels} must be 3 to 5 numbers of at least 1, such as"
            " [256,128,64,32,16]"
        )
    return len(decoder_channels)


def split_head(head: nn.Module) -> tuple[nn.Module, nn.Conv2d]:
    """Return what a head of the library has before its last convolution, and that convolution.

    What comes behind is a bilinear upsampling, which `SMP` does itself.
    """
    inner = getattr(head, "head", head)
    layers = list(inner.children())
    place = max(number for number, layer in enumerate(layers) if isinstance(layer, nn.Conv2d))
    last = layers[place]
    assert isinstance(last, nn.Conv2d)
    return nn.Sequential(*layers[:place]), last


def like(convolution: nn.Conv2d, channels: int) -> nn.Conv2d:
    """Return a new convolution of other output channels, begun as the library begins its heads."""
    kernel = convolution.kernel_size[0]
    new = nn.Conv2d(convolution.in_channels, channels, kernel, padding=kernel // 2)
    nn.init.xavier_uniform_(new.weight)
    assert new.bias is not None
    nn.init.zeros_(new.bias)
    return new
