"""The promises of every family of scenes, and of the arrays that hold them."""

import dataclasses
import hashlib
import itertools
import json
import math
import os
import subprocess
import sys

import mujoco
import numpy as np
import pytest

import scenes
from scenes import factors, geometry
from scenes.geometry import meshes
from scenes.kit import errors, plugins

FAMILIES = plugins.names("scenes")
SEED, INDEX = 3, np.array([0, 1, 5, 2**33, 17, 256])


def cases():
    for name in FAMILIES:
        family = plugins.load("scenes", name, "family")
        for split in family.splits(family.Config()):
            yield pytest.param(family, split, id=f"{name}-{split}")


@pytest.fixture(params=FAMILIES)
def family(request):
    return plugins.load("scenes", request.param, "family")


def arrays(batch):
    fields = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    # Where a mesh stands in its table does not matter, what it holds does.
    held = [hashlib.sha256(b"".join(part.tobytes() for part in parts(mesh))).hexdigest() for mesh in batch.meshes]
    fields["mesh"] = np.array([*held, ""])[batch.mesh]
    return {name: value for name, value in fields.items() if isinstance(value, np.ndarray)} | batch.factors


def parts(mesh):
    return [part for part in (mesh.vertices, mesh.faces, mesh.normals) if part is not None]


def assert_equal(a, b):
    ours, theirs = arrays(a), arrays(b)
    assert ours.keys() == theirs.keys() and a.first_object == b.first_object
    for name, value in ours.items():
        assert value.dtype == theirs[name].dtype or name == "mesh", name
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


def test_config_is_frozen_and_becomes_json(family):
    config = family.Config()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(config, dataclasses.fields(config)[0].name, None)
    json.dumps(dataclasses.asdict(config))


def test_splits_are_what_they_say(family):
    splits = family.splits(family.Config())
    factors.check_splits(splits)
    assert {"train", "test"} <= set(splits)
    assert all(name == split.name for name, split in splits.items())
    for name, split in splits.items():
        if name != "train" and split.in_distribution_of is None:
            assert split.novel, f"{name} does not say what is new in it"
            assert factors.overlap(splits["train"], split) is None


@pytest.mark.parametrize(("family", "split"), list(cases()))
def test_samples_lie_in_their_split_and_in_no_other_condition(family, split):
    splits = family.splits(family.Config())
    drawn = splits[split].sample(SEED, np.arange(200))
    assert splits[split].contains(drawn).all()
    for other in splits.values():
        apart = (split == "train") != (other.name == "train") and other.in_distribution_of is None
        if apart and splits[split].in_distribution_of is None:
            assert not other.contains(drawn).any()


@pytest.mark.parametrize(("family", "split"), list(cases()))
def test_scene_i_is_a_pure_function(family, split):
    config = family.Config()
    whole = scenes.sample(family, config, split, SEED, INDEX)
    whole.check()
    assert whole.n_solids.tolist() == [scenes.sample(family, config, split, SEED, [i]).n_solids[0] for i in INDEX]
    for order in ([3], [5, 0], [4, 3, 2, 1, 0, 5]):
        assert_equal(scenes.sample(family, config, split, SEED, INDEX[order]), whole[np.array(order)])
    assert_equal(scenes.join([whole[:2], whole[2:]]), whole)
    other = scenes.sample(family, config, split, SEED + 1, INDEX)
    assert other.to_json() != whole.to_json()


@pytest.mark.parametrize(("family", "split"), list(cases()))
def test_json_gives_back_every_bit(family, split):
    batch = scenes.sample(family, family.Config(), split, SEED, INDEX[:3])
    assert_equal(scenes.Scenes.from_json(batch.to_json()), batch)


SCRIPT = f"""
import hashlib, json, numpy as np, scenes; from scenes.kit import plugins
told = {{}}
for name in plugins.names("scenes")[::ORDER]:
    family = plugins.load("scenes", name, "family")
    texts = {{}}
    for split in list(family.splits(family.Config()))[::ORDER]:
        texts[split] = scenes.sample(family, family.Config(), split, {SEED}, np.array({INDEX.tolist()})).to_json()
    told[name] = hashlib.sha256("".join(texts[split] for split in sorted(texts)).encode()).hexdigest()
"""


@pytest.fixture(scope="module")
def elsewhere():
    """What two other processes say of all families: under other hash seeds, one of them in reverse order."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT.replace("ORDER", order) + "print(json.dumps(told))"],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )
        for order, hash_seed in (("1", "1"), ("-1", "77"))
    ]
    told = [process.communicate()[0] for process in started]
    assert not any(process.returncode for process in started)
    return [json.loads(text) for text in told]


@pytest.mark.parametrize("name", FAMILIES)
def test_same_scenes_in_every_process(name, elsewhere):
    """Also under another hash seed, and with the splits asked for in another order."""
    family, digest = plugins.load("scenes", name, "family"), hashlib.sha256()
    for split in sorted(family.splits(family.Config())):
        digest.update(scenes.sample(family, family.Config(), split, SEED, INDEX).to_json().encode())
    assert [told[name] for told in elsewhere] == [digest.hexdigest()] * 2


def test_factors_describe_the_solids(family):
    batch = scenes.sample(family, family.Config(), "train", SEED, np.arange(20))
    n_objects = batch.factors["n_objects"]
    np.testing.assert_array_equal(batch.n_objects, n_objects)
    # Behind the objects there is nothing, unless the family says how many solids of scenery are.
    behind = family.n_behind(family.Config(), batch.factors) if hasattr(family, "n_behind") else 0
    np.testing.assert_array_equal(batch.n_solids, batch.first_object + n_objects + behind)
    for value in batch.factors.values():
        if value.ndim > 1:
            padding = np.arange(value.shape[1]) >= n_objects[:, None]
            assert not value[padding].any()


DEEPEST = 1e-3
"""Metres by which two solids may overlap: what float32 and MuJoCo's search for the distance leave open, and no more."""


def overlaps(batch):
    """Depth in metres of every overlap of an object with another solid that is deeper than `DEEPEST`, by MuJoCo.

    Solids without a volume (sprites) hold nothing, and a plane only what stands over or under it.
    """
    solids = [(a, b) for a, b in itertools.pairwise(batch.offsets.tolist())]
    plane, mesh = (scenes.KINDS.index(kind) for kind in ("plane", "mesh"))
    radius = np.linalg.norm(geometry.extents(batch), axis=1)
    thick = np.array([np.ptp(one.vertices, axis=0).min() > 1e-4 for one in batch.meshes] + [True])
    solid = np.where(batch.kind == mesh, thick[batch.mesh], True)
    turned = scenes.rotation_matrices(batch.rotation.astype(np.float64))
    found = []
    for begin, end in solids:
        pairs = []
        for i in range(begin + batch.first_object, end):
            away = batch.position[begin:i] - batch.position[i]
            local = np.einsum("njk,nj->nk", turned[begin:i], -away)
            flat, ends = batch.kind[begin:i] == plane, batch.size[begin:i, :2]
            over = (np.abs(local[:, 2]) < radius[i]) & ((np.abs(local[:, :2]) < ends) | (ends == 0)).all(1)
            near = np.linalg.norm(away, axis=1) < radius[i] + radius[begin:i]
            pairs += [(begin + j, i) for j in np.flatnonzero(np.where(flat, over, near))]
        found += depths(batch, [pair for pair in pairs if solid[list(pair)].all()])
    return [depth for depth in found if depth > DEEPEST]


def depths(batch, pairs):
    spec, names = mujoco.MjSpec(), sorted({i for pair in pairs for i in pair})
    for i in names:
        kind = scenes.KINDS[batch.kind[i]]
        own = {"size": np.where(batch.size[i] > 0, batch.size[i], 1.0).astype(float)}
        if kind in ("cone", "torus", "mesh"):
            own = {"meshname": spec.add_mesh(name=f"mesh{i}", uservert=meshes.of(batch, int(i))[0].ravel()).name}
            kind = "mesh"
        place = {"pos": batch.position[i], "quat": batch.rotation[i]}
        body = spec.worldbody.add_body(**place)
        body.add_geom(type=getattr(mujoco.mjtGeom, f"mjGEOM_{kind.upper()}"), name=str(i), **own)
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    at = {i: model.geom(str(i)).id for i in names}
    return [-mujoco.mj_geomDistance(model, data, at[i], at[j], 0.01, None) for i, j in pairs]


def test_overlaps_are_found():
    """Two boxes, apart by a centimetre, then two millimetres in one another, then again with an edge ahead."""
    for deep, far, turn in ((-0.01, 1.0, 0.0), (0.002, 1.0, 0.0), (0.002, 0.5 + 0.5 * 2**0.5, math.pi / 4)):
        quat = [math.cos(turn / 2), 0, 0, math.sin(turn / 2)]
        fields = {
            "size": np.full((2, 3), 0.5),
            "position": [[0, 0, 0], [far - deep, 0, 0]],
            "rotation": [[1, 0, 0, 0], quat],
        }
        pair = scenes.join([one_box(), one_box()])
        fields = {name: np.asarray(value, np.float32) for name, value in fields.items()}
        both = dataclasses.replace(pair[:1], **_flat(pair), **fields, offsets=np.array([0, 2]))
        both.check()
        assert [round(depth, 4) for depth in overlaps(both)] == ([0.002] if deep > 0 else [])


def _flat(pair):
    names = ("kind", "mesh", "image", "texture", "texture_scale", "colour")
    return {name: getattr(pair, name) for name in names}


def test_nothing_stands_in_anything_else(family):
    if getattr(family, "INTANGIBLE", False):
        pytest.skip("its objects are marks")
    assert overlaps(scenes.sample(family, family.Config(), "train", SEED, np.arange(200))) == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("family", "split"), list(cases()))
def test_nothing_stands_in_anything_else_in_ten_thousand_scenes(family, split):
    if getattr(family, "INTANGIBLE", False):
        pytest.skip("its objects are marks")
    for start in range(0, 10_000, 500):
        batch = scenes.sample(family, family.Config(), split, SEED, start + np.arange(500))
        batch.check()
        assert overlaps(batch) == []


def test_unknown_split_is_named(family):
    with pytest.raises(errors.CaveError, match=r"unknown split 'trian'.*did you mean 'train'"):
        scenes.sample(family, family.Config(), "trian", 0, [0])


def test_preview_needs_no_learners_library():
    script = "import sys, scenes.rooms, scenes.preview; sys.exit(repr({'torch', 'gymnasium'} & set(sys.modules) or ''))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stderr.strip() in ("", "''"), done.stderr


# The arrays themselves.


def one_box(**changes):
    ones = {"size": np.full((1, 3), 0.5), "position": np.zeros((1, 3)), "rotation": np.array([[1.0, 0, 0, 0]])}
    fields = {name: value.astype(np.float32) for name, value in ones.items()}
    fields |= {"offsets": np.array([0, 1]), "kind": np.array([1]), "texture": np.array([0])}
    fields |= {"texture_scale": np.ones(1, np.float32), "colour": np.full((1, 2, 3), 0.5, np.float32)}
    fields |= {"light_position": np.zeros((1, 1, 3), np.float32), "light_colour": np.ones((1, 1, 3), np.float32)}
    fields |= {"light_is_sun": np.zeros((1, 1), bool), "ambient": np.zeros((1, 3), np.float32)}
    fields |= {"sky": np.zeros((1, 3), np.float32)}
    return scenes.Scenes(**(fields | changes))


def triangle(x=1.0, **changes):
    fields = {"vertices": np.float32([[0, 0, 0], [x, 0, 0], [0, 1, 0]]), "faces": np.int32([[0, 1, 2]])}
    return scenes.Mesh(**(fields | changes))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"size": np.full((1, 3), np.nan, np.float32)}, "size holds values that are not finite"),
        ({"size": np.full((1, 3), -1, np.float32)}, "must not be negative"),
        ({"kind": np.array([9])}, "kind must lie in 0..8"),
        ({"kind": np.array([8])}, "mesh must lie in 0..-1"),
        ({"mesh": np.array([0])}, "mesh must lie in 0..-1"),
        ({"meshes": (triangle(),), "mesh": np.array([0])}, "be -1 for others"),
        ({"kind": np.array([8]), "meshes": (triangle(),), "mesh": np.array([1])}, "mesh must lie in 0..0"),
        (
            {
                "kind": np.array([8]),
                "meshes": (triangle(),),
                "mesh": np.array([0]),
                "size": np.eye(1, 3, dtype=np.float32),
            },
            "must be positive",
        ),
        ({"texture": np.array([-1])}, "texture must lie"),
        ({"rotation": np.zeros((1, 4), np.float32)}, "unit quaternions"),
        ({"offsets": np.array([0, 2])}, "offsets must rise"),
        ({"factors": {"hue": np.zeros(2)}}, "factor hue has shape \\(2,\\), wanted 1 rows"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, told):
    one_box().check()
    with pytest.raises(ValueError, match=told):
        one_box(**change).check()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"vertices": np.full((3, 3), np.nan, np.float32)}, "vertices hold values that are not finite"),
        ({"faces": np.int32([[0, 1, 3]])}, r"faces name vertices 0..3, wanted 0..2"),
        ({"faces": np.int32([[-1, 1, 2]])}, r"faces name vertices -1..2"),
        ({"faces": np.zeros((0, 3), np.int32)}, "it has 0 faces, wanted 1 to 10000000"),
        ({"vertices": np.zeros((0, 3), np.float32)}, "it has 0 vertices"),
        ({"normals": np.full((1, 3, 3), np.inf, np.float32)}, "finite"),
        ({"normals": np.ones((1, 3, 3), np.float32)}, "length 1"),
        (
            {"coordinates": np.full((1, 3, 2), np.nan, np.float32)},
            r"coordinates .* wanted \(1, 3, 2\) numbers within 10000",
        ),
        ({"coordinates": np.full((1, 3, 2), 1e9, np.float32)}, "numbers within 10000"),
    ],
)
def test_what_is_no_mesh_is_refused(change, told):
    with pytest.raises(ValueError, match=told) as caught:
        triangle(**change)
    assert "\n" not in str(caught.value)


def test_meshes_are_shared_by_scenes_and_told_apart_by_their_contents():
    normals = np.tile(np.float32([0, 0, 1]), (1, 3, 1))
    kinds = {"kind": np.array([8]), "mesh": np.array([0], np.int32)}
    one, same, other = triangle(), triangle(), triangle(normals=normals)
    batches = [one_box(**kinds, meshes=(mesh,)) for mesh in (one, other, same)] + [one_box()]
    joined = scenes.join(batches)
    joined.check()
    assert joined.meshes == (one, other) and joined.mesh.tolist() == [0, 1, 0, -1]
    assert joined[np.array([3, 1])].mesh.tolist() == [-1, 1]
    again = scenes.Scenes.from_json(joined.to_json())
    assert_equal(again, joined)
    for before, after in zip(joined.meshes, again.meshes, strict=True):
        np.testing.assert_array_equal(before.vertices, after.vertices)
        np.testing.assert_array_equal(before.faces, after.faces)
        assert (before.normals is None) == (after.normals is None)
    np.testing.assert_array_equal(again.meshes[1].normals, normals)
    tree = json.loads(joined.to_json())
    for harm in ([], [{}], [{"vertices": 1}], 3, [tree["meshes"][0] | {"faces": tree["meshes"][0]["vertices"]}] * 2):
        with pytest.raises(ValueError, match="scenes|mesh"):
            scenes.Scenes.from_json(json.dumps(tree | {"meshes": harm}))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        "[" * 100_000,
        "9" * 5000,
        '{"schema": "cave.scenes/1"}',
        '{"schema": "other"}',
        '"x"',
        "1e999",
    ],
)
def test_other_text_is_refused_in_one_line(text):
    with pytest.raises(ValueError, match="not scenes") as caught:
        scenes.Scenes.from_json(text)
    assert "\n" not in str(caught.value)


def test_json_of_every_field_mutilated_is_refused():
    tree = json.loads(one_box().to_json())
    flat, point = {"shape": [1, len(tree["offsets"]["data"])]}, {"dtype": "float32", "shape": [], "data": [1]}
    harms = [{"offsets": tree["offsets"] | flat}, {"offsets": tree["offsets"] | {"shape": [0], "data": []}}]
    harms += [{name: tree[name] | {"dtype": "float32"}} for name in ("offsets", "kind", "texture")]
    harms += [{"kind": tree["kind"] | {"shape": [1, 1]}}, {"factors": {"a": point}}]
    harms += [{"first_object": value} for value in (-1, float("inf"), 1.5, "a", None)]
    for harm in harms:
        with pytest.raises(ValueError, match=r"scenes"):
            scenes.Scenes.from_json(json.dumps(tree | harm))
    for name, value in tree.items():
        if not isinstance(value, dict) or name == "factors":
            continue
        for harm in ({"dtype": "object"}, {"shape": [7]}, {"data": ["x"]}, {"data": None}):
            with pytest.raises(ValueError, match=r"scenes"):
                scenes.Scenes.from_json(json.dumps(tree | {name: value | harm}))


def test_a_camera_looks_where_its_yaw_and_pitch_say():
    rng = np.random.default_rng(0)
    yaw, pitch = rng.uniform(-4, 4, 50), rng.uniform(-1.5, 1.5, 50)
    turned = scenes.rotation_matrices(scenes.look(yaw, pitch))
    ahead = np.stack([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)], -1)
    np.testing.assert_allclose(-turned[:, :, 2], ahead, atol=1e-6)
    np.testing.assert_allclose(np.linalg.det(turned), 1, atol=1e-5)
    assert np.abs(turned[:, 2, 0]).max() < 1e-6 and (turned[:, 2, 1] > 0).all()  # level, and upright
