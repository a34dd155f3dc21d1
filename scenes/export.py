"""Write a data set of rendered scenes to a disk, for people who bring their own training code.

    python -m scenes.export rooms --n 10000 --views 10

writes exports/rooms-train/: config.json, and in scenes/ a folder for each scene with its pictures (PNG), its cameras
(transforms.json, as NeRF's programs read it, unless they are orthographic), its solids and true factors (scene.json, which
`Scenes.from_json` reads) and a MANIFEST.json of their SHA-256. Depth is 16-bit PNG in millimetres along the camera's
axis, 0 where nothing was met or it is further than 65 m; ids are 16-bit PNG, the index of the solid in its scene plus one.
A folder is whole or absent: interrupted at any instant, the same line with --resume goes on, and checks by hash what is
there.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

import scenes
from scenes import renderers
from scenes.geometry import files
from scenes.kit import errors, options, plugins, runs, seeds, sheets

PROG = "python -m scenes.export"
CHUNK = 64
"""Scenes drawn at once."""
FURTHEST = 65.535
"""Metres: what 16 bits of millimetres hold."""
MODELS = ("mjcf", "urdf", "glb")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Export:
    """Options of an export."""

    n: int = 1000
    """Scenes."""
    views: int = 10
    """Pictures of each scene, from cameras on the family's ring."""
    size: int = 64
    """Height and width of a picture, in pixels."""
    split: str = "train"
    """Split of the family."""
    seed: int = 0
    """Of the scenes and of the cameras."""
    sensors: tuple[str, ...] = renderers.USUAL
    """What is written of each view: rgb, depth, ids."""
    models: tuple[str, ...] = ()
    """Also the scene itself, as mjcf, urdf or glb."""
    renderer: str = "raycast"
    """Which of `scenes.renderers` draws."""
    shadows: bool = True
    """Whether the sun casts hard shadows."""
    supersample: int = 2
    """Rays per pixel each way."""
    runs: Path = Path("exports")
    """Folder that holds the exports."""
    name: str = ""
    """Of the export's folder; by default family-split."""
    resume: bool = False
    """Go on with an export that was interrupted."""

    def __post_init__(self):
        errors.within("scenes.export", self, {"n": (1, 10**8), "views": (1, 10**4), "size": (1, renderers.LARGEST)})
        renderers.check_sensors(self.sensors, renderers.USUAL)
        if not self.sensors:
            raise errors.CaveError(
                f"scenes.export: there are no sensors, wanted some of {', '.join(renderers.USUAL)}", errors.USAGE
            )
        for model in self.models:
            if model not in MODELS:
                raise errors.unknown("model", model, MODELS)


def main(argv: list[str]) -> Path:
    """Write the data set that a command line describes; returns its folder."""
    name, rest = options.choose(argv, PROG, "Write a data set of rendered scenes.", "scenes", "family")
    family = plugins.load("scenes", name, "family")
    given, _, config = options.parse(f"{PROG} {name}", rest, Export, None, family.Config)
    if given.split not in family.splits(config):
        raise errors.unknown("split", given.split, family.splits(config))
    # What cannot be drawn is said before there is a folder, whose options could not be changed any more.
    load(scenes.sample(family, config, given.split, given.seed, np.arange(1)), given)
    asked = {key: value for key, value in options.to_dict(given).items() if key not in ("runs", "name", "resume")}
    settings = {"command": "scenes.export", "family": name, "export": asked, "config": options.to_dict(config)}
    folder = runs.create(given.runs, given.name or f"{name}-{given.split}", settings, resume=given.resume)
    there = 0
    for start in range(0, given.n, CHUNK):
        index = np.arange(start, min(start + CHUNK, given.n))
        kept = np.array([given.resume and _whole(place(folder, i)) for i in index.tolist()])
        there += int(kept.sum())
        if not kept.all():
            write(folder, family, config, given, index[~kept])
    known = f", {there} of them there already" if there else ""
    print(f"{given.n} scenes of {name}, {given.views} views each{known}: {folder}")
    return folder


def place(folder: Path, index: int) -> Path:
    """The folder of a scene within an export."""
    return folder / "scenes" / f"{index:08d}"


def load(batch: scenes.Scenes, given: Export) -> Any:
    """Scenes that are ready to be drawn as the options say."""
    look = {"shadows": given.shadows, "supersample": given.supersample, "sensors": given.sensors}
    return renderers.load(given.renderer, batch, **look)


def write(folder: Path, family: Any, config: Any, given: Export, index: np.ndarray) -> None:
    """Draw some scenes and write their folders."""
    batch = scenes.sample(family, config, given.split, given.seed, index)
    poses = family.ring_poses(config, seeds.derive(given.seed, "export"), index, given.views)
    cameras = scenes.watch(
        family, poses.reshape(-1, 5), given.size, given.size, np.repeat(np.arange(len(index)), given.views)
    )
    frames = load(batch, given).render(cameras)
    for k, i in enumerate(index.tolist()):
        made, names = {}, []
        for view in range(given.views):
            row, paths = k * given.views + view, {}
            for sensor, key in (("rgb", "file_path"), ("depth", "depth_file_path"), ("ids", "ids_file_path")):
                if sensor in given.sensors:
                    paths[key] = f"{sensor}-{view:04d}.png"
                    made[paths[key]] = _png(sensor, getattr(frames, sensor)[row])
            names.append(paths)
        rows = slice(k * given.views, (k + 1) * given.views)
        own = dataclasses.replace(
            cameras, scene=cameras.scene[rows], position=cameras.position[rows], rotation=cameras.rotation[rows]
        )
        if own.extent is None:
            made["transforms.json"] = json.dumps(files.transforms(own, names), indent=1).encode()
        made["scene.json"] = batch[k].to_json().encode()
        if "mjcf" in given.models:
            made["scene.xml"] = files.mjcf(batch[k]).encode()
        if "urdf" in given.models:
            made |= files.urdf(batch[k], folder="")
        if "glb" in given.models:
            made["scene.glb"] = files.glb(batch[k])
        runs.write_atomic(place(folder, i), made)


def _png(sensor: str, picture: np.ndarray) -> bytes:
    if sensor == "rgb":
        return sheets.png(np.ascontiguousarray(picture))
    if sensor == "depth":
        numbers = np.where(picture <= FURTHEST, np.round(np.minimum(picture, FURTHEST) * 1000), 0)
    else:
        numbers = picture + 1
    return sheets.png(numbers.astype(np.uint16))


def _whole(folder: Path) -> bool:
    """Whether a scene's folder is there; a damaged one ends the export, since somebody should know."""
    if not folder.exists():
        return False
    try:
        runs.read_checked(folder)
    except errors.CaveError as error:
        raise errors.CaveError(f"{error}; remove {folder}, and --resume draws it again") from None
    return True


if __name__ == "__main__":
    options.main(main)
