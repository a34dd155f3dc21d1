"""Pictures beside one another with words above and below, drawn with PIL."""

import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

SIDE, HEAD, FOOT, GAP = 320, 52, 44, 8
"""Side of a panel, height of the strips above and below, space between panels, in pixels; all even (H.264 asks for
it)."""

_PAPER, _INK, _FAINT = (20, 23, 26), (228, 231, 235), (152, 161, 171)


def compose(
    pictures: Sequence[UInt8[np.ndarray, "_ _ 3"] | None],
    titles: Sequence[str],
    remarks: Sequence[str],
    foot: str,
    patch: Sequence[float] | np.ndarray | None = None,
) -> UInt8[np.ndarray, "height width 3"]:
    """One frame of the film.

    Args:
        pictures: Panels from left to right, enlarged without smoothing; None is an empty one that shows its remark
            alone.
        titles: A few words above each panel.
        remarks: A smaller line under each title, or the text of an empty panel.
        foot: A line along the bottom.
        patch: RGB in [0, 1] of a square drawn at the end of the bottom line, such as a goal's colour; None for none.
    """
    width = len(pictures) * SIDE + (len(pictures) + 1) * GAP
    canvas = Image.new("RGB", (width, HEAD + SIDE + FOOT), _PAPER)
    draw = ImageDraw.Draw(canvas)
    for i, (picture, title, remark) in enumerate(zip(pictures, titles, remarks, strict=True)):
        x = GAP + i * (SIDE + GAP)
        draw.text((x, 8), title, fill=_INK, font=_font(17))
        if picture is None:
            draw.rectangle((x, HEAD, x + SIDE - 1, HEAD + SIDE - 1), outline=_FAINT)
            for row, line in enumerate(_wrapped(remark, _font(15), SIDE - 40)):
                draw.text((x + 20, HEAD + SIDE // 2 - 30 + 20 * row), line, fill=_FAINT, font=_font(15))
        else:
            draw.text((x, 31), remark, fill=_FAINT, font=_font(13))
            canvas.paste(_enlarged(picture), (x, HEAD))
    y = HEAD + SIDE + (FOOT - 18) // 2 - 2
    draw.text((GAP, y), foot, fill=_INK, font=_font(16))
    if patch is not None:
        start = GAP + int(draw.textlength(foot, font=_font(16))) + 12
        colour = tuple(round(255 * min(max(float(c), 0.0), 1.0)) for c in patch)
        draw.rectangle((start, y, start + 36, y + 20), fill=colour, outline=_INK)
    return np.asarray(canvas)


def _enlarged(picture: np.ndarray) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(picture))
    scale = SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    framed = Image.new("RGB", (SIDE, SIDE), _PAPER)
    framed.paste(image.resize(size, Image.Resampling.NEAREST), ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    return framed


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)  # PIL's own: no font need be installed


def _wrapped(text: str, font, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
