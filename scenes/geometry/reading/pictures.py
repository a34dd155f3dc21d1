"""PNG and JPEG, by way of Pillow, which is asked for pixels only when their number is known to be small."""

import io
import warnings
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from scenes.geometry.reading import limits
from scenes.kit import errors


def read(data: bytes, path: Path, where: str = "") -> UInt8[np.ndarray, "h w c"]:
    """The pixels of a picture's bytes: three colours, and opacity where some pixel has less than all of it.

    Raises:
        errors.CaveError: in one line.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
                width, height = image.size
                if not 0 < width <= limits.EDGE or not 0 < height <= limits.EDGE or width * height > limits.PIXELS:
                    raise limits.fail(
                        path, where,
                        f"the picture is {width} x {height}, at most {limits.PIXELS} pixels are read, {limits.EDGE} each way",
                    )  # fmt: skip
                if image.mode.startswith("I"):
                    grey = np.asarray(image).astype(np.int64) >> 8
                    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, 2)
                pixels = np.array(image.convert("RGBA"))
    except errors.CaveError:
        raise
    except Image.DecompressionBombError:  # Pillow's own limit, of ten times as many
        raise limits.fail(path, where, f"the picture is too large, at most {limits.PIXELS} pixels are read") from None
    except Exception as error:  # a broken picture ends in any of a dozen types
        raise limits.fail(path, where, f"not a PNG or JPEG picture ({type(error).__name__})") from None
    return pixels if (pixels[..., 3] < 255).any() else np.ascontiguousarray(pixels[..., :3])


def written(pixels: UInt8[np.ndarray, "h w c"]) -> bytes:
    """A picture without its opacity as the bytes of a PNG file, quickly."""
    memory = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels[..., :3])).save(memory, "png", compress_level=1)
    return memory.getvalue()
