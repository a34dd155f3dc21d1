"""Meshes, pictures and XML of unknown origin, read into plain arrays.

    model = reading.mesh("duck.obj")          OBJ, STL, PLY or GLB: a `Model`, metres as the file has them, z up
    pixels = reading.picture("duck.png")      PNG or JPEG: uint8 h w 3 or h w 4
    tree = reading.markup("r2d2.urdf")        XML as a tree, each element with its line
    files = reading.urdf_files("r2d2.urdf")   a URDF and all it refers to, written anew: contents by name
    text, files = reading.mjcf_files("ant.xml")   an MJCF with what it includes, and all it refers to

Whatever the bytes are, the result is either arrays that can be used without another look (finite, indices in range, no
larger than the limits in `limits.py`) or one line that names the file, the place in it and what would be accepted. What a
file declares is compared with what it holds before memory is asked for. A file may refer only to what lies in its own
folder or below (or in `root`, where that is given); what is not an ordinary file is not opened.
"""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from jaxtyping import UInt8

from scenes.geometry.reading import glb, markup_tree, mjcf, obj, pictures, ply, stl, urdf
from scenes.geometry.reading.limits import Material, Model, contents, fail
from scenes.kit import errors

__all__ = ["FORMATS", "Material", "Model", "markup", "mesh", "mjcf_files", "picture", "urdf_files"]

FORMATS = (".obj", ".stl", ".ply", ".glb")
"""Endings of names of mesh files."""


def mesh(path: str | Path, root: str | Path | None = None) -> Model:
    """The triangles of a mesh file, its materials and their pictures.

    Args:
        path: Ends in .obj, .stl, .ply or .glb, which decides how it is read.
        root: Folder that holds everything that the file may refer to; by default the file's own.

    Raises:
        errors.CaveError: in one line, the file is not there, is no such mesh or exceeds a limit.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise errors.CaveError(
            f"{path}: a mesh that ends in {ending!r} is not read; convert it to {', '.join(FORMATS)}"
        )
    data, root = contents(path), Path(root or path.parent)
    try:
        # Numbers of any size are cast and multiplied on the way to where they are checked.
        with np.errstate(all="ignore"):
            if ending == ".obj":
                return obj.read(data, path, root)
            if ending == ".stl":
                return stl.read(data, path)
            return (ply if ending == ".ply" else glb).read(data, path)
    except MemoryError:
        raise fail(path, "", "it does not fit into this machine's memory") from None


def picture(path: str | Path) -> UInt8[np.ndarray, "h w c"]:
    """The pixels of a PNG or JPEG file, uint8, h w 3 or, where some are transparent, h w 4.

    Raises:
        errors.CaveError: in one line, the file is not there, is no such picture or exceeds a limit.
    """
    return pictures.read(contents(Path(path)), Path(path))


def markup(given: str | Path) -> "markup_tree.Element":
    """The tree of an XML file, or of XML itself (text that begins with `<`).

    Raises:
        errors.CaveError: in one line, the file is not there, is not XML, declares entities, or exceeds a limit.
    """
    if isinstance(given, str) and given.lstrip("\ufeff \t\r\n").startswith("<"):
        return markup_tree.read(given.encode("utf-8", "replace"), Path("<text>"))
    return markup_tree.read(contents(Path(given)), Path(given))


def urdf_files(path: str | Path, root: str | Path | None = None) -> dict[str, bytes]:
    """A URDF and the meshes and pictures that it refers to, all of them written anew from what was read.

    Args:
        path: Of the file.
        root: Folder that holds everything that it may refer to; by default the file's own. Where names begin with
            `package://`, the folder that holds the package.

    Returns:
        Contents by name: `model.urdf`, and what lies beside it.

    Raises:
        errors.CaveError: in one line, the file is not there, is no URDF that can be simulated, or exceeds a limit.
    """
    path = Path(path)
    rewriter = urdf.Rewriter(path, Path(root or path.parent))
    tree = rewriter.write(markup(path))
    ElementTree.indent(tree)
    return {"model.urdf": ElementTree.tostring(tree), **rewriter.files}


def mjcf_files(given: str | Path, root: str | Path | None = None) -> tuple[str, dict[str, bytes]]:
    """A MuJoCo model (MJCF, or a URDF) with what it includes put in place, and the files that it refers to.

    Args:
        given: Path of the file; or the model itself, text that begins with `<`, which may refer to no files.
        root: Folder that holds everything that it may refer to; by default the file's own.

    Returns:
        The text, and contents by the names that it has for them: what `mujoco.MjModel.from_xml_string` takes.

    Raises:
        errors.CaveError: in one line, a file is not there or not what it should be, or something exceeds a limit.
    """
    tree = markup(given)
    path = Path("<text>") if isinstance(given, str) and given.lstrip("\ufeff \t\r\n").startswith("<") else Path(given)
    reader = mjcf.Reader(path, Path(root or path.parent) if path.name != "<text>" else None)
    return ElementTree.tostring(reader.read(tree), encoding="unicode"), reader.files
