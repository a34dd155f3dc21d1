"""Scenes as shapes: triangle meshes of solids, and whole scenes as files that other programs read."""

import numpy as np
from jaxtyping import Float32, UInt8

import scenes


def plain_colours(batch: scenes.Scenes) -> Float32[np.ndarray, "n 3"]:
    """One colour for every solid, for what draws no patterns: of a pattern the mean of its two, of an image its mean."""
    image = scenes.TEXTURES.index("image")
    # The last one is that of -1: solids without an image.
    means = np.array([*(picture.mean((0, 1)) / 255 for picture in batch.images), np.ones(3)], np.float32)
    first = batch.colour[:, 0] * means[batch.image]
    return np.where(((batch.texture > 0) & (batch.texture != image))[:, None], batch.colour.mean(1), first)


def extents(batch: scenes.Scenes) -> Float32[np.ndarray, "n 3"]:
    """The size of every solid; of a mesh, how far it reaches from its origin along its axes, in metres."""
    return batch.size * np.array([*(mesh.extent for mesh in batch.meshes), np.ones(3)], np.float32)[batch.mesh]


def reach(batch: scenes.Scenes) -> float:
    """A distance from the origin, in metres, within which every solid lies (but for planes without bounds); at least 1."""
    extent = np.linalg.norm(extents(batch), axis=1)
    return float((np.linalg.norm(batch.position, axis=1) + extent).max(initial=1))


def repeated(
    picture: np.ndarray, height: int, width: int, down: float = 0.0, across: float = 0.0
) -> UInt8[np.ndarray, "_ _ 3"]:
    """A picture that repeats, drawn anew with so many rows and columns, beginning elsewhere.

    Args:
        picture: From 0 to 255, h w 3.
        height: Of the new one.
        width: Of the new one.
        down: Where its first row begins, in heights of the old one.
        across: Where its first column begins, in widths of the old one.
    """
    made = np.asarray(picture, np.float32)
    for axis, (n, begin) in enumerate(((height, down), (width, across))):
        most = made.shape[axis]
        at = ((np.arange(n) + 0.5) / n + begin) * most - 0.5
        low = np.floor(at).astype(int)
        share = (at - low).astype(np.float32).reshape((-1, 1, 1) if axis == 0 else (-1, 1))
        made = made.take(low % most, axis) * (1 - share) + made.take((low + 1) % most, axis) * share
    return np.round(made).astype(np.uint8)
