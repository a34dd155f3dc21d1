"""PyBullet's renderer and ours, drawing the same rooms."""

import dataclasses
import importlib.util
import subprocess
import sys

import numpy as np
import pytest
import trimesh

import scenes
from scenes import renderers, rooms
from scenes.geometry import meshes
from scenes.kit import errors

CONFIG = rooms.Config()
SIZE = 64
here = pytest.mark.skipif(importlib.util.find_spec("pybullet") is None, reason="needs PyBullet")


def batch():
    """Rooms in which every shape occurs, and meshes, smooth and flat, in the place of some."""
    split = lambda name: scenes.sample(rooms, CONFIG, name, 8, np.arange(3))
    drawn = scenes.join([split("train"), split("new-shapes")])
    knot = trimesh.creation.torus(0.7, 0.3, major_sections=20, minor_sections=10)
    firsts = np.unique(drawn.kind, return_index=True)[1]
    others = np.setdiff1d(np.flatnonzero(drawn.kind != scenes.KINDS.index("plane")), firsts)
    kind, mesh, size = drawn.kind.copy(), drawn.mesh.copy(), drawn.size.copy()
    kind[others], mesh[others], size[others] = scenes.KINDS.index("mesh"), np.arange(len(others)) % 2, size[others, :1]
    smooth = meshes.smooth(knot.vertices, knot.faces)
    both = (smooth, dataclasses.replace(smooth, normals=None))
    drawn = dataclasses.replace(drawn, kind=kind, mesh=mesh, size=size, meshes=both)
    assert set(range(len(scenes.KINDS))) == set(drawn.kind.tolist())
    return drawn


def cameras(n, height=SIZE, width=SIZE):
    poses = rooms.ring_poses(CONFIG, 5, np.arange(n), 1)[:, 0]
    # Two look in from outside, over walls and through the backs of others.
    poses[:2] = [(6, 1, 2.5, np.pi, -0.3), (-7, 0.3, 3, 0.1, -0.4)]
    return scenes.cameras_from_poses(poses, rooms.FOV, height, width)


def inner(ids):
    """Whether a pixel is further than one pixel from an edge of an image of ids."""
    wide = np.pad(ids, ((0, 0), (1, 1), (1, 1)), mode="edge")
    h, w = ids.shape[1:]
    return np.all([wide[:, y : y + h, x : x + w] == ids for y in range(3) for x in range(3)], axis=0)


@pytest.fixture(scope="module")
def seen():
    drawn = batch()
    return drawn, renderers.load("pybullet", drawn), renderers.load("raycast", drawn)


def compare(theirs, ours, drawn, view):
    within = inner(ours.ids)
    assert within.mean() > 0.6 and len(np.unique(ours.ids)) > 6
    assert (theirs.ids == ours.ids)[within].mean() >= 0.999
    met = within & (ours.ids >= 0) & (theirs.ids == ours.ids)
    np.testing.assert_allclose(theirs.depth[met], ours.depth[met], rtol=0.01)
    assert np.isinf(theirs.depth[theirs.ids < 0]).all()
    off = np.abs(theirs.rgb.astype(int) - ours.rgb.astype(int)).max(-1)
    plain = drawn.texture[drawn.offsets[view.scene][:, None, None] + np.maximum(ours.ids, 0)] == 0
    assert np.quantile(off[met & plain], 0.95) <= 4 and off[met & plain].mean() < 2
    assert off[within & (ours.ids < 0) & (theirs.ids < 0)].max(initial=0) <= 1


@here
@pytest.mark.parametrize("width", [SIZE, 90])
def test_it_sees_what_the_ray_caster_sees(seen, width):
    drawn, bullet, raycast = seen
    view = cameras(len(drawn), SIZE, width)
    compare(bullet.render(view), raycast.render(view), drawn, view)


@here
def test_solids_go_where_poses_say_and_come_back(seen):
    drawn, bullet, raycast = seen
    view = cameras(len(drawn))
    before = bullet.render(view).rgb.copy()
    turn = scenes.look(np.linspace(0, 6, len(drawn.kind)), np.linspace(-1, 1, len(drawn.kind)))
    scenery = np.arange(len(drawn.kind)) - np.repeat(drawn.offsets[:-1], drawn.n_solids) < drawn.first_object
    poses = (drawn.position + np.float32([0, 0, 0.2]), np.where(scenery[:, None], drawn.rotation, turn))
    moved = bullet.render(view, poses)
    assert (moved.rgb != before).any()
    compare(moved, raycast.render(view, poses), drawn, view)
    np.testing.assert_array_equal(bullet.render(view).rgb, before)


@here
def test_update_and_mask_and_out(seen):
    drawn = seen[0]
    view = cameras(len(drawn), 24, 24)
    whole = renderers.load("pybullet", drawn).render(view)
    handle = renderers.load("pybullet", drawn[np.array([0, 0, 0, 3, 4, 5])])
    handle.render(view)
    handle.update(drawn[np.array([2, 1])], np.array([2, 1]))
    for name in ("rgb", "depth", "ids"):
        np.testing.assert_array_equal(getattr(handle.render(view), name), getattr(whole, name))
    out = scenes.Frames(np.full_like(whole.rgb, 7), whole.depth.copy(), whole.ids.copy())
    mask = np.arange(len(drawn)) % 2 == 0
    assert handle.render(view, mask=mask, out=out) is out
    np.testing.assert_array_equal(out.rgb[mask], whole.rgb[mask])
    assert (out.rgb[~mask] == 7).all()


@here
def test_samples_soften(seen):
    drawn = seen[0][3:5]
    view = cameras(len(drawn))
    bare = renderers.load("pybullet", drawn).render(view)
    soft, ours = (renderers.load(name, drawn, supersample=2).render(view) for name in ("pybullet", "raycast"))
    assert not np.array_equal(soft.rgb, bare.rgb)
    np.testing.assert_array_equal(soft.ids, bare.ids)
    edge = ~inner(ours.ids)
    off = lambda frames: np.abs(frames.rgb.astype(int) - ours.rgb)[edge].mean()
    assert off(soft) < 0.7 * off(bare)


@here
def test_a_mesh_of_more_corners_than_pybullet_takes_is_whole(seen):
    ball = trimesh.creation.icosphere(6)
    assert len(ball.faces) * 3 > 2**17
    drawn = seen[0][3:4]
    kind, mesh, size = drawn.kind.copy(), drawn.mesh.copy(), drawn.size.copy()
    kind[-1], mesh[-1], size[-1] = scenes.KINDS.index("mesh"), 0, 0.4
    mesh[:-1] = np.where(kind[:-1] == scenes.KINDS.index("mesh"), 0, -1)
    drawn = dataclasses.replace(
        drawn, kind=kind, mesh=mesh, size=size, meshes=(meshes.smooth(ball.vertices, ball.faces),)
    )
    view = scenes.cameras_from_poses(np.float32([[3, 0, 1.1, np.pi, -0.25]]), rooms.FOV, SIZE, SIZE)
    theirs, ours = (renderers.load(name, drawn).render(view) for name in ("pybullet", "raycast"))
    assert (ours.ids == len(kind) - 1).any() and (theirs.ids == ours.ids)[inner(ours.ids)].mean() > 0.998


@here
def test_what_cannot_be_drawn_is_refused_in_one_line(seen):
    drawn, bullet, _ = seen
    suns = {name: np.repeat(getattr(drawn, name), 2, 1) for name in ("light_position", "light_colour", "light_is_sun")}
    cases = {
        "scene 0 has more than one light": suns,
        "scene 0 has a lamp": {"light_is_sun": np.zeros_like(drawn.light_is_sun)},
        "scene 0 has light of a colour": {"ambient": drawn.ambient * np.float32([1, 1, 0.5])},
        "scene 0 has fog": {"fog": np.tile(np.float32([1, 5]), (len(drawn), 1))},
    }
    for told, change in cases.items():
        for attempt in (
            lambda scene: renderers.load("pybullet", scene),
            lambda scene: bullet.update(scene, np.arange(len(scene))),
        ):
            with pytest.raises(errors.CaveError, match=told) as caught:
                attempt(dataclasses.replace(drawn, **change))
            assert "\n" not in str(caught.value)
    view = cameras(2)
    with pytest.raises(errors.CaveError, match="no orthographic pictures"):
        bullet.render(dataclasses.replace(view, extent=3.0))
    with pytest.raises(errors.CaveError, match="shadows are not those of a room"):
        renderers.load("pybullet", drawn, shadows=True)
    with pytest.raises(errors.CaveError, match="wanted 1 to 8"):
        renderers.load("pybullet", drawn, supersample=9)
    with pytest.raises(errors.CaveError, match="poses have shapes"):
        bullet.render(view, (drawn.position[1:], drawn.rotation))
    with pytest.raises(errors.CaveError, match="mask has shape"):
        bullet.render(view, mask=np.ones(3, bool))
    with pytest.raises(errors.CaveError, match="one row each"):
        bullet.update(drawn, np.arange(2))
    with pytest.raises(errors.CaveError, match="unknown sensor of a renderer 'flow'"):
        renderers.load("pybullet", drawn, sensors=("flow",))


def test_without_pybullet_one_line_says_so():
    script = (
        "import sys, scenes\n"
        "sys.modules['pybullet'] = None  # as on Python 3.12: its import fails\n"
        "from scenes import renderers, rooms\n"
        "from scenes.kit import errors\n"
        "try:\n"
        "    renderers.load('pybullet', scenes.sample(rooms, rooms.Config(), 'train', 0, [0]))\n"
        "except errors.CaveError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    told = done.stdout.strip()
    assert "\n" not in told and "Python 3.11 and older" in told and "'raycast' needs none" in told
