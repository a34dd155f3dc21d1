"""URDF, written anew from what was read and checked: nothing else of a file reaches the program that is handed it.

What PyBullet and MuJoCo read of a URDF is kept; tags that both leave aside (transmissions, Gazebo's) are dropped.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from scenes.geometry.reading import limits, pictures
from scenes.geometry.reading.markup_tree import Element

LINKS = 128
"""Most links: more joints than that overrun arrays of PyBullet's."""
SHAPES = 1024
"""Most visual and collision shapes of all links."""
FILES = 128
"""Most meshes and pictures that it refers to."""
_NAME = 200
_PACKAGES = ("package://", "model://")
_JOINTS = ("fixed", "revolute", "continuous", "prismatic", "floating", "planar", "spherical")
_LENGTHS = {
    "box": {"size": 3}, "sphere": {"radius": 1}, "cylinder": {"radius": 1, "length": 1},
    "capsule": {"radius": 1, "length": 1}, "plane": {}, "mesh": {},
}  # fmt: skip
_CONTACT = (
    "lateral_friction", "rolling_friction", "spinning_friction", "contact_cfm", "contact_erp", "restitution", "stiffness",
    "damping", "inertia_scaling", "friction_anchor",
)  # fmt: skip


class Rewriter:
    """One URDF on its way from a tree to texts and meshes.

    Args:
        path: Of the file that the tree was read from.
        root: Folder that holds everything that it may refer to.
    """

    def __init__(self, path: Path, root: Path):
        self.path, self.root = path, root
        self.files: dict[str, bytes] = {}
        self._known: dict[Path, str] = {}
        self._shapes = 0

    def write(self, tree: Element) -> ElementTree.Element:
        """The tree of the new URDF; `files` then holds what it refers to.

        Raises:
            errors.CaveError: in one line, it is no URDF, or one that cannot be simulated, or exceeds a limit.
        """
        if tree.tag != "robot":
            raise self._fail(tree, f"the first tag is <{tree.tag[:40]}>, wanted <robot>")
        links, joints = tree.findall("link"), tree.findall("joint")
        for element in tree:
            if element.tag.startswith("xacro"):
                raise self._fail(element, "xacro is not URDF yet: run xacro on it first")
            if element.tag.endswith("deformable"):
                raise self._fail(element, f"<{element.tag[:40]}> is not read: wanted links and joints")
        if not 1 <= len(links) <= LINKS:
            raise self._fail(tree, f"it has {len(links)} links, wanted 1 to {LINKS}")
        names = self._distinct(links)
        self._distinct(joints)
        self._one_tree(names, joints)
        made = ElementTree.Element("robot", name=self._name(tree))
        for material in tree.findall("material"):
            self._material(material, made)
        for link in links:
            self._link(link, made)
        for joint in joints:
            self._joint(joint, made)
        return made

    def _distinct(self, elements: list[Element]) -> list[str]:
        names = [self._name(element) for element in elements]
        for i, name in enumerate(names):
            if name in names[:i]:
                raise self._fail(elements[i], f"a second {elements[i].tag} {name!r}: names must differ")
        return names

    def _one_tree(self, names: list[str], joints: list[Element]) -> None:
        """PyBullet crashes over two roots, and over a link with two parents."""
        parents: dict[str, str] = {}
        for joint in joints:
            ends = []
            for end in ("parent", "child"):
                name = getattr(joint.find(end), "attrib", {}).get("link")
                if name not in names:
                    raise self._fail(joint, f"its {end} is {str(name)[:80]!r}, which is no link")
                ends.append(name)
            if ends[1] in parents:
                raise self._fail(joint, f"link {ends[1]!r} is the child of two joints, wanted one")
            parents[ends[1]] = ends[0]
        roots = [name for name in names if name not in parents]
        for name in names:
            seen = {name}
            while name in parents:
                name = parents[name]
                if name in seen:
                    raise limits.fail(self.path, "joints", f"link {name!r} is a child of its own, wanted a tree")
                seen.add(name)
        if len(roots) != 1:
            raise limits.fail(
                self.path, "joints", f"{', '.join(roots[:4])} are links without a parent, wanted only one"
            )

    def _link(self, link: Element, into: ElementTree.Element) -> None:
        made = ElementTree.SubElement(into, "link", name=self._name(link))
        contact = link.find("contact")
        if contact is not None:
            kept = ElementTree.SubElement(made, "contact")
            for child in contact:
                if child.tag in _CONTACT:
                    given = {"value": _text(self._numbers(child, "value", 1))} if "value" in child.attrib else {}
                    ElementTree.SubElement(kept, child.tag, given)
        inertial = link.find("inertial")
        if inertial is not None:
            kept = ElementTree.SubElement(made, "inertial")
            self._origin(inertial, kept)
            mass, inertia = inertial.find("mass"), inertial.find("inertia")
            if mass is not None:
                (value,) = self._numbers(mass, "value", 1)
                if value < 0:
                    raise self._fail(mass, f"mass is {value:g}, wanted 0 or more")
                ElementTree.SubElement(kept, "mass", value=_text([value]))
            if inertia is not None:
                keys = [key for key in ("ixx", "ixy", "ixz", "iyy", "iyz", "izz") if key in inertia.attrib]
                ElementTree.SubElement(kept, "inertia", {key: _text(self._numbers(inertia, key, 1)) for key in keys})
        for tag in ("visual", "collision"):
            for shape in link.findall(tag):
                self._shape(shape, made)

    def _shape(self, shape: Element, into: ElementTree.Element) -> None:
        self._shapes += 1
        if self._shapes > SHAPES:
            raise self._fail(shape, f"it is one of more than {SHAPES} visual and collision shapes")
        kept = {"concave": shape.get("concave", "")} if shape.get("concave") in ("yes", "no") else {}
        made = ElementTree.SubElement(into, shape.tag, kept)
        self._origin(shape, made)
        geometry = shape.find("geometry")
        found = [child for child in geometry if child.tag in _LENGTHS] if geometry is not None else []
        if len(found) != 1:
            raise self._fail(shape, f"its geometry holds {len(found)} shapes, wanted one of {', '.join(_LENGTHS)}")
        form, given = found[0], {}
        for key, n in _LENGTHS[form.tag].items():
            values = self._numbers(form, key, n)
            if min(values) < 0:
                raise self._fail(form, f"{key} is {_text(values)}, wanted 0 or more")
            given[key] = _text(values)
        if form.tag == "plane":
            given["normal"] = _text(self._direction(form, "normal"))
        if form.tag == "mesh":
            given["filename"] = self._mesh(form)
            if "scale" in form.attrib:
                scale = self._numbers(form, "scale", 3)
                if 0 in scale:
                    raise self._fail(form, f"scale is {_text(scale)}, wanted no 0")
                given["scale"] = _text(scale)
        ElementTree.SubElement(ElementTree.SubElement(made, "geometry"), form.tag, given)
        for material in shape.findall("material")[:1]:
            self._material(material, made)

    def _material(self, material: Element, into: ElementTree.Element) -> None:
        made = ElementTree.SubElement(into, "material", name=self._name(material) if material.get("name") else "")
        colour, texture = material.find("color"), material.find("texture")
        if colour is not None:
            rgba = self._numbers(colour, "rgba", 4)
            if not all(0 <= part <= 1 for part in rgba):
                raise self._fail(colour, f"rgba is {_text(rgba)}, wanted 0 to 1")
            ElementTree.SubElement(made, "color", rgba=_text(rgba))
        if texture is not None and texture.get("filename"):
            ElementTree.SubElement(made, "texture", filename=self._picture(texture))

    def _joint(self, joint: Element, into: ElementTree.Element) -> None:
        kind = joint.get("type", "")
        if kind not in _JOINTS:
            raise self._fail(joint, f"type is {kind[:40]!r}, wanted one of {', '.join(_JOINTS)}")
        made = ElementTree.SubElement(into, "joint", name=self._name(joint), type=kind)
        self._origin(joint, made)
        for end in ("parent", "child"):
            ElementTree.SubElement(made, end, link=joint.find(end).get("link"))
        axis, limit, dynamics = joint.find("axis"), joint.find("limit"), joint.find("dynamics")
        if axis is not None and "xyz" in axis.attrib and kind != "fixed":
            ElementTree.SubElement(made, "axis", xyz=_text(self._direction(axis, "xyz")))
        for element, keys in ((limit, ("lower", "upper", "effort", "velocity")), (dynamics, ("damping", "friction"))):
            if element is not None:
                given = {key: _text(self._numbers(element, key, 1)) for key in keys if key in element.attrib}
                ElementTree.SubElement(made, element.tag, given)
        if limit is None and kind in ("revolute", "prismatic"):
            raise self._fail(joint, f"a {kind} joint wants a <limit lower= upper= effort= velocity=>")

    def _origin(self, element: Element, into: ElementTree.Element) -> None:
        origin = element.find("origin")
        if origin is not None:
            given = {key: _text(self._numbers(origin, key, 3)) for key in ("xyz", "rpy") if origin.get(key)}
            ElementTree.SubElement(into, "origin", given)

    def _direction(self, element: Element, key: str) -> list[float]:
        values = self._numbers(element, key, 3)
        if not math.hypot(*values) > 1e-9:
            raise self._fail(element, f"{key} is {_text(values)}, wanted a direction")
        return values

    def _numbers(self, element: Element, key: str, n: int) -> list[float]:
        given = element.get(key, "")
        try:
            values = [float(word) for word in given[:1000].replace(",", " ").split()]
        except ValueError:
            values = []
        # PyBullet takes the first ones, and files of its own have a few too many.
        if len(values) < n or (n == 1 < len(values)) or not all(abs(value) <= limits.REACH for value in values):
            what = "a finite number" if n == 1 else f"{n} finite numbers"
            raise self._fail(
                element, f"{key} of <{element.tag[:40]}> is {given[:40]!r}, wanted {what} within {limits.REACH:g}"
            )
        return values

    def _name(self, element: Element) -> str:
        # PyBullet crashes over a joint whose name is empty.
        name = element.get("name", "")
        if not 0 < len(name) <= _NAME or not name.isprintable():
            raise self._fail(element, f"<{element.tag}> has the name {name[:40]!r}, wanted 1 to {_NAME} letters")
        return name

    def _mesh(self, form: Element) -> str:
        from scenes.geometry import reading

        found = self._found(form)
        if found not in self._known:
            model = reading.mesh(found, self.root)
            name = f"mesh{len(self._known)}"
            self.files |= written(model, name)
            self._remember(found, f"{name}.obj", form)
        return self._known[found]

    def _picture(self, texture: Element) -> str:
        from scenes.geometry import reading

        found = self._found(texture)
        if found not in self._known:
            name = f"picture{len(self._known)}.png"
            self.files[name] = pictures.written(reading.picture(found))
            self._remember(found, name, texture)
        return self._known[found]

    def _remember(self, found: Path, name: str, element: Element) -> None:
        self._known[found] = name
        if len(self._known) > FILES or sum(map(len, self.files.values())) > 8 * limits.BYTES:
            raise self._fail(element, f"it refers to more than {FILES} files, or {8 * limits.BYTES} bytes of them")

    def _found(self, element: Element) -> Path:
        given = element.get("filename", "")
        above = self.path.parent
        folders = [above]
        if given.startswith(_PACKAGES):  # named from the folder that holds the package, which is above the URDF's own
            while above.resolve() != self.root.resolve() and above != above.parent:
                above = above.parent
                folders.append(above)
        for place in _places(given):
            for folder in folders:
                found = limits.inside(self.root, folder, place, self.path, f"line {element.line}")
                if found.is_file():
                    return found
        raise self._fail(element, f"{given[:200]!r} is not there")

    def _fail(self, element: Element, what: str) -> Exception:
        return limits.fail(self.path, f"line {element.line}", what)


def _places(given: str) -> Iterator[str]:
    """Where a file of that name may lie, seen from the URDF's folder or those above it."""
    for start in _PACKAGES:
        if given.startswith(start):
            rest = given.removeprefix(start)
            yield rest
            yield rest.partition("/")[2] or rest
            return
    yield given.removeprefix("file://")


def written(model: limits.Model, name: str) -> dict[str, bytes]:
    """A mesh as an OBJ file, with the MTL and PNG files that go with it: contents by file name."""
    rows = [f"mtllib {name}.mtl"] if model.materials else []
    table = lambda key, array: [
        f"{key} {' '.join(map(repr, row))}" for row in array.astype(np.float64).round(9).tolist()
    ]
    rows += table("v", model.vertices)
    form = "{0}"
    if model.coordinates is not None:
        rows += table("vt", model.coordinates)
        form = "{0}/{0}"
    if model.normals is not None:
        rows += table("vn", model.normals)
        form = "{0}/{0}/{0}" if model.coordinates is not None else "{0}//{0}"
    none = np.full(len(model.faces), -1)
    part, material = (none if array is None else array for array in (model.part, model.material))
    changes = np.flatnonzero((np.diff(part) != 0) | (np.diff(material) != 0)) + 1
    last = None
    for start, end in zip([0, *changes.tolist()], [*changes.tolist(), len(part)]):
        if model.part is not None and part[start] != last:
            last = part[start]
            rows.append(f"o part{last}")
        if material[start] >= 0:
            rows.append(f"usemtl m{material[start]}")
        rows += ["f " + " ".join(form.format(i) for i in face) for face in (model.faces[start:end] + 1).tolist()]
    made = {f"{name}.obj": ("\n".join(rows) + "\n").encode()}
    looks = []
    for i, look in enumerate(model.materials):
        looks += [f"newmtl m{i}", "Kd {:.6g} {:.6g} {:.6g}".format(*look.colour[:3]), f"d {look.colour[3]:.6g}"]
        if look.picture is not None:
            looks.append(f"map_Kd {name}-{i}.png")
            made[f"{name}-{i}.png"] = pictures.written(look.picture)
    if looks:
        made[f"{name}.mtl"] = ("\n".join(looks) + "\n").encode()
    return made


def _text(numbers: list[float]) -> str:
    return " ".join(f"{x:.12g}" for x in numbers)
