"""Attention blocks over sets of tokens."""

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Multi-head attention of queries over a set, keys and values from the set (Vaswani et al. 2017, section 3.2.2)."""

    def __init__(self, dim: int, heads: int, set_dim: int | None = None):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim, bias=False)
        self.key_value = nn.Linear(set_dim or dim, 2 * dim, bias=False)
        self.out = nn.Linear(dim, dim)

    def forward(
        self,
        x: Float[Tensor, "b n d"],
        tokens: Float[Tensor, "b m e"],
        bias: Float[Tensor, "b h n m"] | None = None,
    ) -> Float[Tensor, "b n d"]:
        """`bias` is added to the scores before the softmax."""
        query = rearrange(self.query(x), "b n (h d) -> b h n d", h=self.heads)
        key, value = rearrange(self.key_value(tokens), "b m (two h d) -> two b h m d", two=2, h=self.heads)
        if query.is_cuda:
            read = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        else:
            # On a CPU the fused kernel's backward pass took five times as long as these two products (torch 2.13).
            scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
            read = (scores if bias is None else scores + bias).softmax(-1) @ value
        return self.out(rearrange(read, "b h n d -> b n (h d)"))


class Block(nn.Module):
    """Pre-norm transformer block: reads another set first (if `set_dim`), then its own tokens (if `own`), then thinks."""

    def __init__(self, dim: int, heads: int, set_dim: int | None = None, own: bool = True, widen: int = 3):
        super().__init__()
        self.cross = Attention(dim, heads, set_dim) if set_dim else None
        self.own = Attention(dim, heads) if own else None
        self.norm_cross = nn.LayerNorm(dim) if set_dim else None
        self.norm_own = nn.LayerNorm(dim) if own else None
        self.think = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, widen * dim), nn.GELU(), nn.Linear(widen * dim, dim)
        )

    def forward(
        self,
        x: Float[Tensor, "b n d"],
        tokens: Float[Tensor, "b m e"] | None = None,
    ) -> Float[Tensor, "b n d"]:
        """`tokens` is the other set."""
        if self.cross is not None:
            x = x + self.cross(self.norm_cross(x), tokens)
        if self.own is not None:
            normed = self.norm_own(x)
            x = x + self.own(normed, normed)
        return x + self.think(x)
