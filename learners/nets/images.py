"""Images between the world's bytes and a network's floats, and how well they agree."""

import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor


def to_float(images: UInt8[Tensor, "*b h w c"]) -> Float[Tensor, "*b c h w"]:
    """Bytes, channels last, to floats in [0, 1], channels first."""
    return rearrange(images, "... h w c -> ... c h w").float() / 255


def to_bytes(images: Float[Tensor, "*b c h w"]) -> UInt8[Tensor, "*b h w c"]:
    """Floats, channels first, to bytes, channels last; values outside [0, 1] are clamped."""
    return rearrange((images.float().clamp(0, 1) * 255).round().to(torch.uint8), "... c h w -> ... h w c").contiguous()


def psnr(prediction: Tensor, truth: Tensor) -> Float[Tensor, " b"]:
    """Peak signal-to-noise ratio of each image, in dB, for values in [0, 1]; average these, never the errors.

    Predictions are clamped first, as a viewer would. An exact match gives 100 dB and not infinity.
    """
    error = ((prediction.float().clamp(0, 1) - truth.float()) ** 2).flatten(1).mean(1)
    return -10 * torch.log10(error.clamp_min(1e-10))
