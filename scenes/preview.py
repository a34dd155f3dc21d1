"""See a family of scenes, split by split.

    python -m scenes.preview rooms

writes previews/rooms.png: a row for each split, each picture another scene from another camera of its ring.
"""

from pathlib import Path

import numpy as np

import scenes
from scenes import renderers
from scenes.kit import errors, options, plugins, runs, seeds, sheets

PROG = "python -m scenes.preview"


def main(argv: list[str]) -> Path:
    """Draw the contact sheet that a command line describes; returns its path."""
    name, rest = options.choose(argv, PROG, "Draw a contact sheet of a family of scenes.", "scenes", "family")
    family = plugins.load("scenes", name, "family")
    given, _, config = options.parse(f"{PROG} {name}", rest, sheets.Preview, None, family.Config)
    errors.within("scenes.preview", given, {"n": (1, 1000), "size": (1, renderers.LARGEST)})
    known = family.splits(config)
    rows = {split: draw(family, config, split, given) for split in given.splits or known}
    out = given.out or Path("previews") / f"{name}.png"
    runs.write_file(out, sheets.png(sheets.contact_sheet(rows)))
    print(f"{len(rows)} splits of {name}, {given.n} scenes each: {out}")
    return out


def draw(family, config, split: str, given: sheets.Preview) -> np.ndarray:
    """Pictures of the first scenes of a split, uint8 b h w 3."""
    index = np.arange(given.n)
    batch = scenes.sample(family, config, split, given.seed, index)
    poses = family.ring_poses(config, seeds.derive(given.seed, "preview"), index, 1)[:, 0]
    cameras = scenes.watch(family, poses, given.size, given.size)
    look = {"supersample": 3, "device": given.device} if given.renderer == "raycast" else {}
    if not look and given.device == "cuda":
        raise errors.CaveError(f"--device cuda: {given.renderer} has no such option, raycast has", errors.USAGE)
    rgb = renderers.load(given.renderer, batch, shadows=given.shadows, **look).render(cameras).rgb
    return rgb.copy() if isinstance(rgb, np.ndarray) else rgb.cpu().numpy()


if __name__ == "__main__":
    options.main(main)
