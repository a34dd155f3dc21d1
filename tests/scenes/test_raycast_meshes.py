"""Meshes in the ray caster, against every triangle asked in turn, and against solids of the same shape."""

import dataclasses
import math

import numpy as np
import pytest
import trimesh

import scenes
from scenes import renderers
from scenes.geometry import meshes, trees
from scenes.kit import errors
from scenes.renderers import raycast
from scenes.renderers.kernels import triangles

FOV = math.pi / 3
SUN, LAMP = ((0.36, 0.48, 0.8), True), ((-1.5, 0.5, 2.5), False)


def scene_of(solids, light=SUN, texture="plain"):
    """One scene of solids (kind or mesh, size, position, rotation)."""
    table = tuple(dict.fromkeys(kind for kind, *_ in solids if isinstance(kind, scenes.Mesh)))
    n = len(solids)
    place, sun = light
    column = lambda i: np.array([solid[i] for solid in solids], np.float32)
    return scenes.Scenes(
        offsets=np.array([0, n], np.int32),
        kind=np.array([scenes.KINDS.index(kind if isinstance(kind, str) else "mesh") for kind, *_ in solids], np.int32),
        mesh=np.array([-1 if isinstance(kind, str) else table.index(kind) for kind, *_ in solids], np.int32),
        meshes=table,
        size=column(1), position=column(2), rotation=column(3),
        texture=np.full(n, scenes.TEXTURES.index(texture), np.int32),
        texture_scale=np.full(n, 0.5, np.float32),
        colour=np.tile(np.float32([[0.9, 0.5, 0.3], [0.2, 0.4, 0.8]]), (n, 1, 1)),
        light_position=np.float32([[place]]), light_colour=np.full((1, 1, 3), 0.6, np.float32),
        light_is_sun=np.array([[sun]]), ambient=np.full((1, 3), 0.3, np.float32), sky=np.zeros((1, 3), np.float32),
    )  # fmt: skip


FLOOR = ("plane", (4, 4, 0), (0, 0, -1.2), (1, 0, 0, 0))
UPRIGHT = (1, 0, 0, 0)


def camera(pose=(-3.0, 0.3, 1.2, 0.0, -0.35), size=48, fov=FOV):
    return scenes.cameras_from_poses([pose], fov, size, size)


def kept(frames):
    return scenes.Frames(frames.rgb.copy(), frames.depth.copy(), frames.ids.copy())


def soup(rng, n, reach=1.0):
    """Triangles anywhere, some of them without area."""
    corners = rng.uniform(-1, 1, (n, 1, 3)) + rng.normal(size=(n, 3, 3)) * reach
    corners[:: max(2, n // 3), 2] = corners[:: max(2, n // 3), 1]
    return scenes.Mesh(corners.reshape(-1, 3).astype(np.float32), np.arange(3 * n, dtype=np.int32).reshape(n, 3))


def quaternion(rng):
    q = rng.normal(size=4)
    return q / np.linalg.norm(q)


def rays(cameras):
    """Direction of every pixel's ray, of length 1 along the camera's axis, in the world."""
    h, w = cameras.height, cameras.width
    step = 2 * math.tan(cameras.fov / 2) / h
    x, y = (np.arange(w) + 0.5 - w / 2) * step, (h / 2 - 0.5 - np.arange(h)) * step
    own = np.stack([*np.meshgrid(x, y), -np.ones((h, w))], -1)
    return own @ scenes.rotation_matrices(cameras.rotation[0].astype(np.float64)).T


def brute(scene, k, origin, directions, both=False):
    """Distance at which rays meet mesh `k`, inf for none, and how near they pass to an edge of what decides that.

    Moeller and Trumbore's test (1997) of every ray with every triangle, in float64.
    """
    turn = scenes.rotation_matrices(scene.rotation[k].astype(np.float64))
    own = scene.meshes[scene.mesh[k]]
    triangles = (own.vertices.astype(np.float64) * scene.size[k])[own.faces] @ turn.T + scene.position[k]
    triangles = triangles[np.linalg.norm(np.cross(*(triangles[:, i] - triangles[:, 0] for i in (1, 2))), axis=1) > 1e-9]
    a, e, f = triangles[:, 0], triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    d = directions.reshape(-1, 3)
    origin = np.broadcast_to(origin, d.shape)
    t, margin = np.full(len(d), np.inf), np.full(len(d), np.inf)
    for i in range(len(d)):
        p = np.cross(d[i], f)
        det = (e * p).sum(1)
        with np.errstate(divide="ignore", invalid="ignore"):
            s = origin[i] - a
            u = (s * p).sum(1) / det
            q = np.cross(s, e)
            v = q @ d[i] / det
            at = (f * q).sum(1) / det
            inner = np.minimum(np.minimum(u, v), 1 - u - v)
        faces = (np.abs(det) > 1e-12) if both else det > 1e-12
        met = faces & (inner >= 0) & (at > 0)
        t[i] = at[met].min(initial=np.inf)
        margin[i] = np.abs(inner[faces & (at > 0) & (at <= t[i] * (1 + 1e-6))]).min(initial=np.inf)
    return t.reshape(directions.shape[:-1]), margin.reshape(directions.shape[:-1])


def check(scene, cameras):
    """The ray caster sees of meshes what brute force sees, but for rays that pass within rounding of an edge."""
    frames = raycast.load(scene).render(cameras)
    d = rays(cameras)
    told = [brute(scene, k, cameras.position[0].astype(np.float64), d) for k in range(len(scene.kind))]
    depths = np.stack([t for t, _ in told])
    sure = np.min([margin for _, margin in told], 0) > 1e-4
    assert sure.mean() > 0.95
    depth, ids = depths.min(0), np.where(np.isfinite(depths.min(0)), depths.argmin(0), -1)
    assert (frames.ids[0] == ids)[sure].all()
    met = sure & (ids >= 0)
    assert met.any()
    np.testing.assert_allclose(frames.depth[0][met], depth[met], rtol=2e-5)
    assert np.isinf(frames.depth[0][frames.ids[0] < 0]).all()


@pytest.mark.parametrize("seed", range(6))
def test_triangles_are_seen_where_they_are(seed):
    rng = np.random.default_rng(seed)
    table = [soup(rng, n, 0.4) for n in (1, 2, 17, 300)]
    solids = []
    for mesh in table:
        stretch = rng.uniform(0.2, 1.5, 3)
        solids.append((mesh, stretch, rng.uniform(-1, 1, 3), quaternion(rng)))
    check(scene_of(solids), camera(size=24))
    # From within, and from far away through a long lens.
    check(scene_of(solids), camera((0.1, 0.1, 0.1, rng.uniform(0, 6), 0.2), 16))
    check(scene_of(solids), camera((-200, 0, 0, 0, 0), 16, 0.02))


def test_ten_thousand_triangles_are_those_of_brute_force():
    ball = bumpy(71)
    assert len(ball.faces) > 10_000
    check(scene_of([(ball, (1, 0.8, 1.2), (0, 0, 0), (0.6, 0, 0.8, 0))]), camera(size=24))


@pytest.mark.parametrize("extent", [None, 3.0])
def test_painted_triangles_are_those_that_rays_meet(extent):
    """A small picture's rays are followed through the tree; a larger one, of which they are every third, is painted."""
    scene = scene_of([(bumpy(71), (1, 0.8, 1.2), (0, 0, 0), (0.6, 0, 0.8, 0)), FLOOR])
    handle = raycast.load(scene, sensors=("rgb", "depth", "ids", "normals"))
    seen = lambda size: dataclasses.replace(camera(size=size), extent=extent)
    small = handle.render(seen(16))
    few = {name: getattr(small, name).copy() for name in ("depth", "ids", "normals")}
    many = handle.render(seen(48))
    np.testing.assert_array_equal(many.ids[:, 1::3, 1::3], few["ids"])
    assert 0.2 < (few["ids"] == 0).mean() < 0.8
    np.testing.assert_allclose(many.depth[:, 1::3, 1::3], few["depth"], rtol=1e-5)
    np.testing.assert_allclose(many.normals[:, 1::3, 1::3], few["normals"], atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(many.normals[many.ids >= 0], axis=-1), 1, atol=1e-5)


@pytest.mark.parametrize(("size", "painted"), [(16, False), (48, True)])
def test_meshes_are_painted_where_that_is_cheaper(size, painted):
    forest = (None, None, *trees.forest([bumpy(71)]))
    assert triangles.worthwhile((0, 0, size // 2, size // 2), 1.0, forest, 0) == painted
    assert not triangles.worthwhile((0, 0, size - 1, size - 1), 0.0, forest, 0)  # some lie beside the eye


def bumpy(n):
    """A ball with bumps, of 2 n^2 triangles."""
    u, v = np.meshgrid(np.linspace(0, np.pi, n + 1), np.arange(n) * 2 * np.pi / n, indexing="ij")
    r = 1 + 0.15 * np.sin(5 * u) * np.sin(4 * v)
    points = np.stack([r * np.sin(u) * np.cos(v), r * np.sin(u) * np.sin(v), r * np.cos(u)], -1)
    i, j = (index.ravel() for index in np.indices((n, n)))
    a, b, c, d = i * n + j, (i + 1) * n + j, (i + 1) * n + (j + 1) % n, i * n + (j + 1) % n
    return meshes.smooth(points.reshape(-1, 3), np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]))


def test_trees_hold_every_triangle_once_within_its_boxes():
    rng = np.random.default_rng(0)
    flat = np.zeros((500, 3), np.int32)  # all in one place: nothing to part them by
    for mesh in (soup(rng, 1), soup(rng, 5000, 0.05), scenes.Mesh(np.float32([[1, 2, 3]]), flat)):
        _, boxes, nodes, children, corners, faces, *_ = trees.tree(mesh)
        assert trees.tree(mesh) is trees.tree(mesh)
        wide = trees.growth.WIDE
        nodes, children, corners = nodes.reshape(-1, 6, wide), children.reshape(-1, wide), corners.reshape(-1, 9, wide)
        assert sorted(faces[faces >= 0].tolist()) == list(range(len(mesh.faces)))
        unit = mesh.extent.max()
        seen, todo = 0, [(0, boxes[0, :3], boxes[0, 3:6])]
        while todo:
            node, low, high = todo.pop()
            for k in range(wide):
                own_low, own_high = nodes[node, :3, k], nodes[node, 3:, k]
                if (own_low > own_high).any():
                    continue
                assert (own_low >= low - 1e-6).all() and (own_high <= high + 1e-6).all()
                if children[node, k] >= 0:
                    todo.append((children[node, k], own_low, own_high))
                    continue
                leaf = -1 - children[node, k]
                for j in np.flatnonzero(faces.reshape(-1, wide)[leaf] >= 0):
                    own = mesh.vertices[mesh.faces[faces.reshape(-1, wide)[leaf, j]]]
                    np.testing.assert_allclose(corners[leaf, :, j].reshape(3, 3), own / unit, rtol=1e-6)
                    assert (own / unit >= own_low).all() and (own / unit <= own_high).all()
                    seen += 1
        assert seen == len(mesh.faces)


@pytest.mark.parametrize("light", [SUN, LAMP])
@pytest.mark.parametrize("shadows", [False, True])
def test_a_box_of_triangles_is_a_box(light, shadows):
    box = trimesh.creation.box((2, 2, 2))
    mesh = scenes.Mesh(box.vertices.astype(np.float32), box.faces.astype(np.int32))
    pose = ((0.5, 0.3, 0.4), (0.2, 0.1, -0.4), (0.8, 0.36, 0.48, 0))
    for texture in scenes.TEXTURES[: scenes.TEXTURES.index("image")]:
        one, two = (
            raycast.load(scene_of([FLOOR, (kind, *pose), ("sphere", (0.3, 0, 0), (-0.6, 0.6, 0.5), UPRIGHT)], light, texture),
                         shadows=shadows).render(camera(size=64))
            for kind in ("box", mesh)
        )  # fmt: skip
        assert (one.ids == two.ids).mean() > 0.998 and (one.ids == 1).sum() > 200
        same = one.ids == two.ids
        np.testing.assert_allclose(one.depth[same], two.depth[same], rtol=1e-4)
        assert (np.abs(one.rgb[same].astype(int) - two.rgb[same]).max(-1) <= 2).mean() > 0.99


@pytest.mark.parametrize("light", [SUN, LAMP])
def test_a_fine_ball_of_triangles_is_a_ball_with_its_shadow(light):
    ball = trimesh.creation.icosphere(5)
    mesh = meshes.smooth(ball.vertices, ball.faces)
    seen = {}
    for shadows in (False, True):
        frames = [
            kept(raycast.load(scene_of([FLOOR, (kind, (0.7, 0.7, 0.7), (0.3, 0, -0.4), UPRIGHT)], light), shadows=shadows)
                 .render(camera(size=96)))
            for kind in ("sphere", mesh)
        ]  # fmt: skip
        one, two = seen[shadows] = frames
        same = one.ids == two.ids
        assert same.mean() > 0.995
        np.testing.assert_allclose(one.depth[same], two.depth[same], rtol=3e-3)
        assert (np.abs(one.rgb[same].astype(int) - two.rgb[same]).max(-1) <= 3).mean() > 0.985
    dark = (seen[True][1].rgb.astype(int) < seen[False][1].rgb.astype(int) - 10).any(-1)
    assert (dark & (seen[True][1].ids == 0)).sum() > 100


@pytest.mark.parametrize("light", [SUN, LAMP])
def test_meshes_cast_shadows_by_both_sides_on_themselves_too(light):
    rng = np.random.default_rng(3)
    scene = scene_of([(soup(rng, 40, 0.5), (1, 1, 0.7), (0, 0, 0), quaternion(rng))], light)
    cameras = camera(size=32)
    bright, dark = (kept(raycast.load(scene, shadows=on).render(cameras)) for on in (False, True))
    place, sun = np.array(light[0]), light[1]
    d = rays(cameras)
    points = cameras.position[0] + np.where(np.isfinite(bright.depth[0]), bright.depth[0], 0)[..., None] * d
    ways = np.broadcast_to(place, points.shape) if sun else place - points
    seen = (bright.ids[0] == 0) & (bright.rgb[0, ..., 0] > 80)  # lit
    blocked = np.zeros(seen.shape, bool)
    for row, column in np.argwhere(seen):
        way = ways[row, column]
        start = points[row, column] + 2e-3 * way / np.linalg.norm(way)
        blocked[row, column] = brute(scene, 0, start, way[None], both=True)[0][0] < (np.inf if sun else 1.0)
    darker = (dark.rgb[0].astype(int) < bright.rgb[0].astype(int) - 1).any(-1)
    assert 30 < blocked[seen].sum() < 0.9 * seen.sum()
    assert (darker == blocked)[seen].mean() > 0.98
    assert not darker[~seen & (bright.ids[0] < 0)].any()


def test_a_mesh_is_seen_from_outside_only():
    ball = trimesh.creation.icosphere(2)
    mesh = scenes.Mesh(ball.vertices.astype(np.float32), ball.faces.astype(np.int32))
    scene = scene_of([(mesh, (1, 1, 1), (0, 0, 0), UPRIGHT)])
    assert (raycast.load(scene).render(camera((0.1, 0, 0, 0.3, 0.2))).ids == -1).all()
    turned = scenes.Mesh(mesh.vertices, mesh.faces[:, ::-1].copy())
    inside_out = scene_of([(turned, (1, 1, 1), (0, 0, 0), UPRIGHT)])
    assert (raycast.load(inside_out).render(camera((0.1, 0, 0, 0.3, 0.2))).ids == 0).all()


def test_no_ray_slips_between_triangles():
    """A grid whose edges rays meet exactly, seen straight from above, and a ball from within: no pixel sees through."""
    ground = meshes.height_field(np.zeros((33, 33)), 2.0, 2.0)
    for size in (32, 64, 65, 96):
        frames = raycast.load(scene_of([(ground, (1, 1, 1), (0, 0, 0), UPRIGHT)])).render(
            camera((0, 0, 2, 0, -math.pi / 2), size, math.pi / 4)
        )
        assert (frames.ids == 0).all()
        np.testing.assert_allclose(frames.depth, 2, rtol=1e-6)
    ball = trimesh.creation.icosphere(4)
    mesh = scenes.Mesh(ball.vertices.astype(np.float32), ball.faces[:, ::-1].astype(np.int32))
    handle = raycast.load(scene_of([(mesh, (1, 1, 1), (0, 0, 0), UPRIGHT)]))
    for yaw in np.arange(6):
        assert (handle.render(camera((0, 0, 0, yaw, 0.4 * yaw - 1), 128, 1.5)).ids == 0).all()


def test_bytes_do_not_depend_on_threads_company_or_order():
    rng = np.random.default_rng(5)
    table = [bumpy(12), soup(rng, 30, 0.4), meshes.height_field(rng.random((9, 7)), 1.5, 1.0)]
    n = 12
    made = [
        scene_of([FLOOR, (table[i % 3], (1, 1, 1), (0, 0, 0), quaternion(rng)),
                  (table[(i + 1) % 3], (0.5, 0.4, 0.3), (0, 1, 1), UPRIGHT)])
        for i in range(n)
    ]  # fmt: skip
    batch = scenes.join(made)
    assert len(batch.meshes) == 3
    cameras = scenes.cameras_from_poses(np.tile([-3.5, 0.3, 1.2, 0.0, -0.3], (n, 1)), FOV, 40, 40)
    whole = kept(raycast.load(batch, shadows=True, threads=1).render(cameras))
    equal = lambda a, b: all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("rgb", "depth", "ids"))
    for threads in (2, 3):
        assert equal(whole, raycast.load(batch, shadows=True, threads=threads).render(cameras))
    handle = raycast.load(scenes.join([made[0], *made[:-1]]), shadows=True)
    handle.update(batch, np.arange(n))
    assert equal(whole, handle.render(cameras))
    for i in (0, 7):
        alone = raycast.load(made[i], shadows=True).render(camera((-3.5, 0.3, 1.2, 0.0, -0.3), 40))
        assert equal(alone, scenes.Frames(*(getattr(whole, name)[i : i + 1] for name in ("rgb", "depth", "ids"))))


def test_update_brings_other_meshes_and_forgets_those_that_nobody_has():
    rng = np.random.default_rng(6)
    floor = ("box", (2, 2, 0.1), (0, 0, -1.3), UPRIGHT)
    made = [scene_of([floor, (soup(rng, 20, 0.5), (1, 1, 1), (0, 0, 0), UPRIGHT)]) for _ in range(8)]
    handle = raycast.load(scenes.join(made[:2]))
    cameras = scenes.cameras_from_poses(np.tile([-3.5, 0.3, 1.2, 0.0, -0.3], (2, 1)), FOV, 24, 24)
    for i in range(2, 8):
        handle.update(made[i], np.array([i % 2]))
        seen = kept(handle.render(cameras))
        for row in (0, 1):
            last = i if i % 2 == row else i - 1
            alone = raycast.load(made[last]).render(camera((-3.5, 0.3, 1.2, 0.0, -0.3), 24))
            assert (seen.rgb[row] == alone.rgb[0]).all() and (seen.ids[row] == alone.ids[0]).all()
        assert len(handle._meshes) <= 3
    plain = scene_of([floor, ("sphere", (0.5, 0, 0), (0, 0, 0), UPRIGHT)])
    handle.update(plain, np.array([1]))
    assert (
        handle.render(cameras).rgb[1] == raycast.load(plain).render(camera((-3.5, 0.3, 1.2, 0.0, -0.3), 24)).rgb[0]
    ).all()


def test_a_mesh_moves_by_poses():
    rng = np.random.default_rng(8)
    mesh, turn = soup(rng, 50, 0.5), quaternion(rng)
    there = scene_of([(mesh, (1, 1, 1), (0.3, 0.2, -0.1), turn)])
    handle = raycast.load(scene_of([(mesh, (1, 1, 1), (0, 0, 0), UPRIGHT)]))
    moved = handle.render(camera(), (there.position, there.rotation))
    assert np.array_equal(moved.depth, raycast.load(there).render(camera()).depth)


def test_a_broken_table_is_refused():
    scene = scene_of([(soup(np.random.default_rng(0), 3), (0, 1, 1), (0, 0, 0), UPRIGHT)])
    with pytest.raises(errors.CaveError, match="must be positive"):
        renderers.load("raycast", scene)
