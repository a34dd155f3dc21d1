"""Generative Query Network: look at a scene from a few places, imagine it from another.

Eslami et al. 2018, Neural scene representation and rendering, Science 360(6394), doi:10.1126/science.aar6170.

A network sees a few views of a room, each with its camera's pose, and adds up what it makes of them. A second network is
told another pose and paints what would be seen from there. It can only do so if the sum holds the room. What could not be
seen from the context is drawn from learned latent variables, so two samples of the same query may differ where the context
says nothing. (At the paper's last pixel deviation and few steps they hardly do; `kl_nats` says how much is drawn.)

Differs from the paper: lengths in a viewpoint are in units of the room; a viewpoint, and a representation of 1 by 1, is
repeated over the core's maps, not brought there by a learned layer; the core sees an image through as many channels as its
state has, its deviations are bounded, the layers that make prior and posterior are shared by its steps, its memory starts
open and its prior and posterior as unit Gaussians. Five context views are the paper's for rooms; it took up to 7 of the arm,
15 of Shepard-Metzler objects and 20 of mazes (`max_context`). Agents are not given the representation as it is but a code
(`Encoder`): features of the newest view on their principal components, and the representations' sum, pooled.
With `read="attention"` (ours, not the paper's) the query does not read the sum: patches of the query's
image, each knowing its ray, attend to patches of the context's images, each knowing its own; with `depths`, every pixel
besides looks up the context's colours at points along its ray (`nets.sweep`), the last of them where an empty room would
be seen, looks again around the likeliest, and may show a blend of them: so much geometry is given, and `baseline/sweep`
says what it is worth unlearned. A narrow summary of a few slots per view, again summed over views, is trained beside as the
code for agents. Several queries of a scene share one reading of its context.

    python -m learners.train gqn --env rooms

Numbers to expect, with the commands that print them, are in the README.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from einops import rearrange, reduce, repeat
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

import learners
from learners.nets import attention, codes, draw, images, rays, sheets, sweep, towers
from scenes.kit import errors


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and schedules; the defaults are the paper's (supplementary table S2 and section S3)."""

    read: Literal["sum", "attention"] = "sum"
    """How a query reads the context: the paper's sum of representations, or our attention over patches."""
    image_size: int = 64
    """Height and width of the images, pixels."""
    representation: Literal["tower", "pyramid", "pool"] = "tower"
    """Network that represents one view (read by sum)."""
    representation_dim: int = 256
    """Channels of a view's representation, or width of its tokens (read by attention)."""
    max_context: int = 5
    """Largest number of context views; each step draws a number from 1 to this."""
    n_queries: int = 1
    """Queries per scene and step, all of views outside the context."""
    n_layers: int = 12
    """Steps of the generative core."""
    shared_core: bool = False
    """Whether all steps share their weights."""
    hidden: int = 128
    """Channels of the core's LSTMs."""
    kernel: int = 5
    """Kernel of the core's convolutions, pixels."""
    z_channels: int = 3
    """Latent channels per step."""
    canvas: int = 128
    """Channels of the canvas."""
    refine: int = 0
    """Layers of 3 by 3 convolution between canvas and image; the paper has none."""
    patch: int = 4
    """Edge of a patch, pixels: the core's maps are this much smaller than the image."""
    n_encoder_blocks: int = 2
    """Attention blocks within a view (read by attention)."""
    n_read_blocks: int = 4
    """Blocks in which the query reads the context (read by attention)."""
    heads: int = 8
    """Attention heads of the reading; each but the last is inclined to look at another depth."""
    encoder_heads: int = 4
    """Attention heads within a view, and of each slot."""
    depths: int = 0
    """Points along each pixel's ray at which the context's colours are looked up (read by attention); 0: none."""
    coarse: int = 2
    """Pixels of the image along the edge of one at which they are looked up first."""
    fine: int = 6
    """Points of a closer look at every pixel, around the depths that the first found likely."""
    emphasis: float = 0.0
    """How much more a pixel counts, at most, that the unlearned sweep gets wrong: there things stand, or hide others (read
    by attention, with depths)."""
    n_slots: int = 16
    """Slots of the code for agents (read by attention)."""
    slot_dim: int = 32
    """Numbers in a slot."""
    n_components: int = 8
    """Numbers by which an agent's code tells each patch of the newest view."""
    sigma_start: float = 2.0
    """Standard deviation of a pixel, in units of the full range, at the first step."""
    sigma_end: float = 0.7
    """The same, once annealed."""
    sigma_anneal: float = 0.1
    """Share of the steps over which it is annealed, linearly."""
    batch_size: int = 36
    """Scenes per step."""
    steps: int = 2_000_000
    """Steps of a full training."""
    learning_rate: float = 5e-4
    """Of Adam, at first."""
    learning_rate_end: float = 5e-5
    """Of Adam, in the end."""
    warmup: float = 0.0
    """Share of the steps over which the learning rate rises from zero."""
    decay: Literal["linear", "cosine"] = "linear"
    """How the learning rate falls."""
    decay_until: float = 0.8
    """Share of the steps after which it has fallen."""
    weight_decay: float = 0.0
    """Decoupled weight decay."""
    clip: float = 0.0
    """Largest norm of the gradient; 0 leaves it alone."""

    def __post_init__(self):
        many = (1, 10**4)
        limits = {
            "image_size": (8, 1024),
            "representation_dim": (8, 10**4),
            "max_context": (1, 100),
            "n_queries": (1, 100),
        }
        limits |= dict.fromkeys(("n_layers", "hidden", "z_channels", "canvas", "heads", "encoder_heads"), many)
        limits |= dict.fromkeys(("n_slots", "slot_dim", "n_components"), many)
        limits |= dict.fromkeys(("refine", "n_encoder_blocks", "n_read_blocks"), (0, 100))
        limits |= {"kernel": (1, 99), "patch": (1, 64), "depths": (0, 256), "coarse": (1, 64), "fine": (3, 64)}
        limits |= {
            "emphasis": (0.0, 1e3),
            "sigma_start": (1e-3, 10.0),
            "sigma_end": (1e-3, 10.0),
            "sigma_anneal": (1e-9, 1.0),
        }
        errors.within("gqn", self, {**limits, **learners.SCHEDULE})
        parts = [("patch", "image_size"), ("heads", "representation_dim"), *[("coarse", "patch")] * bool(self.depths)]
        for name, whole in parts:
            part, size = getattr(self, name), getattr(self, whole)
            if size % part:
                raise errors.CaveError(f"gqn: {name} is {part}, wanted a divisor of {whole}, {size}", errors.USAGE)
        if self.patch & (self.patch - 1) or self.kernel % 2 == 0:
            given = f"patch is {self.patch} and kernel {self.kernel}"
            raise errors.CaveError(f"gqn: {given}, wanted a power of two and an odd number", errors.USAGE)
        if self.read == "attention" and self.representation_dim % (2 * self.encoder_heads):
            given = f"encoder_heads is {self.encoder_heads}, wanted a divisor of half of representation_dim"
            raise errors.CaveError(f"gqn: {given}, {self.representation_dim}", errors.USAGE)

    @classmethod
    def small(cls) -> "Config":
        """Learns in minutes on two cores; read by attention."""
        return cls(
            read="attention", image_size=32, representation_dim=128, n_queries=2, n_layers=2, shared_core=True, hidden=48,
            kernel=3, z_channels=4, canvas=32, refine=1, n_encoder_blocks=0, n_read_blocks=2, depths=16,
            batch_size=8, steps=1200,
            sigma_anneal=0.5, learning_rate=1e-3, learning_rate_end=1e-5, warmup=0.02, decay="cosine", decay_until=1.0,
            weight_decay=0.01, clip=1.0,
        )  # fmt: skip

    @classmethod
    def tiny(cls) -> "Config":
        """Trains in seconds, for tests."""
        return cls(
            read="attention", image_size=16, representation_dim=32, n_queries=2, max_context=3, n_layers=2,
            shared_core=True, hidden=16, kernel=3, z_channels=2, canvas=16, refine=1, n_encoder_blocks=1, n_read_blocks=2,
            heads=2, encoder_heads=2, depths=3, n_slots=4, slot_dim=8, batch_size=8, steps=20, sigma_start=1.0, sigma_anneal=0.5,
            learning_rate=2e-3, learning_rate_end=2e-4, warmup=0.1, decay="cosine", decay_until=1.0, clip=1.0,
        )  # fmt: skip


class Reading(NamedTuple):
    """What a reader makes of a context for each of its queries."""

    condition: Float[Tensor, "n d gy gx"]
    """What the core is told at every step."""
    canvas: Float[Tensor, "n u h w"] | None = None
    """Where it begins to paint; None: nowhere."""
    base: Float[Tensor, "n 3 h w"] | float = 0.0
    """What is added to what it paints."""
    draft: Float[Tensor, "n 3 y x"] | None = None
    """A smaller picture that should be right, too."""


class SumReader(nn.Module):
    """The paper's reading: the representations of the views are added, the query's viewpoint is laid beside the sum."""

    def __init__(self, config: Config, spec: Any):
        super().__init__()
        self.represent = towers.REPRESENTATIONS[config.representation](config.representation_dim, config.image_size)
        towers.keep_scale(self.represent, 2**0.5)
        self.grid = config.image_size // config.patch
        self.extent = spec.extent
        self.condition = config.representation_dim + 7
        # An agent's code keeps where in the image a feature was, coarsely, if the representation does.
        self.code_grid = 2 if config.representation == "tower" else 1
        self.code_shape = (self.code_grid**2, config.representation_dim)
        places = (config.image_size // 4) ** 2 if config.representation == "tower" else 1
        self.sight_shape = (places, config.representation_dim)

    def viewpoint(self, poses: Float[Tensor, "*b 5"]) -> Float[Tensor, "*b 7"]:
        """The paper's seven numbers, lengths in units of the room."""
        # Lengths in units of the room keep all seven numbers of one order.
        return rays.viewpoint(poses) / poses.new_tensor([self.extent] * 3 + [1.0] * 4)

    def sight(self, image: Float[Tensor, "n 3 h w"], poses: Float[Tensor, "n 5"]) -> Float[Tensor, "n p d"]:
        """Representation of single views, place by place."""
        return rearrange(self.represent(image, self.viewpoint(poses)), "n d y x -> n (y x) d")

    def views(self, sight: Float[Tensor, "b_v p d"], poses: Float[Tensor, "b v 5"]) -> Float[Tensor, "b v d y x"]:
        """Representation of each view as a map."""
        return rearrange(sight, "(b v) (y x) d -> b v d y x", b=len(poses), y=math.isqrt(sight.shape[1]))

    def read(
        self,
        views: Float[Tensor, "b v d y x"],
        image: Float[Tensor, "b v 3 h w"],
        poses: Float[Tensor, "b v 5"],
        queries: Float[Tensor, "b q 5"],
    ) -> "Reading":
        """For each query the sum over views, and the query's viewpoint, at every place."""
        r = views.float().sum(1)
        if r.shape[-1] != self.grid:
            r = F.interpolate(r, (self.grid, self.grid)) if r.shape[-1] > 1 else r.expand(-1, -1, self.grid, self.grid)
        r = repeat(r, "b d y x -> (b q) d y x", q=queries.shape[1])
        v = towers.broadcast(self.viewpoint(queries).flatten(0, 1), self.grid, self.grid)
        return Reading(torch.cat([r, v], 1))

    def code(self, views: Float[Tensor, "b v d y x"]) -> Float[Tensor, "b v k d"]:
        """What each view adds to an agent's code."""
        pooled = F.adaptive_avg_pool2d(views.flatten(0, 1), self.code_grid)
        return rearrange(pooled, "(b v) d y x -> b v (y x) d", b=len(views))


class AttentionReader(nn.Module):
    """Our reading: the query's patches attend to the context's, every patch knowing its ray."""

    def __init__(self, config: Config, spec: Any):
        super().__init__()
        dim, heads = config.representation_dim, config.heads
        self.grid, self.fov, self.extent = config.image_size // config.patch, spec.fov, spec.extent
        self.heads = heads
        halvings = config.patch.bit_length() - 1
        widths = [3] + [max(dim >> 2 * (halvings - 1 - i), 16) for i in range(halvings)]
        self.look = nn.Sequential()
        for n_in, n_out in itertools.pairwise(widths):
            self.look.extend([nn.Conv2d(n_in, n_out, 4, 2, 1), nn.ReLU()])
        self.look.append(nn.Conv2d(widths[-1], dim, 1))
        self.place_view = nn.Linear(rays.N_RAY_FEATURES, dim)
        self.place_query = nn.Linear(rays.N_RAY_FEATURES, dim)
        self.encode = nn.ModuleList(attention.Block(dim, config.encoder_heads) for _ in range(config.n_encoder_blocks))
        self.token_norm = nn.LayerNorm(dim)
        self.blocks = nn.ModuleList(attention.Block(dim, heads, dim) for _ in range(config.n_read_blocks))
        self.leave = nn.LayerNorm(dim)
        self.condition = dim
        self.image_size, self.depths = config.image_size, config.depths
        sizes = config.depths, config.fine, config.coarse, config.patch, dim, config.canvas, 2 * config.canvas
        if config.depths:
            self.weave = sweep.Weave(*sizes)
        else:
            self.start = nn.ConvTranspose2d(dim, config.canvas, config.patch, config.patch)
        # The agents' code: slots read each view alone and are summed, so that a new view is one more term.
        self.n_slots, pooled = config.n_slots, config.encoder_heads * dim
        self.attend = nn.Linear(dim, config.n_slots * config.encoder_heads, bias=False)
        self.fill = nn.Sequential(
            nn.LayerNorm(pooled), nn.Linear(pooled, 2 * dim), nn.GELU(), nn.Linear(2 * dim, config.slot_dim)
        )
        self.narrow_place = nn.Linear(rays.N_RAY_FEATURES, dim // 2)
        self.narrow = attention.Block(dim // 2, config.encoder_heads, config.slot_dim, own=False, widen=2)
        self.narrow_colour = nn.Linear(dim // 2, 3)
        self.code_shape = (config.n_slots, config.slot_dim)
        self.sight_shape = (self.grid**2, dim)

    def sightings(
        self, poses: Float[Tensor, "b v 5"], queries: Float[Tensor, "b q 5"]
    ) -> Float[Tensor, "b heads q_p v_p"]:
        """Where each head is inclined to look: each takes one share of the way along the query's ray, to where it leaves
        the world, and favours the patches in which a thing standing there would appear; the last head has no inclination.
        """
        with torch.autocast(poses.device.type, enabled=False):
            origins, directions = rays.ray_grid(queries.float(), self.fov, self.grid, self.grid)
            reach = rays.leaving(origins, directions, self.extent)[..., None] * directions
            o, d = rays.ray_grid(poses.float(), self.fov, self.grid, self.grid)
            o = o[:, :, None, None].expand_as(d).flatten(1, 3)
            spacing = 2 * math.tan(self.fov / 2) / self.grid
            shares = torch.linspace(1.0, 0.25, self.heads - 1).tolist()
            made = [
                rays.sightings((origins[..., None, None, :] + s * reach).flatten(1, 3), o, d.flatten(1, 3), spacing)
                for s in shares
            ]
            free = torch.zeros(len(o), origins.shape[1] * self.grid**2, o.shape[1], device=poses.device)
            return torch.stack([*made, free], 1)

    def features(self, poses: Float[Tensor, "n 5"]) -> Float[Tensor, "n p f"]:
        """Ray features of the patches of each view."""
        with torch.autocast(poses.device.type, enabled=False):  # low precision would blur the high octaves
            origins, directions = rays.ray_grid(poses.float(), self.fov, self.grid, self.grid)
            return rays.ray_features(origins, directions, self.extent).flatten(1, 2)

    def sight(self, image: Float[Tensor, "n 3 h w"], poses: Float[Tensor, "n 5"]) -> Float[Tensor, "n p d"]:
        """Features of the patches of single views, which do not know where they are: the poses are not used."""
        return rearrange(self.look(image), "n d y x -> n (y x) d")

    def views(self, sight: Float[Tensor, "b_v p d"], poses: Float[Tensor, "b v 5"]) -> Float[Tensor, "b v p d"]:
        """Tokens of each view, which know their rays and nothing of the other views."""
        b, x = len(poses), sight
        x = x + self.place_view(self.features(poses.flatten(0, 1)))
        for block in self.encode:
            x = block(x)
        return rearrange(self.token_norm(x), "(b v) p d -> b v p d", b=b)

    def read(
        self,
        views: Float[Tensor, "b v p d"],
        image: Float[Tensor, "b v 3 h w"],
        poses: Float[Tensor, "b v 5"],
        queries: Float[Tensor, "b q 5"],
    ) -> "Reading":
        """What each patch of each query gathered, and each of its pixels."""
        b, q = queries.shape[:2]
        tokens = rearrange(views, "b v p d -> b (v p) d")
        bias = self.sightings(poses, queries).to(views.dtype)
        x = self.place_query(self.features(queries.flatten(0, 1)))
        for block in self.blocks:
            # A query reads the context beside its fellows but thinks alone: the fold keeps their patches apart.
            x = x + rearrange(
                block.cross(rearrange(block.norm_cross(x), "(b q) p d -> b (q p) d", b=b), tokens, bias),
                "b (q p) d -> (b q) p d", q=q,
            )  # fmt: skip
            normed = block.norm_own(x)
            x = x + block.own(normed, normed)
            x = x + block.think(x)
        condition = rearrange(self.leave(x), "n (y x) d -> n d y x", y=self.grid)
        if not self.depths:
            return Reading(condition, self.start(condition))
        look = lambda shares, size: sweep.sweep(image, poses, queries, shares, size, self.fov, self.extent)
        woven = self.weave(condition, look, self.image_size)
        return Reading(condition, *woven)

    def code(self, views: Float[Tensor, "b v p d"]) -> Float[Tensor, "b v k s"]:
        """What each view adds to the slots."""
        # Attention whose queries are fixed: one product gives all scores, and what is pooled are the tokens themselves.
        tokens = views.flatten(0, 1)
        pooled = self.attend(tokens).mT.softmax(-1) @ tokens
        slots = self.fill(rearrange(pooled, "n (k h) d -> n k (h d)", k=self.n_slots))
        return rearrange(slots, "(b v) k s -> b v k s", b=len(views))

    def sketch(self, code: Float[Tensor, "b k s"], queries: Float[Tensor, "b q 5"]) -> Float[Tensor, "b_q 3 y x"]:
        """The query at one colour a patch, from the slots alone: what trains the slots."""
        b, q = queries.shape[:2]
        places = self.narrow_place(self.features(queries.flatten(0, 1)))
        x = self.narrow(rearrange(places, "(b q) p d -> b (q p) d", b=b), code)
        return rearrange(self.narrow_colour(x), "b (q y x) c -> (b q) c y x", q=q, y=self.grid)


READERS = {"sum": SumReader, "attention": AttentionReader}


class Learner(nn.Module):
    """The whole network: a reader of the context and a core that paints."""

    batch = "Views"

    def __init__(self, config: Config, spec: Any):
        super().__init__()
        self.config, self.spec = config, spec
        self.reader = READERS[config.read](config, spec)
        self.core = draw.Core(
            self.reader.condition, config.hidden, config.z_channels, config.canvas, config.n_layers, config.patch,
            config.shared_core, config.kernel,
        )  # fmt: skip
        if config.read == "sum":
            for part in (self.core.look, self.core.recall, self.core.infer, self.core.generate, self.core.paint):
                towers.keep_scale(part, 1.0)
        layers: list[nn.Module] = []
        for _ in range(config.refine):
            layers += [nn.Conv2d(config.canvas, config.canvas, 3, padding=1), nn.SiLU()]
        self.finish = nn.Sequential(*layers, nn.Conv2d(config.canvas, 3, 1))
        if config.read == "attention" and config.depths:
            # There is a picture already: painting begins as a faint change to it.
            self.finish[-1].weight.data.mul_(0.1)
            self.finish[-1].bias.data.zero_()

    @property
    def n_views(self) -> int:
        """Views that a training step wants of each scene."""
        return self.config.max_context + self.config.n_queries

    def sigma(self, step: int) -> float:
        """Standard deviation of a pixel at a step: annealed linearly (section S3)."""
        c = self.config
        return c.sigma_start + (c.sigma_end - c.sigma_start) * min(step / (c.sigma_anneal * c.steps), 1.0)

    def look(self, image: Float[Tensor, "b v 3 h w"], poses: Float[Tensor, "b v 5"]) -> Tensor:
        """What the reader makes of each view alone."""
        return self.reader.views(self.reader.sight(image.flatten(0, 1), poses.flatten(0, 1)), poses)

    def paint(
        self, reading: Reading, image: Tensor | None, generator: torch.Generator
    ) -> tuple[Float[Tensor, "n 3 h w"], Float[Tensor, " n"]]:
        """Mean image and KL; latents from the posterior if it is shown the image, from the prior if not."""
        u, kl = self.core(reading.condition, image, generator, reading.canvas)
        return self.finish(u) + reading.base, kl

    def loss(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator, group: str = ""
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The negative evidence lower bound in nats per image, less the likelihood's constant (section S1.4).

        Read by attention, also the negative log likelihood of the query at one colour a patch, painted from the slots, and
        with depths that of the first look's coarser picture; both are ours, and so is `emphasis`, which adds squared errors
        weighted by how far the unlearned sweep is off.
        """
        c = self.config
        image, poses = images.to_float(batch["images"]), batch["poses"]
        n_context = int(torch.randint(1, c.max_context + 1, (), generator=generator))
        truth = image[:, c.max_context : self.n_views].flatten(0, 1)
        queries = poses[:, c.max_context : self.n_views]
        views = self.look(image[:, :n_context], poses[:, :n_context])
        reading = self.reader.read(views, image[:, :n_context], poses[:, :n_context], queries)
        mean, kl = self.paint(reading, truth, generator)
        sigma = self.sigma(step)
        likelihood = draw.log_likelihood(truth, mean, sigma)
        loss = (kl - likelihood).mean()
        metrics = {
            "kl_nats": kl.mean(),
            "psnr_posterior": images.psnr(mean, truth).mean(),
            "sigma": torch.tensor(sigma),
        }
        if reading.draft is not None:
            shrunk = F.avg_pool2d(truth, c.coarse)
            loss = loss - c.coarse**2 / 2 * draw.log_likelihood(shrunk, reading.draft, sigma).mean()
            metrics["psnr_draft"] = images.psnr(reading.draft, shrunk).mean()
            if c.emphasis:
                walls = self.swept(image[:, :n_context], poses[:, :n_context], queries)[:, :3] + 0.5
                wrong = c.emphasis * (5 * (walls - truth).abs().amax(1, keepdim=True)).clamp(max=1.0)
                missed = reduce(wrong * (mean - truth).square(), "n c y x -> n", "sum")
                blurred = F.avg_pool2d(wrong, c.coarse) * (reading.draft - shrunk).square()
                missed = missed + c.coarse**2 / 2 * reduce(blurred, "n c y x -> n", "sum")
                loss = loss + missed.mean() / (2 * sigma**2)
        if c.read == "attention":
            sketch = self.reader.sketch(self.reader.code(views).sum(1), queries)
            small = reduce(truth, "n c (y p) (x r) -> n c y x", "mean", p=c.patch, r=c.patch)
            loss = loss - c.patch**2 * draw.log_likelihood(small, sketch, sigma).mean()
            metrics["psnr_sketch"] = images.psnr(sketch, small).mean()
        return loss, metrics

    @torch.no_grad()
    def imagine(
        self,
        image: UInt8[Tensor, "b v h w 3"],
        poses: Float[Tensor, "b v 5"],
        queries: Float[Tensor, "b q 5"],
        generator: torch.Generator,
        n_samples: int = 1,
    ) -> Float[Tensor, "n_samples b q 3 h w"]:
        """Samples, from the prior, of what the queries would see: predictions, in which the truth has no part."""
        image = images.to_float(image)
        reading = self.reader.read(self.look(image, poses), image, poses, queries)
        samples = [self.paint(reading, None, generator)[0].float().clamp(0, 1) for _ in range(n_samples)]
        return rearrange(torch.stack(samples), "s (b q) c h w -> s b q c h w", b=len(image))

    @torch.no_grad()
    def evaluate(
        self, batches: Iterator[dict[str, Tensor]], generator: torch.Generator, thorough: bool
    ) -> dict[str, float]:
        """PSNR of prior samples with 1 to `max_context` views on held-out scenes, beside four baselines.

        The query is the first view after the context. `mean_image` is the mean over all the views of the batch's other
        scenes; `nearest` the context view whose camera stands and looks nearest (see `nearest`); `context_mean` the mean of
        the context's images; `sweep` each pixel's colour where its ray leaves the room, from the views that see that place
        from the query's side, and that of `mean_image` where none does: what cameras and walls are worth without learning.
        """
        c = self.config
        rows: dict[str, list[Tensor]] = {}
        counts = range(1, c.max_context + 1) if thorough else (1, c.max_context)

        def note(name: str, value: Tensor) -> None:
            rows.setdefault(name, []).append(value.float().cpu())

        for batch in batches:
            image, poses = images.to_float(batch["images"]), batch["poses"]
            truth, query = image[:, c.max_context], poses[:, c.max_context : c.max_context + 1]
            total = image.sum((0, 1))
            others = (total - image.sum(1)) / (image.shape[1] * (len(image) - 1))
            note("baseline/mean_image", images.psnr(others, truth))
            for n in counts:
                context = image[:, :n]
                note(f"baseline/nearest/{n}", images.psnr(nearest(context, poses[:, :n], query[:, 0]), truth))
                note(f"baseline/context_mean/{n}", images.psnr(context.mean(1), truth))
                note(f"baseline/sweep/{n}", images.psnr(self.unlearned(context, poses[:, :n], query, others), truth))
                samples = self.imagine(batch["images"][:, :n], poses[:, :n], query, generator, 8 if thorough else 1)
                note(f"psnr/{n}", images.psnr(samples[0, :, 0], truth))
                if thorough:
                    note(f"psnr_mean_of_8/{n}", images.psnr(samples.mean(0)[:, 0], truth))
                views = self.look(context, poses[:, :n])
                reading = self.reader.read(views, context, poses[:, :n], query)
                posterior, kl = self.paint(reading, truth, generator)
                note(f"kl_nats/{n}", kl)
                note(f"psnr_posterior/{n}", images.psnr(posterior, truth))
        return {name: torch.cat(values).mean().item() for name, values in rows.items()}

    def unlearned(
        self,
        image: Float[Tensor, "b v 3 h w"],
        poses: Float[Tensor, "b v 5"],
        query: Float[Tensor, "b 1 5"],
        elsewhere: Float[Tensor, "b 3 h w"],
    ) -> Float[Tensor, "b 3 h w"]:
        """The query as cameras and walls alone tell it; `elsewhere` is what pixels show that no view sees."""
        swept = self.swept(image, poses, query)
        return torch.where(swept[:, 7:8] > 0, swept[:, :3] + 0.5, elsewhere)

    def swept(
        self, image: Float[Tensor, "b v 3 h w"], poses: Float[Tensor, "b v 5"], queries: Float[Tensor, "b q 5"]
    ) -> Float[Tensor, "b_q c h w"]:
        """What the context shows where each pixel's ray leaves the world; channels as in `nets.sweep.sweep`."""
        end = torch.ones(1, device=image.device)
        swept = sweep.sweep(image, poses, queries, end, image.shape[-1], self.spec.fov, self.spec.extent)[..., 0, :]
        return rearrange(swept, "n y x c -> n c y x")

    @torch.no_grad()
    def pictures(self, batch: dict[str, Tensor], generator: torch.Generator, last: bool) -> dict[str, np.ndarray]:
        """A sheet of context, samples, mean of eight and truth; at the end an orbit, imagined beside true."""
        c = self.config
        image, poses = batch["images"], batch["poses"]
        context, query = image[:, : c.max_context], poses[:, c.max_context : c.max_context + 1]
        samples = self.imagine(context, poses[:, : c.max_context], query, generator, 8)
        columns = {f"view {i + 1}": context[:, i] for i in range(c.max_context)}
        columns |= {f"sample {i + 1}": images.to_bytes(samples[i, :, 0]) for i in range(2)}
        columns |= {"mean of 8": images.to_bytes(samples.mean(0)[:, 0]), "truth": image[:, c.max_context]}
        made = {"predictions": sheets.table({name: value.cpu().numpy() for name, value in columns.items()})}
        if last and "film_poses" in batch:
            # One sample a frame would flicker where the context says nothing; the mean of eight shows what is believed.
            path = batch["film_poses"]
            seen, stood = context[: len(path)], poses[: len(path), : c.max_context]
            frames = [self.imagine(seen, stood, query, generator, 8).mean(0) for query in path.split(1, dim=1)]
            imagined = images.to_bytes(torch.cat(frames, 1)).cpu().numpy()
            made["orbit"] = sheets.film({"imagined": imagined, "true": batch["film_images"].cpu().numpy()})
        return made

    def encoder(self) -> "Encoder":
        """The reader, for agents."""
        return Encoder(self)


def nearest(
    context: Float[Tensor, "b v c h w"], poses: Float[Tensor, "b v 5"], query: Float[Tensor, "b 5"]
) -> Float[Tensor, "b c h w"]:
    """The context image whose camera is nearest the query's: metres between them, and the chord between their gazes."""
    gaze = lambda p: rays.viewpoint(p)[..., 3:]
    apart = (poses[..., :3] - query[:, None, :3]).square().sum(-1) + (gaze(poses) - gaze(query)[:, None]).square().sum(
        -1
    )
    return context[torch.arange(len(context)), apart.argmin(1)]


class Encoder(nn.Module):
    """Views to a code of fixed size: the newest view as it lies in the image, and the sum over the last `max_context`.

    The first part are the features of the newest view's patches, in place, on their principal components: where things are
    for the one who looks. The second is the sum of every remembered view's term: what the scene holds. Each view's term is
    kept, so a new frame costs one view; the images are kept too, for `imagine`.
    """

    sensors = ("image", "pose")

    def __init__(self, learner: Learner):
        super().__init__()
        config = learner.config
        self.learner = learner
        self.frames = config.max_context
        self.image_size = (config.image_size, config.image_size)
        reader = learner.reader
        self.n_places, width = reader.sight_shape
        self.register_buffer("components", torch.eye(width, min(config.n_components, width)))
        self.shape = (self.n_places * self.components.shape[1] + math.prod(reader.code_shape),)
        self.standardise = codes.Standardise(self.shape)

    def initial(self, b: int) -> dict[str, Tensor]:
        """Nothing seen yet."""
        device = self.standardise.mean.device
        return {
            "terms": torch.zeros(b, self.frames, *self.learner.reader.code_shape, device=device),
            "images": torch.zeros(b, self.frames, *self.image_size, 3, dtype=torch.uint8, device=device),
            "poses": torch.zeros(b, self.frames, 5, device=device),
            "seen": torch.zeros(b, dtype=torch.int64, device=device),
        }

    def prepare(self, image: UInt8[Tensor, "b h w 3"], pose: Float[Tensor, "b 5"]) -> None:
        """Fix the components: the first principal ones of the patches' features in training images."""
        n, total, squares = 0, 0.0, 0.0
        for some, stood in zip(image.split(256), pose.split(256), strict=True):  # all at once would not fit a small GPU
            sights = self.learner.reader.sight(images.to_float(some), stood).flatten(0, 1).double()
            n, total, squares = n + len(sights), total + sights.sum(0), squares + sights.T @ sights
        _, vectors = torch.linalg.eigh(squares / n - torch.outer(total, total) / n**2)
        self.components.copy_(vectors.flip(1)[:, : self.components.shape[1]])

    def forward(self, obs: dict[str, Tensor], state: dict) -> tuple[Float[Tensor, "b d"], dict]:
        """Codes after one more view."""
        reader, image = self.learner.reader, images.to_float(obs["image"])
        pose = obs["pose"].float()
        sight = reader.sight(image, pose)
        term = reader.code(reader.views(sight, pose[:, None])).float()
        row, place = torch.arange(len(term), device=term.device), state["seen"] % self.frames
        new = {name: state[name].clone() for name in ("terms", "images", "poses")}
        new["terms"][row, place] = term[:, 0]
        new["images"][row, place] = obs["image"]
        new["poses"][row, place] = pose
        new["seen"] = state["seen"] + 1
        with torch.autocast(sight.device.type, enabled=False):  # which would round the product again
            mine = sight.float() @ self.components
        return self.standardise(torch.cat([mine.flatten(1), new["terms"].sum(1).flatten(1)], 1)), new

    def reset(self, state: dict, mask: Tensor) -> dict:
        """The worlds of the mask forget everything."""
        keep = ~mask
        return {n: value * keep.view(-1, *[1] * (value.ndim - 1)).to(value.dtype) for n, value in state.items()}

    @torch.no_grad()
    def imagine(self, state: dict, query: Float[Tensor, "b 5"], generator: torch.Generator) -> UInt8[Tensor, "b h w 3"]:
        """One prior sample of what each world would look like from a pose, from the views remembered."""
        b = len(query)
        made = torch.zeros(b, *self.image_size, 3, dtype=torch.uint8, device=query.device)
        counts = state["seen"].clamp(max=self.frames)
        for n in counts.unique().tolist():  # at most `frames` different counts
            rows = (counts == n).nonzero()[:, 0]
            if n:
                args = state["images"][rows, :n], state["poses"][rows, :n], query[rows, None]
                made[rows] = images.to_bytes(self.learner.imagine(*args, generator)[0, :, 0])
        return made
