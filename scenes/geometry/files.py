"""One scene as a file that other programs read: MJCF (MuJoCo), URDF (PyBullet, ROS), GLB (anything that shows models).

All three keep geometry, poses and a plain colour a solid (of a pattern, the mean of its two; of an image, its mean);
MJCF keeps lights, too, and URDF and GLB keep the images of meshes that have coordinates. Metres, z up, as everywhere here;
but GLB, whose own standard is y up, is turned on its way out.
"""

import math
from xml.etree import ElementTree

import numpy as np

import scenes
from scenes import geometry
from scenes.geometry import meshes
from scenes.kit import errors, sheets

_TURNED = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]], float)
"""z up to y up."""


def mjcf(scene: scenes.Scenes) -> str:
    """A MuJoCo model of a batch of one: a body for each solid, named `solid0`, `solid1`, ..., none of which moves."""
    scene = _one(scene)
    root = ElementTree.Element("mujoco", model="cave")
    ElementTree.SubElement(ElementTree.SubElement(root, "visual"), "headlight", ambient=_text(scene.ambient[0]),
                           diffuse="0 0 0", specular="0 0 0")  # fmt: skip
    asset = ElementTree.SubElement(root, "asset")
    sky = _text(scene.sky[0])
    ElementTree.SubElement(asset, "texture", type="skybox", builtin="flat", rgb1=sky, rgb2=sky, width="8", height="48")
    world = ElementTree.SubElement(root, "worldbody")
    far = 2 * geometry.reach(scene)
    for place, colour, sun in zip(scene.light_position[0], scene.light_colour[0], scene.light_is_sun[0]):
        if colour.any():
            kind = "directional" if sun else "point"
            ElementTree.SubElement(
                world, "light", type=kind, pos=_text(place * (far if sun else 1)),
                dir=_text(-place) if sun else "0 0 -1", diffuse=_text(colour), specular="0 0 0", ambient="0 0 0",
            )  # fmt: skip
    colours = geometry.plain_colours(scene)
    for i, kind in enumerate(scene.kind.tolist()):
        name, size = scenes.KINDS[kind], scene.size[i].astype(np.float64)
        pose = {"pos": _text(scene.position[i]), "quat": _text(scene.rotation[i])}
        body = ElementTree.SubElement(world, "body", name=f"solid{i}", **pose)
        geom = {"name": f"solid{i}", "rgba": _text([*colours[i], 1.0]), "contype": "0", "conaffinity": "0"}
        if name in ("cone", "torus", "mesh"):
            corners, faces = meshes.of(scene, i)
            # MuJoCo wants four corners at least.
            corners = np.concatenate([corners, np.repeat(corners[-1:], max(0, 4 - len(corners)), 0)])
            ElementTree.SubElement(
                asset,
                "mesh",
                name=f"mesh{i}",
                inertia="shell",
                vertex=_text(corners.ravel()),
                face=_text(faces.ravel()),
            )
            ElementTree.SubElement(body, "geom", type="mesh", mesh=f"mesh{i}", **geom)
        else:
            # A plane's third number is the spacing of the lines along which MuJoCo would cut it.
            numbers = (*size[:2], 1.0) if name == "plane" else size[: _NUMBERS[name]]
            ElementTree.SubElement(body, "geom", type=name, size=_text(numbers), **geom)
    return _pretty(root)


def urdf(scene: scenes.Scenes, folder: str = "meshes") -> dict[str, bytes]:
    """A URDF of a batch of one, and the meshes (OBJ) of the solids for which URDF has no word.

    Every solid is a link on a fixed joint; PyBullet collides with the convex hull of a mesh, so a torus has no hole there.

    Args:
        scene: A batch of one.
        folder: Where, from the URDF, the meshes will lie.

    Returns:
        Contents by name: `scene.urdf`, and `solid3.obj` and the like.
    """
    scene = _one(scene)
    root = ElementTree.Element("robot", name="cave")
    _link(root, "world")
    made = {}
    colours = geometry.plain_colours(scene)
    for i, kind in enumerate(scene.kind.tolist()):
        name, size = scenes.KINDS[kind], scene.size[i].astype(np.float64)
        link = _link(root, f"solid{i}")
        joint = ElementTree.SubElement(root, "joint", name=f"joint{i}", type="fixed")
        ElementTree.SubElement(joint, "parent", link="world")
        ElementTree.SubElement(joint, "child", link=f"solid{i}")
        angles = _roll_pitch_yaw(scene.rotation[i])
        ElementTree.SubElement(joint, "origin", xyz=_text(scene.position[i]), rpy=_text(angles))
        if name == "box":
            shape = ("box", {"size": _text(2 * size)})
        elif name == "sphere":
            shape = ("sphere", {"radius": _text(size[:1])})
        elif name == "cylinder":
            shape = ("cylinder", {"radius": _text(size[:1]), "length": _text(2 * size[1:2])})
        else:
            own = _unwrapped(scene, i)
            made[f"solid{i}.obj"] = obj(*meshes.of(scene, i)).encode()
            if own is not None:
                corners, coordinates, image = own
                made[f"solid{i}.obj"] = _obj_with_image(corners, coordinates, f"solid{i}.mtl").encode()
                made[f"solid{i}.mtl"] = f"newmtl image\nKd 1 1 1\nmap_Kd solid{i}.png\n".encode()
                made[f"solid{i}.png"] = sheets.png(image)
                colours[i] = scene.colour[i, 0]
            shape = ("mesh", {"filename": f"{folder}/solid{i}.obj" if folder else f"solid{i}.obj"})
        for part in ("visual", "collision"):
            place = ElementTree.SubElement(link, part)
            ElementTree.SubElement(ElementTree.SubElement(place, "geometry"), shape[0], **shape[1])
            if part == "visual":
                material = ElementTree.SubElement(place, "material", name=f"colour{i}")
                ElementTree.SubElement(material, "color", rgba=_text([*colours[i], 1.0]))
    return {"scene.urdf": _pretty(root).encode(), **made}


def glb(scene: scenes.Scenes) -> bytes:
    """A binary glTF 2.0 of a batch of one: a node for each solid, named `solid0-box` and the like."""
    import trimesh
    from PIL import Image

    scene = _one(scene)
    if not len(scene.kind):
        raise errors.CaveError("a GLB holds at least one solid, this scene has none", errors.USAGE)
    shown = trimesh.Scene()
    turns = scenes.rotation_matrices(scene.rotation.astype(np.float64))
    colours = geometry.plain_colours(scene)
    for i, kind in enumerate(scene.kind.tolist()):
        corners, faces = meshes.of(scene, i)
        colour, uv, image, own = colours[i], None, None, _unwrapped(scene, i)
        if own is not None:
            corners, uv, pixels = own
            faces, colour, image = np.arange(len(corners)).reshape(-1, 3), scene.colour[i, 0], Image.fromarray(pixels)
        material = trimesh.visual.material.PBRMaterial(
            baseColorFactor=(*colour, 1.0), metallicFactor=0.0, roughnessFactor=1.0, baseColorTexture=image
        )
        visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
        name = f"solid{i}-{scenes.KINDS[kind]}"
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = turns[i], scene.position[i]
        made = trimesh.Trimesh(corners, faces, visual=visual, process=False)
        shown.add_geometry(made, node_name=name, geom_name=name, transform=_TURNED @ pose)
    return shown.export(file_type="glb")


def _unwrapped(scene: scenes.Scenes, i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Corners of each face in metres, their coordinates and the image, of a solid that shows one by coordinates."""
    own = scene.meshes[scene.mesh[i]] if scene.mesh[i] >= 0 else None
    if own is None or own.coordinates is None or scene.image[i] < 0:
        return None
    corners = (own.vertices * scene.size[i])[own.faces].reshape(-1, 3)
    return corners, own.coordinates.reshape(-1, 2), scene.images[scene.image[i]]


def _obj_with_image(corners: np.ndarray, coordinates: np.ndarray, library: str) -> str:
    """The text of an OBJ file of faces that share no corners, whose image the library names."""
    lines = [f"mtllib {library}", "usemtl image", *(f"v {_text(corner)}" for corner in corners)]
    lines += [f"vt {_text(place)}" for place in coordinates]
    lines += [f"f {k}/{k} {k + 1}/{k + 1} {k + 2}/{k + 2}" for k in range(1, len(corners), 3)]
    return "\n".join(lines) + "\n"


def obj(corners: np.ndarray, faces: np.ndarray) -> str:
    """A mesh as the text of a Wavefront OBJ file."""
    lines = [f"v {_text(corner)}" for corner in corners] + [f"f {a} {b} {c}" for a, b, c in (faces + 1).tolist()]
    return "\n".join(lines) + "\n"


def transforms(cameras: scenes.Cameras, names: list[dict[str, str]]) -> dict:
    """The tree of a `transforms.json`, as NeRF's programs read it (Mildenhall et al. 2020; our axes are already theirs).

    Args:
        cameras: One a frame.
        names: Of each frame's files: `file_path` and whatever else lies beside it.

    Raises:
        errors.CaveError: the cameras are no pinholes, for which the format has no word.
    """
    if cameras.extent is not None:
        raise errors.CaveError("transforms.json is for pinhole cameras: these are orthographic (extent is not None)")
    focal = cameras.height / 2 / math.tan(cameras.fov / 2)
    poses = np.tile(np.eye(4), (len(cameras), 1, 1))
    poses[:, :3, :3] = scenes.rotation_matrices(np.asarray(cameras.rotation, np.float64))
    poses[:, :3, 3] = cameras.position
    frames = [{**files, "transform_matrix": pose.tolist()} for files, pose in zip(names, poses, strict=True)]
    return {
        "camera_model": "OPENCV",
        "camera_angle_x": 2 * math.atan(cameras.width / 2 / focal),
        "camera_angle_y": cameras.fov,
        "fl_x": focal, "fl_y": focal, "cx": cameras.width / 2, "cy": cameras.height / 2,
        "w": cameras.width, "h": cameras.height,
        "frames": frames,
    }  # fmt: skip


_NUMBERS = {"box": 3, "sphere": 1, "capsule": 2, "cylinder": 2, "ellipsoid": 3}


def _one(scene: scenes.Scenes) -> scenes.Scenes:
    if len(scene) != 1:
        raise errors.CaveError(f"a file holds one scene, not {len(scene)}: give scenes[i]", errors.USAGE)
    try:
        scene.check()
    except ValueError as error:
        raise errors.CaveError(str(error)) from None
    return scene


def _text(numbers) -> str:
    """Numbers as XML likes them, short and exact to float32."""
    return " ".join(f"{float(x):.9g}" for x in np.atleast_1d(numbers))


def _link(root: ElementTree.Element, name: str) -> ElementTree.Element:
    """A link of a URDF that weighs nothing: PyBullet warns of links that do not say what they weigh."""
    link = ElementTree.SubElement(root, "link", name=name)
    inertial = ElementTree.SubElement(link, "inertial")
    ElementTree.SubElement(inertial, "mass", value="0")
    ElementTree.SubElement(inertial, "inertia", ixx="0", ixy="0", ixz="0", iyy="0", iyz="0", izz="0")
    return link


def _roll_pitch_yaw(quaternion: np.ndarray) -> tuple[float, float, float]:
    """Angles of turns about the fixed axes x, y and z, in that order (URDF's `rpy`)."""
    m = scenes.rotation_matrices(np.asarray(quaternion, np.float64))
    flat = math.hypot(m[0, 0], m[1, 0])
    if flat < 1e-9:  # straight up or down: roll and yaw are one turn, given to roll
        return math.atan2(-m[1, 2], m[1, 1]), math.atan2(-m[2, 0], flat), 0.0
    return math.atan2(m[2, 1], m[2, 2]), math.atan2(-m[2, 0], flat), math.atan2(m[1, 0], m[0, 0])


def _pretty(root: ElementTree.Element) -> str:
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"
