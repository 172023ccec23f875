"""The U-Net of segmentation_models_pytorch: any of its or timm's encoders, without ever downloading anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from segbench.core.errors import ConfigError, nearest
from segbench.models.base import ONE_LOGIT, Network, crop, pad_to_multiple
from segbench.models.fcn_resnet import IMAGENET_MEAN, IMAGENET_STD, Colour, load_fitting, read_state

BEHIND_FEATURES = ("classifier.", "fc.", "head.", "last_linear.", "_fc.", "conv_head.", "bn2.")
"""Beginnings of the names of what a classifier has behind its last features, as timm and others call it."""


class SMPUnet(Network):
    """A U-Net decoder on an encoder of segmentation_models_pytorch, with a 3 x 3 convolution for each head.

    Images whose sides are no multiples of 32 are padded and cropped back.

    Args:
        in_channels: Channels of the image.
        heads: Channels of each prediction.
        encoder: A name of the library, or `tu-` and a name of timm.
        weights: None or `none`, or a local file with a state dict of the encoder; ImageNet's mean and standard
            deviation are then used, or those that timm declares for its encoder (0.5 for tf_efficientnet_lite0).
            What such a file has behind the last features, such as a classifier, may be absent or is ignored.
        decoder_channels: Channels after each of the 3 to 5 upsamplings; the encoder halves the picture as often.
    """

    min_size = 33  # padded to 64: batch normalisation at 1/32 of the size needs two values even for a single picture

    def __init__(
        self,
        in_channels: int = 3,
        heads: Mapping[str, int] = ONE_LOGIT,
        encoder: str = "resnet18",
        weights: str | None = None,
        decoder_channels: Sequence[int] = (256, 128, 64, 32, 16),
    ) -> None:
        super().__init__()
        if not 3 <= len(decoder_channels) <= 5 or min(decoder_channels) < 1:
            raise ConfigError(
                f"model.decoder_channels={list(decoder_channels)} must be 3 to 5 numbers of at least 1, such as"
                " [256,128,64,32,16]"
            )
        self.encoder, self.decoder = make_unet(encoder, in_channels, decoder_channels)
        self.heads = nn.ModuleDict(
            {name: nn.Conv2d(decoder_channels[-1], channels, 3, padding=1) for name, channels in heads.items()}
        )
        if weights not in (None, "none"):
            self.load_weights(weights, encoder)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the predictions `[B, channels, H, W]` by head for an image `[B, in_channels, H, W]`."""
        features = self.decoder(self.encoder(pad_to_multiple(image, 32)))
        return crop({name: head(features) for name, head in self.heads.items()}, *image.shape[-2:])

    def load_weights(self, weights: str, encoder: str) -> None:
        """Load the encoder from a local file; raises ConfigError where it does not fit."""
        state = read_state(weights)
        own = self.encoder.state_dict()
        # the library keeps a timm network in its attribute `model`; files of timm have no such prefix
        if encoder.startswith("tu-") and not any(name.startswith("model.") for name in state):
            state = {f"model.{name}": value for name, value in state.items()}
        fitting = {
            name: value
            for name, value in state.items()
            if name in own or not name.removeprefix("model.").startswith(BEHIND_FEATURES)
        }
        load_fitting(self.encoder, fitting, f"model.weights={weights}", f"model.encoder={encoder}")
        self.mean, self.std = _statistics(encoder)


def _statistics(encoder: str) -> tuple[Colour, Colour]:
    """Return mean and standard deviation that an encoder's weights were trained with."""
    import timm

    declared = timm.get_pretrained_cfg(encoder[3:]) if encoder.startswith("tu-") else None
    if declared is None:
        return IMAGENET_MEAN, IMAGENET_STD
    red, green, blue = declared.mean
    return (red, green, blue), (declared.std[0], declared.std[1], declared.std[2])


def make_unet(encoder: str, in_channels: int, decoder_channels: Sequence[int]) -> tuple[nn.Module, nn.Module]:
    """Return a new encoder and decoder; raises ConfigError for a missing package or an encoder that cannot be built."""
    try:
        import segmentation_models_pytorch as smp
        import timm
    except ImportError:
        raise ConfigError(
            "segbench.models.smp.SMPUnet needs the package segmentation-models-pytorch: pip install -e '.[smp]'"
        ) from None
    if encoder.startswith("tu-"):
        known = timm.is_model(encoder[3:])
        names = [f"tu-{name}" for name in timm.list_models()]
    else:
        names = smp.encoders.get_encoder_names()
        known = encoder in names
    if not known:
        raise ConfigError(f"there is no model.encoder={encoder}{nearest(encoder, names)}")
    try:
        unet = smp.Unet(
            encoder_name=encoder,
            encoder_depth=len(decoder_channels),
            encoder_weights=None,
            decoder_channels=list(decoder_channels),
            in_channels=in_channels,
        )
    except Exception as error:  # each of hundreds of encoders has its own way to refuse
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"model.encoder={encoder} cannot be the encoder of a U-Net with {len(decoder_channels)} upsamplings and"
            f" {in_channels} channels ({reason}); try resnet18"
        ) from error
    return unet.encoder, unet.decoder
