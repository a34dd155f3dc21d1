"""Files of unknown origin: what is valid reads as it is, and what is not ends in one line."""

import io
import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from scenes.geometry import reading
from scenes.geometry.reading import pictures
from scenes.kit import errors

HOSTILE = Path(__file__).parent / "hostile.py"


def png_head(width, height):
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def ply(vertices="3", faces="1", rows="0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n", kind="ascii"):
    return (
        f"ply\nformat {kind} 1.0\nelement vertex {vertices}\nproperty float x\nproperty float y\nproperty float z\n"
        f"element face {faces}\nproperty list uchar int vertex_indices\nend_header\n{rows}"
    ).encode()


def glb(tree, binary=b""):
    tree = tree.encode() if isinstance(tree, str) else tree
    tree += b" " * (-len(tree) % 4)
    rest = struct.pack("<II", len(binary), 0x004E4942) + binary if binary else b""
    return struct.pack("<4sIIII", b"glTF", 2, 20 + len(tree) + len(rest), len(tree), 0x4E4F534A) + tree + rest


TRIANGLE = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], "<f4").tobytes()
SHOWN = (
    '{"nodes":[%s],"meshes":[{"primitives":[{"attributes":{"POSITION":0}}]}],"buffers":[{"byteLength":36}],'
    '"bufferViews":[{"buffer":0,"byteLength":%s}],'
    '"accessors":[{"bufferView":0,"componentType":5126,"type":"VEC3","count":%s}]}'
)

BAD = {
    "nan.obj": (b"v 0 0 0\nv 1 0 0\nv 0 nan 0\nf 1 2 3\n", "vertex 2: it is .*wanted finite numbers"),
    "huge.obj": (b"v 0 0 0\nv 1 0 0\nv 0 1e300 0\nf 1 2 3\n", "vertex 2: it is .*wanted finite numbers within 1e.07"),
    "range.obj": (b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 999999999\n", "triangle 0: it names vertex 999999999, wanted 1 to 3"),
    "zero.obj": (b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 0 1 2\n", "wanted 1 to 3"),
    "empty.obj": (b"", "it holds no faces"),
    "words.obj": (b"v 0 0 0\nhello 1\n", "line 2: 'hello 1' is not a line of OBJ; accepted: v, vt"),
    "longline.obj": (b"v 0 0 0\nf" + b" 1" * 10**6, "line 2: wanted at most .* lines of 65536 bytes"),
    "leaves.obj": (b"mtllib ../../etc/passwd\nv 0 0 0\nf 1 1 1\n", "line 1: '../../etc/passwd' lies outside of"),
    "absolute.obj": (b"mtllib /etc/passwd\nv 0 0 0\nf 1 1 1\n", "'/etc/passwd' lies outside of"),
    "count.stl": (bytes(80) + struct.pack("<I", 2**31) + bytes(50), "byte 80: it has 134 bytes, a binary STL of 2147483648"),
    "nan.stl": (bytes(80) + struct.pack("<I", 1) + struct.pack("<12fH", *[np.nan] * 12, 0), "face 0: .*wanted finite"),
    "cut.stl": (b"solid a\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\n", "it ends within a face, wanted 'vertex'"),
    "count.ply": (ply(vertices="4000000000"), "line 3: it has 4000000000 vertices, at most 2097152 are read"),
    "short.ply": (ply(vertices="1000"), "element vertex: the file ends before all of its 1000 rows|wanted numbers"),
    "less.ply": (ply(vertices="-1"), "it has -1 vertices"),
    "binary.ply": (ply("2000000", "9", "", "binary_little_endian"), "the file ends before all of its 2000000 rows"),
    "range.ply": (ply(rows="0 0 0\n1 0 0\n0 1 0\n3 0 1 3\n"), r"face 0: it has corners \[0, 1, 3\], wanted 0 to 2"),
    "polygon.ply": (ply(rows="0 0 0\n1 0 0\n0 1 0\n1000000000 0 1\n"), "lists of 0 to 255"),
    "fraction.ply": (
        ply("3", "1", "", "binary_little_endian").replace(b"uchar int", b"uchar float") + TRIANGLE
        + struct.pack("<B3f", 3, 0, 1.5, 2), "element face: wanted whole numbers of vertices",
    ),
    "deep.glb": (glb("[" * 200000), "tree: not JSON"),
    "length.glb": (glb(SHOWN % ('{"mesh":0}', 36, 3), TRIANGLE)[:-1], "byte 4: version 2 of"),
    "chunk.glb": (struct.pack("<4sIIII", b"glTF", 2, 20, 2**32 - 1, 0x4E4F534A), "wanted JSON first, of at most 0 bytes"),
    "rows.glb": (glb(SHOWN % ('{"mesh":0}', 36, 30), TRIANGLE), "accessor 0: its 30 rows do not fit into the 36 bytes"),
    "view.glb": (glb(SHOWN % ('{"mesh":0}', 360, 3), TRIANGLE), "view 0: it ends at byte 360 of the 36 that there are"),
    "cycle.glb": (glb(SHOWN % ('{"children":[1]},{"children":[2]},{"children":[1]}', 36, 3), TRIANGLE), "wanted a tree"),
    "uri.glb": (glb('{"buffers":[{"uri":"../secret.bin","byteLength":3}]}'), "buffer 0: it lies in another file"),
    "large.png": (png_head(100000, 100000), "the picture is too large, at most 16777216 pixels are read"),
    "wide.png": (png_head(20000, 500), "the picture is 20000 x 500, at most 16777216 pixels are read, 16384 each way"),
    "cut.png": (png_head(10, 10)[:40], "not a PNG or JPEG picture"),
    "gif.png": (b"GIF89a" + bytes(50), "not a PNG or JPEG picture"),
    "laughs.xml": (b'<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;">]>\n<a>&c;</a>', "line 1: declarations .*not accepted"),
    "wide.xml": (b"<a>" + b"<b/>" * 200000 + b"</a>", "more than 100000 elements"),
    "deep.xml": (b"<a>" * 100000, "256 within each other"),
    "cut.xml": (b"<a>\n<b>", "line 2, column 4: not XML"),
    "other.xml": ("<a/>".encode("utf-16"), "not UTF-8"),
    "mesh.dae": (b"", "a mesh that ends in '.dae' is not read; convert it to .obj, .stl, .ply, .glb"),
}  # fmt: skip


def read(path):
    if path.suffix == ".png":
        return reading.picture(path)
    return reading.markup(path) if path.suffix == ".xml" else reading.mesh(path)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_named_in_one_line(tmp_path, name):
    (tmp_path / name).write_bytes(BAD[name][0])
    with pytest.raises(errors.CaveError, match=BAD[name][1]) as caught:
        read(tmp_path / name)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_what_is_not_an_ordinary_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.obj")
    with pytest.raises(errors.CaveError, match="not an ordinary file"):
        reading.mesh(tmp_path / "pipe.obj")
    with pytest.raises(errors.CaveError, match="No such file"):
        reading.mesh(tmp_path / "none.obj")
    with pytest.raises(errors.CaveError, match="no file has such a name"):
        reading.mesh("a\0.obj")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "link.mtl").symlink_to("/etc/passwd")
    (tmp_path / "a" / "a.obj").write_bytes(b"mtllib link.mtl\nv 0 0 0\nf 1 1 1\n")
    with pytest.raises(errors.CaveError, match="'link.mtl' lies outside"):
        reading.mesh(tmp_path / "a" / "a.obj")


@pytest.mark.parametrize("count", [440, pytest.param(20000, marks=pytest.mark.slow)])
def test_mutated_files_are_arrays_or_one_line(count):
    """In a process of its own, with 2 GiB and five seconds a file."""
    here = os.pathsep.join([str(HOSTILE.parents[2]), os.environ.get("PYTHONPATH", "")])
    around = os.environ | {"PYTHONPATH": here, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", HOSTILE, str(count), "7"], env=around, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("name", ["a.obj", "a.stl", "text.stl", "a.ply", "text.ply", "a.glb"])
def test_meshes_are_those_that_trimesh_reads(tmp_path, name):
    solid = trimesh.creation.torus(1.0, 0.3)
    solid.apply_transform(trimesh.transformations.rotation_matrix(0.4, (1, 2, 3), (1, 0, 0)))
    ascii_ = name.startswith("text")
    if name == "a.glb":
        turned = solid.copy()
        turned.apply_transform(np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]]))
        (tmp_path / name).write_bytes(turned.export(file_type="glb"))
    elif name == "a.ply":
        (tmp_path / name).write_bytes(trimesh.exchange.ply.export_ply(solid))
    elif name == "text.ply":
        (tmp_path / name).write_bytes(trimesh.exchange.ply.export_ply(solid, encoding="ascii"))
    else:
        solid.export(tmp_path / name, file_type="stl_ascii" if ascii_ else name[2:])
    model = reading.mesh(tmp_path / name)
    again = trimesh.Trimesh(model.vertices, model.faces, process=False)
    assert again.is_watertight and again.is_winding_consistent
    assert again.volume == pytest.approx(solid.volume, rel=1e-4)
    np.testing.assert_allclose(again.centroid, solid.centroid, atol=1e-4)
    np.testing.assert_allclose(again.moment_inertia, solid.moment_inertia, rtol=1e-3, atol=1e-3)


def test_an_obj_says_where_its_pictures_lie_on_it(tmp_path):
    """Four corners with coordinates, a colour and a picture; one face by numbers from the end, one a quadrangle."""
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3) * 10
    Image.fromarray(pixels).save(tmp_path / "p.png")
    (tmp_path / "m.mtl").write_text("newmtl a b\nKd 1 0.5 0\nmap_Kd p.png\nnewmtl glass\nd 0.25\n")
    (tmp_path / "a.obj").write_text(
        "mtllib m.mtl\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nvn 0 0 2\n"
        "usemtl a b\nf 1/1/1 2/2/1 3/3/1 4/4/1\nusemtl glass\nf -4/1/-1 -2/3/-1 \\\n -1/4/-1\n"
    )
    model = reading.mesh(tmp_path / "a.obj")
    assert len(model.faces) == 3 and model.material.tolist() == [0, 0, 1]
    np.testing.assert_array_equal(model.vertices[:, :2], model.coordinates)
    np.testing.assert_array_equal(model.normals, [[0, 0, 1]] * 4)
    assert [m.name for m in model.materials] == ["a b", "glass"]
    assert model.materials[0].colour == (1, 0.5, 0, 1) and model.materials[1].colour == (1, 1, 1, 0.25)
    np.testing.assert_array_equal(model.materials[0].picture, pixels)


def test_pictures_of_every_depth_become_bytes(tmp_path):
    grey = np.array([[0, 256, 65535]], np.uint16)
    for name, array in (
        ("grey.png", grey),
        ("flags.png", np.array([[True, False]])),
        ("bytes.png", np.uint8([[7, 8]])),
    ):
        Image.fromarray(array).save(tmp_path / name)
    assert reading.picture(tmp_path / "grey.png")[0, :, 0].tolist() == [0, 1, 255]
    assert reading.picture(tmp_path / "flags.png")[0, :, 0].tolist() == [255, 0]
    assert reading.picture(tmp_path / "bytes.png")[0, :, 0].tolist() == [7, 8]
    see_through = np.uint8([[[1, 2, 3, 4]]])
    Image.fromarray(see_through).save(tmp_path / "a.png")
    np.testing.assert_array_equal(reading.picture(tmp_path / "a.png"), see_through)
    memory = io.BytesIO()
    Image.fromarray(np.uint8([[[9, 9, 9]]])).save(memory, "bmp")
    (tmp_path / "b.png").write_bytes(memory.getvalue())
    with pytest.raises(errors.CaveError, match="not a PNG or JPEG"):
        reading.picture(tmp_path / "b.png")


def test_xml_may_be_given_as_text_and_knows_its_lines():
    tree = reading.markup("<a>\n  <b c='1'/>\n</a>")
    assert (tree.tag, tree.line, tree[0].get("c"), tree[0].line) == ("a", 1, "1", 2)


def test_pictures_of_all_libraries_are_bounded_together_and_read_once(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(pictures, "read", lambda data, path: read.append(path) or np.zeros((4096, 4096, 3), np.uint8))
    shape = b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(b"")
        (tmp_path / f"{i}.mtl").write_text(f"newmtl m{i}\nmap_Kd {i}.png\n")
        (tmp_path / f"same{i}.mtl").write_text(f"newmtl m{i}\nmap_Kd 0.png\n")
    (tmp_path / "same.obj").write_bytes(b"mtllib same0.mtl\nmtllib same1.mtl\nmtllib same2.mtl\n" + shape)
    reading.mesh(tmp_path / "same.obj")
    assert len(read) == 1
    (tmp_path / "all.mtl").write_text("".join(f"newmtl m{i}\nmap_Kd {i}.png\n" for i in range(3)))
    for lines in (b"mtllib 0.mtl\nmtllib 1.mtl\nmtllib 2.mtl\n", b"mtllib all.mtl\n"):
        read.clear()
        (tmp_path / "a.obj").write_bytes(lines + shape)
        with pytest.raises(errors.CaveError, match="line [24]: more than 16777216 pixels in all pictures"):
            reading.mesh(tmp_path / "a.obj")
        assert len(read) == 2


def test_numbers_of_a_glb_that_stand_for_shares_are_read_as_such(tmp_path):
    tree = json.loads(SHOWN % ('{"mesh":0}', 36, 3))
    tree["buffers"][0]["byteLength"] = 48
    tree["bufferViews"].append({"buffer": 0, "byteOffset": 36, "byteLength": 12})
    tree["accessors"].append({"bufferView": 1, "componentType": 5123, "type": "VEC2", "count": 3, "normalized": True})
    tree["meshes"][0]["primitives"][0]["attributes"]["TEXCOORD_0"] = 1
    data = TRIANGLE + np.array([[0, 65535], [65535, 65535], [0, 0]], "<u2").tobytes()
    (tmp_path / "a.glb").write_bytes(glb(json.dumps(tree), data))
    np.testing.assert_allclose(reading.mesh(tmp_path / "a.glb").coordinates, [[0, 0], [1, 0], [0, 1]], atol=1e-6)


def test_an_error_about_a_name_that_is_no_text_can_be_printed(tmp_path):
    with pytest.raises(errors.CaveError, match="udcff.*cannot be read") as caught:
        reading.mesh(tmp_path / os.fsdecode(b"\xff.obj"))
    str(caught.value).encode("utf-8")
