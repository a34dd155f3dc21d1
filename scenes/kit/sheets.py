"""Contact sheets: rows of pictures with a name before each row."""

import dataclasses
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import Image, ImageDraw, ImageFont

_MARGIN, _INK, _PAPER = 6, (40, 40, 46), (250, 250, 248)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preview:
    """Options of a preview."""

    n: int = 8
    """Scenes of each split."""
    size: int = 128
    """Height and width of a picture, in pixels."""
    seed: int = 0
    """Of the scenes and of the cameras."""
    splits: tuple[str, ...] = ()
    """Which splits to show; none named: all."""
    renderer: str = "raycast"
    """Which of `scenes.renderers` draws."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the ray caster draws; auto is cpu, which has these few pictures sooner."""
    shadows: bool = True
    """Whether the sun casts hard shadows."""
    out: Path | None = None
    """PNG file to write; by default previews/<family>.png."""


def contact_sheet(rows: Mapping[str, UInt8[np.ndarray, "b h w 3"]]) -> UInt8[np.ndarray, "height width 3"]:
    """One picture of all: a row for each name, its pictures from left to right."""
    font = ImageFont.load_default(16)
    left = int(max(font.getlength(name) for name in rows)) + 3 * _MARGIN
    wide = max(sum(picture.shape[1] + _MARGIN for picture in pictures) for pictures in rows.values())
    high = sum(pictures.shape[1] + _MARGIN for pictures in rows.values())
    sheet = Image.new("RGB", (left + wide, high + _MARGIN), _PAPER)
    draw, top = ImageDraw.Draw(sheet), _MARGIN
    for name, pictures in rows.items():
        draw.text((_MARGIN, top + pictures.shape[1] / 2), name, fill=_INK, font=font, anchor="lm")
        for i, picture in enumerate(pictures):
            sheet.paste(Image.fromarray(np.ascontiguousarray(picture)), (left + i * (picture.shape[1] + _MARGIN), top))
        top += pictures.shape[1] + _MARGIN
    return np.asarray(sheet)


def png(picture: UInt8[np.ndarray, "h w 3"] | UInt16[np.ndarray, "h w"]) -> bytes:
    """A picture, or a map of numbers of 16 bits, as the bytes of a PNG file."""
    memory = io.BytesIO()
    Image.fromarray(picture).save(memory, "png")
    return memory.getvalue()
