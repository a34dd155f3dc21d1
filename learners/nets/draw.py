"""The convolutional DRAW core of GQN: latent variables drawn step by step, each step adding to a canvas.

Gregor et al. 2016, Towards Conceptual Compression (arXiv:1604.08772); Eslami et al. 2018, supplementary section S1.3.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class ConvLSTM(nn.Module):
    """A convolutional LSTM cell (Shi et al. 2015, arXiv:1506.04214, without peepholes)."""

    def __init__(self, in_channels: int, hidden: int, kernel: int):
        super().__init__()
        self.gates = nn.Conv2d(in_channels + hidden, 4 * hidden, kernel, padding=kernel // 2)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """New hidden and cell maps."""
        forget, enter, leave, value = self.gates(torch.cat([x, h], 1)).chunk(4, 1)
        # The bias of one keeps memory open at the start (Jozefowicz et al. 2015).
        c = torch.sigmoid(forget + 1) * c + torch.sigmoid(enter) * torch.tanh(value)
        return torch.sigmoid(leave) * torch.tanh(c), c


class Core(nn.Module):
    """Prior and posterior over `n_layers` latent maps, and the canvas that they paint.

    All maps live on a grid of (h / stride, w / stride) but the canvas, which has the image's size. With `shared`, one pair
    of cells and one way between canvas and maps serve every step; otherwise each step has its own, as in the paper. The
    layers that make prior and posterior from a state are shared either way, and start at zero: a unit Gaussian.
    """

    def __init__(
        self,
        condition: int,
        hidden: int,
        z_channels: int,
        canvas: int,
        n_layers: int,
        stride: int,
        shared: bool,
        kernel: int,
    ):
        super().__init__()
        self.hidden, self.z_channels, self.canvas, self.n_layers, self.stride = (
            hidden, z_channels, canvas, n_layers, stride,
        )  # fmt: skip
        n_cells = 1 if shared else n_layers
        each = lambda make: nn.ModuleList(make() for _ in range(n_cells))
        self.look = each(lambda: nn.Conv2d(3, hidden, stride, stride))
        self.recall = each(lambda: nn.Conv2d(canvas, hidden, stride, stride))
        cells = lambda n_in: nn.ModuleList(ConvLSTM(n_in, hidden, kernel) for _ in range(n_cells))
        self.infer = cells(condition + 3 * hidden)
        self.generate = cells(condition + z_channels)
        self.prior = nn.Conv2d(hidden, 2 * z_channels, kernel, padding=kernel // 2)
        self.posterior = nn.Conv2d(hidden, 2 * z_channels, kernel, padding=kernel // 2)
        self.paint = each(lambda: nn.ConvTranspose2d(hidden, canvas, stride, stride))
        for layer in (self.prior, self.posterior):
            # Both start as the unit Gaussian, so that training begins with no divergence to pay for.
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        condition: Float[Tensor, "b d y x"],
        image: Float[Tensor, "b 3 h w"] | None,
        generator: torch.Generator,
        start: Float[Tensor, "b u h w"] | None = None,
    ) -> tuple[Float[Tensor, "b u h w"], Float[Tensor, " b"]]:
        """Canvas, and KL(posterior || prior) in nats summed over places, channels and steps.

        With an image the latents come from the posterior that sees it; with None they come from the prior and KL is zero.
        """
        b, _, y, x = condition.shape
        zeros = condition.new_zeros(b, self.hidden, y, x)
        h_g, c_g, h_e, c_e = zeros, zeros, zeros, zeros
        u = condition.new_zeros(b, self.canvas, y * self.stride, x * self.stride) if start is None else start
        kl = torch.zeros(b, device=condition.device)
        for layer in range(self.n_layers):
            cell = layer if len(self.generate) > 1 else 0
            mean, log_std = self.prior(h_g).float().chunk(2, 1)
            if image is not None:
                seen, recalled = self.look[cell](image), self.recall[cell](u)
                h_e, c_e = self.infer[cell](torch.cat([condition, seen, recalled, h_g], 1), h_e, c_e)
                q_mean, q_log_std = self.posterior(h_e).float().chunk(2, 1)
                kl = kl + gaussian_kl(q_mean, q_log_std, mean, log_std).sum((1, 2, 3))
                mean, log_std = q_mean, q_log_std
            noise = torch.empty(mean.shape, device=generator.device).normal_(generator=generator).to(mean.device)
            z = mean + bounded(log_std).exp() * noise
            h_g, c_g = self.generate[cell](torch.cat([condition, z.to(condition.dtype)], 1), h_g, c_g)
            u = u + self.paint[cell](h_g)
        return u, kl


def bounded(log_std: Tensor) -> Tensor:
    """A log standard deviation kept in (-5, 5), smooth and the identity near zero: no exponential overflows."""
    return 5 * torch.tanh(log_std / 5)


def gaussian_kl(mean: Tensor, log_std: Tensor, prior_mean: Tensor, prior_log_std: Tensor) -> Tensor:
    """KL(N(mean, std) || N(prior_mean, prior_std)) per element, in nats; both log deviations pass `bounded`."""
    a, b = bounded(log_std), bounded(prior_log_std)
    return b - a + 0.5 * ((2 * (a - b)).exp() + ((mean - prior_mean) * (-b).exp()) ** 2 - 1)


def unit_gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)) per element, in nats (Kingma and Welling 2014, appendix B)."""
    return 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance)


def log_likelihood(image: Tensor, mean: Tensor, sigma: float) -> Float[Tensor, " b"]:
    """log N(image | mean, sigma^2) in nats summed over the pixels of each image, less its constant.

    The constant, n (log sigma + log(2 pi) / 2), is 6,909 nats for a 64 by 64 colour image at sigma 0.7: it dwarfs what is
    learned and is left out, so that the figure means something.
    """
    return -F.mse_loss(mean.float(), image.float(), reduction="none").flatten(1).sum(1) / (2 * sigma**2)
