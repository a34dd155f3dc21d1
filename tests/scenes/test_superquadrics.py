"""Superquadrics: distances to the true surface, meshes on it, points even over it."""

import numpy as np
import pytest
import trimesh

from scenes.geometry import superquadrics

SIZE = np.array([0.5, 0.3, 0.4])
EXPONENTS = [(1.0, 1.0), (0.2, 0.2), (0.3, 1.0), (1.0, 0.25), (1.8, 1.8), (1.5, 0.4), (0.3, 1.7)]


def one(exponent, points):
    return superquadrics.distance(SIZE[None], np.array([exponent]), points[None])[0]


def on_surface(exponent, n, seed=0):
    u = np.random.default_rng(seed).random((1, n, 3))
    points, normals = superquadrics.surface(SIZE[None], np.array([exponent]), u)
    return points[0], normals[0]


def implicit(exponent, points):
    """Barr's function, written down slowly."""
    north, east = exponent
    x, y, z = (np.abs(points) / SIZE).T
    return (x ** (2 / east) + y ** (2 / east)) ** (east / north) + z ** (2 / north)


def nearest(exponent, point):
    """Distance to the surface by brute force: a fine grid over the octant, then ever finer ones about its best places."""
    point, exponent = np.abs(point), np.array(exponent)
    line = np.linspace(0, 1, 129)
    near = np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
    width = 1 / 128
    while True:
        away = ((superquadrics.octant(SIZE, exponent, near)[0] - point) ** 2).sum(-1)
        best = near[np.argsort(away)[:40]]
        if width < 1e-9:
            return np.sqrt(away.min())
        around = np.stack(np.meshgrid(*[np.linspace(-width, width, 9)] * 2, indexing="ij"), -1).reshape(-1, 2)
        near = np.clip(best[:, None] + around, 0, 1).reshape(-1, 2)
        width *= 0.3


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_distance_is_that_to_the_nearest_point(exponent):
    rng = np.random.default_rng(1)
    points = rng.uniform(-0.7, 0.7, (30, 3)) * np.where(np.arange(30) < 12, 0.3, 1)[:, None]
    truth = np.array([nearest(exponent, point) for point in points])
    inside = implicit(exponent, points) < 1
    assert 5 < inside.sum() < 25
    np.testing.assert_allclose(one(exponent, points), np.where(inside, -truth, truth), atol=1e-6)
    assert np.array_equal(superquadrics.inside(SIZE[None], np.array([exponent]), points[None])[0], inside)


@pytest.mark.parametrize("exponent", [(1.5, 0.8), (1.3, 0.3), (0.3, 1.7), (0.2, 0.2), (1.8, 1.8)])
def test_points_on_axes_and_planes_are_not_taken_in_by_symmetry(exponent):
    """There slopes are nothing by symmetry, whether the distance is least or greatest; at a pole all is one point."""
    rng = np.random.default_rng(6)
    points = rng.uniform(-0.5, 0.5, (14, 3)) * (rng.random((14, 3)) < 0.4)
    points[:4] = [(0, 0, 0.395), (0, 0, -0.3), (0.49, 0, 0), (1e-6, 2e-6, 0.38)]
    truth = np.array([nearest(exponent, point) for point in points])
    np.testing.assert_allclose(np.abs(one(exponent, points)), truth, atol=1e-6)


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_distance_along_a_normal_is_how_far_one_went(exponent):
    """Of what is convex, a point out along a normal has its foot where it came from. Also a hair off the surface."""
    at, normal = on_surface(exponent, 300)
    np.testing.assert_allclose(implicit(exponent, at), 1, atol=1e-9)
    for far in (0.0, 1e-6, 1e-3, 0.1, 3.0):
        np.testing.assert_allclose(one(exponent, at + far * normal), far, atol=1e-8)
    assert (one(exponent, at - 0.01 * normal) > -0.01 - 1e-8).all()


def test_a_sphere_an_ellipsoid_s_middle_and_symmetry():
    ball, points = np.full((1, 3), 0.7), np.random.default_rng(0).normal(size=(1, 200, 3))
    found = superquadrics.distance(ball, np.ones((1, 2)), points)
    np.testing.assert_allclose(found, np.linalg.norm(points, axis=-1) - 0.7, atol=1e-9)
    for exponent in EXPONENTS[:4]:
        np.testing.assert_allclose(one(exponent, np.zeros((1, 3))), -SIZE.min(), atol=1e-9)
    here = points[0] * 0.3
    signs = np.array([-1, 1, -1])
    assert np.array_equal(one((0.3, 1.7), here), one((0.3, 1.7), here * signs))
    # Lipschitz: nobody comes nearer than he walks.
    values = one((0.3, 1.7), here)
    assert (np.abs(np.diff(values)) <= np.linalg.norm(np.diff(here, axis=0), axis=1) + 1e-9).all()


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_a_mesh_is_closed_faces_out_and_lies_on_the_surface(exponent):
    (mesh,) = superquadrics.meshes(SIZE[None], np.array([exponent]))
    made = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert made.is_watertight and made.is_winding_consistent and made.volume > 0
    assert np.abs(one(exponent, mesh.vertices.astype(float))).max() < 1e-6
    corners = mesh.vertices[mesh.faces].astype(float)
    ahead = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    assert ((ahead[:, None] * mesh.normals).sum(-1) > 0).mean() > 0.99
    assert ((ahead[:, None] * mesh.normals).sum(-1)).mean() > 0.9


@pytest.mark.parametrize("exponent", [(0.3, 1.0), (1.0, 1.0), (1.5, 0.4)])
def test_trimesh_agrees_on_a_fine_mesh(exponent):
    vertices, _, faces = superquadrics.net(SIZE[None], np.array([exponent]), 40)
    made = trimesh.Trimesh(vertices[0], faces, process=False)
    points = np.random.default_rng(2).uniform(-0.7, 0.7, (40, 3))
    corners = made.triangles
    away = np.array([
        np.linalg.norm(trimesh.triangles.closest_point(corners, np.tile(p, (len(corners), 1))) - p, axis=1).min()
        for p in points
    ])  # fmt: skip
    np.testing.assert_allclose(np.abs(one(exponent, points)), away, atol=1e-3)


def test_surface_points_are_even_by_area():
    """Of a ball, by Archimedes: the share of points below any height is that height's. Of a box, by its faces."""
    u = np.random.default_rng(3).random((1, 20000, 3))
    at, normal = superquadrics.surface(np.ones((1, 3)), np.ones((1, 2)), u)
    np.testing.assert_allclose(at, normal, atol=1e-9)
    for axis in range(3):
        np.testing.assert_allclose(np.histogram(at[0, :, axis], 10, (-1, 1))[0] / 20000, 0.1, atol=0.01)
    size = np.array([[0.5, 0.3, 0.4]])
    _, normal = superquadrics.surface(size, np.full((1, 2), 0.05), u)
    share = np.bincount(np.abs(normal[0]).argmax(1), minlength=3) / 20000
    area = np.prod(size) / size[0]
    np.testing.assert_allclose(share, area / area.sum(), atol=0.03)


def test_rows_do_not_know_of_each_other():
    rng = np.random.default_rng(4)
    size, exponent = rng.uniform(0.2, 0.6, (5, 3)), rng.uniform(0.2, 1.8, (5, 2))
    points, u = rng.uniform(-1, 1, (5, 60, 3)), rng.random((5, 60, 3))
    together = superquadrics.distance(size, exponent, points)
    at, normal = superquadrics.surface(size, exponent, u)
    for i in range(5):
        row = slice(i, i + 1)
        np.testing.assert_allclose(
            superquadrics.distance(size[row], exponent[row], points[row]), together[row], atol=1e-12
        )
        alone = superquadrics.surface(size[row], exponent[row], u[row])
        assert np.array_equal(alone[0], at[row]) and np.array_equal(alone[1], normal[row])
