"""A plane sweep: for every pixel of a query, what the context shows at points along its ray.

Collins 1996, A space-sweep approach to true multi-image matching (CVPR); as the input of a network that picks depths and
blends colours, Flynn et al. 2016, DeepStereo (arXiv:1506.06825). There the planes are parallel; here each pixel's points
lie at shares of the way to where its ray leaves the world, so that the farthest is what an empty room would show.
"""

import math

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from learners.nets import rays

N_CHANNELS = 8
"""Numbers of `sweep` per pixel and depth."""


@torch.no_grad()
def sweep(
    images: Float[Tensor, "b v 3 h w"],
    poses: Float[Tensor, "b v 5"],
    queries: Float[Tensor, "b q 5"],
    shares: Float[Tensor, " s"],
    size: int,
    fov: float,
    extent: float,
) -> Float[Tensor, "b_q s c y x"]:
    """Statistics over the views of the colours that they show at points along the query's rays.

    A view counts if the point is in its picture, and more the nearer its line of sight is to the query's. Channels: the
    colour of the views that look from nearly the query's side, the mean colour of all (both less a half, zero where no view
    sees the point), the colours' deviation, and the share of the views that see the point.

    Args:
        images: The context, values in [0, 1], square.
        poses: Their cameras'.
        queries: Poses.
        shares: Of the way to where the ray leaves the world; see `rays.leaving`.
        size: Rows and columns of the result, y and x.
        fov: Vertical field of view of all cameras, radians.
        extent: Side of the world's square, metres.
    """
    with torch.autocast(images.device.type, enabled=False):  # low precision would miss the pixels
        images, poses, queries = images.float(), poses.float(), queries.float()
        b, q, s = len(images), queries.shape[1], len(shares)
        origins, directions = rays.ray_grid(queries, fov, size, size)
        reach = (rays.leaving(origins, directions, extent)[..., None] * directions).flatten(2, 3)
        make = lambda *shape: images.new_zeros(b, *shape, q * s, size**2)
        near, wide, total, squares = make(3), make(3), make(3), make()
        near_weight, wide_weight, count = make(), make(), make()
        # View by view: what one view adds fits into a cache.
        for image, pose in zip(images.unbind(1), poses.unbind(1), strict=True):
            # A point in the view's frame is linear in its share of the way: where the query stands, and so much of the reach.
            axes = rays.camera_axes(pose)[:, None]
            at = (axes @ (origins - pose[:, None, :3])[..., None])[..., None]
            step = (axes @ reach.mT)[..., None, :]
            x, y, z = (torch.addcmul(at[:, :, i], shares[:, None], step[:, :, i]) for i in range(3))
            lx, ly, lz = step.unbind(2)
            # The cosine between the lines on which the view and the query see the point.
            cosine = (lx * x).addcmul_(ly, y).addcmul_(lz, z)
            cosine *= (lx * lx + ly * ly + lz * lz).clamp_min(1e-6).rsqrt()
            cosine *= (x * x).addcmul_(y, y).addcmul_(z, z).clamp_min_(1e-6).rsqrt_()
            ahead = z > 1e-3
            z = (z * math.tan(fov / 2)).clamp_min_(1e-3)
            x, y = x.div_(z), y.div_(z).neg_()
            inside = (ahead & (torch.maximum(x.abs(), y.abs()) < 1)).to(x.dtype).flatten(1, 2)
            places = torch.stack([x, y], -1).flatten(1, 2)
            colour = F.grid_sample(image - 0.5, places, padding_mode="border", align_corners=False)
            cosine = cosine.flatten(1, 2)
            for sums, weight, concentration in ((near, near_weight, 24.0), (wide, wide_weight, 3.0)):
                # A view from the other side still counts where no other sees the point.
                w = (concentration * (cosine - 1)).exp_().add_(1e-4).mul_(inside)
                sums.addcmul_(colour, w[:, None])
                weight += w
            count += inside
            for channel in range(3):
                seen = colour[:, channel] * inside
                total[:, channel] += seen
                squares.addcmul_(colour[:, channel], seen)
        near /= near_weight.clamp_min(1e-6)[:, None]
        wide /= wide_weight.clamp_min(1e-6)[:, None]
        squares /= count.clamp_min(1)
        total /= count.clamp_min(1)[:, None]
        spread = (squares - sum(channel.square() for channel in total.unbind(1))).clamp_min(0).sqrt()
        made = torch.cat([near, wide, spread[:, None], count[:, None] / images.shape[1]], 1)
        return rearrange(made, "b c (q s) (y x) -> (b q) s c y x", q=q, y=size)


class Weave(nn.Module):
    """Picks, for every pixel of a query, from the colours of a sweep; and says how much of the picture they make.

    Args:
        depths: Points along each ray.
        condition: Channels of what else is known at each pixel.
        width: Channels within.
    """

    def __init__(self, depths: int, condition: int, width: int):
        super().__init__()
        self.depths = depths
        self.enter = nn.Conv2d(depths * N_CHANNELS + condition, width, 3, padding=1)
        self.think = nn.Conv2d(width, width, 3, padding=1)
        self.pick = nn.Conv2d(width, 2 * depths + 1, 1)
        self.leave = nn.Conv2d(width, condition, 1)

    def forward(
        self, swept: Float[Tensor, "n s c y x"], condition: Float[Tensor, "n d y x"]
    ) -> tuple[Float[Tensor, "n d y x"], Float[Tensor, "n 3 y x"]]:
        """The condition with what was found added to it, and the blended colours, at their weight, about a half."""
        x = F.silu(self.enter(torch.cat([swept.flatten(1, 2).to(condition.dtype), condition], 1)))
        x = F.silu(x + self.think(x))
        scores = self.pick(x).float()
        weights = scores[:, 1:].softmax(1).unflatten(1, (2, self.depths))
        colours = torch.stack([swept[:, :, :3], swept[:, :, 3:6]], 1)
        blend = (weights[:, :, :, None] * colours).sum((1, 2))
        return condition + self.leave(x), scores[:, :1].sigmoid() * blend
