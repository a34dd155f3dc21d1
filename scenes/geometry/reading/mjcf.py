"""MJCF (MuJoCo's models): what they include is put in place, what they refer to is read, and counts are bounded.

MuJoCo's own parser survives bad XML, but it opens any file that a model names, and a few short numbers cost it hours or
all memory: heights, copies, pixels, subdivisions. Those are looked at here, before.
"""

import math
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from scenes.geometry.reading import limits, markup_tree, urdf
from scenes.geometry.reading.markup_tree import Element

ELEMENTS, BODIES, POINTS = 20000, 8000, 4000
"""Most elements and bodies of a model, its <replicate>s written out, and most points of a <flexcomp>: MuJoCo takes a few
seconds for any of them, and four times as long for twice as many."""
_DIVISIONS = 360
"""Of what a mesh is made of that a formula makes."""
INCLUDES = 64
_MOST = {
    ("hfield", "nrow"): 2048, ("hfield", "ncol"): 2048, ("texture", "width"): 4096, ("texture", "height"): 2**15,
    ("numeric", "size"): 10**6, ("user", "dim"): 10**6, ("size", "nuserdata"): 10**6, ("size", "nkey"): 10**4,
    ("size", "njmax"): 10**7, ("size", "nconmax"): 10**6, ("size", "nstack"): 10**9,
}  # fmt: skip
"""Largest number that an attribute of a tag may have."""
_MEMORY = 2**33
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50, "E": 2**60}
_FILES = ("file", "fileback", "filedown", "filefront", "fileleft", "fileright", "fileup")
_FORMS = {"mesh": (".obj", ".stl"), "flexcomp": (".obj", ".stl"), "texture": (".png",), "hfield": (".png",)}
"""Endings of the files that each tag may refer to."""


class Reader:
    """One model on its way from a tree to a text and the files that go with it.

    Args:
        path: Of the file that the tree was read from.
        root: Folder that holds everything that it may refer to; None: it may refer to nothing.
    """

    def __init__(self, path: Path, root: Path | None):
        self.path, self.root = path, root
        self.files: dict[str, bytes] = {}
        self._known: dict[Path, str] = {}
        self._included: set[Path] = set()
        self._folders = {"meshdir": "", "texturedir": "", "strippath": "false"}

    def read(self, tree: Element) -> ElementTree.Element:
        """The tree of the whole model; `files` then holds what it refers to.

        Raises:
            errors.CaveError: in one line.
        """
        if tree.tag == "robot":
            return self._robot(tree)
        if tree.tag != "mujoco":
            raise self._fail(tree, f"the first tag is <{tree.tag[:40]}>, wanted <mujoco>, or <robot> of a URDF")
        self._include(tree, self.path)
        elements, bodies = self._size(tree)
        if elements > ELEMENTS or bodies > BODIES:
            what = f"{elements:g} elements and {bodies:g} bodies, copies among them"
            raise self._fail(tree, f"it has {what}, wanted at most {ELEMENTS} and {BODIES}")
        for compiler in tree.iter("compiler"):
            self._settings(compiler)
        for element in tree.iter():
            self._check(element)
            self._refer(element)
        return tree

    def _robot(self, tree: Element) -> ElementTree.Element:
        if self.root is None and any(element.get("filename") for element in tree.iter()):
            raise self._fail(tree, "text may refer to no files: give the path of a file")
        rewriter = urdf.Rewriter(self.path, self.root or Path())
        made = rewriter.write(tree)
        self.files = rewriter.files
        for extension in tree.findall("mujoco"):
            for element in extension.iter():
                self._settings(element)
                self._check(element)
            made.append(extension)
        return made

    def _settings(self, compiler: Element) -> None:
        """Take to heart where files lie, and take it out: they come with the text."""
        both = compiler.attrib.pop("assetdir", None)
        for key in self._folders:
            given = compiler.attrib.pop(key, both if key != "strippath" else None)
            self._folders[key] = self._folders[key] if given is None else given

    def _include(self, tree: Element, path: Path) -> None:
        """Put in place of each <include> what its file holds."""
        stack = [(tree, path)]
        while stack:
            parent, path = stack.pop()
            i = 0
            while i < len(parent):
                child = parent[i]
                if child.tag != "include":
                    stack.append((child, path))
                    i += 1
                    continue
                found = self._found(child, child.get("file", ""), "")
                if found in self._included or len(self._included) >= INCLUDES:
                    raise self._fail(child, f"{found.name!r} is included twice, or as one of more than {INCLUDES}")
                self._included.add(found)
                parent[i : i + 1] = list(markup_tree.read(limits.contents(found), found))

    def _check(self, element: Element) -> None:
        for (tag, key), most in _MOST.items():
            if tag == element.tag:
                self._counts(element, key, most)
        if element.tag == "size":
            for key in element.attrib:
                if key.startswith("nuser_"):
                    self._counts(element, key, 10**4)
            self._memory(element)
        if element.tag == "flexcomp":
            for key in ("count", "cellcount"):
                if (points := math.prod(max(n, 1) for n in self._counts(element, key, POINTS))) > POINTS:
                    raise self._fail(element, f"{key} makes {points:g} points, wanted at most {POINTS}")
        if element.tag == "mesh" and element.get("builtin"):
            self._counts(element, "params", _DIVISIONS)
        if element.tag == "texture" and {"width", "height"} <= element.attrib.keys():
            pixels = math.prod(sum(self._counts(element, key, _MOST["texture", key])) for key in ("width", "height"))
            if pixels > 2 * limits.PIXELS:
                raise self._fail(element, f"the texture has {pixels:g} pixels, at most {2 * limits.PIXELS} are read")

    def _size(self, tree: Element) -> tuple[float, float]:
        """Elements and bodies once all copies are written out; what reads XML has bounded the nesting."""
        within = [self._size(child) for child in tree]
        elements, bodies = 1 + sum(size[0] for size in within), (tree.tag == "body") + sum(size[1] for size in within)
        copies = sum(self._counts(tree, "count", ELEMENTS)) if tree.tag == "replicate" else 1
        return elements * max(copies, 1), bodies * max(copies, 1)

    def _counts(self, element: Element, key: str, most: int) -> list[float]:
        """The numbers of an attribute, each of them at most so large."""
        made = []
        for word in element.get(key, "").split():
            try:
                made.append(float(word))
            except ValueError:
                made.append(math.nan)
            if not abs(made[-1]) <= most:
                raise self._fail(
                    element, f"{key} of <{element.tag}> is {word[:40]!r}, wanted numbers of at most {most}"
                )
        return made

    def _memory(self, element: Element) -> None:
        given = element.get("memory", "0").strip()
        unit = given[-1:].upper() if given[-1:].isalpha() else ""
        try:
            asked = float(given[: len(given) - len(unit)]) * _UNITS[unit]
        except (ValueError, KeyError):
            asked = math.nan
        if not -1 <= asked <= _MEMORY:
            raise self._fail(element, f"memory is {given[:40]!r}, wanted at most {_MEMORY} bytes")

    def _refer(self, element: Element) -> None:
        if element.tag == "compiler" or not any(element.get(key) for key in _FILES):
            return
        if element.tag not in _FORMS:
            raise self._fail(element, f"<{element.tag[:40]} file=> is not read: write it into the model, or include it")
        folder = self._folders["texturedir" if element.tag == "texture" else "meshdir"]
        for key in _FILES:
            given = element.get(key)
            if not given:
                continue
            plain = PurePosixPath(given.replace("\\", "/"))
            if plain.suffix.lower() not in _FORMS[element.tag]:
                wanted = " or ".join(_FORMS[element.tag])
                raise self._fail(element, f"{given[:80]!r} is not read as a {element.tag}: convert it to {wanted}")
            found = self._found(element, plain.name if self._folders["strippath"] == "true" else str(plain), folder)
            if key == "file" and element.tag != "flexcomp":
                element.set("name", element.get("name", plain.stem))
            element.attrib.pop("content_type", None)
            element.set(key, self._kept(element, found))

    def _kept(self, element: Element, found: Path) -> str:
        """The name by which the text has a file, whose contents were read and are right."""
        from scenes.geometry import reading

        if found not in self._known:
            if found.suffix.lower() == ".png":
                reading.picture(found)
            else:
                reading.mesh(found, self.root)
            self._known[found] = f"{len(self._known)}{found.suffix.lower()}"
            self.files[self._known[found]] = limits.contents(found)
            if len(self.files) > 1024 or sum(map(len, self.files.values())) > 8 * limits.BYTES:
                raise self._fail(element, f"it refers to more than 1024 files, or {8 * limits.BYTES} bytes of them")
        return self._known[found]

    def _found(self, element: Element, name: str, folder: str) -> Path:
        if self.root is None:
            raise self._fail(element, f"{name[:80]!r}: text may refer to no files: give the path of a file")
        found = limits.inside(self.root, self.path.parent / folder, name, self.path, f"line {element.line}")
        if not found.is_file():
            raise self._fail(element, f"{str(PurePosixPath(folder) / name)[:200]!r} is not there")
        return found

    def _fail(self, element: Element, what: str) -> Exception:
        return limits.fail(self.path, f"line {element.line}", what)
