"""Contact sheets and films: what a person looks at."""

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

INK, PAPER = (40, 40, 40), (255, 255, 255)


def enlarge(image: UInt8[np.ndarray, "*b h w 3"], factor: int) -> UInt8[np.ndarray, "*b y x 3"]:
    """Each pixel repeated, so that what is shown is what was made."""
    return image.repeat(factor, axis=-3).repeat(factor, axis=-2)


def table(columns: dict[str, UInt8[np.ndarray, "n h w 3"]], pixels: int = 96) -> UInt8[np.ndarray, "y x 3"]:
    """One row per scene, one column per name, each column headed by it; images are enlarged to about `pixels`."""
    height = next(iter(columns.values())).shape[1]
    factor, gap, head = max(1, round(pixels / height)), 4, 18
    cells = {name: enlarge(images, factor) for name, images in columns.items()}
    n, h, w = next(iter(cells.values())).shape[:3]
    sheet = np.full((head + n * (h + gap), len(cells) * (w + gap), 3), 255, np.uint8)
    for column, images in enumerate(cells.values()):
        for row, image in enumerate(images):
            y, x = head + row * (h + gap), column * (w + gap)
            sheet[y : y + h, x : x + w] = image
    picture = Image.fromarray(sheet)
    draw = ImageDraw.Draw(picture)
    for column, name in enumerate(cells):
        draw.text((column * (w + gap) + 2, 3), name, fill=INK, font=ImageFont.load_default())
    return np.asarray(picture)


def film(rows: dict[str, UInt8[np.ndarray, "n t h w 3"]], pixels: int = 128) -> UInt8[np.ndarray, "t y x 3"]:
    """Several films side by side, one row per name, one column per scene."""
    clips = {name: clip.swapaxes(0, 1) for name, clip in rows.items()}
    frames = []
    for t in range(len(next(iter(clips.values())))):
        height = next(iter(clips.values())).shape[2]
        factor = max(1, round(pixels / height))
        bands = []
        for name, clip in clips.items():
            band = np.concatenate(list(enlarge(clip[t], factor)), axis=1)
            head = Image.new("RGB", (band.shape[1], 16), PAPER)
            ImageDraw.Draw(head).text((2, 2), name, fill=INK, font=ImageFont.load_default())
            bands += [np.asarray(head), band]
        frame = np.concatenate(bands, axis=0)
        # Video codecs want even sizes.
        frames.append(np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), constant_values=255))
    return np.stack(frames)
