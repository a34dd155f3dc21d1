"""A plane sweep: for every pixel of a query, what the context shows at points along its ray.

Collins 1996, A space-sweep approach to true multi-image matching (CVPR); as the input of a network that picks depths and
blends colours, Flynn et al. 2016, DeepStereo (arXiv:1506.06825). There the planes are parallel; here each pixel's points
lie at shares of the way to where its ray leaves the world, so that the farthest is what an empty room would show. A first
look at a coarser picture finds how far things are, a second one looks closely there (after Gu et al. 2020, Cascade cost
volume, arXiv:1912.06378).
"""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from learners.nets import points, rays

N_CHANNELS = points.VIEWS + 4 * points.N_VIEWS
"""Numbers of `sweep` per pixel and point."""
NEAR, WIDE = 48, 6
"""Powers of the cosine, from 0 to 1, by which a view counts: for those from the query's side, and for all."""
SHARP = 4.0
"""What scores are multiplied by: picks among many points should become sharp within few steps."""
UNSEEN = -8.0
"""Added to the score of a point that no view sees."""
NEAREST = 0.2
"""Share of the way at which the nearest point lies."""
FAR = 4.0
"""Added at first to the score of the farthest point: an empty room is the first guess."""


@torch.no_grad()
def sweep(
    images: Float[Tensor, "b v 3 h w"],
    poses: Float[Tensor, "b v 5"],
    queries: Float[Tensor, "b q 5"],
    shares: Float[Tensor, " s"] | Float[Tensor, "b_q y x s"],
    size: int,
    fov: float,
    extent: float,
) -> Float[Tensor, "b_q y x s c"]:
    """Statistics over the views of the colours that they show at points along the query's rays.

    A view counts if the point is in its picture, and more the nearer its line of sight is to the query's. Channels: the
    colour of the views that look from nearly the query's side, the mean colour of all (both less a half, zero where no view
    sees the point), the colours' deviation, the share of the views that see the point, the deviation of tints (which light
    and shade leave alone), and one by one the colours of the `points.N_VIEWS` views that look from nearest the query's
    side, nearest first, each with a one behind it; zeros where there are fewer.

    Args:
        images: The context, values in [0, 1], square.
        poses: Their cameras'.
        queries: Poses.
        shares: Of the way to where the ray leaves the world, for all pixels or for each; see `rays.leaving`.
        size: Rows and columns of the result, y and x.
        fov: Vertical field of view of all cameras, radians.
        extent: Side of the world's square, metres.
    """
    with torch.autocast(images.device.type, enabled=False):  # low precision would miss the pixels
        images, poses, queries = images.float(), poses.float(), queries.float()
        origins, directions = rays.ray_grid(queries, fov, size, size)
        reach = rays.leaving(origins, directions, extent)[..., None] * directions
        shares = shares if shares.ndim > 1 else shares.expand(1, 1, 1, -1)
        if images.device.type != "cpu":
            return look_up(images, poses, origins, reach, shares, math.tan(fov / 2))
        made = images.new_empty(queries.shape[1] * len(images), size, size, shares.shape[-1], N_CHANNELS)
        given = (
            rearrange(images, "b v c h w -> b v h w c") - 0.5, rays.camera_axes(poses), poses[..., :3],
            origins.flatten(0, 1), reach.flatten(0, 1), shares,
        )  # fmt: skip
        arrays = [value.contiguous().numpy() for value in given]
        points.look_up(*arrays, math.tan(fov / 2), made.numpy(), torch.get_num_threads())
        return made


def look_up(
    images: Float[Tensor, "b v 3 h w"],
    poses: Float[Tensor, "b v 5"],
    origins: Float[Tensor, "b q 3"],
    reach: Float[Tensor, "b q y x 3"],
    shares: Float[Tensor, "one_or_n one_or_y one_or_x s"],
    tangent: float,
) -> Float[Tensor, "n y x s c"]:
    """What `points.look_up` does, on any device."""
    b, q, size, s = len(images), reach.shape[1], reach.shape[2], shares.shape[-1]
    along = rearrange(shares.expand(b * q, size, size, s), "(b q) y x s -> b q s (y x)", q=q).contiguous()
    reach = reach.flatten(2, 3)
    make = lambda *shape: images.new_zeros(b, *shape, q * s, size**2)
    near, wide, total, squares = make(3), make(3), make(3), make()
    near_weight, wide_weight, count = make(), make(), make()
    tint, tint_squares, ranks, shown = make(2), make(), [], []
    # View by view: what one view adds fits into a cache.
    for image, pose in zip(images.unbind(1), poses.unbind(1), strict=True):
        # A point in the view's frame is linear in its share of the way: where the query stands, and so much of the reach.
        axes = rays.camera_axes(pose)[:, None]
        at = (axes @ (origins - pose[:, None, :3])[..., None])[..., None]
        step = (axes @ reach.mT)[..., None, :]
        x, y, z = (torch.addcmul(at[:, :, i], along, step[:, :, i]) for i in range(3))
        lx, ly, lz = step.unbind(2)
        # The cosine between the lines on which the view and the query see the point, from 0 to 1.
        cosine = (lx * x).addcmul_(ly, y).addcmul_(lz, z)
        cosine *= (lx * lx + ly * ly + lz * lz).clamp_min(1e-6).rsqrt()
        cosine *= (x * x).addcmul_(y, y).addcmul_(z, z).clamp_min_(1e-6).rsqrt_()
        cosine = cosine.add_(1).mul_(0.5).flatten(1, 2)
        ahead = z > 1e-3
        z = (z * tangent).clamp_min_(1e-3)
        x, y = x.div_(z), y.div_(z).neg_()
        inside = (ahead & (torch.maximum(x.abs(), y.abs()) < 1)).to(x.dtype).flatten(1, 2)
        places = torch.stack([x, y], -1).flatten(1, 2)
        colour = F.grid_sample(image - 0.5, places, padding_mode="border", align_corners=False)
        for sums, weight, power in ((near, near_weight, NEAR), (wide, wide_weight, WIDE)):
            # A view from the other side still counts where no other sees the point.
            w = cosine.pow(power).add_(1e-4).mul_(inside)
            sums.addcmul_(colour, w[:, None])
            weight += w
        count += inside
        for channel in range(3):
            seen = colour[:, channel] * inside
            total[:, channel] += seen
            squares.addcmul_(colour[:, channel], seen)
        tints = (colour[:, :2] + 0.5) * (inside / (colour.sum(1) + 1.5 + float(points.DARK)))[:, None]
        tint += tints
        tint_squares += tints.square().sum(1)
        # Below zero where the point is not in the picture.
        ranks.append(cosine * inside + inside - 1)
        shown.append(torch.cat([colour * inside[:, None], inside[:, None]], 1))
    near /= near_weight.clamp_min(1e-6)[:, None]
    wide /= wide_weight.clamp_min(1e-6)[:, None]
    squares /= count.clamp_min(1)
    total /= count.clamp_min(1)[:, None]
    spread = (squares - sum(channel.square() for channel in total.unbind(1))).clamp_min(0).sqrt()
    tint /= count.clamp_min(1)[:, None]
    uneven = (tint_squares / count.clamp_min(1) - tint.square().sum(1)).clamp_min(0).sqrt()
    # The views one by one, by their cosines; those that are wanting are made up with nothing.
    order = torch.stack(ranks, 1).argsort(dim=1, descending=True, stable=True)[:, : points.N_VIEWS, None]
    shown = torch.stack(shown, 1).gather(1, order.expand(-1, -1, 4, -1, -1)).flatten(1, 2)
    shown = F.pad(shown, (0, 0, 0, 0, 0, 4 * points.N_VIEWS - shown.shape[1]))
    told = torch.stack([spread, count / images.shape[1], float(points.VIVID) * uneven], 1)
    made = torch.cat([near, wide, told, shown], 1)
    return rearrange(made, "b c (q s) (y x) -> (b q) y x s c", q=q, y=size)


class Woven(NamedTuple):
    """What a weave makes of a query."""

    canvas: Float[Tensor, "n u h w"]
    """What it found out, for a painter."""
    base: Float[Tensor, "n 3 h w"]
    """The picture, blended from the context's colours."""
    draft: Float[Tensor, "n 3 y x"]
    """The coarser one that the first look made: where it looks is learned from what it shows."""


class Weave(nn.Module):
    """Picks, for every pixel of a query, from the colours of a sweep.

    Args:
        depths: Points along each ray at which the first look is taken.
        fine: Points of the second: most around the depth that the first found likeliest, two around the next.
        coarse: Pixels along the edge of one of the first look; a power of two.
        patch: Pixels along the edge of one of the condition; a power of two and at least `coarse`.
        condition: Channels of what else is known, patch by patch.
        canvas: Channels for the painter.
        width: Channels within.
    """

    def __init__(self, depths: int, fine: int, coarse: int, patch: int, condition: int, canvas: int, width: int):
        super().__init__()
        self.coarse = coarse
        self.register_buffer("shares", torch.linspace(1.0, NEAREST, depths), persistent=False)
        # A U-net (Ronneberger et al. 2015, arXiv:1505.04597) from the first look's pixels down to patches and back.
        levels = (patch // coarse).bit_length() - 1
        widths = [width, *[2 * width] * levels]
        self.enter = nn.Conv2d(depths * N_CHANNELS, width, 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1) for a, b in itertools.pairwise(widths))
        self.tell = nn.Conv2d(condition, widths[-1], 1)
        self.middle = nn.Conv2d(widths[-1], widths[-1], 3, padding=1)
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 4, 2, 1) for a, b in reversed([*itertools.pairwise(widths)]))
        self.think = nn.ModuleList(nn.Conv2d(a, a, 3, padding=1) for a in reversed(widths[:-1]))
        self.pick = nn.Conv2d(width, 2 * depths + 1, 1)
        self.far = nn.Parameter(torch.tensor([FAR, FAR / 2]))
        step = (1.0 - NEAREST) / max(depths - 1, 1)
        self.register_buffer("around", 0.75 * step * torch.linspace(-1, 1, fine - 2), persistent=False)
        self.register_buffer("besides", 0.3 * step * torch.tensor([-1.0, 1.0]), persistent=False)
        # The second look.
        self.pass_on = nn.Conv2d(width, canvas, 1)
        self.enter_close = nn.Conv2d(fine * N_CHANNELS + canvas + 4, width, 3, padding=1)
        self.think_close = nn.Conv2d(width, width, 3, padding=1)
        self.pick_close = nn.Conv2d(width, 2 * fine + 2, 1)
        self.leave = nn.Conv2d(width, canvas, 1)
        for picks in (self.pick, self.pick_close):
            nn.init.zeros_(picks.weight)
            nn.init.zeros_(picks.bias)

    def forward(self, condition: Float[Tensor, "n d gy gx"], look: Callable[[Tensor, int], Tensor], size: int) -> Woven:
        """Both looks.

        Args:
            condition: What else is known of the query's patches.
            look: Gives a `sweep` for shares and a size.
            size: Of the picture.
        """
        grow = lambda x: F.interpolate(x, scale_factor=self.coarse, mode="bilinear") if self.coarse > 1 else x
        swept = look(self.shares, size // self.coarse)
        x = self.consider(as_maps(swept).to(condition.dtype), condition)
        scores = self.pick(x).float().permute(0, 2, 3, 1)
        bias = F.pad(self.far, (0, 2 * len(self.shares) - 2))
        weights = (SHARP * scores[..., 1:] + bias + unseen(swept)).softmax(-1)
        gate = (scores[..., :1] + 2).sigmoid()
        drawn = as_maps(torch.cat([gate * (weights[..., None, :] @ colours(swept))[..., 0, :], gate], -1))
        close = look(self.likely(weights), size)
        guess = grow(drawn)
        y = torch.cat([as_maps(close).to(x.dtype), grow(self.pass_on(x)), guess.to(x.dtype)], 1)
        y = F.silu(self.enter_close(y))
        y = F.silu(y + self.think_close(y))
        scores = self.pick_close(y).float().permute(0, 2, 3, 1)
        # The first look's colour is one more to choose from.
        weights = torch.cat([SHARP * scores[..., 2:] + unseen(close), SHARP * scores[..., 1:2] + 1], -1).softmax(-1)
        shown = torch.cat([colours(close), guess[:, :3].permute(0, 2, 3, 1)[..., None, :]], -2)
        base = (scores[..., :1] + 2).sigmoid() * (weights[..., None, :] @ shown)[..., 0, :]
        return Woven(self.leave(y), as_maps(base) + 0.5, drawn[:, :3] + 0.5)

    def consider(self, x: Float[Tensor, "n c y x"], condition: Float[Tensor, "n d gy gx"]) -> Float[Tensor, "n w y x"]:
        """What the first look and its neighbourhood amount to, pixel by pixel."""
        x, before = F.silu(self.enter(x)), []
        for down in self.down:
            before.append(x)
            x = F.silu(down(x))
        x = F.silu(x + self.tell(condition))
        x = x + F.silu(self.middle(x))
        for up, think in zip(self.up, self.think, strict=True):
            x = F.silu(up(x) + before.pop())
            x = x + F.silu(think(x))
        return x

    @torch.no_grad()
    def likely(self, weights: Float[Tensor, "n y x two_s"]) -> Float[Tensor, "n h w f"]:
        """Shares at which each pixel of the whole picture deserves a closer look."""
        n = len(self.shares)
        weights = weights.unflatten(-1, (n, 2)).sum(-1)
        first = weights.argmax(-1, keepdim=True)
        away = (torch.arange(n, device=weights.device) - first).abs() > 1
        second = (weights * away).argmax(-1, keepdim=True)
        found = [
            self.middle_of(weights, peak) + around for peak, around in ((first, self.around), (second, self.besides))
        ]
        made = torch.cat(found, -1).clamp(NEAREST / 2, 1.0)
        return made.repeat_interleave(self.coarse, 1).repeat_interleave(self.coarse, 2)

    def middle_of(self, weights: Float[Tensor, "n y x s"], peak: Tensor) -> Float[Tensor, "n y x 1"]:
        """The mean share of a peak and its neighbours, as they are weighted."""
        near = (peak + torch.arange(-1, 2, device=peak.device)).clamp(0, len(self.shares) - 1)
        weights = weights.gather(-1, near) + 1e-6
        return (self.shares[near] * weights).sum(-1, keepdim=True) / weights.sum(-1, keepdim=True)


def as_maps(x: Float[Tensor, "n y x *c"]) -> Float[Tensor, "n d y x"]:
    """All that is known of a pixel as channels, for convolutions."""
    return x.flatten(3).permute(0, 3, 1, 2)


def colours(swept: Float[Tensor, "n y x s c"]) -> Float[Tensor, "n y x two_s 3"]:
    """Both colours of every point, side by side."""
    return swept[..., :6].unflatten(-1, (2, 3)).flatten(3, 4)


def unseen(swept: Float[Tensor, "n y x s c"]) -> Float[Tensor, "n y x two_s"]:
    """What the scores of a point's two colours lose if no view sees it."""
    return UNSEEN * (swept[..., 7] <= 0).float().repeat_interleave(2, -1)
