"""Codes brought to one scale, by statistics that are fixed when an encoder's own training ends."""

import math
from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

LIMIT = 10.0
"""Deviations at which a number is clipped, so that a strange view cannot upset a policy."""


class Standardise(nn.Module):
    """Subtracts a mean and divides by a deviation, number by number: by 0 and 1 until `fix` is called.

    Attributes:
        limit: At how many deviations numbers are clipped; lifted while `calibrate` takes the statistics.
    """

    def __init__(self, shape: tuple[int, ...]):
        super().__init__()
        self.limit = LIMIT
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("std", torch.ones(shape))

    def forward(self, code: Float[Tensor, "b *s"]) -> Float[Tensor, "b *s"]:
        """The code at unit scale, clipped."""
        return ((code.float() - self.mean) / self.std).clamp(-self.limit, self.limit)

    def fix(self, codes: Float[Tensor, "n *s"]) -> None:
        """Take the statistics of these codes; a number that hardly varies is left at its own scale and not blown up."""
        std, mean = torch.std_mean(codes.float(), 0)
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > 1e-3 * std.max().clamp_min(1e-8), std, torch.ones_like(std)))


@torch.no_grad()
def calibrate(encoder: nn.Module, sequences: Iterable[dict[str, Tensor]]) -> None:
    """Fix an encoder's normalisation from its codes of training data, each sequence seen frame by frame.

    Args:
        encoder: Has a `standardise` module, still the identity; `prepare`, if it has that too, is given all it senses.
        sequences: Batches of observations with a time axis: `image` b t h w 3, `pose` b t 5.
    """
    training = encoder.training
    encoder.eval()
    sequences = list(sequences)
    if hasattr(encoder, "prepare"):
        encoder.prepare(*(torch.cat([batch[name].flatten(0, 1) for batch in sequences]) for name in encoder.sensors))
    codes, encoder.standardise.limit = [], math.inf
    for batch in sequences:
        state = encoder.initial(len(next(iter(batch.values()))))
        for t in range(next(iter(batch.values())).shape[1]):
            code, state = encoder({name: value[:, t] for name, value in batch.items()}, state)
            codes.append(code)
    encoder.standardise.fix(torch.cat(codes))
    encoder.standardise.limit = LIMIT
    encoder.train(training)
