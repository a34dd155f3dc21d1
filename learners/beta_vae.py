"""beta-VAE: a few independent numbers for each image.

Higgins et al. 2017, beta-VAE: Learning basic visual concepts with a constrained variational framework, ICLR;
the network and schedule are those of Locatello et al. 2019 (arXiv:1811.12359, appendix tables 1 and 2).

An image is squeezed through a handful of Gaussian numbers, and drawn again from them. A weight beta above one on the
divergence from independent unit Gaussians presses each number to earn its keep, and often to mean one thing.

Differs from the paper, at the default size: pixels enter less a half, log variances are bounded, weights begin as torch begins
them (the study's own code, disentanglement_lib, has kernels of 2 by 2 in its third and fourth convolutions, where its table
and this have 4 by 4). `small` sees 32 by 32 images and keeps 32 latents at beta 1, since an
agent has more use for a code that says where things are than for one that is tidy.

    python -m learners.train beta_vae --env rooms
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

import learners
from learners.nets import codes, draw, images, sheets
from scenes.kit import errors


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and schedule; the defaults are those of the 2019 study."""

    image_size: int = 64
    """Height and width of the images, pixels; a multiple of 16."""
    n_latents: int = 10
    """Numbers in a code."""
    beta: float = 4.0
    """Weight of the divergence, for a likelihood summed over the pixels."""
    likelihood: Literal["bernoulli", "gaussian"] = "bernoulli"
    """Of a pixel. Bernoulli is the study's; on colours it is a score and not a density."""
    sigma: float = 0.1
    """Deviation of a pixel under the Gaussian likelihood."""
    width: int = 32
    """Channels of the first two convolutions; the others have twice as many."""
    batch_size: int = 64
    """Images per step."""
    steps: int = 300_000
    """Steps of a full training."""
    learning_rate: float = 1e-4
    """Of Adam."""
    learning_rate_end: float = 1e-4
    """Of Adam, in the end."""
    warmup: float = 0.0
    """Share of the steps over which the learning rate rises from zero."""
    decay: Literal["linear", "cosine"] = "linear"
    """How the learning rate falls."""
    decay_until: float = 1.0
    """Share of the steps after which it has fallen."""
    weight_decay: float = 0.0
    """Decoupled weight decay."""
    clip: float = 0.0
    """Largest norm of the gradient; 0 leaves it alone."""

    def __post_init__(self):
        limits = {"image_size": (16, 1024), "n_latents": (1, 10**4), "width": (1, 10**4), "beta": (0.0, 1e6)}
        errors.within("beta_vae", self, {**limits, "sigma": (1e-3, 10.0), **learners.SCHEDULE})
        if self.image_size % 16:
            raise errors.CaveError(f"beta_vae: image_size is {self.image_size}, wanted a multiple of 16", errors.USAGE)

    @classmethod
    def small(cls) -> "Config":
        """Learns in minutes on two cores."""
        return cls(
            image_size=32, n_latents=32, beta=1.0, likelihood="gaussian", batch_size=128, steps=4000, learning_rate=1e-3,
            learning_rate_end=1e-5, decay="cosine", clip=100.0,
        )  # fmt: skip

    @classmethod
    def tiny(cls) -> "Config":
        """Trains in seconds, for tests."""
        return cls(
            image_size=16, n_latents=6, beta=1.0, likelihood="gaussian", width=8, batch_size=32, steps=30,
            learning_rate=2e-3, learning_rate_end=1e-3,
        )  # fmt: skip


class Learner(nn.Module):
    """Convolutional encoder and decoder with a diagonal Gaussian between them."""

    batch = "Images"
    n_views = 1

    def __init__(self, config: Config, spec: Any):
        super().__init__()
        self.config, self.spec = config, spec
        w, corner = config.width, config.image_size // 16
        self.down = nn.Sequential(
            nn.Conv2d(3, w, 4, 2, 1), nn.ReLU(),
            nn.Conv2d(w, w, 4, 2, 1), nn.ReLU(),
            nn.Conv2d(w, 2 * w, 4, 2, 1), nn.ReLU(),
            nn.Conv2d(2 * w, 2 * w, 4, 2, 1), nn.ReLU(),
            nn.Flatten(), nn.Linear(2 * w * corner**2, 256), nn.ReLU(),
            nn.Linear(256, 2 * config.n_latents),
        )  # fmt: skip
        self.up = nn.Sequential(
            nn.Linear(config.n_latents, 256), nn.ReLU(),
            nn.Linear(256, 2 * w * corner**2), nn.ReLU(), nn.Unflatten(1, (2 * w, corner, corner)),
            nn.ConvTranspose2d(2 * w, 2 * w, 4, 2, 1), nn.ReLU(),
            nn.ConvTranspose2d(2 * w, w, 4, 2, 1), nn.ReLU(),
            nn.ConvTranspose2d(w, w, 4, 2, 1), nn.ReLU(),
            nn.ConvTranspose2d(w, 3, 4, 2, 1),
        )  # fmt: skip

    def encode(self, image: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b d"]]:
        """Mean and log variance of the code."""
        mean, log_variance = self.down(image - 0.5).float().chunk(2, 1)
        return mean, log_variance.clamp(-12, 8)

    def decode(self, z: Float[Tensor, "b d"]) -> Float[Tensor, "b 3 h w"]:
        """The mean image of a code, in [0, 1] (Bernoulli) or about it (Gaussian)."""
        drawn = self.up(z)
        return torch.sigmoid(drawn) if self.config.likelihood == "bernoulli" else drawn + 0.5

    def loss(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator, group: str = ""
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Reconstruction and beta times the divergence, nats per image (Higgins et al., equation 4)."""
        c = self.config
        truth = images.to_float(batch["images"])
        mean, log_variance = self.encode(truth)
        noise = torch.empty(mean.shape, device=generator.device).normal_(generator=generator).to(mean.device)
        drawn = self.up(mean + (0.5 * log_variance).exp() * noise).float()
        if c.likelihood == "bernoulli":
            error = F.binary_cross_entropy_with_logits(drawn, truth, reduction="none").flatten(1).sum(1)
            shown = torch.sigmoid(drawn)
        else:
            error, shown = -draw.log_likelihood(truth, drawn + 0.5, c.sigma), drawn + 0.5
        kl = draw.unit_gaussian_kl(mean, log_variance).sum(1)
        metrics = {"kl_nats": kl.mean(), "psnr_reconstruction": images.psnr(shown, truth).mean()}
        return (error + c.beta * kl).mean(), metrics

    @torch.no_grad()
    def evaluate(
        self, batches: Iterator[dict[str, Tensor]], generator: torch.Generator, thorough: bool
    ) -> dict[str, float]:
        """On held-out images: PSNR of reconstructions from the mean code beside the mean image, and active latents."""
        reconstruction, blank, kl = [], [], []
        for batch in batches:
            truth = images.to_float(batch["images"])
            mean, log_variance = self.encode(truth)
            reconstruction.append(images.psnr(self.decode(mean), truth))
            blank.append(images.psnr(truth.mean(0, keepdim=True).expand_as(truth), truth))
            kl.append(draw.unit_gaussian_kl(mean, log_variance))
        per_latent = torch.cat(kl).mean(0)
        return {
            "psnr_reconstruction": torch.cat(reconstruction).mean().item(),
            "baseline/mean_image": torch.cat(blank).mean().item(),
            "kl_nats": per_latent.sum().item(),
            "active_latents": float((per_latent > 0.05).sum()),
        }

    @torch.no_grad()
    def pictures(self, batch: dict[str, Tensor], generator: torch.Generator, last: bool) -> dict[str, np.ndarray]:
        """Reconstructions beside the truth, and traversals: one image redrawn as each of its busiest latents moves."""
        n = min(6, len(batch["images"]))
        truth = images.to_float(batch["images"][:n])
        mean, _ = self.encode(truth)
        drawn = images.to_bytes(self.decode(mean))
        pairs = {"truth": batch["images"][:n].cpu().numpy(), "reconstruction": drawn.cpu().numpy()}
        everyone = self.encode(images.to_float(batch["images"]))
        busy = draw.unit_gaussian_kl(*everyone).mean(0).argsort(descending=True)[:10]
        steps = torch.linspace(-2.5, 2.5, 9, device=mean.device)
        z = mean[:1].repeat(len(busy) * len(steps), 1)
        z[torch.arange(len(z)), busy.repeat_interleave(len(steps))] = steps.repeat(len(busy))
        moved = rearrange(images.to_bytes(self.decode(z)), "(k s) h w c -> s k h w c", s=len(steps)).cpu().numpy()
        columns = {f"{value:+.1f}": moved[i] for i, value in enumerate(steps.tolist())}
        return {"reconstructions": sheets.table(pairs), "traversals": sheets.table(columns)}

    def encoder(self) -> "Encoder":
        """The mean code, for agents."""
        return Encoder(self)


class Encoder(nn.Module):
    """The mean of the code, never a sample; it has no memory."""

    sensors = ("image",)
    frames = 1

    def __init__(self, learner: Learner):
        super().__init__()
        self.learner = learner
        self.image_size = (learner.config.image_size, learner.config.image_size)
        self.shape = (learner.config.n_latents,)
        self.standardise = codes.Standardise(self.shape)

    def initial(self, b: int) -> dict[str, Tensor]:
        """Nothing is remembered."""
        return {}

    def forward(self, obs: dict[str, Tensor], state: dict) -> tuple[Float[Tensor, "b d"], dict]:
        """Codes of the images."""
        return self.standardise(self.learner.encode(images.to_float(obs["image"]))[0]), state

    def reset(self, state: dict, mask: Tensor) -> dict:
        """There is nothing to forget."""
        return state
