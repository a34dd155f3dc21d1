"""Codes brought to one scale, by statistics that are fixed when an encoder's own training ends."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Standardise(nn.Module):
    """Subtracts a mean and divides by a deviation, number by number; the identity until `fix` is called."""

    def __init__(self, shape: tuple[int, ...]):
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("std", torch.ones(shape))

    def forward(self, code: Float[Tensor, "b *s"]) -> Float[Tensor, "b *s"]:
        """The code at unit scale, clipped to ten deviations so that a strange view cannot upset a policy."""
        return ((code.float() - self.mean) / self.std).clamp(-10, 10)

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
    codes = []
    for batch in sequences:
        state = encoder.initial(len(next(iter(batch.values()))))
        for t in range(next(iter(batch.values())).shape[1]):
            code, state = encoder({name: value[:, t] for name, value in batch.items()}, state)
            codes.append(code)
    encoder.standardise.fix(torch.cat(codes))
    encoder.train(training)
