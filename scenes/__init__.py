"""What the world is, and how it looks: scenes as arrays.

This file is the contract of the package. A module beside it is one *family* of scenes (`rooms`); folders are support:
`factors` (distributions over named factors), `renderers` (scenes to pictures), `kit` (plumbing for every package).

Units and axes, stated once. Metres and radians. The world is right-handed with z up. Quaternions are (w, x, y, z), unit
length, and turn a solid's own axes into the world's. A camera sees along its own -z axis, x to its right and y up
(OpenGL's convention, which MuJoCo shares); yaw 0 looks along the world's +x, yaw grows counter-clockwise seen from
above, pitch grows upwards. Image row 0 is the top; pixel centres lie at half integers.

Why arrays: an environment changes thousands of poses a step and a learner asks for thousands of scenes a second. Solids
of all scenes of a batch lie flat behind one another, with offsets, since scenes differ in how many they hold.

A *family* is a module with three names:

    Config                                  frozen dataclass of options
    splits(config) -> dict[str, Split]      named factor distributions (`scenes.factors`)
    build(config, factors) -> Scenes        vectorised, deterministic

and scene `i` of (family, config, split, seed) is a pure function of those (`sample`). A family whose scenes can be
watched from around also has `FOV` and `ring_poses(config, key, index, n_views)`, which previews and streams use; one that
is seen by orthographic cameras has `EXTENT`, too, the metres that they see (`watch`); one whose objects are marks, which may
be within other solids, `INTANGIBLE`. One may declare `NUISANCE` and
`DYNAMICS`, names of factors that are none of the task's business and of those that say how things move: a split that
differs in nothing else has a tier of its own (`scenes.factors.tiers`).
"""

import dataclasses
import functools
import json
import math
from typing import Any

import numpy as np
from jaxtyping import Float32, Int, Int32, UInt8

KINDS = ("plane", "box", "sphere", "capsule", "cylinder", "cone", "ellipsoid", "torus", "mesh")
"""Kinds of solid, and what `size` means for each (MuJoCo's meaning where it has the kind), in metres:

plane      rectangle in its own xy plane, seen only from its +z side: half extents x, y (0: unbounded)
box        half extents x, y, z
sphere     radius
capsule    radius, half length of the straight part, along z
cylinder   radius, half length, along z
cone       radius of the base at z = -half, half length; the tip is at z = +half
ellipsoid  semi-axes x, y, z
torus      radius of the ring in the xy plane, radius of the tube
mesh       how much its `Mesh` is stretched along x, y, z (1: as it is); height fields are meshes, too
"""

TEXTURES = ("plain", "checker", "stripes", "bricks", "noise", "image")
"""Surface patterns. All but the last mix the two `colour`s of the solid; `texture_scale` is the length of one period in
metres.

Patterns are functions of a point in the solid's own axes: solid textures, without seams, that need no unwrapping. An
`image` is one of the `images`, its colours times the solid's first; `texture_scale` is its width in metres, its pixels
are square, and it repeats. Its middle lies at the solid's middle, upright for one who looks at the solid from outside
with z up (at a plane, or along z, with y up); it is laid on along that of the solid's own axes which the surface faces,
and where it faces between them those pictures blend. On a mesh that has `coordinates` these say where it lies, whatever
its scale."""

SCHEMA = "cave.scenes/1"

MOST_VERTICES = MOST_FACES = 10**7
"""What one mesh may have."""
LARGEST_IMAGE = 4096
"""Most rows or columns of an image."""
LARGEST_COORDINATE = 1e4
"""How many times, either way, a mesh's coordinates may lay an image beside itself."""


@dataclasses.dataclass(frozen=True, eq=False)
class Mesh:
    """A surface of triangles, in its own axes and metres. Seen, as every solid, from outside only.

    The arrays are checked once, when it is made, and not copied: treat them as constants. What renderers prepare for a
    mesh they keep as long as the object lives, so share it among scenes rather than make it anew.

    Raises:
        ValueError: in one line, when the arrays do not fit together or hold values that cannot be drawn.
    """

    vertices: Float32[np.ndarray, "v 3"]
    faces: Int32[np.ndarray, "f 3"]
    """Three vertices each, counter-clockwise seen from outside. A face without area is never seen."""
    normals: Float32[np.ndarray, "f 3 3"] | None = None
    """Unit normals at the corners of each face, between which light is smoothed; None: every face is flat."""
    coordinates: Float32[np.ndarray, "f 3 2"] | None = None
    """Where in an image the corners of each face lie: u to the right, v upwards, from 0 to 1 within it, and on in images
    beside that. None: the solid's own axes lay it on. Nothing but the texture `image` looks at them."""

    def __post_init__(self):
        self.check()

    def check(self) -> None:
        """Raise ValueError, in one line, if this is not a mesh."""
        v, f = len(self.vertices), len(self.faces)
        kinds = [None if (a := getattr(self, name)) is None else a.dtype.name for name in _MESH_FIELDS]
        if kinds[:2] != ["float32", "int32"] or {*kinds[2:]} - {None, "float32"}:
            raise ValueError(
                f"mesh: arrays are of {kinds}, wanted float32, int32 and, if there are normals and coordinates, float32"
            )
        if self.vertices.shape != (v, 3) or self.faces.shape != (f, 3):
            raise ValueError(f"mesh: shapes are {self.vertices.shape} and {self.faces.shape}, wanted (v, 3) and (f, 3)")
        for what, n, most in (("vertices", v, MOST_VERTICES), ("faces", f, MOST_FACES)):
            if not 1 <= n <= most:
                raise ValueError(f"mesh: it has {n} {what}, wanted 1 to {most}")
        if not np.isfinite(self.vertices).all():
            raise ValueError("mesh: vertices hold values that are not finite")
        if self.faces.min() < 0 or self.faces.max() >= v:
            raise ValueError(f"mesh: faces name vertices {self.faces.min()}..{self.faces.max()}, wanted 0..{v - 1}")
        if self.normals is not None:
            if self.normals.shape != (f, 3, 3) or not np.isfinite(self.normals).all():
                raise ValueError(f"mesh: normals have shape {self.normals.shape}, wanted {(f, 3, 3)} finite numbers")
            if np.abs(np.linalg.norm(self.normals, axis=-1) - 1).max() > 1e-3:
                raise ValueError("mesh: normals must have length 1")
        if self.coordinates is not None:
            shape, most = self.coordinates.shape, LARGEST_COORDINATE
            if shape != (f, 3, 2) or not (np.abs(self.coordinates) <= most).all():
                raise ValueError(f"mesh: coordinates have shape {shape}, wanted {(f, 3, 2)} numbers within {most:g}")

    @functools.cached_property
    def extent(self) -> Float32[np.ndarray, " 3"]:
        """How far it reaches from its origin along each axis, either way."""
        return np.abs(self.vertices).max(0)


@dataclasses.dataclass(frozen=True, eq=False)
class Scenes:
    """A batch of `b` scenes holding `n` solids in all, as plain numpy arrays.

    Scene `i` owns solids `offsets[i]:offsets[i + 1]`. One scene is a batch of one: `scenes[i]`. Any integer, slice,
    mask or index array selects. The arrays are not copied in and not locked: treat them as constants.
    """

    offsets: Int[np.ndarray, " b_plus_1"]
    kind: Int[np.ndarray, " n"]
    """Index into `KINDS`."""
    size: Float32[np.ndarray, "n 3"]
    position: Float32[np.ndarray, "n 3"]
    rotation: Float32[np.ndarray, "n 4"]
    """Unit quaternion (w, x, y, z)."""
    texture: Int[np.ndarray, " n"]
    """Index into `TEXTURES`."""
    texture_scale: Float32[np.ndarray, " n"]
    colour: Float32[np.ndarray, "n 2 3"]
    """Two RGB colours in [0, 1], as displayed (no gamma is applied anywhere)."""
    light_position: Float32[np.ndarray, "b l 3"]
    """Of a point light: where it is. Of a sun: the direction from the scene towards it, unit length."""
    light_colour: Float32[np.ndarray, "b l 3"]
    """RGB intensity; black switches the light off."""
    light_is_sun: np.ndarray
    """Bool, shape b l."""
    ambient: Float32[np.ndarray, "b 3"]
    sky: Float32[np.ndarray, "b 3"]
    """What a ray sees that meets nothing."""
    factors: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    """True generative factors: name -> array whose first axis is b. Those of objects are padded with zeros, axis 1
    being the object, and `n_objects` counts the real ones."""
    first_object: int = 0
    """Number of solids at the head of every scene that are scenery; object `k` is the solid `first_object + k`. What
    comes after a scene's `n_objects` objects is scenery, too: that of which scenes have different numbers."""
    meshes: tuple[Mesh, ...] = ()
    """A table that all scenes of the batch share."""
    mesh: Int[np.ndarray, " n"] | None = None
    """Index into `meshes`, -1 for a solid of another kind. Without it there are no meshes."""
    images: tuple[np.ndarray, ...] = ()
    """Pictures that all scenes of the batch share: uint8, h w 3, each of its own size, row 0 at the top."""
    image: Int[np.ndarray, " n"] | None = None
    """Index into `images`, -1 for a solid of another texture. Without it there are no images."""
    fog: Float32[np.ndarray, "b 2"] | None = None
    """Depth in metres (along the camera's axis) from which on things fade into the colour of the sky, and at which they
    have; evenly in between (OpenGL's linear fog). (0, 0), as without it: the air is clear."""
    light_casts: np.ndarray | None = None
    """Bool, shape b l: whether what stands in a light's way leaves a shadow, where shadows are drawn. Without it all do."""

    def __post_init__(self):
        if self.offsets.ndim != 1 or not len(self.offsets):
            raise ValueError(f"scenes: offsets have shape {self.offsets.shape}, wanted (b + 1,)")
        for name in ("mesh", "image"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, np.full(len(self.kind), -1, np.int32))
        if self.fog is None:
            object.__setattr__(self, "fog", np.zeros((len(self), 2), np.float32))
        # Where all do, that holds of other lights in their place as well.
        if self.light_casts is None or (self.light_casts.shape != self.light_is_sun.shape and self.light_casts.all()):
            object.__setattr__(self, "light_casts", np.ones(self.light_is_sun.shape, bool))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def n_solids(self) -> Int[np.ndarray, " b"]:
        """Number of solids in each scene."""
        return np.diff(self.offsets)

    @property
    def n_objects(self) -> Int[np.ndarray, " b"]:
        """Number of objects of each scene: what its factors say or, where they do not, all that follows its scenery."""
        return np.asarray(self.factors.get("n_objects", self.n_solids - self.first_object))

    def __getitem__(self, index: Any) -> "Scenes":
        chosen = np.atleast_1d(np.arange(len(self))[index])
        counts = self.n_solids[chosen]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(self.offsets.dtype)
        flat = np.repeat(self.offsets[:-1][chosen] - offsets[:-1], counts) + np.arange(offsets[-1])
        solids = {name: getattr(self, name)[flat] for name in SOLID_FIELDS}
        per_scene = {name: getattr(self, name)[chosen] for name in _SCENE_FIELDS}
        factors = {name: value[chosen] for name, value in self.factors.items()}
        return dataclasses.replace(self, offsets=offsets, factors=factors, **solids, **per_scene)

    def to_json(self) -> str:
        """These scenes as JSON text; `Scenes.from_json` gives back equal arrays, bit by bit."""
        arrays = {name: _encode(getattr(self, name)) for name in ("offsets", *SOLID_FIELDS, *_SCENE_FIELDS)}
        tree = {"schema": SCHEMA, "first_object": self.first_object, **arrays}
        if self.meshes:
            parts = [{name: getattr(mesh, name) for name in _MESH_FIELDS} for mesh in self.meshes]
            tree["meshes"] = [{n: _encode(array) for n, array in part.items() if array is not None} for part in parts]
        if self.images:
            tree["images"] = [_encode(image) for image in self.images]
        # What is not there is not written, either.
        there = {
            "mesh": self.meshes,
            "image": self.images,
            "fog": self.fog.any(),
            "light_casts": not self.light_casts.all(),
        }
        for name in there:
            if not there[name]:
                del tree[name]
        return json.dumps(tree | {"factors": {name: _encode(value) for name, value in self.factors.items()}})

    @classmethod
    def from_json(cls, text: str) -> "Scenes":
        """Read what `to_json` wrote.

        Raises:
            ValueError: in one line, when the text is not such JSON or its arrays do not fit together.
        """
        try:
            tree = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"not scenes: the text is not JSON ({error}); give what Scenes.to_json wrote") from None
        if not isinstance(tree, dict) or tree.get("schema") != SCHEMA:
            given = tree.get("schema") if isinstance(tree, dict) else type(tree).__name__
            raise ValueError(f"not scenes: schema is {given!r}, wanted {SCHEMA!r}")
        first = tree.get("first_object")
        if type(first) is not int or first < 0:
            raise ValueError(f"not scenes: first_object is {first!r}, wanted a whole number of solids")
        try:
            names = ("offsets", *SOLID_FIELDS, *_SCENE_FIELDS)
            optional = {"mesh", "image", "fog", "light_casts"} - tree.keys()
            fields = {name: _decode(tree[name]) for name in names if name not in optional}
            factors = {name: _decode(value) for name, value in tree["factors"].items()}
            parts = [
                {name: _decode(mesh[name]) for name in _MESH_FIELDS if name in mesh} for mesh in tree.get("meshes", ())
            ]
            meshes = tuple(Mesh(**part) for part in parts)
            tables = {"meshes": meshes, "images": tuple(_decode(image) for image in tree.get("images", ()))}
            scenes = cls(first_object=first, factors=factors, **tables, **fields)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not scenes: {type(error).__name__} {error} while reading the arrays") from None
        scenes.check()
        return scenes

    def check(self) -> None:
        """Raise ValueError, in one line, if the arrays do not fit together or hold values that cannot be drawn."""
        n, b = len(self.kind), len(self)
        shapes = {
            "kind": (n,),
            "size": (n, 3),
            "position": (n, 3),
            "rotation": (n, 4),
            "texture": (n,),
            "texture_scale": (n,),
        }
        shapes |= {"mesh": (n,), "image": (n,), "fog": (b, 2), "colour": (n, 2, 3), "ambient": (b, 3), "sky": (b, 3)}
        lights = self.light_position.shape[1] if self.light_position.ndim == 3 else 0
        shapes |= {"light_position": (b, lights, 3), "light_colour": (b, lights, 3)}
        shapes |= {"light_is_sun": (b, lights), "light_casts": (b, lights)}
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array.shape != shape:
                raise ValueError(f"scenes: {name} has shape {array.shape}, wanted {shape}")
            if name in ("kind", "texture", "mesh", "image") and array.dtype.kind not in "iu":
                raise ValueError(f"scenes: {name} is an array of {array.dtype}, wanted integers")
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise ValueError(f"scenes: {name} holds values that are not finite")
        if self.offsets.dtype.kind not in "iu":
            raise ValueError(f"scenes: offsets are of {self.offsets.dtype}, wanted integers")
        if self.offsets[0] != 0 or self.offsets[-1] != n or np.any(np.diff(self.offsets) < 0):
            raise ValueError(f"scenes: offsets must rise from 0 to the number of solids, {n}")
        if n and (self.kind.min() < 0 or self.kind.max() >= len(KINDS)):
            raise ValueError(f"scenes: kind must lie in 0..{len(KINDS) - 1}")
        if n and (self.texture.min() < 0 or self.texture.max() >= len(TEXTURES)):
            raise ValueError(f"scenes: texture must lie in 0..{len(TEXTURES) - 1}")
        if n and (self.size.min() < 0 or self.texture_scale.min() <= 0):
            raise ValueError("scenes: sizes must not be negative and texture scales must be positive")
        is_mesh, most = self.kind == KINDS.index("mesh"), len(self.meshes) - 1
        if np.any((self.mesh >= 0) != is_mesh) or self.mesh.max(initial=-1) > most:
            raise ValueError(f"scenes: mesh must lie in 0..{most} for solids of kind mesh and be -1 for others")
        if np.any(self.size[is_mesh] == 0):
            raise ValueError("scenes: sizes of meshes, which stretch them, must be positive")
        is_image, most = self.texture == TEXTURES.index("image"), len(self.images) - 1
        if np.any((self.image >= 0) != is_image) or self.image.max(initial=-1) > most:
            raise ValueError(f"scenes: image must lie in 0..{most} for solids of texture image and be -1 for others")
        for i, image in enumerate(self.images):
            fits = (
                image.ndim == 3 and image.shape[2] == 3 and 1 <= min(image.shape) <= max(image.shape) <= LARGEST_IMAGE
            )
            if image.dtype != np.uint8 or not fits:
                wanted = f"uint8 of shape (h, w, 3) with h and w from 1 to {LARGEST_IMAGE}"
                raise ValueError(f"scenes: image {i} is {image.dtype} of shape {image.shape}, wanted {wanted}")
        begin, end = self.fog.T
        if self.fog.any() and np.any((begin < 0) | ((begin >= end) & (end != 0)) | ((end == 0) & (begin != 0))):
            raise ValueError("scenes: fog must begin at 0 or later and end later than it begins, or be (0, 0)")
        if n and np.abs(np.linalg.norm(self.rotation, axis=1) - 1).max() > 1e-3:
            raise ValueError("scenes: rotations must be unit quaternions")
        for name, value in self.factors.items():
            if np.shape(value)[:1] != (b,):
                raise ValueError(f"scenes: factor {name} has shape {np.shape(value)}, wanted {b} rows")


SOLID_FIELDS = ("kind", "size", "position", "rotation", "texture", "texture_scale", "colour", "mesh", "image")
"""Names of the arrays of `Scenes` that hold one row for each solid."""
_SCENE_FIELDS = ("light_position", "light_colour", "light_is_sun", "light_casts", "ambient", "sky", "fog")
_MESH_FIELDS = ("vertices", "faces", "normals", "coordinates")


def _encode(array: np.ndarray) -> dict:
    # float32 -> float64 -> decimal -> float64 -> float32 is exact, so text keeps every bit.
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": array.ravel().tolist()}


def _decode(tree: dict) -> np.ndarray:
    if tree["dtype"] not in ("float32", "float64", "int8", "int32", "int64", "uint8", "bool"):
        raise ValueError(f"not scenes: dtype {tree['dtype']!r} is not one that is written")
    # numpy would take None and any text for a bool.
    wanted = bool if tree["dtype"] == "bool" else (int, float)
    if not isinstance(tree["data"], list) or not all(isinstance(value, wanted) for value in tree["data"]):
        raise ValueError(f"not scenes: data of dtype {tree['dtype']} must be a flat list of such values")
    try:
        return np.array(tree["data"], dtype=tree["dtype"]).reshape(tree["shape"])
    except (ValueError, OverflowError) as error:
        raise ValueError(f"not scenes: {error}") from None


def join(batches: list[Scenes]) -> Scenes:
    """Several batches as one, in order; they must hold the same factors, lights and `first_object`.

    Their meshes and images are laid together in one table each, equal ones once.
    """
    starts = np.cumsum([0] + [int(s.offsets[-1]) for s in batches])
    offsets = np.concatenate([[0]] + [s.offsets[1:] + start for s, start in zip(batches, starts)])
    fields = {n: np.concatenate([getattr(s, n) for s in batches]) for n in (*SOLID_FIELDS, *_SCENE_FIELDS)}
    factors = {n: np.concatenate([s.factors[n] for s in batches]) for n in batches[0].factors}
    fields["meshes"], fields["mesh"] = _together([(s.meshes, s.mesh) for s in batches])
    fields["images"], fields["image"] = _together([(s.images, s.image) for s in batches])
    return dataclasses.replace(batches[0], offsets=offsets.astype(batches[0].offsets.dtype), factors=factors, **fields)


def _together(tables: list[tuple[tuple, np.ndarray]]) -> tuple[tuple, np.ndarray]:
    """One table of all that is in several, and the indices into those as ones into it."""
    keys = {id(entry): _contents(entry) for table, _ in tables for entry in table}
    made: dict[Any, Any] = {}
    for table, _ in tables:
        for entry in table:
            made.setdefault(keys[id(entry)], entry)
    number = {key: i for i, key in enumerate(made)}
    # The last one is that of -1: solids which have none.
    renamed = [np.array([*(number[keys[id(e)]] for e in table), -1], index.dtype)[index] for table, index in tables]
    return tuple(made.values()), np.concatenate(renamed)


def _contents(entry: Any) -> tuple:
    if isinstance(entry, np.ndarray):
        return entry.shape, entry.tobytes()
    return tuple(None if (a := getattr(entry, name)) is None else a.tobytes() for name in _MESH_FIELDS)


@dataclasses.dataclass(frozen=True, eq=False)
class Cameras:
    """`b` cameras, each looking at one scene of a batch; several may look at the same one.

    They are pinholes, unless `extent` says how many metres of height they see: then they are orthographic, their rays
    are parallel and begin on the plane through the camera's place, and `fov` is not used."""

    scene: Int[np.ndarray, " b"]
    """Which scene of the loaded batch each camera sees."""
    position: Float32[np.ndarray, "b 3"]
    rotation: Float32[np.ndarray, "b 4"]
    """Unit quaternion (w, x, y, z); see the module's docstring for the camera's own axes."""
    fov: float
    """Vertical field of view in radians, edge to edge; pixels are square."""
    height: int
    width: int
    extent: float | None = None
    """Metres of height that an orthographic camera sees, edge to edge; None: a pinhole."""

    def __len__(self) -> int:
        return len(self.scene)


def cameras_from_poses(poses, fov: float, height: int, width: int, scene=None, extent: float | None = None) -> Cameras:
    """Cameras from poses (x, y, z, yaw, pitch), shape b 5; camera `i` sees scene `i` unless `scene` says else."""
    poses = np.asarray(poses, np.float32)
    scene = np.arange(len(poses), dtype=np.int32) if scene is None else np.asarray(scene, np.int32)
    return Cameras(
        scene, np.ascontiguousarray(poses[:, :3]), look(poses[:, 3], poses[:, 4]), fov, height, width, extent
    )


def watch(family, poses, height: int, width: int, scene=None) -> Cameras:
    """Cameras of a family's (or an environment's) own kind, from poses b 5; camera `i` sees scene `i` unless `scene` says
    else."""
    return cameras_from_poses(poses, family.FOV, height, width, scene, getattr(family, "EXTENT", None))


def look(yaw, pitch) -> Float32[np.ndarray, "b 4"]:
    """Quaternions of cameras that look along (cos yaw cos pitch, sin yaw cos pitch, sin pitch), upright."""
    # A camera at rest looks down -z with y up. Turning about x by 90 degrees + pitch raises its gaze to the horizon and
    # then by pitch, looking along +y; turning about z by yaw - 90 degrees brings +y to the wanted heading.
    half_pitch = (np.asarray(pitch, np.float64) + math.pi / 2) / 2
    half_yaw = (np.asarray(yaw, np.float64) - math.pi / 2) / 2
    cp, sp, cy, sy = np.cos(half_pitch), np.sin(half_pitch), np.cos(half_yaw), np.sin(half_yaw)
    return np.stack([cy * cp, cy * sp, sy * sp, sy * cp], -1).astype(np.float32)


def rotation_matrices(quaternions) -> np.ndarray:
    """Rotation matrices, shape ... 3 3, of unit quaternions (w, x, y, z), shape ... 4; columns are the turned axes."""
    w, x, y, z = np.moveaxis(np.asarray(quaternions), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


@dataclasses.dataclass(frozen=True, eq=False)
class Frames:
    """What `b` cameras saw. The arrays belong to the renderer's handle and are overwritten by its next call. They are
    numpy's, or torch's on a graphics card.

    What lies after `ids` is None unless the renderer was loaded for it.
    """

    rgb: UInt8[Any, "b h w 3"]
    """May be a view of planar memory."""
    depth: Float32[Any, "b h w"]
    """Metres along the camera's axis (not along the ray); +inf where nothing was met."""
    ids: Int32[Any, "b h w"]
    """Index of the solid within its scene; -1 where nothing was met."""
    normals: Float32[Any, "b h w 3"] | None = None
    """Unit normal of the surface that the ray through the pixel's centre meets, in the world's axes; 0 for nothing."""
    flow: Float32[Any, "b h w 2"] | None = None
    """Optical flow: by how many columns and rows (downwards) the point seen in a pixel moves in the picture of a second
    state of the world, whatever hides it there; 0 where nothing was met, nan where it comes to lie behind the camera."""
    albedo: UInt8[Any, "b h w 3"] | None = None
    """Colour before light and fog; black where nothing was met."""


def sample(family, config, split: str, seed: int, index) -> Scenes:
    """Scenes `index` (integers) of a family's split and seed: a pure function, the same in any order and company.

    Raises:
        scenes.kit.errors.CaveError: the family has no such split.
    """
    from scenes.kit import errors  # the contract itself stays free of plumbing at import

    splits = family.splits(config)
    if split not in splits:
        raise errors.unknown("split", split, splits)
    return family.build(config, splits[split].sample(seed, np.asarray(index, np.int64)))
