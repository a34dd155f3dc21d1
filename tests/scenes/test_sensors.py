"""Normals, optical flow and albedo; and every sensor at any resolution."""

import dataclasses
import math
import tracemalloc

import numpy as np
import pytest

import scenes
from scenes import renderers
from scenes.geometry import meshes
from scenes.kit import errors
from scenes.renderers import raycast
from tests.scenes import test_raycast as oracle

EVERY = renderers.SENSORS


def watched(scene, cameras, sensors=EVERY, flow_to=None, **options):
    flow_to = (cameras, None) if flow_to is None and "flow" in sensors else flow_to
    return raycast.load(scene, sensors=sensors, **options).render(cameras, flow_to=flow_to)


@pytest.mark.parametrize("extent", [None, 2.4])
@pytest.mark.parametrize("kind", oracle.SIZES)
def test_normals_are_those_of_the_surface_in_the_world_s_axes(kind, extent):
    rng = np.random.default_rng(sum(map(ord, kind)))
    cameras = oracle.camera((-1.6, -0.9, 1.6, 0.5, -0.35), 33, 47, extent=extent)
    floor = ("plane", (1.2, 1.2, 0), (0, 0, 0), (math.cos(0.1), math.sin(0.1), 0, 0), "plain")
    for attitude in ((1, 0, 0, 0), oracle.quaternion(rng)):
        solids = [floor, (kind, oracle.SIZES[kind], (0.2, 0.1, 0.9), attitude, "plain")]
        scene = oracle.scene_of(solids)
        frames = watched(scene, cameras, ("normals",))
        assert frames.flow is None and frames.albedo is None
        usual = raycast.load(scene).render(cameras)
        origin, direction = oracle.rays(cameras)
        for k in range(2):
            seen = usual.ids[0] == k
            _, wanted = oracle.meet(scene, k, origin, direction)
            assert seen.sum() > 50
            assert (np.abs(frames.normals[0] - wanted)[seen].max(-1) < 2e-3).mean() > 0.98
        assert np.abs(np.linalg.norm(frames.normals[usual.ids >= 0], axis=-1) - 1).max() < 1e-5
        assert (frames.normals[usual.ids < 0] == 0).all() and (usual.ids < 0).any()


@pytest.mark.parametrize("ratio", [1, 2])
def test_albedo_is_the_colour_in_white_light_from_everywhere(ratio):
    scene, cameras = oracle.crowd(5, texture="bricks"), oracle.camera()
    scene = dataclasses.replace(scene, fog=np.float32([[1, 3]]))
    frames = watched(scene, cameras, ("rgb", "albedo"), shadows=True, supersample=ratio)
    bare = dataclasses.replace(
        scene, light_colour=scene.light_colour * 0, ambient=np.ones((1, 3), np.float32), fog=None, sky=scene.sky * 0
    )
    np.testing.assert_array_equal(frames.albedo, raycast.load(bare, supersample=ratio).render(cameras).rgb)
    whole = raycast.load(scene, shadows=True, supersample=ratio).render(cameras)
    np.testing.assert_array_equal(frames.rgb, whole.rgb)
    assert not np.array_equal(frames.rgb, frames.albedo)


def moved(scene, seed=1, most=0.15):
    rng = np.random.default_rng(seed)
    turn = np.concatenate([np.ones((len(scene.kind), 1)), rng.uniform(-0.1, 0.1, (len(scene.kind), 3))], 1)
    turn /= np.linalg.norm(turn, axis=1, keepdims=True)
    a, b = scenes.rotation_matrices(turn), scenes.rotation_matrices(scene.rotation.astype(float))
    position = scene.position + rng.uniform(-most, most, scene.position.shape)
    from envs.physics.mujoco import quaternions

    return position.astype(np.float32), quaternions(a @ b)


def projected(point, cameras):
    """Column and row, counted from the picture's corner, of points in the world, and how far ahead they lie."""
    own = (point - cameras.position[0]) @ scenes.rotation_matrices(cameras.rotation[0].astype(float))
    away = -own[..., 2]
    high = cameras.extent if cameras.extent else 2 * math.tan(cameras.fov / 2) * away
    scale = cameras.height / high
    return cameras.width / 2 + own[..., 0] * scale, cameras.height / 2 - own[..., 1] * scale, away


@pytest.mark.parametrize("extents", [(None, None), (4.0, 4.5), (None, 4.0)])
def test_flow_leads_to_where_the_same_point_of_the_same_solid_is_seen(extents):
    scene = oracle.crowd(2)
    cameras = oracle.camera(height=37, width=52, extent=extents[0])
    other = oracle.camera((-3.3, 0.5, 1.8, 0.07, -0.26), 37, 52, extent=extents[1])
    position, rotation = moved(scene, most=0.04)
    frames = watched(scene, cameras, flow_to=(other, (position, rotation)))
    ids, depth = frames.ids[0], frames.depth[0].astype(float)
    origin, direction = oracle.rays(cameras)
    hit = ids >= 0
    point = origin + np.where(hit, depth, 0)[..., None] * direction
    old, new = scenes.rotation_matrices(scene.rotation.astype(float)), scenes.rotation_matrices(rotation.astype(float))
    own = np.einsum("hwji,hwj->hwi", old[ids], point - scene.position[ids])
    columns, rows, _ = projected(np.einsum("hwij,hwj->hwi", new[ids], own) + position[ids], other)
    wanted = np.stack([columns - (np.arange(52) + 0.5), rows - (np.arange(37)[:, None] + 0.5)], -1)
    np.testing.assert_allclose(frames.flow[0][hit], wanted[hit], atol=2e-4)
    assert (frames.flow[0][~hit] == 0).all() and np.abs(wanted[hit]).max() > 2
    # And the picture of the second state shows that solid there, unless another hides it.
    there = raycast.load(scene).render(other, poses=(position, rotation))
    y, x = np.floor(rows).astype(int), np.floor(columns).astype(int)
    inside = hit & (y >= 0) & (y < 37) & (x >= 0) & (x < 52)
    assert (there.ids[0][y[inside], x[inside]] == ids[inside]).mean() > 0.75


def test_flow_of_what_stands_still_is_nothing_and_of_what_comes_behind_the_camera_no_number():
    scene, cameras = oracle.crowd(2), oracle.camera()
    handle = raycast.load(scene, sensors=("flow",))
    poses = moved(scene)
    still = handle.render(cameras, poses=poses, flow_to=(cameras, poses))
    assert np.abs(still.flow).max() < 1e-5
    behind = oracle.camera((3.5, 0.3, 1.9, 0.1, -0.3))
    frames = handle.render(cameras, flow_to=(behind, None))
    near = (frames.depth[0] < 3) & (frames.ids[0] >= 0)
    assert near.any() and np.isnan(frames.flow[0][near]).all()


def test_every_sensor_obeys_mask_out_threads_and_repeats_itself():
    batch = oracle.batch_of(5)
    cameras = scenes.cameras_from_poses(oracle.poses_of(5), oracle.FOV, 20, 27)
    other = scenes.cameras_from_poses(oracle.poses_of(5) + 0.05, oracle.FOV, 20, 27)
    whole = watched(batch, cameras, flow_to=(other, None), threads=1)
    more = watched(batch, cameras, flow_to=(other, None), threads=3)
    handle = raycast.load(batch, sensors=EVERY)
    out = scenes.Frames(**{name: np.full_like(getattr(whole, name), 7) for name in EVERY})
    mask = np.array([True, False, False, True, True])
    assert handle.render(cameras, mask=mask, out=out, flow_to=(other, None)) is out
    for name in EVERY:
        np.testing.assert_array_equal(getattr(whole, name), getattr(more, name))
        np.testing.assert_array_equal(getattr(out, name)[mask], getattr(whole, name)[mask])
        assert (getattr(out, name)[~mask] == 7).all()
    with pytest.raises(errors.CaveError, match=r"out.normals is None, wanted float32"):
        handle.render(cameras, out=dataclasses.replace(out, normals=None), flow_to=(other, None))


def test_flow_and_what_it_leads_to_go_together():
    scene, cameras = oracle.crowd(0), oracle.camera()

    def refused(words, handle, flow_to):
        with pytest.raises(errors.CaveError, match=words) as caught:
            handle.render(cameras, flow_to=flow_to)
        assert "\n" not in str(caught.value)

    flow, usual = raycast.load(scene, sensors=("flow",)), raycast.load(scene)
    refused("flow_to is missing", flow, None)
    refused("flow is not among the sensors", usual, (cameras, None))
    refused("same scenes|as many", flow, (oracle.camera(height=31), None))
    refused("as many", flow, (dataclasses.replace(oracle.camera(n=2), scene=np.zeros(2, np.int32)), None))
    refused("poses have shapes", flow, (cameras, (scene.position[1:], scene.rotation)))
    for sensor in ("normals", "flow", "albedo"):
        with pytest.raises(errors.CaveError, match=f"unknown sensor of a renderer '{sensor}'"):
            renderers.load("mujoco", scene, sensors=(sensor,))


@pytest.mark.parametrize("texture", ["checker", "image"])
@pytest.mark.parametrize("extent", [None, 5.0])
@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (50, 3), (17, 31), (480, 640)])
def test_pictures_of_any_size_are_the_middles_of_larger_ones(shape, extent, texture):
    """The same rays, so the same of everything, but for rounding at edges."""
    scene = oracle.crowd(4, texture="plain" if texture == "image" else texture)
    if texture == "image":
        dressed = (scene.kind == 0) | (scene.kind == 1)
        shown = np.random.default_rng(0).integers(0, 256, (9, 13, 3), np.uint8)
        number = np.where(dressed, scenes.TEXTURES.index("image"), 0).astype(np.int32)
        scene = dataclasses.replace(scene, images=(shown,), image=np.where(dressed, 0, -1), texture=number)
    larger = tuple(edge + 2 * 8 for edge in shape)
    unit = 2 * math.tan(oracle.FOV / 2) / 64
    made = []
    for h, w in (shape, larger):
        # Pixels of the same size, whatever the picture's: those of 64 rows (of 48, where larger).
        rows = 64 if h < 100 else 480
        fov = 2 * math.atan(unit * 64 / rows * h / 2)
        cameras, other = (
            dataclasses.replace(
                oracle.camera((-3.5, 0.3 + shift, 1.9, 0.1, -0.3), h, w), fov=fov, extent=extent and extent * h / rows
            )
            for shift in (0, 0.1)
        )
        made.append(watched(scene, cameras, flow_to=(other, None), shadows=True))
    small, large = made
    for name in EVERY:
        a, b = getattr(small, name)[0].astype(float), getattr(large, name)[0, 8:-8, 8:-8].astype(float)
        assert a.shape == b.shape and a.shape[:2] == shape
        off = np.abs(np.where(np.isinf(a), 99, a) - np.where(np.isinf(b), 99, b)).reshape(*shape, -1).max(-1)
        allowed = 1 if name in ("rgb", "albedo") else 1e-3
        assert (off <= allowed).mean() >= (0.99 if off.size > 1000 else 0.97), name


def test_resolutions_that_cannot_be_are_refused():
    handle = raycast.load(oracle.crowd(0))
    for height, width in ((0, 8), (8, 0), (-1, 8), (100_000, 8), (8, 100_000)):
        with pytest.raises(errors.CaveError, match="wanted 1 to 4096 each way"):
            handle.render(dataclasses.replace(oracle.camera(), height=height, width=width))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"height": 2.5}, "pictures are 2.5 x"),
        ({"rotation": np.zeros((1, 4), np.float32)}, "unit quaternions"),
        ({"rotation": np.array([[1.0011, 0, 0, 0]])}, "unit quaternions"),
        ({"rotation": np.array([[0.9989, 0, 0, 0]])}, "unit quaternions"),
        ({"rotation": np.array([[16, 16, 0, 1]], np.uint8)}, "unit quaternions"),
        ({"scene": np.zeros((1, 1), np.int64)}, "scene is int64 of shape"),
        ({"scene": np.zeros(1)}, "scene is float64"),
    ],
)
def test_cameras_that_are_none_are_refused(change, said):
    cameras = dataclasses.replace(oracle.camera())
    for name, value in change.items():
        object.__setattr__(cameras, name, value)  # past the tests' own checks of types
    with pytest.raises(errors.CaveError, match=said):
        renderers.check_cameras(cameras, 1)


@pytest.mark.parametrize("given", [False, True])
def test_nothing_is_allocated_per_call(given):
    n, size = 8, 256
    batch = oracle.batch_of(n)
    cameras = scenes.cameras_from_poses(oracle.poses_of(n), oracle.FOV, size, size)
    handle = raycast.load(batch, shadows=True, supersample=2, sensors=EVERY)
    poses, flow_to = (batch.position, batch.rotation), (cameras, None)
    frames = handle.render(cameras, poses=poses, flow_to=flow_to)
    out = scenes.Frames(**{name: getattr(frames, name).copy() for name in EVERY}) if given else None
    handle.render(cameras, poses=poses, flow_to=flow_to, out=out)
    tracemalloc.start()
    try:
        handle.render(cameras, poses=poses, flow_to=flow_to, out=out)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # One frame of any sensor takes more; most of this is what checks the types in tests.
    assert peak < 2 * size * size


@pytest.mark.parametrize("extent", [None, 2.6])
def test_a_mesh_of_a_box_is_seen_as_the_box(extent):
    """With every sensor, in shadows and under an image."""
    attitude = oracle.quaternion(np.random.default_rng(3))
    solids = [oracle.FLOOR, ("box", (0.5, 0.3, 0.4), (0.2, 0.1, 0.9), attitude, "image")]
    box = oracle.scene_of(solids, [((-1.5, 0.5, 2.5), (0.6, 0.5, 0.4), False)])
    made = scenes.Mesh(*meshes.mesh(scenes.KINDS.index("box"), np.array((0.5, 0.3, 0.4))))
    kind = np.array([0, scenes.KINDS.index("mesh")], np.int32)
    size = np.float32([box.size[0], (1, 1, 1)])
    mesh = dataclasses.replace(box, kind=kind, size=size, meshes=(made,), mesh=np.array([-1, 0], np.int32))
    cameras, other = (oracle.camera((-1.6, -0.9 + shift, 1.6, 0.5, -0.35), 60, 70, extent=extent) for shift in (0, 0.2))
    a, b = (watched(scene, cameras, flow_to=(other, None), shadows=True) for scene in (box, mesh))
    same = a.ids == b.ids
    assert same.mean() > 0.995 and (a.ids == 1).sum() > 300
    for name in EVERY:
        x, y = getattr(a, name)[same].astype(float), getattr(b, name)[same].astype(float)
        near = np.isclose(x, y, atol=1.01 if name in ("rgb", "albedo") else 2e-3)
        assert near.mean() > 0.99, name
