"""Valid files and their mutations, read one after another in a process of its own: `python hostile.py COUNT SEED`.

It is handed little memory, and ends badly if a reader does: a crash, a traceback, a result that is not what was promised.
"""

import io
import json
import resource
import struct
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

from scenes.geometry import reading
from scenes.kit import errors

MEMORY, SECONDS = 2 * 2**30, 5.0
WORDS = (b"nan", b"inf", b"-1", b"0", b"1e400", b"999999999", b"4294967295", b"99999999999999999999", b"../../etc/passwd",
         b"\x00", b"list", b"1/1/1", b"-9", b"{", b"]", b'"', b"<!DOCTYPE a>", b"&a;")  # fmt: skip


def valid(folder: Path) -> dict[str, bytes]:
    """A small valid file of every format, by name; those that they refer to lie in `folder`."""
    box = trimesh.creation.box((1, 2, 3))
    ball = trimesh.creation.icosphere(1)
    picture = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)
    made = {}
    for name, form in (("a.png", "png"), ("b.jpg", "jpeg")):
        memory = io.BytesIO()
        Image.fromarray(picture).save(memory, form)
        made[name] = memory.getvalue()
    (folder / "tex.png").write_bytes(made["a.png"])
    library = b"newmtl red\nKd 1 0.5 0\nd 1\nmap_Kd tex.png\n"
    (folder / "a.mtl").write_bytes(library)
    rows = [f"v {x} {y} {z}" for x, y, z in box.vertices] + ["vt 0 0", "vt 1 0", "vt 1 1", "vn 0 0 1"]
    rows += ["mtllib a.mtl", "usemtl red"] + [f"f {a + 1}/1/1 {b + 1}/2/1 {c + 1}/3/1" for a, b, c in box.faces]
    made["a.obj"] = "\n".join(rows).encode()
    made["plain.obj"] = trimesh.exchange.obj.export_obj(ball).encode()
    made["a.stl"] = trimesh.exchange.stl.export_stl(box)
    made["text.stl"] = trimesh.exchange.stl.export_stl_ascii(box).encode()
    made["a.ply"] = trimesh.exchange.ply.export_ply(ball)
    made["text.ply"] = trimesh.exchange.ply.export_ply(box, encoding="ascii")
    made["mixed.ply"] = polygons()
    textured = box.copy()
    material = trimesh.visual.material.PBRMaterial(
        baseColorTexture=Image.fromarray(picture), baseColorFactor=(1, 0, 0, 1)
    )
    textured.visual = trimesh.visual.TextureVisuals(uv=box.vertices[:, :2], material=material)
    shown = trimesh.Scene({"box": textured, "ball": ball})
    made["a.glb"] = shown.export(file_type="glb")
    made["a.xml"] = b'<?xml version="1.0"?>\n<robot name="r"><!-- a --><link name="a"><visual/></link>text</robot>\n'
    return made


def polygons() -> bytes:
    """A binary PLY of big end first, with a quadrangle and a triangle, colours and a scalar of each face."""
    header = b"ply\nformat binary_big_endian 1.0\ncomment c\nelement vertex 5\nproperty double x\nproperty double y\n"
    header += b"property double z\nproperty uchar red\nelement face 2\nproperty list uchar int vertex_index\n"
    header += b"property short flag\nend_header\n"
    corners = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1)]
    body = b"".join(struct.pack(">dddB", *corner, 7) for corner in corners)
    return header + body + struct.pack(">B4ih", 4, 0, 1, 2, 3, 5) + struct.pack(">B3ih", 3, 0, 1, 4, 5)


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Bytes changed, cut, doubled, replaced by awkward words, numbers and lengths, once or twice."""
    for _ in range(rng.integers(1, 3)):
        n, at = len(data), int(rng.integers(0, len(data) + 1))
        kind = rng.integers(0, 9)
        if kind == 0:
            data = data[:at] + bytes([rng.integers(256)]) + data[at + 1 :]
        elif kind == 1:
            data = data[:at]
        elif kind == 2:
            end = at + int(rng.integers(0, 40))
            data = data[:end] + data[at:end] * int(rng.integers(1, 40)) + data[end:]
        elif kind == 3:
            data = data[:at] + data[at + int(rng.integers(0, 40)) :]
        elif kind == 4:
            data = data[:at] + WORDS[rng.integers(len(WORDS))] + data[at:]
        elif kind == 5:
            words = data.split(b" ")
            words[rng.integers(len(words))] = WORDS[rng.integers(len(WORDS))]
            data = b" ".join(words)
        elif kind == 6:
            number = struct.pack("<I", int(rng.choice([0, 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1])))
            data = data[:at] + number + data[at + 4 :]
        elif kind == 7:
            lines = data.split(b"\n")
            i, j = rng.integers(len(lines), size=2)
            lines[i], lines[j] = lines[j], lines[i]
            data = b"\n".join(lines)
        elif data[:4] == b"glTF":
            data = _tree(data, rng)
        if not data or len(data) > 4 * n + 10**5:
            return data[: 10**5]
    return data


def _tree(data: bytes, rng: np.random.Generator) -> bytes:
    """A GLB of which one value of the tree is another, all lengths put right."""
    try:
        size = struct.unpack("<I", data[12:16])[0]
        tree = json.loads(data[20 : 20 + size])
        at, places = tree, []
        stack = [tree]
        while stack:
            at = stack.pop()
            for key, value in at.items() if isinstance(at, dict) else enumerate(at):
                places.append((at, key))
                stack += [value] if isinstance(value, (dict, list)) else []
        at, key = places[rng.integers(len(places))]
        at[key] = [0, -1, 1, 2**31, 2**53, 1e308, float("nan"), "x", None, [], {}, [0, 0], True, 3][rng.integers(14)]
        text = json.dumps(tree).encode()
        text += b" " * (-len(text) % 4)
        rest = data[20 + size :]
        return struct.pack("<4sIIII", b"glTF", 2, 20 + len(text) + len(rest), len(text), 0x4E4F534A) + text + rest
    except (ValueError, struct.error, AttributeError, IndexError, RecursionError):
        return data


def read(path: Path) -> str:
    """Read a file as its name says and hold the reader to its promises; returns 'read' or the error's line."""
    try:
        if path.suffix in (".png", ".jpg"):
            pixels = reading.picture(path)
            assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] in (3, 4), pixels.shape
        elif path.suffix == ".xml":
            assert sum(1 for _ in reading.markup(path).iter()) > 0
        else:
            held(reading.mesh(path))
    except errors.CaveError as error:
        line = str(error)
        assert "\n" not in line and str(path) in line and len(line) < 600, line
        return line
    return "read"


def held(model: reading.Model) -> None:
    """Raise AssertionError if a mesh is not what `reading` promises."""
    n, m = len(model.vertices), len(model.faces)
    assert n and m and np.isfinite(model.vertices).all()
    assert model.faces.min() >= 0 and model.faces.max() < n
    for array, width in ((model.normals, 3), (model.coordinates, 2)):
        assert array is None or (array.shape == (n, width) and np.isfinite(array).all())
    assert model.normals is None or np.allclose(np.linalg.norm(model.normals, axis=1), 1, atol=1e-3)
    if model.material is not None:
        assert (
            model.material.shape == (m,) and model.material.min() >= -1 and model.material.max() < len(model.materials)
        )
    for material in model.materials:
        assert all(0 <= part <= 1 for part in material.colour)


def main(count: int, seed: int) -> None:
    """Print how many of `count` mutations were read and how many refused, and the slowest in seconds."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    rng, told, slowest = np.random.default_rng(seed), {}, 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = valid(folder)
        for file, data in files.items():
            (folder / file).write_bytes(data)
            assert read(folder / file) == "read", file
        for i in range(count):
            file = list(files)[i % len(files)]
            path = folder / f"mutated-{file}"
            path.write_bytes(mutated(files[file], rng))
            (folder / "last").write_text(str(i))
            start = time.perf_counter()
            try:
                read_it = read(path) == "read"
            except BaseException:
                print(f"mutation {i} of seed {seed}: {file}", file=sys.stderr)
                raise
            slowest = max(slowest, time.perf_counter() - start)
            assert slowest < SECONDS, f"mutation {i} of seed {seed}, {file}: {slowest} s"
            told.setdefault(file, [0, 0])[not read_it] += 1
    print(json.dumps({"read, refused": told, "slowest": round(slowest, 3)}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
