"""Pictures that meshes show by their coordinates, against every pixel's point looked for among the triangles by numpy."""

import dataclasses
import math

import numpy as np
import pytest

import scenes
from scenes.geometry import files, reading
from scenes.renderers import raycast
from scenes.renderers.kernels import laid

FOV, UPRIGHT = math.pi / 3, (1.0, 0.0, 0.0, 0.0)
RAMP = np.stack([*np.meshgrid(np.arange(256), np.arange(256)), np.full((256, 256), 128)], -1).astype(np.uint8)
"""Red is the column and green the row, so that its mean over any part is what its middle shows."""


def scene_of(mesh, picture, size=(1.0, 1.0, 1.0), turn=UPRIGHT, texture="image"):
    """One solid, lit evenly."""
    n, shown = 1, texture == "image"
    return scenes.Scenes(
        offsets=np.array([0, n]), kind=np.full(n, scenes.KINDS.index("mesh")), mesh=np.zeros(n, np.int32), meshes=(mesh,),
        size=np.float32([size]), position=np.zeros((n, 3), np.float32), rotation=np.float32([turn]),
        texture=np.full(n, scenes.TEXTURES.index(texture)), texture_scale=np.ones(n, np.float32),
        images=(picture,) if shown else (), image=np.full(n, 0 if shown else -1, np.int32),
        colour=np.ones((n, 2, 3), np.float32), light_position=np.float32([[[0, 0, 1]]]),
        light_colour=np.zeros((1, 1, 3), np.float32), light_is_sun=np.array([[True]]), ambient=np.ones((1, 3), np.float32),
        sky=np.zeros((1, 3), np.float32),
    )  # fmt: skip


def camera(size=40, distance=3.0, **changes):
    return scenes.cameras_from_poses([(-distance, 0.0, 0.0, 0.0, 0.0)], FOV, size, size, **changes)


def shards(rng, n=12):
    """Triangles anywhere before a camera, whose coordinates keep away from the picture's edges."""
    corners = rng.uniform(-1, 1, (n, 3, 3)).astype(np.float32)
    # All are seen from where the camera is.
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 0] > 0
    corners[across] = corners[across][:, ::-1]
    faces = np.arange(3 * n, dtype=np.int32).reshape(n, 3)
    return scenes.Mesh(corners.reshape(-1, 3), faces, None, rng.uniform(0.2, 0.8, (n, 3, 2)).astype(np.float32))


def looked_up(mesh, size, points):
    """Of each point in the solid's axes, the coordinates there of the triangle that it lies on."""
    corners = mesh.vertices[mesh.faces].astype(np.float64) * size
    edges = np.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], -1)
    made = np.empty((len(points), 2))
    for i, point in enumerate(points):
        shares = np.stack([np.linalg.lstsq(e, point - c[0], rcond=None)[0] for e, c in zip(edges, corners)])
        off = np.linalg.norm(np.einsum("fij,fj->fi", edges, shares) + corners[:, 0] - point, axis=1)
        whole = np.concatenate([1 - shares.sum(1, keepdims=True), shares], 1)
        k = np.argmin(off + 10 * np.maximum(-whole.min(1), 0))
        assert off[k] < 1e-3 and whole[k].min() > -1e-3
        made[i] = whole[k] @ mesh.coordinates[k]
    return made


@pytest.mark.parametrize("extent", [None, 2.5])
def test_a_pixel_shows_what_its_point_s_coordinates_name(extent):
    rng = np.random.default_rng(3)
    mesh, size, turn = shards(rng), np.array([0.9, 0.8, 1.3]), (math.cos(0.2), 0.0, 0.0, math.sin(0.2))
    batch, view = scene_of(mesh, RAMP, size, turn), camera(64, 2.0, extent=extent)
    batch.check()
    frames = raycast.load(batch, sensors=("rgb", "depth", "ids", "albedo")).render(view)
    seen = frames.ids[0] >= 0
    # Rays of a camera at (-2, 0, 0) that looks along x, its right being -y.
    rows, columns = np.nonzero(seen)
    step = 2 * math.tan(FOV / 2) / view.height if extent is None else extent / view.height
    t = frames.depth[0][seen].astype(np.float64)
    spread = step * (t if extent is None else 1.0)
    points = np.stack([t - 2, -(columns + 0.5 - view.width / 2) * spread, (view.height / 2 - rows - 0.5) * spread], 1)
    points = points @ scenes.rotation_matrices(np.array(turn))
    u, v = looked_up(mesh, size, points).T
    wanted = np.stack([256 * u - 0.5, 256 * (1 - v) - 0.5, np.full(len(u), 128)], 1)
    off = np.abs(frames.rgb[0][seen] - wanted).max(1)
    assert seen.sum() > 200 and np.quantile(off, 0.99) < 1.5
    assert np.array_equal(frames.albedo[0][seen], frames.rgb[0][seen])


def square(repeat=1.0, shift=0.0):
    """A wall of two triangles, two metres wide, that faces the camera."""
    y, z = np.float32([1, -1, -1, 1]), np.float32([-1, -1, 1, 1])
    at = np.float32([[0, 0], [1, 0], [1, 1], [0, 1]]) * repeat + np.float32(shift)
    faces = np.int32([[0, 1, 2], [0, 2, 3]])
    return scenes.Mesh(np.stack([np.zeros(4, np.float32), y, z], 1), faces, None, at[faces])


def test_pictures_stand_upright_and_repeat():
    quarters = np.uint8([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]])
    big = quarters.repeat(16, 0).repeat(16, 1)
    for repeat, shift in ((1.0, 0.0), (1.0, -3.0), (2.0, 0.0), (1.0, 9000.0)):
        rgb = raycast.load(scene_of(square(repeat, shift), big)).render(camera(64)).rgb[0]
        wall = rgb[rgb.any(-1).any(1)][:, rgb.any(-1).any(0)]
        n = len(wall)
        middles = [int((i + 0.5) / (2 * repeat) * n) for i in range(int(2 * repeat))]
        shown = wall[np.ix_(middles, middles)]
        np.testing.assert_array_equal(shown, np.tile(quarters, (int(repeat), int(repeat), 1)))


def test_what_is_finer_than_a_pixel_is_its_mean():
    fine = np.uint8(255 * (np.indices((512, 512)).sum(0) % 2))[..., None].repeat(3, -1)
    for shape in ((512, 512), (511, 300), (1, 512)):
        near, far = (
            raycast.load(scene_of(square(), fine[: shape[0], : shape[1]])).render(camera(48, d)) for d in (0.02, 9)
        )
        assert np.ptp(near.rgb) > 200
        middle = far.rgb[0][far.ids[0] >= 0].astype(float)
        assert len(middle) > 20 and np.abs(middle - 127.5).max() < 3


def test_sizes_are_halves_down_to_one():
    picture = np.random.default_rng(0).integers(0, 256, (5, 12, 3), dtype=np.uint8)
    pixels, (place,) = laid.table([picture])
    sizes = [(5, 12), (2, 6), (1, 3), (1, 1)]
    assert place[:2].tolist() == [5, 12] and len(pixels) == sum(h * w for h, w in sizes)
    assert np.diff(place[2:]).tolist() == [60, 12, 3] + [0] * (laid.SIZES - 4)
    channels = (pixels[:, None] >> np.array([0, 8, 16])) & 255
    assert np.array_equal(channels[:60].reshape(5, 12, 3), picture)
    np.testing.assert_allclose(channels[60], picture[:2, :2].mean((0, 1)), atol=0.51)
    np.testing.assert_allclose(channels[66], picture[2:, :2].mean((0, 1)), atol=0.51)  # three rows make one
    np.testing.assert_allclose(channels[-1], picture.mean((0, 1)), atol=12)


def test_coordinates_are_for_images_alone():
    """What shows no picture looks as it does without them, and so does a mesh that has none."""
    with_them = shards(np.random.default_rng(4))
    without = dataclasses.replace(with_them, coordinates=None)
    for texture in ("plain", "checker"):
        a, b = (raycast.load(scene_of(m, RAMP, texture=texture)).render(camera()).rgb for m in (with_them, without))
        assert np.array_equal(a, b)
    one, other = scene_of(without, RAMP), scene_of(with_them, RAMP)
    alone = raycast.load(one).render(camera()).rgb.copy()
    both = raycast.load(scenes.join([one, other])).render(
        dataclasses.replace(
            camera(),
            scene=np.arange(2),
            position=np.float32([[-3, 0, 0]] * 2),
            rotation=np.repeat(camera().rotation, 2, 0),
        )
    )
    assert np.array_equal(both.rgb[:1], alone) and (both.rgb[0] != both.rgb[1]).any()
    # Scenes that come later may be the first to have them.
    handle = raycast.load(one)
    handle.update(other, np.array([0]))
    assert np.array_equal(handle.render(camera()).rgb[0], both.rgb[1])


@pytest.mark.parametrize("shape", [(5, 3, 2), (12, 2), (0,), (12, 3, 3)])
def test_coordinates_of_another_shape_are_one_line(shape):
    mesh = shards(np.random.default_rng(0))
    object.__setattr__(mesh, "coordinates", np.zeros(shape, np.float32))  # past what checks the types of all calls here
    with pytest.raises(ValueError, match="^mesh: coordinates have shape") as caught:
        mesh.check()
    assert "\n" not in str(caught.value)


def test_coordinates_go_through_json_and_are_checked_there():
    mesh = shards(np.random.default_rng(0))
    text = scene_of(mesh, RAMP[:2, :2]).to_json()
    again = scenes.Scenes.from_json(text)
    assert np.array_equal(again.meshes[0].coordinates, mesh.coordinates)
    number = repr(float(mesh.coordinates[0, 0, 0]))
    for bad in ("NaN", "1e9", "Infinity"):
        with pytest.raises(ValueError, match="^mesh: coordinates") as caught:
            scenes.Scenes.from_json(text.replace(number, bad))
        assert "\n" not in str(caught.value)


def test_files_keep_coordinates(tmp_path):
    mesh, turn = shards(np.random.default_rng(5)), (math.cos(0.2), 0.0, 0.0, math.sin(0.2))
    one = scene_of(mesh, RAMP, (0.9, 0.8, 1.3), turn)
    shown = raycast.load(one).render(camera()).rgb.copy()
    made = files.urdf(one, folder="") | {"solid0.glb": files.glb(one)}
    for name, content in made.items():
        (tmp_path / name).write_bytes(content)
    for ending in ("obj", "glb"):
        model = reading.mesh(tmp_path / f"solid0.{ending}")
        assert np.array_equal(model.materials[0].picture[..., :3], RAMP)
        read = scenes.Mesh(model.vertices, model.faces, None, model.coordinates[model.faces])
        # The one in its own axes; the other where it lies.
        again = scene_of(read, model.materials[0].picture[..., :3], turn=turn if ending == "obj" else UPRIGHT)
        off = np.abs(raycast.load(again).render(camera()).rgb.astype(int) - shown).max(-1)
        assert shown.any() and (off > 1).mean() < 0.002


def test_the_largest_coordinates_and_the_smallest_faces_are_drawn():
    mesh = square()
    most = scenes.LARGEST_COORDINATE
    wild = np.float32([[[-most, most], [most, most], [most, -most]], [[0, 0], [1e-30, 0], [0, 1e-30]]])
    tiny = dataclasses.replace(mesh, vertices=mesh.vertices * np.float32([1, 1, 1e-20]), coordinates=wild)
    for made in (dataclasses.replace(mesh, coordinates=wild), tiny):
        frames = raycast.load(scene_of(made, RAMP)).render(camera())
        assert frames.rgb.shape == (1, 40, 40, 3)
