"""GQN's three representation networks: one image and its viewpoint to features that views are summed over.

Eslami et al. 2018, Neural scene representation and rendering, Science 360, supplementary figure S1.
"""

import torch
from einops import repeat
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


def broadcast(viewpoint: Float[Tensor, "b p"], height: int, width: int) -> Float[Tensor, "b p h w"]:
    """A vector at every place of an h by w map."""
    return repeat(viewpoint, "b p -> b p h w", h=height, w=width)


class Pyramid(nn.Module):
    """Image to one vector: the viewpoint is laid over the image, which then shrinks to 1 by 1."""

    def __init__(self, channels: int, image_size: int):
        super().__init__()
        narrow = [max(channels // 8, 8), max(channels // 4, 8), max(channels // 2, 8)]
        last = image_size // 8
        self.layers = nn.Sequential(
            nn.Conv2d(3 + 7, narrow[0], 2, 2), nn.ReLU(),
            nn.Conv2d(narrow[0], narrow[1], 2, 2), nn.ReLU(),
            nn.Conv2d(narrow[1], narrow[2], 2, 2), nn.ReLU(),
            nn.Conv2d(narrow[2], channels, last, last), nn.ReLU(),
        )  # fmt: skip

    def forward(self, image: Float[Tensor, "b 3 h w"], viewpoint: Float[Tensor, "b 7"]) -> Float[Tensor, "b d 1 1"]:
        """Features of one view."""
        return self.layers(torch.cat([image, broadcast(viewpoint, *image.shape[-2:])], 1))


class Tower(nn.Module):
    """Image to a map at a quarter of its resolution, the viewpoint joining where the map is that small."""

    def __init__(self, channels: int, image_size: int):
        super().__init__()
        half = channels // 2
        self.enter = nn.Conv2d(3, channels, 2, 2)
        self.skip_low = nn.Conv2d(channels, channels, 2, 2)
        self.low_narrow = nn.Conv2d(channels, half, 3, padding=1)
        self.low = nn.Conv2d(half, channels, 2, 2)
        self.skip_high = nn.Conv2d(channels + 7, channels, 3, padding=1)
        self.high_narrow = nn.Conv2d(channels + 7, half, 3, padding=1)
        self.high = nn.Conv2d(half, channels, 3, padding=1)
        self.leave = nn.Conv2d(channels, channels, 1)

    def forward(self, image: Float[Tensor, "b 3 h w"], viewpoint: Float[Tensor, "b 7"]) -> Float[Tensor, "b d y x"]:
        """Features of one view, y = h / 4, x = w / 4."""
        x = F.relu(self.enter(image))
        x = F.relu(self.skip_low(x)) + F.relu(self.low(F.relu(self.low_narrow(x))))
        x = torch.cat([x, broadcast(viewpoint, *x.shape[-2:])], 1)
        x = F.relu(self.skip_high(x)) + F.relu(self.high(F.relu(self.high_narrow(x))))
        return F.relu(self.leave(x))


class Pool(nn.Module):
    """A tower, averaged over the image: invariant to where in the picture a thing is seen."""

    def __init__(self, channels: int, image_size: int):
        super().__init__()
        self.tower = Tower(channels, image_size)

    def forward(self, image: Float[Tensor, "b 3 h w"], viewpoint: Float[Tensor, "b 7"]) -> Float[Tensor, "b d 1 1"]:
        """Features of one view."""
        return self.tower(image, viewpoint).mean((-2, -1), keepdim=True)


def keep_scale(module: nn.Module, gain: float) -> None:
    """Start the convolutions of a module so that signals leave them about as large as they came, without biases.

    Torch's own start shrinks them threefold a layer with a rectifier; a representation that begins so faint is pushed up
    by every step alike until it saturates the core that reads it, which then shows the mean image for ever.

    Args:
        module: Whose layers.
        gain: Root of 2 before a rectifier (He et al. 2015), 1 elsewhere.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            heads = layer.in_channels if isinstance(layer, nn.ConvTranspose2d) else layer.weight[0].numel()
            nn.init.normal_(layer.weight, std=gain * heads**-0.5)
            nn.init.zeros_(layer.bias)


REPRESENTATIONS = {"pyramid": Pyramid, "tower": Tower, "pool": Pool}
