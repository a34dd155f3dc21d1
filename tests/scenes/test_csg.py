"""Constructive solids: distances against figures known by heart and a search that knows no geometry; meshes, points."""

import math

import numpy as np
import pytest
import trimesh

import scenes
from scenes.geometry import csg, walls

BOX, SPHERE, CYLINDER = range(3)
UNION, INTERSECTION, DIFFERENCE = range(3)
UPRIGHT = (1.0, 0.0, 0.0, 0.0)


def solid(*parts):
    """One solid of parts (operation, part, size, position, rotation)."""
    operation, part, size, position, rotation = zip(*(part if len(part) == 5 else (*part, UPRIGHT) for part in parts))
    size = [(*numbers, 0, 0)[:3] for numbers in size]
    floats = [np.array([one], float) for one in (size, position, rotation)]
    return csg.Solids(np.array([part]), *floats, np.array([operation]))


def random_solid(seed, k=3):
    rng = np.random.default_rng(seed)
    rotation = rng.normal(size=(1, k, 4))
    position = rng.uniform(-0.3, 0.3, (1, k, 3))
    size, part, operation = rng.uniform(0.15, 0.45, (1, k, 3)), rng.integers(0, 3, (1, k)), rng.integers(0, 3, (1, k))
    return csg.Solids(part, size, position, rotation / np.linalg.norm(rotation, axis=-1, keepdims=True), operation)


def within(shape, points, known=None):
    """Membership, written down slowly; of the part `known` it is told."""
    whole = None
    for k, part in enumerate(shape.part[0]):
        x, y, z = np.moveaxis((points - shape.position[0, k]) @ scenes.rotation_matrices(shape.rotation[0, k]), -1, 0)
        a, b, c = shape.size[0, k]
        if known is not None and known[0] == k:
            here = np.full(x.shape, known[1])
        elif part == BOX:
            here = (np.abs(x) < a) & (np.abs(y) < b) & (np.abs(z) < c)
        elif part == SPHERE:
            here = x * x + y * y + z * z < a * a
        else:
            here = (x * x + y * y < a * a) & (np.abs(z) < b)
        operation = shape.operation[0, k] if k else UNION
        both = {UNION: np.logical_or, INTERSECTION: np.logical_and, DIFFERENCE: lambda p, q: p & ~q}[operation]
        whole = here if whole is None else both(whole, here)
    return whole


def sheets_of(part, size):
    """Functions from the unit square onto the walls of a part."""
    a, b, c = size
    round_about = lambda v: (np.cos(2 * np.pi * v), np.sin(2 * np.pi * v))
    if part == SPHERE:
        flat = lambda u: np.sqrt(np.maximum(0, 1 - (2 * u - 1) ** 2))
        return [lambda u, v: a * np.stack([flat(u) * round_about(v)[0], flat(u) * round_about(v)[1], 2 * u - 1], -1)]
    if part == CYLINDER:
        tube = lambda r, v, z: np.stack([r * round_about(v)[0], r * round_about(v)[1], z], -1)
        ends = [lambda u, v, s=s: tube(a * u, v, np.full(u.shape, s * b)) for s in (-1, 1)]
        return [lambda u, v: tube(a, v, (2 * u - 1) * b), *ends]
    full = lambda s, u: np.full(u.shape, s)
    return [
        made for s in (-1, 1) for made in (
            lambda u, v, s=s: np.stack([full(s * a, u), (2 * u - 1) * b, (2 * v - 1) * c], -1),
            lambda u, v, s=s: np.stack([(2 * u - 1) * a, full(s * b, u), (2 * v - 1) * c], -1),
            lambda u, v, s=s: np.stack([(2 * u - 1) * a, (2 * v - 1) * b, full(s * c, u)], -1),
        )
    ]  # fmt: skip


def nearest(shape, point):
    """Distance to the surface by brute force: grids over all walls, where membership changes, then ever finer ones about the
    best places."""
    line = np.linspace(0, 1, 61)
    start = np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
    best = np.inf
    for k, part in enumerate(shape.part[0]):
        turn = scenes.rotation_matrices(shape.rotation[0, k])
        for sheet in sheets_of(part, shape.size[0, k]):
            near, width = start, 1 / 60
            while width > 1e-9:
                at = sheet(*near.T) @ turn.T + shape.position[0, k]
                on = within(shape, at, (k, True)) != within(shape, at, (k, False))
                away = np.where(on, np.linalg.norm(at - point, axis=1), np.inf)
                order = np.argsort(away)[:40]
                if away[order[0]] > best + 4 * width:
                    break
                around = np.stack(np.meshgrid(*[np.linspace(-width, width, 9)] * 2, indexing="ij"), -1).reshape(-1, 2)
                near = np.clip(near[order][:, None] + around, 0, 1).reshape(-1, 2)
                width *= 0.35
            best = min(best, away.min())
    return best


def distance(shape, points):
    return csg.distance(shape, np.asarray(points, float)[None])[0]


@pytest.mark.parametrize("seed", [0, 2, 3, 8, 11, 17])
def test_distance_is_that_to_the_nearest_point_of_a_blind_search(seed):
    shape = random_solid(seed)
    points = np.random.default_rng(seed).uniform(-0.6, 0.6, (6, 3))
    points[:3] = csg.surface(shape, 3, 1, np.array([seed]))[0][0] + points[:3] * 0.2
    found = distance(shape, points)
    truth = np.array([nearest(shape, point) for point in points])
    np.testing.assert_allclose(np.abs(found), truth, atol=1e-6)
    assert np.array_equal(found < 0, within(shape, points))
    assert np.array_equal(csg.inside(shape, points[None])[0], within(shape, points))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 160))
def test_no_search_finds_a_nearer_point(seed):
    shape = random_solid(seed, 2 + seed % 2)
    points = np.random.default_rng(seed).uniform(-0.7, 0.7, (12, 3))
    found = distance(shape, points)
    if np.isinf(found).any():
        assert not within(shape, np.random.default_rng(0).uniform(-1, 1, (10**5, 3))).any()
        return
    truth = np.array([nearest(shape, point) for point in points])
    # The search may end beside a sharp corner, and then says too much.
    assert (np.abs(found) <= truth + 1e-6).all() and (np.abs(found) > truth - 1e-3).all()


@pytest.mark.parametrize("seed", range(8))
def test_what_is_found_is_a_point_of_the_surface_and_nobody_comes_nearer_than_he_walks(seed):
    """The first makes distances not too small, the second could not hold if some nearest points were missed."""
    shape = random_solid(seed)
    rng = np.random.default_rng(seed)
    points = rng.uniform(-0.7, 0.7, (400, 3))
    far, place = csg._nearest(csg.walls(shape, 0), points)
    np.testing.assert_allclose(np.linalg.norm(place - points, axis=1), far, atol=1e-12)
    hair = 1e-6 * np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), -1).reshape(-1, 1, 3)
    near = within(shape, place + hair)
    assert (near.any(0) & ~near.all(0)).all()
    values, moved = distance(shape, points), rng.normal(size=(400, 3)) * 0.01
    away = np.abs(distance(shape, points + moved) - values)
    assert (away <= np.linalg.norm(moved, axis=1) + 1e-9).all()


def test_finer_cells_find_nothing_nearer(monkeypatch):
    shapes = [random_solid(seed, 2 + seed % 2) for seed in range(20, 28)]
    points = np.random.default_rng(0).uniform(-0.8, 0.8, (300, 3))
    usual = [distance(shape, points) for shape in shapes]
    monkeypatch.setattr(walls, "_DEPTH", 6)
    csg._walls.cache_clear()
    for shape, found in zip(shapes, usual):
        np.testing.assert_allclose(distance(shape, points), found, atol=1e-12)
    csg._walls.cache_clear()


def test_a_lens_of_two_balls():
    """Along its rim, the circle of radius sqrt(1 - 0.36); everything turns about x."""
    shape = solid((UNION, SPHERE, (1.0,), (-0.6, 0, 0)), (INTERSECTION, SPHERE, (1.0,), (0.6, 0, 0)))
    points = np.random.default_rng(0).uniform(-1.5, 1.5, (300, 3))
    x, r = np.abs(points[:, 0]), np.hypot(points[:, 1], points[:, 2])
    rim = np.hypot(x, r - 0.8)
    # The wall on the right belongs to the ball on the left, and its feet reach as far as the rim.
    centred = np.hypot(x + 0.6, r)
    on_wall = (x + 0.6) / centred >= 0.6
    truth = np.where(on_wall, np.minimum(rim, np.abs(centred - 1)), rim)
    truth = np.where(within(shape, points), -truth, truth)
    np.testing.assert_allclose(distance(shape, points), truth, atol=1e-9)
    np.testing.assert_allclose(distance(shape, [[0, 0, 0], [0, 0.8, 0], [0, 3, 4]]), [-0.4, 0, 4.2], atol=1e-9)


def test_two_balls_united_are_deeper_than_either():
    shape = solid((UNION, SPHERE, (1.0,), (-0.6, 0, 0)), (UNION, SPHERE, (1.0,), (0.6, 0, 0)))
    # At the origin the least of both distances says -0.4; the rim is 0.8 away.
    points = [[0, 0, 0], [0.6, 0, 0], [0, 2, 0], [0, 0.5, 0]]
    np.testing.assert_allclose(distance(shape, points), [-0.8, -1, math.hypot(0.6, 2) - 1, -0.3], atol=1e-9)


def test_a_hemisphere():
    shape = solid((UNION, SPHERE, (1.0,), (0, 0, 0)), (DIFFERENCE, BOX, (2, 2, 1), (0, 0, -1)))
    points = np.random.default_rng(1).uniform(-1.5, 1.5, (300, 3))
    r, z = np.hypot(points[:, 0], points[:, 1]), points[:, 2]
    ball, rim = np.hypot(r, z) - 1, np.hypot(r - 1, z)
    below = np.where(r <= 1, -z, rim)
    above = np.where(ball > 0, ball, np.maximum(ball, -z))
    np.testing.assert_allclose(distance(shape, points), np.where(z < 0, below, above), atol=1e-9)
    np.testing.assert_allclose(distance(shape, [[0, 0, 0]]), 0, atol=1e-12)


def test_a_box_with_a_notch_is_a_prism():
    """Of infinite length, nearly: in a plane through its middle the distance is that to six segments."""
    shape = solid((UNION, BOX, (0.5, 0.4, 50), (0, 0, 0)), (DIFFERENCE, BOX, (0.5, 0.4, 60), (0.4, 0.3, 0)))
    corners = np.array([(-0.5, -0.4), (0.5, -0.4), (0.5, -0.1), (-0.1, -0.1), (-0.1, 0.4), (-0.5, 0.4)])
    points = np.random.default_rng(2).uniform(-1, 1, (300, 3)) * (1, 1, 0)
    a, along = corners, np.roll(corners, -1, 0) - corners
    offset = points[:, None, :2] - a
    share = np.clip((offset * along).sum(-1) / (along**2).sum(-1), 0, 1)
    away = np.linalg.norm(offset - share[..., None] * along, axis=-1).min(1)
    truth = np.where(within(shape, points), -away, away)
    np.testing.assert_allclose(distance(shape, points), truth, atol=1e-9)


@pytest.mark.parametrize("tilt", [0.0, 0.5, math.pi / 2])
def test_a_cylinder_cut_by_a_half_space(tilt):
    """Across, aslant (an ellipse) and lengthwise; against a very fine polyline about the cut."""
    normal = np.array([math.sin(tilt), 0, math.cos(tilt)])
    turn = (math.cos(tilt / 2), 0.0, math.sin(tilt / 2), 0.0)
    shape = solid(
        (UNION, CYLINDER, (0.4, 0.8), (0, 0, 0)), (DIFFERENCE, BOX, (3, 3, 3), tuple(normal * 3.1), turn)
    )  # fmt: skip
    points = np.random.default_rng(3).uniform(-0.7, 0.7, (150, 3))
    points = points[points @ normal > 0.12]
    # Beyond the cut: how far a convex flat thing is, by its densely drawn outline, or straight down onto it.
    down = points - (points @ normal - 0.1)[:, None] * normal
    over = within(solid((UNION, CYLINDER, (0.4, 0.8), (0, 0, 0))), down)
    found = distance(shape, points)
    np.testing.assert_allclose(found[over], (points @ normal - 0.1)[over], atol=1e-9)
    assert over.sum() > 10 and (found[~over] > (points @ normal - 0.1)[~over]).all()
    if tilt == 0.5:
        angle = np.linspace(0, 2 * np.pi, 200001)
        x, y = 0.4 * np.cos(angle), 0.4 * np.sin(angle)
        rim = np.stack([x, y, (0.1 - x * normal[0]) / normal[2]], 1)
        beside = points[~over & (np.abs(down[:, 2]) < 0.7)][:20]
        outline = np.array([np.linalg.norm(rim - point, axis=1).min() for point in beside])
        nearer = outline < distance(solid((UNION, CYLINDER, (0.4, 0.8), (0, 0, 0))), beside) + 1e-3
        assert (distance(shape, beside) <= outline + 1e-9).all()
        np.testing.assert_allclose(distance(shape, beside)[nearer], outline[nearer], atol=1e-3)


def test_one_part_is_itself():
    points = np.random.default_rng(4).normal(size=(200, 3))
    np.testing.assert_allclose(
        distance(solid((UNION, SPHERE, (0.7,), (0, 0, 0))), points), np.linalg.norm(points, axis=1) - 0.7, atol=1e-9
    )
    size = np.array([0.3, 0.5, 0.7])
    beyond = np.abs(points) - size
    truth = np.linalg.norm(np.maximum(beyond, 0), axis=1) + np.minimum(beyond.max(1), 0)
    np.testing.assert_allclose(distance(solid((UNION, BOX, tuple(size), (0, 0, 0))), points), truth, atol=1e-9)
    out, up = np.hypot(points[:, 0], points[:, 1]) - 0.5, np.abs(points[:, 2]) - 0.6
    truth = np.hypot(np.maximum(out, 0), np.maximum(up, 0)) + np.minimum(np.maximum(out, up), 0)
    np.testing.assert_allclose(distance(solid((UNION, CYLINDER, (0.5, 0.6), (0, 0, 0))), points), truth, atol=1e-9)
    np.testing.assert_allclose(distance(solid((UNION, CYLINDER, (0.5, 0.6), (0, 0, 0))), [[0, 0, 0]]), -0.5)


@pytest.mark.parametrize("seed", range(6))
def test_a_mesh_is_closed_faces_out_and_lies_on_the_surface(seed):
    shape = random_solid(seed)
    (mesh,) = csg.meshes(shape)
    made = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert made.is_watertight and made.is_winding_consistent
    assert np.abs(distance(shape, mesh.vertices)).max() < 1e-6
    volume = within(shape, np.random.default_rng(0).uniform(-1, 1, (400_000, 3))).mean() * 8
    assert abs(made.volume - volume) < 0.03 * volume + 0.002
    ahead = np.cross(*(mesh.vertices[mesh.faces[:, i]].astype(float) - mesh.vertices[mesh.faces[:, 0]] for i in (1, 2)))
    area = np.linalg.norm(ahead, axis=1)
    facing = (ahead[:, None] * mesh.normals).sum(-1).min(1) / np.maximum(area, 1e-30)
    assert area[facing < 0.9].sum() < 0.01 * area.sum()


def test_edges_of_a_mesh_are_sharp():
    """A box without one of its corners has seven of its own and seven new ones; a cut cylinder has its rim at the cut."""
    shape = solid((UNION, BOX, (0.5, 0.4, 0.3), (0, 0, 0)), (DIFFERENCE, BOX, (0.5, 0.4, 0.3), (0.4, 0.3, 0.2)))
    (mesh,) = csg.meshes(shape)
    corners = [(x, y, z) for x in (-0.5, 0.5) for y in (-0.4, 0.4) for z in (-0.3, 0.3)][:-1]
    corners += [(x, y, z) for x in (-0.1, 0.5) for y in (-0.1, 0.4) for z in (-0.1, 0.3)][:-1]
    assert np.linalg.norm(np.array(corners)[:, None] - mesh.vertices, axis=-1).min(1).max() < 1e-6
    assert len(np.unique(np.round(mesh.normals.reshape(-1, 3), 5), axis=0)) == 6
    cut = solid((UNION, CYLINDER, (0.4, 0.8), (0, 0, 0)), (INTERSECTION, SPHERE, (0.6,), (0.3, 0, 0)))
    (mesh,) = csg.meshes(cut)
    rim = mesh.vertices[np.abs(np.hypot(*mesh.vertices[:, :2].T) - 0.4) < 1e-6].astype(float)
    on = np.abs(np.linalg.norm(rim - (0.3, 0, 0), axis=1) - 0.6) < 1e-6
    assert on.sum() > 30


def test_surface_points_are_even_by_area_and_normals_lead_out():
    half = solid((UNION, SPHERE, (1.0,), (0, 0, 0)), (DIFFERENCE, BOX, (2, 2, 1), (0, 0, -1)))
    at, normal = csg.surface(half, 20000, 5, np.array([3]))
    assert abs((at[0, :, 2] < 1e-9).mean() - 1 / 3) < 0.01
    size = np.array([0.5, 0.3, 0.4])
    at, normal = csg.surface(solid((UNION, BOX, tuple(size), (0, 0, 0))), 20000, 6, np.array([1]))
    area = np.prod(size) / size
    for axis in range(3):
        face = np.abs(normal[0, :, axis]) > 0.5
        assert (
            abs(face.mean() - area[axis] / area.sum()) < 0.015 and abs((normal[0, face, axis] > 0).mean() - 0.5) < 0.02
        )
        for other in {0, 1, 2} - {axis}:
            np.testing.assert_allclose(
                np.histogram(at[0, face, other] / size[other], 5, (-1, 1))[0] / face.sum(), 0.2, atol=0.03
            )
    at, normal = csg.surface(solid((UNION, CYLINDER, (0.5, 0.25), (0, 0, 0))), 20000, 7, np.array([2]))
    end = np.abs(normal[0, :, 2]) > 0.5
    radius = np.hypot(at[0, end, 0], at[0, end, 1]) / 0.5
    assert abs(end.mean() - 0.5) < 0.015 and abs((radius**2 < 0.5).mean() - 0.5) < 0.02
    np.testing.assert_allclose(np.histogram(at[0, ~end, 2], 5, (-0.25, 0.25))[0] / (~end).sum(), 0.2, atol=0.02)
    for seed in range(4):
        shape = random_solid(seed)
        at, normal = csg.surface(shape, 300, 1, np.array([seed]))
        assert np.abs(distance(shape, at[0])).max() < 1e-8
        np.testing.assert_allclose(np.linalg.norm(normal, axis=-1), 1)
        assert not within(shape, at[0] + 1e-6 * normal[0]).any() and within(shape, at[0] - 1e-6 * normal[0]).all()


def test_rows_do_not_know_of_each_other():
    rows = [random_solid(seed) for seed in range(3)]
    join = lambda name: np.concatenate([getattr(row, name) for row in rows])
    whole = csg.Solids(*map(join, ("part", "size", "position", "rotation", "operation")))
    points, index = np.random.default_rng(0).uniform(-1, 1, (3, 50, 3)), np.array([4, 9, 2])
    found, (at, normal) = csg.distance(whole, points), csg.surface(whole, 40, 7, index)
    for i, row in enumerate(rows):
        assert np.array_equal(csg.distance(row, points[i : i + 1])[0], found[i])
        alone = csg.surface(row, 40, 7, index[i : i + 1])
        assert np.array_equal(alone[0][0], at[i]) and np.array_equal(alone[1][0], normal[i])


def test_nothing_is_told_to_be_nothing():
    gone = solid((UNION, SPHERE, (0.5,), (0, 0, 0)), (DIFFERENCE, BOX, (1, 1, 1), (0, 0, 0)))
    assert np.isinf(distance(gone, np.zeros((2, 3)))).all() and not csg.inside(gone, np.zeros((1, 2, 3))).any()
    with pytest.raises(ValueError, match="solid 0 is empty"):
        csg.meshes(gone)
    with pytest.raises(ValueError, match="next to no surface"):
        csg.surface(gone, 1, 0, np.array([0]))
