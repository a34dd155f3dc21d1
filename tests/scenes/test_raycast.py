"""The ray caster against a slow and obvious one: points along each ray, asked one by one whether they lie inside."""

import concurrent.futures
import dataclasses
import math
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import scenes
from scenes import renderers
from scenes.kit import errors
from scenes.renderers import raycast

FOV = math.pi / 3
SIZES = {
    "box": (0.5, 0.3, 0.4),
    "sphere": (0.5, 0, 0),
    "capsule": (0.3, 0.35, 0),
    "cylinder": (0.4, 0.45, 0),
    "cone": (0.5, 0.55, 0),
    "ellipsoid": (0.6, 0.3, 0.4),
    "torus": (0.45, 0.17, 0),
}
RGB = np.array([[0.9, 0.5, 0.3], [0.2, 0.4, 0.8]])


PICTURE = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
PATTERNS = scenes.TEXTURES[1:-1]


def scene_of(solids, lights=(((0.36, 0.48, 0.8), (0.6, 0.5, 0.4), True),), ambient=0.3, **fields):
    """One scene of solids (kind, size, position, rotation, texture)."""
    kinds, sizes, positions, rotations, textures = zip(*solids)
    n = len(solids)
    places, colours, suns = zip(*lights) if lights else ((), (), ())
    made = scenes.Scenes(
        offsets=np.array([0, n], np.int32),
        kind=np.array([scenes.KINDS.index(kind) for kind in kinds], np.int32),
        size=np.array(sizes, np.float32),
        position=np.array(positions, np.float32),
        rotation=np.array(rotations, np.float32),
        texture=np.array([scenes.TEXTURES.index(texture) for texture in textures], np.int32),
        texture_scale=np.full(n, 0.5, np.float32),
        colour=np.repeat(RGB[None].astype(np.float32), n, 0),
        light_position=np.array(places, np.float32).reshape(1, -1, 3),
        light_colour=np.array(colours, np.float32).reshape(1, -1, 3),
        light_is_sun=np.array(suns, bool).reshape(1, -1),
        ambient=np.full((1, 3), ambient, np.float32),
        sky=np.array([[0.1, 0.6, 1.0]], np.float32),
    )
    shows = made.texture == scenes.TEXTURES.index("image")
    if shows.any():
        made = dataclasses.replace(made, images=(PICTURE,), image=np.where(shows, 0, -1).astype(np.int32))
    return dataclasses.replace(made, **fields)


def quaternion(rng):
    q = rng.normal(size=4)
    return q / np.linalg.norm(q)


FLOOR = ("plane", (3, 3, 0), (0, 0, 0), (1, 0, 0, 0), "plain")


def crowd(seed, n=6, texture="plain", floor=True):
    """Solids of any kind and attitude around the origin, above a floor."""
    rng = np.random.default_rng(seed)
    kinds = rng.permutation(list(SIZES))[:n]
    spots = rng.permutation(9)[:n]
    solids = [FLOOR] if floor else []
    for kind, spot in zip(kinds, spots):
        place = ((spot % 3 - 1) * 1.3, (spot // 3 - 1) * 1.3, rng.uniform(0.8, 1.2))
        solids.append((str(kind), SIZES[kind], place, quaternion(rng), texture))
    return scene_of(solids)


def camera(pose=(-3.5, 0.3, 1.9, 0.1, -0.3), height=32, width=32, n=1, extent=None):
    return scenes.cameras_from_poses(np.repeat([pose], n, 0), FOV, height, width, extent=extent)


# The reference --------------------------------------------------------------------------------------------------------


def level(kind, size, p):
    """Negative inside the solid, positive outside, in its own axes."""
    a, b, c = (float(number) for number in size)
    x, y, z = np.moveaxis(p, -1, 0)
    flat = np.hypot(x, y)
    if kind == "box":
        return np.maximum(np.maximum(np.abs(x) - a, np.abs(y) - b), np.abs(z) - c)
    if kind == "sphere":
        return np.sqrt(x * x + y * y + z * z) - a
    if kind == "capsule":
        return np.sqrt(x * x + y * y + (z - np.clip(z, -b, b)) ** 2) - a
    if kind == "cylinder":
        return np.maximum(flat - a, np.abs(z) - b)
    if kind == "cone":
        return np.maximum(flat - a * (b - z) / (2 * b), np.abs(z) - b)
    if kind == "ellipsoid":
        return np.sqrt((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2) - 1
    return np.hypot(flat - a, z) - b


def meet(scene, k, origin, direction, end=12.0):
    """Where rays first enter solid `k`, in lengths of their direction (inf: nowhere before `end`), and the normal."""
    kind, size = scenes.KINDS[scene.kind[k]], scene.size[k]
    turn = scenes.rotation_matrices(scene.rotation[k].astype(np.float64))
    o, d = (origin - scene.position[k]) @ turn, direction @ turn
    if kind == "plane":
        with np.errstate(divide="ignore", invalid="ignore"):
            t = -o[..., 2] / d[..., 2]
            p = o + t[..., None] * d
        seen = (o[..., 2] > 0) & (t > 0) & (np.abs(p[..., 0]) <= size[0]) & (np.abs(p[..., 1]) <= size[1])
        return np.where(seen, t, np.inf), np.broadcast_to(turn[:, 2], d.shape)
    # Samples need to be taken only where the ray is near the solid.
    length = np.linalg.norm(d, axis=-1)
    middle, reach = -(o * d).sum(-1) / length**2, sum(size) / length
    close = np.linalg.norm(o + middle[..., None] * d, axis=-1) < sum(size)
    t, normal = np.full(close.shape, np.inf), np.zeros((*close.shape, 3))
    o, d, middle, reach = np.broadcast_to(o, d.shape)[close], d[close], middle[close], reach[close]
    steps = np.maximum(middle[:, None] + np.linspace(-1, 1, 600) * reach[:, None], 0)
    inside = level(kind, size, o[:, None] + steps[..., None] * d[:, None]) < 0
    entering = ~inside[:, :-1] & inside[:, 1:]
    every, first = np.arange(len(o)), entering.argmax(1)
    low, high = steps[every, first], steps[every, first + 1]
    for _ in range(30):
        half = (low + high) / 2
        within = level(kind, size, o + half[:, None] * d) < 0
        low, high = np.where(within, low, half), np.where(within, half, high)
    p = o + high[:, None] * d
    slope = np.stack([level(kind, size, p + e) - level(kind, size, p - e) for e in 1e-6 * np.eye(3)], -1)
    normal[close] = slope / (np.linalg.norm(slope, axis=-1, keepdims=True) + 1e-30) @ turn.T
    t[close] = np.where(entering.any(1) & (high < end), high, np.inf)
    return t, normal


def rays(cameras):
    """Origin of every pixel's ray, and its direction, of length 1 along the camera's axis, in the world."""
    h, w = cameras.height, cameras.width
    step = (2 * math.tan(cameras.fov / 2) if cameras.extent is None else cameras.extent) / h
    x = (np.arange(w) + 0.5 - w / 2) * step
    y = (h / 2 - 0.5 - np.arange(h)) * step
    spread, ahead = np.stack([*np.meshgrid(x, y), np.zeros((h, w))], -1), np.array([0, 0, -1.0])
    turn, eye = scenes.rotation_matrices(cameras.rotation[0].astype(np.float64)).T, cameras.position[0]
    if cameras.extent is None:
        return eye.astype(np.float64), (ahead + spread) @ turn
    return eye + spread @ turn, np.broadcast_to(ahead @ turn, (h, w, 3))


def reference(scene, cameras, shadows=False):
    """Depth, ids and colours (0 to 255, not rounded) of a scene of plain solids, and which lit pixels are in shadow."""
    origin, direction = rays(cameras)
    met = [meet(scene, k, origin, direction) for k in range(len(scene.kind))]
    depths = np.stack([t for t, _ in met])
    ids, depth = depths.argmin(0), depths.min(0)
    hit = np.isfinite(depth)
    normal = np.take_along_axis(np.stack([n for _, n in met]), ids[None, ..., None], 0)[0]
    point = origin + np.where(hit, depth, 0)[..., None] * direction
    light = np.broadcast_to(scene.ambient[0], point.shape).astype(np.float64)
    dark = np.zeros(hit.shape, bool)
    for place, colour, sun in zip(scene.light_position[0], scene.light_colour[0], scene.light_is_sun[0]):
        way = np.broadcast_to(place, point.shape) if sun else place - point
        square = (normal * way).sum(-1) / np.linalg.norm(way, axis=-1)
        if shadows:
            for k in range(len(scene.kind)):
                if scene.kind[k] != scenes.KINDS.index("plane"):
                    t, _ = meet(scene, k, point + 2e-3 * normal, way, 8.0 if sun else 1.0)
                    dark |= hit & (square > 0) & np.isfinite(t)
        light = light + np.where(dark, 0, np.maximum(square, 0))[..., None] * colour
    rgb = np.clip(scene.colour[ids, 0] * light, 0, 1)
    rgb = np.where(hit[..., None], rgb, scene.sky[0])
    return np.where(hit, depth, np.inf), np.where(hit, ids, -1), rgb * 255, dark


# What is seen ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("lift", [-1, 1])
def test_a_known_point_lands_on_its_analytic_pixel(side, lift):
    yaw, pitch, away = 0.7, -0.25, 4.0
    eye = np.array([0.5, -1.0, 1.2])
    forward = np.array([math.cos(yaw) * math.cos(pitch), math.sin(yaw) * math.cos(pitch), math.sin(pitch)])
    right = np.array([math.sin(yaw), -math.cos(yaw), 0.0])
    up = np.cross(right, forward)
    across, rise = side * 1.1, lift * 0.6
    place = eye + away * forward + across * right + rise * up
    scene = scene_of([("sphere", (0.02, 0, 0), place, (1, 0, 0, 0), "plain")])
    frames = raycast.load(scene).render(camera((*eye, yaw, pitch), 200, 300))
    rows, columns = np.nonzero(frames.ids[0] == 0)
    focal = 100 / math.tan(FOV / 2)
    # Pixel centres lie at half integers; row 0 is the top.
    assert columns.mean() + 0.5 == pytest.approx(150 + focal * across / away, abs=0.5)
    assert rows.mean() + 0.5 == pytest.approx(100 - focal * rise / away, abs=0.5)
    assert frames.depth[0, rows, columns].min() == pytest.approx(away - 0.02, abs=0.01)


def agree(frames, scene, cameras, tolerance=0.01):
    """Whether frames are those of the reference, up to the pixels on silhouettes."""
    depth, ids, rgb, _ = reference(scene, cameras)
    same = frames.ids[0] == ids
    assert same.mean() > 1 - tolerance
    seen = same & (ids >= 0)
    # Where a surface is met at a grazing angle, depth moves fast with any rounding.
    near = np.isclose(frames.depth[0][seen], depth[seen], rtol=1e-4, atol=1e-4)
    assert near.mean() > 0.995
    assert np.isinf(frames.depth[0][frames.ids[0] < 0]).all()
    assert (np.abs(frames.rgb[0][same] - rgb[same]) <= 1).all(-1).mean() > 0.98


@pytest.mark.parametrize("extent", [None, 2.4])
@pytest.mark.parametrize("kind", SIZES)
def test_every_solid_is_seen_where_its_points_are(kind, extent):
    rng = np.random.default_rng(sum(map(ord, kind)))
    for attitude in ((1, 0, 0, 0), quaternion(rng), quaternion(rng)):
        solids = [FLOOR, (kind, SIZES[kind], (0.2, 0.1, 0.9), attitude, "plain")]
        for lights in ([((0.36, 0.48, 0.8), (0.6, 0.5, 0.4), True)], [((-1.5, 0.5, 2.5), (0.6, 0.5, 0.4), False)]):
            scene = scene_of(solids, lights)
            cameras = camera((-1.6, -0.9, 1.6, 0.5, -0.35), extent=extent)
            frames = raycast.load(scene).render(cameras)
            assert (frames.ids == 1).sum() > 40
            agree(frames, scene, cameras)


@pytest.mark.parametrize("kind", SIZES)
def test_what_reaches_past_the_camera_is_cut_nowhere(kind):
    """Beside, above and below it, where what is seen of a solid has no end but the picture's."""
    size = tuple(4 * extent for extent in SIZES[kind])
    for place in ((0.5, 2.6, 0), (0.5, -2.6, 0), (0.5, 0, 2.6), (0.5, 0, -2.6), (0.2, 2.2, 2.2)):
        scene = scene_of([(kind, size, place, (1, 0, 0, 0), "plain"), FLOOR])
        cameras = camera((0, 0, 0, 0.1, -0.05), 40, 56)
        ids = raycast.load(scene).render(cameras).ids[0]
        _, expected, _, _ = reference(scene, cameras)
        assert (ids == expected).mean() > 0.995


@pytest.mark.parametrize("width", [32, 7])
def test_boxes_of_any_shape_are_seen_whole_wherever_they_lie(width):
    """Long, flat and thin ones beside, around and behind a camera, and one behind another; against slabs in float64."""
    rng, n = np.random.default_rng(0), 8
    scored = 0
    for _ in range(60):
        size = 10 ** rng.uniform(-2, 0.6, (n, 3))
        place, turns = rng.normal(size=(n, 3)) * (3, 3, 1.5), [quaternion(rng) for _ in range(n)]
        scene = scene_of([("box", h, p, q, "plain") for h, p, q in zip(size, place, turns)])
        cameras = camera((*rng.normal(size=3), rng.uniform(-3, 3), rng.uniform(-1, 1)), 32, width)
        frames = renderers.load("raycast", scene).render(cameras)
        origin, direction = rays(cameras)
        enter, leave = np.empty((2, n, 32, width))
        for k in range(n):
            turn = scenes.rotation_matrices(scene.rotation[k].astype(np.float64))
            o, d = (origin - scene.position[k]) @ turn, direction @ turn
            ends = np.sort([(-scene.size[k] - o) / d, (scene.size[k] - o) / d], 0)
            enter[k], leave[k] = ends[0].max(-1), ends[1].min(-1)
        # Rays that graze a box, or see two of them at one depth, may see either.
        gap = leave - enter
        sure = (np.abs(gap) > 1e-3 * (1 + np.abs(enter))).all(0)
        met = np.where((gap > 0) & (enter > 0), enter, np.inf)
        nearest = np.sort(met, 0)
        sure &= ~(nearest[1] < nearest[0] + 1e-3) | np.isinf(nearest[0])
        ids = np.where(np.isfinite(nearest[0]), met.argmin(0), -1)
        np.testing.assert_array_equal(frames.ids[0][sure], ids[sure])
        there = sure & (ids >= 0)
        np.testing.assert_allclose(frames.depth[0][there], nearest[0][there], rtol=1e-3)
        scored += there.sum()
    assert scored > 6 * 32 * width


@pytest.mark.parametrize("extent", [None, 5.0])
@pytest.mark.parametrize("seed", range(4))
def test_crowds_hide_one_another_as_they_should(seed, extent):
    scene, cameras = crowd(seed), camera(height=40, width=56, extent=extent)
    agree(raycast.load(scene).render(cameras), scene, cameras)


@pytest.mark.parametrize("kind", SIZES)
def test_an_orthographic_camera_that_cuts_a_solid_looks_through_it_there(kind):
    scene = scene_of([(kind, SIZES[kind], (0, 0, 0), (1, 0, 0, 0), "plain")])
    for pose in ((0.04, 0.3, -0.2, 0.3, 0.1), (-0.3, -0.2, 0.1, 0.6, 0.3)):
        cameras = camera(pose, 48, 48, extent=2.0)
        frames = raycast.load(scene).render(cameras)
        _, ids, _, _ = reference(scene, cameras)
        # What begins inside sees nothing of it, even where it would enter a torus again.
        inside = level(kind, SIZES[kind], rays(cameras)[0]) < 0
        assert 0.03 < inside.mean() < 0.9
        assert (frames.ids[0] == np.where(inside, -1, ids)).mean() > 0.995


def test_an_orthographic_camera_sees_things_as_large_near_and_far_and_nothing_behind():
    place = [(away, across, 0) for away, across in ((1, -0.5), (200, 0.5), (-1, 0))]
    scene = scene_of([("sphere", (0.3, 0, 0), at, (1, 0, 0, 0), "plain") for at in place], ambient=1.0)
    cameras = camera((0, 0, 0, 0, 0), 90, 60, extent=3.0)
    ids = raycast.load(scene, supersample=2).render(cameras).ids[0]
    near, far = ids == 0, ids == 1
    assert near.sum() == far.sum() == pytest.approx(math.pi * 9**2, rel=0.03) and not (ids == 2).any()
    # Metres are 30 pixels; what lies at y = -0.5 is to the right.
    assert np.nonzero(near)[1].mean() + 0.5 == 45 and np.nonzero(far)[1].mean() + 0.5 == 15
    assert np.nonzero(near)[0].mean() + 0.5 == 45


@pytest.mark.parametrize("texture", PATTERNS)
def test_a_pinhole_far_away_sees_what_an_orthographic_camera_sees(texture):
    scene = crowd(3, texture=texture)
    fov, extent = 0.004, 4.0
    away = extent / 2 / math.tan(fov / 2)
    pose = np.array([[-0.6 * away, 0, 0.8 * away + 0.5, 0, -math.atan2(0.8, 0.6)]])
    near = camera((-3, 0, 4.5, 0, -math.atan2(0.8, 0.6)), 80, 60, extent=extent)
    far = scenes.cameras_from_poses(pose, fov, 80, 60)
    scene = dataclasses.replace(scene, texture=np.full(len(scene.kind), scenes.TEXTURES.index(texture), np.int32))
    a, b = (raycast.load(scene).render(view) for view in (near, far))
    inside = a.ids == b.ids
    assert inside.mean() > 0.97
    assert (np.abs(a.rgb.astype(int) - b.rgb)[inside].max(-1) <= 6).mean() > 0.93


def test_a_torus_has_no_cracks_where_rays_graze_it_before_they_meet_it():
    """Seen so flatly that its hole is a sickle: what passes through that is near no surface on its way."""
    ring, tube, _ = SIZES["torus"]
    scene = scene_of([("torus", SIZES["torus"], (0, 0, 0), (1, 0, 0, 0), "plain")])
    for pitch in (0.385, 0.39, 0.4, 0.42):
        view = camera((-1.5 * math.cos(pitch), 0, 1.5 * math.sin(pitch), 0, -pitch), 160, 480, extent=0.4)
        missed = raycast.load(scene).render(view).ids[0] < 0
        origin, direction = (array[missed] for array in rays(view))
        gap = np.full(len(origin), np.inf)
        for t in np.linspace(0.7, 2.3, 400):
            gap = np.minimum(gap, level("torus", (ring, tube, 0), origin + t * direction))
        assert (gap < -0.01 * tube).mean() < 0.01


@pytest.mark.parametrize("kind", SIZES)
def test_solids_are_seen_from_outside_only(kind):
    scene = scene_of([(kind, SIZES[kind], (0, 0, 0), (1, 0, 0, 0), "plain")])
    inside = (SIZES["torus"][0], 0, 0) if kind == "torus" else (0.05, 0.02, -0.03)
    frames = raycast.load(scene).render(camera((*inside, 0.3, 0.1)))
    assert (frames.ids == -1).all() and np.isinf(frames.depth).all()
    assert (frames.rgb == np.round(scene.sky[0] * 255).astype(np.uint8)).all()
    assert (raycast.load(scene).render(camera((-1.5, 0, 0, 0, 0))).ids == 0).any()
    assert not (raycast.load(scene).render(camera((-1.5, 0, 0, math.pi, 0))).ids == 0).any()


def test_planes_are_finite_and_one_sided():
    scene = scene_of([("plane", (0.5, 1.0, 0), (0, 0, 0), (1, 0, 0, 0), "plain")])
    above = raycast.load(scene).render(camera((0, 0, 2, 0, -math.pi / 2), 64, 64))
    rows, columns = np.nonzero(above.ids[0] == 0)
    # Seen from above, looking along +x: x runs upwards in the picture and y to the left.
    pixels = 64 / (2 * 2 * math.tan(FOV / 2))
    assert rows.max() - rows.min() + 1 == pytest.approx(1.0 * pixels, abs=1)
    assert columns.max() - columns.min() + 1 == pytest.approx(2.0 * pixels, abs=1)
    assert (raycast.load(scene).render(camera((0, 0, -2, 0, math.pi / 2), 64, 64)).ids == -1).all()
    endless = scene_of([("plane", (0, 0, 0), (0, 0, 0), (1, 0, 0, 0), "plain")])
    ids = raycast.load(endless).render(camera((0, 0, 1, 0.4, 0), 64, 64)).ids[0]
    assert (ids[33:] == 0).all() and (ids[:32] == -1).all()


def test_a_room_has_no_cracks():
    """Two walls and a floor that share edges: wherever the camera looks, their seams show no sky."""
    half = math.sqrt(0.5)
    solids = [
        ("plane", (2, 2, 0), (0, 0, 0), (1, 0, 0, 0), "plain"),
        ("plane", (2, 2, 0), (2, 0, 2), (0.5, 0.5, -0.5, -0.5), "plain"),
        ("plane", (2, 2, 0), (0, 2, 2), (half, half, 0, 0), "plain"),
    ]
    handle = raycast.load(scene_of(solids))
    rng = np.random.default_rng(0)
    poses = np.stack([*rng.uniform(-1, 1, (2, 300)), rng.uniform(0.5, 1.5, 300)], 1)
    poses = np.concatenate([poses, rng.uniform(0.5, 1.0, (300, 1)), rng.uniform(-0.3, 0.1, (300, 1))], 1)
    cameras = dataclasses.replace(scenes.cameras_from_poses(poses, 0.4, 33, 33), scene=np.zeros(300, np.int32))
    ids = handle.render(cameras).ids
    assert set(np.unique(ids)) == {0, 1, 2}


def test_more_solids_than_a_byte_can_count():
    place = np.stack(np.meshgrid(np.arange(24), np.arange(24)), -1).reshape(-1, 2) - 11.5
    solids = [("sphere", (0.3, 0, 0), (0, x, y), (1, 0, 0, 0), "plain") for x, y in place]
    frames = raycast.load(scene_of(solids)).render(camera((-40, 0, 0, 0, 0), 512, 512))
    assert set(np.unique(frames.ids)) == set(range(-1, 576))
    focal = 256 / math.tan(FOV / 2) / 40
    column = np.round(256 - focal * place[:, 0]).astype(int)
    row = np.round(256 - focal * place[:, 1]).astype(int)
    assert (frames.ids[0, row, column] == np.arange(576)).all()


# How it looks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extent", [None, 5.0])
@pytest.mark.parametrize("sun", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_shadows_darken_exactly_the_pixels_whose_way_to_the_light_is_blocked(seed, sun, extent):
    light = ((-0.48, 0.8, 0.36) if sun else (-1.2, 2.2, 1.6), (0.6, 0.6, 0.6), sun)
    scene = dataclasses.replace(
        crowd(seed), **{n: getattr(scene_of([FLOOR], [light]), n) for n in scenes._SCENE_FIELDS}
    )
    cameras = camera(height=40, width=40, extent=extent)
    bright, shaded = (raycast.load(scene, shadows=on).render(cameras).rgb[0].astype(int) for on in (False, True))
    _, ids, rgb, dark = reference(scene, cameras, shadows=True)
    assert (shaded <= bright + 1).all()  # rounded along another way
    darker = (shaded < bright - 1).any(-1)
    assert 0.02 < dark.mean() < 0.6
    # Faces that hardly see the light lose less than a step of brightness.
    visible = np.abs(rgb - bright).max(-1) > 2
    assert (darker == dark)[visible | ~dark].mean() > 0.99
    assert (np.abs(shaded - rgb) <= 1).all(-1).mean() > 0.97
    assert len(np.unique(ids[dark])) > 1, seed


@pytest.mark.parametrize("sun", [True, False])
@pytest.mark.parametrize("extent", [None, 9.0])
@pytest.mark.parametrize("ground", ["plane", "box"])
def test_of_many_solids_each_casts_its_shadow(sun, extent, ground):
    """Two hundred small balls over a floor, or a slab that is turned: a point of it is dark where any is in the way."""
    slab = ("box", (3, 4, 0.5), (0, 0, -0.5), (math.cos(0.3), 0, 0, math.sin(0.3)), "plain")
    rng = np.random.default_rng(3)
    balls = np.concatenate([rng.uniform(-2.8, 2.8, (200, 2)), rng.uniform(0.15, 1.2, (200, 1))], 1)
    solids = [
        FLOOR if ground == "plane" else slab,
        *(("sphere", (0.1, 0, 0), place, (1, 0, 0, 0), "plain") for place in balls.tolist()),
    ]
    light = np.array([-0.48, 0.6, 0.64] if sun else [-1.2, 2.2, 2.5])
    cameras = camera((-4.5, 0.3, 3.2, 0.1, -0.55), 48, 48, extent=extent)
    scene = scene_of(solids, [(light, (0.6, 0.6, 0.6), sun)])
    bright, shaded = (raycast.load(scene, shadows=on).render(cameras) for on in (False, True))
    origins, directions = rays(cameras)
    points = origins + bright.depth[0][..., None] * directions
    floor = (bright.ids[0] == 0) & (np.abs(points[..., 2]) < 1e-3)
    points = points[floor]
    ways = np.broadcast_to(light, points.shape) if sun else light - points
    away = balls - points[:, None]
    along = (away * ways[:, None]).sum(-1) / (ways**2).sum(-1)[:, None]
    along = np.clip(along, 0, None if sun else 1)
    gaps = np.linalg.norm(away - along[..., None] * ways[:, None], axis=-1).min(1) - 0.1
    dark = (shaded.rgb[0] < bright.rgb[0]).any(-1)[floor]
    clear = np.abs(gaps) > 1e-4
    assert clear.mean() > 0.98 and 0.1 < dark.mean() < 0.9
    np.testing.assert_array_equal(dark[clear], gaps[clear] < 0)


@pytest.mark.parametrize("texture", PATTERNS)
def test_textures_mix_two_colours_and_repeat(texture):
    scene = scene_of([("plane", (50, 50, 0), (0, 0, 0), (1, 0, 0, 0), texture)], [], ambient=1.0)
    picture, shifted, far = (
        raycast.load(scene).render(camera((x, y, z, 0, -math.pi / 2), 48, 48)).rgb[0].astype(float)
        for x, y, z in ((0.1, 0.2, 1.2), (1.1, 0.7, 1.2), (0.1, 0.2, 45.0))
    )
    low, high = RGB.min(0) * 255, RGB.max(0) * 255
    assert ((picture >= low - 1) & (picture <= high + 1)).all()
    assert picture.std(axis=(0, 1)).max() > 10
    if texture != "noise":
        assert np.abs(picture - shifted).max() <= 1
    # What is finer than a pixel shows its mean: no moire.
    assert far.std(axis=(0, 1)).max() < 3


def test_solids_wear_their_textures_in_their_own_axes():
    """Turned and moved together with the camera, a textured solid looks the same."""
    for texture in scenes.TEXTURES[1:]:
        for kind in SIZES:
            one = scene_of([(kind, SIZES[kind], (0, 0, 0), (1, 0, 0, 0), texture)], [], ambient=1.0)
            turn = (math.cos(0.4), 0, 0, math.sin(0.4))
            two = scene_of([(kind, SIZES[kind], (3, -2, 1), turn, texture)], [], ambient=1.0)
            a = raycast.load(one).render(camera((-1.5, 0, 0.4, 0, -0.25))).rgb[0].astype(int)
            eye = (3 - 1.5 * math.cos(0.8), -2 - 1.5 * math.sin(0.8), 1.4)
            b = raycast.load(two).render(camera((*eye, 0.8, -0.25))).rgb[0].astype(int)
            assert (np.abs(a - b).max(-1) <= 3).mean() > 0.97
            # The side of a box across stripes shows one of them.
            assert len(np.unique(a.reshape(-1, 3), axis=0)) > (1 if (kind, texture) == ("box", "stripes") else 5)


def test_a_light_that_casts_none_leaves_no_shadow():
    solids = [FLOOR, ("sphere", (0.5, 0, 0), (0, 0, 0.8), (1, 0, 0, 0), "plain")]
    scene = scene_of(solids, [((0.4, 0.3, 0.8), (0.6, 0.5, 0.4), True), ((0.5, 0.5, 2.5), (0.4, 0.5, 0.6), False)])
    view = camera((-1.6, -0.9, 1.6, 0.5, -0.35))
    draw = lambda casts, shadows=True: (
        raycast.load(dataclasses.replace(scene, light_casts=np.array([casts])), shadows=shadows).render(view).rgb.copy()
    )
    open_, both = draw([True, True], False), draw([True, True])
    assert np.array_equal(draw([False, False]), open_)
    one, other = draw([True, False]), draw([False, True])
    dark = [(picture != open_).any(-1) for picture in (one, other, both)]
    assert dark[0].sum() > 50 and dark[1].sum() > 50 and np.array_equal(dark[0] | dark[1], dark[2])
    kept = scenes.Scenes.from_json(dataclasses.replace(scene, light_casts=np.array([[True, False]])).to_json())
    assert kept.light_casts.tolist() == [[True, False]] and "light_casts" not in scene.to_json()
    # Other lights in their place: all cast shadows.
    assert dataclasses.replace(scene, light_position=scene.light_position[:, :1], light_colour=scene.light_colour[:, :1],
                               light_is_sun=scene.light_is_sun[:, :1]).light_casts.shape == (1, 1)  # fmt: skip
    with pytest.raises(errors.CaveError, match="light_casts has shape"):
        raycast.load(dataclasses.replace(scene, light_casts=np.array([[True, False, False]])))


def test_colours_out_of_range_are_clipped_and_change_no_ids():
    scene, cameras = crowd(3, texture="checker"), camera()
    usual = kept(raycast.load(scene).render(cameras))
    for low, high in ((-3.0, 0.0), (5.0, 9.0)):
        colour = np.linspace(low, high, scene.colour.size, dtype=np.float32).reshape(scene.colour.shape)
        wild = dataclasses.replace(scene, colour=colour, sky=np.full((1, 3), low, np.float32))
        frames = raycast.load(wild).render(cameras)
        assert np.array_equal(frames.ids, usual.ids) and (frames.rgb == (0 if low < 0 else 255)).all()


def test_supersampling_is_the_mean_of_a_finer_picture():
    scene = crowd(1, texture="checker")
    for ratio in (2, 3):
        coarse = raycast.load(scene, supersample=ratio, shadows=True).render(camera(height=20, width=28))
        fine = raycast.load(scene, shadows=True).render(camera(height=20 * ratio, width=28 * ratio))
        blocks = fine.rgb[0].reshape(20, ratio, 28, ratio, 3).astype(float).mean((1, 3))
        assert np.abs(coarse.rgb[0] - blocks).max() <= 0.5 + 1e-3
        plain = raycast.load(scene).render(camera(height=20, width=28))
        assert (coarse.ids == plain.ids).all() and (coarse.depth == plain.depth).all()


def test_sensors_that_are_not_wanted_change_nothing_of_the_others():
    scene, cameras = crowd(2, texture="noise"), camera()
    for ratio in (1, 2):
        whole = raycast.load(scene, shadows=True, supersample=ratio).render(cameras)
        for sensors in (("rgb",), ("depth", "ids"), ("ids",)):
            part = raycast.load(scene, shadows=True, supersample=ratio, sensors=sensors).render(cameras)
            for name in sensors:
                assert np.array_equal(getattr(part, name), getattr(whole, name))


# How it is asked ------------------------------------------------------------------------------------------------------


def batch_of(n, texture="bricks"):
    return scenes.join([crowd(seed, 2 + seed % 5, texture) for seed in range(n)])


def poses_of(n):
    rng = np.random.default_rng(7)
    angle = rng.uniform(0, 2 * math.pi, n)
    columns = [3 * np.cos(angle), 3 * np.sin(angle), np.full(n, 1.8), angle + math.pi, np.full(n, -0.3)]
    return np.stack(columns, 1)


def same(a, b):
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("rgb", "depth", "ids"))


def kept(frames):
    return scenes.Frames(frames.rgb.copy(), frames.depth.copy(), frames.ids.copy())


@pytest.mark.parametrize("shape", [(48, 64), (7, 5), (1, 1), (33, 17)])
def test_bytes_do_not_depend_on_threads_company_or_order(shape):
    n = 24
    batch = batch_of(n)
    cameras = scenes.cameras_from_poses(poses_of(n), FOV, *shape)
    whole = kept(raycast.load(batch, shadows=True, threads=1).render(cameras))
    assert whole.rgb.shape == (n, *shape, 3) and whole.depth.shape == whole.ids.shape == (n, *shape)
    for threads in (2, 3):
        assert same(whole, raycast.load(batch, shadows=True, threads=threads).render(cameras))
    order = np.random.default_rng(0).permutation(n)
    handle = raycast.load(batch[order], shadows=True)
    turned = dataclasses.replace(cameras, scene=np.argsort(order).astype(np.int32))
    assert same(whole, handle.render(turned))
    for i in (0, 11):
        one = scenes.cameras_from_poses(poses_of(n)[i : i + 1], FOV, *shape)
        alone = raycast.load(batch[i], shadows=True).render(one)
        assert same(alone, scenes.Frames(*(getattr(whole, name)[i : i + 1] for name in ("rgb", "depth", "ids"))))


def test_a_mask_draws_a_part_and_leaves_the_rest():
    batch = batch_of(6)
    cameras = scenes.cameras_from_poses(poses_of(6), FOV, 24, 24)
    handle = raycast.load(batch)
    before = kept(handle.render(cameras))
    moved = scenes.cameras_from_poses(poses_of(12)[6:], FOV, 24, 24)
    mask = np.array([True, False, True, False, False, True])
    after = kept(handle.render(moved, mask=mask))
    full = raycast.load(batch).render(moved)
    for name in ("rgb", "depth", "ids"):
        assert np.array_equal(getattr(after, name)[mask], getattr(full, name)[mask])
        assert np.array_equal(getattr(after, name)[~mask], getattr(before, name)[~mask])
    assert not np.array_equal(full.rgb[1], before.rgb[1])


def test_poses_replace_those_of_all_solids():
    a, b = batch_of(4), batch_of(4)
    rng = np.random.default_rng(5)
    b = dataclasses.replace(b, position=b.position + rng.uniform(-0.2, 0.2, b.position.shape).astype(np.float32))
    cameras = scenes.cameras_from_poses(poses_of(4), FOV, 24, 24)
    handle = raycast.load(a, capacity=11)
    before = kept(handle.render(cameras))
    wanted = raycast.load(b).render(cameras)
    assert same(wanted, handle.render(cameras, poses=(b.position, b.rotation)))
    assert same(before, handle.render(cameras)) and not same(before, wanted)


def test_drawing_into_given_arrays_and_no_new_ones():
    cameras = scenes.cameras_from_poses(poses_of(3), FOV, 24, 24)
    handle = raycast.load(batch_of(3))
    first = handle.render(cameras)
    again = handle.render(cameras)
    assert first.rgb.base is again.rgb.base and np.shares_memory(first.depth, again.depth)
    out = scenes.Frames(
        np.zeros((3, 24, 24, 3), np.uint8), np.zeros((3, 24, 24), np.float32), np.zeros((3, 24, 24), np.int32)
    )
    assert handle.render(cameras, out=out) is out and same(out, again)


def test_updated_places_show_the_new_scenes():
    old, new = batch_of(6), scenes.join([crowd(20, 7), crowd(21, 1)])
    cameras = scenes.cameras_from_poses(poses_of(6), FOV, 24, 24)
    for capacity in (0, 12):
        handle = raycast.load(old, capacity=capacity)
        handle.render(cameras)
        handle.update(new, np.array([4, 1]))
        wanted = scenes.join([old[0], new[1], old[2], old[3], new[0], old[5]])
        assert same(raycast.load(wanted).render(cameras), handle.render(cameras))
        moved = wanted.position + np.float32(0.1)
        shifted = dataclasses.replace(wanted, position=moved)
        poses = (moved, wanted.rotation)
        assert same(raycast.load(shifted).render(cameras), handle.render(cameras, poses=poses))


def test_two_python_threads_may_draw_at_once():
    batches = [batch_of(16), batch_of(16, "noise")]
    cameras = scenes.cameras_from_poses(poses_of(16), FOV, 48, 48)
    wanted = [kept(raycast.load(batch).render(cameras)) for batch in batches]

    def draw(i):
        handle = raycast.load(batches[i], threads=2)
        return all(same(handle.render(cameras), wanted[i]) for _ in range(20))

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert all(pool.map(draw, [0, 1]))


def test_scenes_of_nothing_may_become_scenes_of_something():
    old = crowd(20, 3)
    nothing = dataclasses.replace(
        old, offsets=np.zeros(2, np.int32), **{name: getattr(old, name)[:0] for name in scenes.SOLID_FIELDS}
    )
    handle = raycast.load(nothing)
    handle.render(camera())
    handle.update(old, np.array([0]))
    assert same(raycast.load(old).render(camera()), handle.render(camera()))


def test_who_is_interrupted_leaves_no_thread_that_draws_on():
    ended = []

    def work(thread):
        if thread:
            time.sleep(0.4)
            ended.append(thread)

    def interrupt(*_):
        raise KeyboardInterrupt

    raycast._run(lambda thread: None, 2, ("nothing",))
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            raycast._run(work, 2, ("nothing",))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        raycast._compiled.discard(("nothing",))
    assert ended == [1]


def test_without_more_threads_those_there_are_draw_it_all(monkeypatch):
    def refuse(_):
        raise RuntimeError("can't start new thread")

    batch, cameras = batch_of(16), scenes.cameras_from_poses(poses_of(16), FOV, 48, 48)
    wanted = kept(raycast.load(batch, threads=1).render(cameras))
    monkeypatch.setattr(raycast, "_n_helpers", 0)
    monkeypatch.setattr(raycast, "_jobs", queue.SimpleQueue())
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert same(wanted, raycast.load(batch, threads=2).render(cameras))


def test_a_child_forked_while_another_thread_draws_may_draw_too():
    batch, cameras = batch_of(16), scenes.cameras_from_poses(poses_of(16), FOV, 48, 48)
    handle = raycast.load(batch, threads=2)
    wanted = kept(handle.render(cameras))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(handle._lock.acquire).result()
        child = os.fork()
        if not child:
            signal.alarm(30)  # which ends it where it hangs
            os._exit(0 if same(wanted, handle.render(cameras)) else 1)
        pool.submit(handle._lock.release).result()
    assert os.waitpid(child, 0)[1] == 0


def test_what_draws_when_python_ends_ends_too():
    text = """
from tests.scenes.test_raycast import FOV, batch_of, poses_of
from scenes.renderers import raycast
import scenes
class Last:
    handle, cameras = raycast.load(batch_of(16), threads=2), scenes.cameras_from_poses(poses_of(16), FOV, 48, 48)
    def __del__(self):
        print(self.handle.render(self.cameras).rgb.any())
last = Last()
last.handle.render(last.cameras)
"""
    root = Path(raycast.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", text], cwd=root, capture_output=True, text=True, timeout=100)
    assert done.stdout == "True\n", done.stderr


def test_bad_input_gets_one_line():
    scene, good = crowd(0), camera()
    handle = raycast.load(scene)

    def refused(words, action, *args, **options):
        with pytest.raises(errors.CaveError, match=words) as caught:
            action(*args, **options)
        assert "\n" not in str(caught.value)

    refused("empty", raycast.load, scene[:0])
    refused("finite", raycast.load, dataclasses.replace(scene, size=scene.size * np.float32(np.nan)))
    refused("rbg.*did you mean 'rgb'", raycast.load, scene, sensors=("rbg",))
    refused("supersample", raycast.load, scene, supersample=0)
    refused("0 x 8", handle.render, dataclasses.replace(good, height=0, width=8))
    refused("5000", handle.render, dataclasses.replace(good, width=5000))
    refused("position.*finite", handle.render, dataclasses.replace(good, position=good.position * np.float32(np.inf)))
    refused("0..0", handle.render, dataclasses.replace(good, scene=np.array([3])))
    refused("fov", handle.render, dataclasses.replace(good, fov=4.0))
    refused("extent is 0", handle.render, dataclasses.replace(good, extent=0.0))
    refused("extent is nan", handle.render, dataclasses.replace(good, extent=math.nan))
    refused("no cameras", handle.render, scenes.cameras_from_poses(np.zeros((0, 5)), FOV, 8, 8))
    refused("mask", handle.render, good, mask=np.ones(3, bool))
    refused("poses", handle.render, good, poses=(scene.position[:1], scene.rotation[:1]))
    refused("rows", handle.update, scene, np.array([1]))
    refused("raycast", renderers.load, "raycsat", scene)
