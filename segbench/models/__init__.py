"""Networks: each maps an image tensor to a dict of predictions at the input's height and width."""

from typing import TYPE_CHECKING

from segbench.core.lazy import lazy

if TYPE_CHECKING:
    from segbench.models.autoencoder import AutoEncoder as AutoEncoder
    from segbench.models.base import Heads as Heads
    from segbench.models.base import Network as Network
    from segbench.models.cnn import CNN as CNN
    from segbench.models.custom_net import CustomNet as CustomNet
    from segbench.models.external import External as External
    from segbench.models.fc_densenet import FCDenseNet as FCDenseNet
    from segbench.models.fcn import FCN as FCN
    from segbench.models.fcn_resnet import FCNResNet as FCNResNet
    from segbench.models.gcn import GCN as GCN
    from segbench.models.hugging_face import HuggingFace as HuggingFace
    from segbench.models.lraspp import LRASPP as LRASPP
    from segbench.models.smp import SMP as SMP
    from segbench.models.two_stem import TwoStem as TwoStem
    from segbench.models.unet import UNet as UNet
    from segbench.models.unet_valid import UNetValid as UNetValid

__all__ = [
    "CNN",
    "FCN",
    "GCN",
    "LRASPP",
    "SMP",
    "AutoEncoder",
    "CustomNet",
    "External",
    "FCDenseNet",
    "FCNResNet",
    "Heads",
    "HuggingFace",
    "Network",
    "TwoStem",
    "UNet",
    "UNetValid",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "AutoEncoder": "autoencoder",
        "CNN": "cnn",
        "CustomNet": "custom_net",
        "External": "external",
        "FCDenseNet": "fc_densenet",
        "FCN": "fcn",
        "FCNResNet": "fcn_resnet",
        "GCN": "gcn",
        "Heads": "base",
        "HuggingFace": "hugging_face",
        "LRASPP": "lraspp",
        "Network": "base",
        "SMP": "smp",
        "TwoStem": "two_stem",
        "UNet": "unet",
        "UNetValid": "unet_valid",
    },
)
