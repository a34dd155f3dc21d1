"""Solids as meshes and scenes as files: read back by the programs they are for."""

import dataclasses
import io
import json
import math

import mujoco
import numpy as np
import pytest
import trimesh
from PIL import Image

import scenes
from scenes import export, rooms
from scenes.geometry import files, meshes
from scenes.kit import errors


def some(n=3, seed=0):
    return scenes.sample(rooms, rooms.Config(), "test", seed, np.arange(n))


VOLUMES = {
    "box": ((0.3, 0.4, 0.5), 8 * 0.3 * 0.4 * 0.5),
    "sphere": ((0.5, 0, 0), 4 / 3 * math.pi * 0.5**3),
    "capsule": ((0.3, 0.4, 0), math.pi * 0.3**2 * 0.8 + 4 / 3 * math.pi * 0.3**3),
    "cylinder": ((0.3, 0.4, 0), math.pi * 0.3**2 * 0.8),
    "cone": ((0.3, 0.4, 0), math.pi * 0.3**2 * 0.8 / 3),
    "ellipsoid": ((0.3, 0.4, 0.5), 4 / 3 * math.pi * 0.3 * 0.4 * 0.5),
    "torus": ((0.5, 0.2, 0), 2 * math.pi**2 * 0.5 * 0.2**2),
}


@pytest.mark.parametrize("name", [kind for kind in scenes.KINDS if kind not in ("plane", "mesh")])
def test_a_mesh_is_closed_faces_out_and_holds_its_solid_s_volume(name):
    size, volume = VOLUMES[name]
    made = trimesh.Trimesh(*meshes.mesh(scenes.KINDS.index(name), np.array(size)))
    assert made.is_watertight and made.is_winding_consistent
    assert volume * 0.97 < made.volume <= volume * 1.0001  # facets lie within what is round


def test_a_plane_s_mesh_is_seen_from_above_and_is_bounded():
    for size, area in (((2, 3, 0), 24.0), ((0, 0, 0), (2 * meshes.UNBOUNDED) ** 2)):
        made = trimesh.Trimesh(*meshes.mesh(0, np.array(size)))
        assert made.area == pytest.approx(area)
        np.testing.assert_allclose(made.face_normals, [[0, 0, 1]] * 2)


def with_meshes():
    """A terrain, a smooth ball and a single triangle, stretched and turned, in one scene."""
    ball = trimesh.creation.icosphere(2)
    ground = meshes.height_field(np.random.default_rng(0).random((5, 7)), 2.0, 1.0, 0.1)
    sail = scenes.Mesh(np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 0]]), np.int32([[0, 1, 2]]))
    one = some(1)[0]
    n = 3
    rows = np.arange(n)
    fields = {name: getattr(one, name)[rows] for name in scenes.SOLID_FIELDS}
    fields["kind"], fields["mesh"] = np.full(n, scenes.KINDS.index("mesh"), np.int32), rows.astype(np.int32)
    fields["size"] = np.float32([[1, 1, 1], [0.5, 0.4, 0.3], [1, 2, 1]])
    fields["position"] = np.float32([[0, 0, 0], [3, 0, 1], [0, 3, 1]])
    fields["rotation"] = np.float32([[1, 0, 0, 0], [0.6, 0, 0.8, 0], [0, 0, 0.6, 0.8]])
    made = (ground, meshes.smooth(ball.vertices, ball.faces), sail)
    return dataclasses.replace(one, offsets=np.array([0, n]), meshes=made, first_object=0, **fields)


def test_a_height_field_is_closed_ground_of_its_heights():
    heights = np.random.default_rng(0).random((5, 7)) + 0.1
    ground = meshes.height_field(heights, 2.0, 1.0, 0.3)
    made = trimesh.Trimesh(ground.vertices, ground.faces, process=False)
    assert made.is_watertight and made.is_winding_consistent
    # Under a cell's two triangles: the ends of its diagonal count twice.
    h = heights + 0.3
    mean = (2 * h[:-1, :-1] + 2 * h[1:, 1:] + h[:-1, 1:] + h[1:, :-1]) / 6
    assert made.volume == pytest.approx(mean.sum() * (4 / 6) * (2 / 4), rel=1e-5)
    # Rows run along y, columns along x.
    at = np.argmin(np.abs(ground.vertices[:35, :2] - [2 / 3, -0.5]).sum(1))
    assert ground.vertices[at, 2] == pytest.approx(heights[1, 4])
    with pytest.raises(ValueError, match="1 x 7 heights"):
        meshes.height_field(heights[:1], 2.0, 1.0)


def test_smoothing_makes_a_ball_round_and_leaves_a_box_its_edges():
    ball, box = trimesh.creation.icosphere(3), trimesh.creation.box()
    normals = meshes.smooth(ball.vertices, ball.faces).normals
    np.testing.assert_allclose(normals, ball.vertices[ball.faces], atol=0.02)
    normals = meshes.smooth(box.vertices, box.faces).normals
    np.testing.assert_allclose(normals, np.repeat(box.face_normals[:, None], 3, 1), atol=1e-6)


def test_files_keep_meshes(tmp_path):
    import pybullet

    one = with_meshes()
    model = mujoco.MjModel.from_xml_string(files.mjcf(one))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    read = trimesh.load(io.BytesIO(files.glb(one)), file_type="glb")
    for name, content in files.urdf(one, folder="").items():
        (tmp_path / name).write_bytes(content)
    client = pybullet.connect(pybullet.DIRECT)
    try:
        body = pybullet.loadURDF(str(tmp_path / "scene.urdf"), useFixedBase=True, physicsClientId=client)
        turns = scenes.rotation_matrices(one.rotation)
        for k in range(3):
            own = one.meshes[k]
            wanted = (own.vertices * one.size[k]) @ turns[k].T + one.position[k]
            span = lambda points: np.stack([points.min(0), points.max(0)])
            rows = slice(model.mesh_vertadr[k], model.mesh_vertadr[k] + model.mesh_vertnum[k])
            theirs = model.mesh_vert[rows] @ data.geom_xmat[k].reshape(3, 3).T + data.geom_xpos[k]
            np.testing.assert_allclose(span(theirs), span(wanted), atol=1e-5)
            pose, geometry = read.graph[f"solid{k}-mesh"]
            theirs = trimesh.transform_points(read.geometry[geometry].vertices, pose)
            np.testing.assert_allclose(
                span(theirs), span(wanted @ np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])), atol=1e-5
            )
            # Its boxes are those around the turned box around the mesh.
            low, high = np.array(pybullet.getAABB(body, k, client))
            assert (low < wanted.min(0) + 1e-3).all() and (high > wanted.max(0) - 1e-3).all()
            assert (high - low < 1.4 * np.ptp(wanted, 0) + 0.1).all()
    finally:
        pybullet.disconnect(client)


def test_mujoco_reads_the_mjcf_and_finds_every_solid_where_it_is():
    batch = some()
    for i in range(len(batch)):
        one = batch[i]
        model = mujoco.MjModel.from_xml_string(files.mjcf(one))
        assert model.ngeom == len(one.kind) and model.nlight == 1
        np.testing.assert_allclose(model.body_pos[1:], one.position, atol=1e-6)
        aligned = np.abs((model.body_quat[1:] * one.rotation).sum(1))
        np.testing.assert_allclose(aligned, 1, atol=1e-6)
        for k, kind in enumerate(one.kind):
            name = scenes.KINDS[kind]
            wanted = "mesh" if name in ("cone", "torus") else name
            assert model.geom_type[k] == getattr(mujoco.mjtGeom, f"mjGEOM_{wanted.upper()}")
            if name in ("box", "ellipsoid"):
                np.testing.assert_allclose(model.geom_size[k], one.size[k], atol=1e-6)


def test_bullet_reads_the_urdf_and_its_rays_meet_the_solids_there(tmp_path):
    import pybullet

    batch = some(4, seed=2)
    client = pybullet.connect(pybullet.DIRECT)
    try:
        for i in range(len(batch)):
            pybullet.resetSimulation(client)
            folder = tmp_path / str(i)  # PyBullet remembers what a path held
            folder.mkdir()
            for name, data in files.urdf(batch[i], folder="").items():
                (folder / name).write_bytes(data)
            body = pybullet.loadURDF(str(folder / "scene.urdf"), useFixedBase=True, physicsClientId=client)
            one = batch[i]
            assert pybullet.getNumJoints(body, client) == len(one.kind)
            for k in range(one.first_object, len(one.kind)):
                # From above, a ray through the middle of an object meets it before the floor; a torus stands upright.
                x, y, _ = (float(value) for value in one.position[k])
                hit = pybullet.rayTest((x, y, 5), (x, y, -1), physicsClientId=client)[0]
                assert hit[0] == body and hit[1] == k
                low, high = pybullet.getAABB(body, k, client)
                middle = (np.array(low) + high) / 2
                np.testing.assert_allclose(middle[:2], one.position[k, :2], atol=0.03)
    finally:
        pybullet.disconnect(client)


def test_a_glb_keeps_shapes_colours_and_places_with_y_up():
    one = some()[0]
    read = trimesh.load(io.BytesIO(files.glb(one)), file_type="glb")
    assert len(read.geometry) == len(one.kind)
    for k in range(one.first_object, len(one.kind)):
        name = f"solid{k}-{scenes.KINDS[one.kind[k]]}"
        pose, geometry = read.graph[name]
        own = trimesh.Trimesh(*meshes.mesh(int(one.kind[k]), one.size[k]), process=False)
        assert read.geometry[geometry].volume == pytest.approx(own.volume, rel=1e-3)
        x, y, z = one.position[k]
        np.testing.assert_allclose(pose[:3, 3], (x, z, -y), atol=1e-5)
        colour = np.array(read.geometry[geometry].visual.material.baseColorFactor[:3], float)
        wanted = one.colour[k].mean(0) if one.texture[k] else one.colour[k, 0]
        np.testing.assert_allclose(colour / 255 if colour.max() > 1 else colour, wanted, atol=0.01)


def test_angles_of_a_urdf_are_those_of_its_quaternions():
    rng = np.random.default_rng(0)
    for quaternion in [*rng.normal(size=(50, 4)), [0.5, 0.5, 0.5, 0.5], [1, 0, 1, 0], [1, 0, -1, 0]]:
        quaternion = np.asarray(quaternion) / np.linalg.norm(quaternion)
        roll, pitch, yaw = files._roll_pitch_yaw(quaternion)
        made = trimesh.transformations.euler_matrix(roll, pitch, yaw, "sxyz")[:3, :3]
        np.testing.assert_allclose(made, scenes.rotation_matrices(quaternion), atol=1e-6)


def test_a_file_holds_one_scene():
    for write in (files.mjcf, files.urdf, files.glb):
        with pytest.raises(errors.CaveError, match="one scene, not 3"):
            write(some())


LINE = "rooms --n 3 --views 2 --size 24 --seed 5 --split test --name one --models glb"


def test_an_export_s_cameras_see_what_its_pictures_show(tmp_path):
    folder = export.main([*LINE.split(), "--runs", str(tmp_path)])
    one = folder / "scenes" / "00000001"
    tree = json.loads((one / "transforms.json").read_text())
    solids = scenes.Scenes.from_json((one / "scene.json").read_text())
    compared = 0
    for frame in tree["frames"]:
        rgb, depth, ids = (
            np.array(Image.open(one / frame[key])) for key in ("file_path", "depth_file_path", "ids_file_path")
        )
        assert rgb.shape == (24, 24, 3) and rgb.std() > 5 and depth.dtype == ids.dtype == np.uint16
        # Every pixel's point, from its depth and the frame's matrix, lies within its solid's bounding sphere.
        pose = np.array(frame["transform_matrix"])
        rows, columns = np.nonzero(ids > solids.first_object)
        z = depth[rows, columns] / 1000
        x = (columns + 0.5 - tree["cx"]) / tree["fl_x"] * z
        y = -(rows + 0.5 - tree["cy"]) / tree["fl_y"] * z
        points = np.stack([x, y, -z, np.ones_like(z)], 1) @ pose.T
        k = ids[rows, columns] - 1
        away = np.linalg.norm(points[:, :3] - solids.position[k], axis=1)
        assert (away <= np.linalg.norm(solids.size[k], axis=1) + solids.size[k, 0] + 0.02).all()
        compared += len(k)
    assert compared > 10


def test_an_interrupted_export_goes_on_to_the_same_bytes_and_damage_is_told(tmp_path, capsys):
    whole = export.main([*LINE.split(), "--runs", str(tmp_path / "a")])
    broken = export.main([*LINE.split(), "--runs", str(tmp_path / "b")])
    for file in (broken / "scenes" / "00000001").iterdir():
        file.unlink()
    (broken / "scenes" / "00000001").rmdir()
    killed = broken / "scenes" / ".00000002.tmp-99-0"
    killed.mkdir()
    export.main([*LINE.split(), "--runs", str(tmp_path / "b"), "--resume"])
    assert not killed.exists()
    assert "2 of them there already" in capsys.readouterr().out
    names = sorted(path.relative_to(whole) for path in (whole / "scenes").rglob("*.*"))
    assert len(names) == 3 * (2 * 3 + 4)
    for name in names:
        assert (whole / name).read_bytes() == (broken / name).read_bytes()
    (broken / "scenes" / "00000002" / "rgb-0000.png").write_bytes(b"x")
    with pytest.raises(errors.CaveError, match="rgb-0000.png is damaged.*; remove .*00000002, and --resume"):
        export.main([*LINE.split(), "--runs", str(tmp_path / "b"), "--resume"])


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("rooms --split tset", "did you mean 'test'"),
        ("rooms --n 0", "n is 0"),
        ("rooms --sensors rbg", "did you mean 'rgb'"),
        ("rooms --models gbl", "did you mean 'glb'"),
        ("rooms --sensors", "there are no sensors, wanted some of rgb"),
        ("rooms --supersample 9", "supersample is 9, wanted 1 to 8"),
        ("rooms --renderer raycats", "did you mean 'raycast'"),
    ],
)
def test_slips_write_nothing(line, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.CaveError, match=told):
        export.main(line.split())
    assert not list(tmp_path.iterdir())


def test_orthographic_cameras_have_no_transforms_json():
    cameras = scenes.cameras_from_poses(np.zeros((1, 5)), 1.0, 8, 8, extent=2.0)
    with pytest.raises(errors.CaveError, match="orthographic"):
        files.transforms(cameras, [{"file_path": "a.png"}])
