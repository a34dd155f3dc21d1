"""PyBullet's worlds through our renderer: bodies where PyBullet has them, pictures as its TinyRenderer draws them."""

import pathlib

import numpy as np
import pytest
from PIL import Image

import scenes
from scenes import renderers
from scenes.kit import errors

pybullet = pytest.importorskip("pybullet")
pybullet_data = pytest.importorskip("pybullet_data")
ours = pytest.importorskip("envs.physics.pybullet")

DATA = pathlib.Path(pybullet_data.getDataPath())
NEAR, FAR = 0.05, 30.0
BOTH = pybullet.ER_SEGMENTATION_MASK_OBJECT_AND_LINKINDEX


@pytest.fixture
def client():
    number = pybullet.connect(pybullet.DIRECT)
    yield number
    pybullet.disconnect(number)


def lens(width=96, height=96):
    return pybullet.computeProjectionMatrixFOV(50, width / height, NEAR, FAR)


def around(client, body, yaw, distance=1.6):
    """A view of all of a body."""
    links = range(-1, pybullet.getNumJoints(body, client))
    boxes = np.array([pybullet.getAABB(body, link, client) for link in links])
    low, high = boxes[:, 0].min(0), boxes[:, 1].max(0)
    far = distance * float(np.linalg.norm(high - low))
    return pybullet.computeViewMatrixFromYawPitchRoll(((low + high) / 2).tolist(), far, yaw, -25, 0, 2)


def bent(client, body):
    for joint in range(pybullet.getNumJoints(body, client)):
        pybullet.resetJointState(body, joint, 0.3 * (joint % 3 - 1), physicsClientId=client)


def theirs(client, view, projection, width=96, height=96, **options):
    options = {"renderer": pybullet.ER_TINY_RENDERER, "physicsClientId": client} | options
    _, _, rgb, depth, ids = pybullet.getCameraImage(width, height, view, projection, **options)
    return np.asarray(rgb).reshape(height, width, 4), depth, ids


def metres(buffer):
    return FAR * NEAR / (FAR - (FAR - NEAR) * buffer.astype(float))


def edges(*pictures):
    """Pixels with another number beside them."""
    edge = np.zeros_like(pictures[0], bool)
    for picture in pictures:
        for row in (-1, 0, 1):
            for column in (-1, 0, 1):
                edge |= np.roll(picture, (row, column), (0, 1)) != picture
    return edge


@pytest.mark.parametrize(
    "name",
    [
        "kuka_iiwa/model.urdf", "r2d2.urdf", "racecar/racecar.urdf", "husky/husky.urdf", "table/table.urdf", "plane.urdf",
        "a1/a1.urdf", "soccerball.urdf",
    ],
)  # fmt: skip
def test_urdfs_look_as_in_tinyrenderer(client, name):
    body = pybullet.loadURDF(str(DATA / name), physicsClientId=client)
    bent(client, body)
    stage = ours.Stage(client)
    for yaw in (40, 200):
        view = around(client, body, yaw) if name != "plane.urdf" else _from_above(yaw)
        rgb, depth, ids = theirs(client, view, lens(), flags=BOTH)
        _, _, my_rgb, my_depth, my_ids = stage.get_camera_image(96, 96, view, lens(), flags=BOTH)
        assert my_rgb.dtype == rgb.dtype and my_depth.dtype == depth.dtype and my_ids.dtype == ids.dtype
        assert my_rgb.shape == rgb.shape and my_depth.shape == depth.shape and my_ids.shape == ids.shape
        inner = ~edges(ids, my_ids)
        assert (ids == my_ids)[inner].mean() > 0.995
        solid = inner & (ids >= 0) & (ids == my_ids)
        assert solid.sum() > 100
        off = np.abs(metres(my_depth) - metres(depth))[solid] / metres(depth)[solid]
        # A sphere of TinyRenderer's is a coarse polyhedron within ours: r2d2's head.
        assert (off < 0.01).mean() > (0.95 if name == "r2d2.urdf" else 0.995)
        assert np.abs(rgb.astype(int) - my_rgb)[solid].mean() < 12
        assert (my_depth[my_ids < 0] == 1).all() and (my_rgb[my_ids < 0] == 255).all()


def _from_above(yaw):
    return pybullet.computeViewMatrixFromYawPitchRoll((0.3, 0.2, 0), 5, yaw, -35, 0, 2)


def test_frames_are_those_of_links_and_of_bases_whose_mass_lies_elsewhere(client):
    """A box off its link's origin, on a base whose inertial frame is shifted and turned, and arms that hang on it."""
    look = pybullet.createVisualShape(
        pybullet.GEOM_BOX, halfExtents=[0.1, 0.2, 0.3], visualFramePosition=[0.3, 0, 0],
        visualFrameOrientation=pybullet.getQuaternionFromEuler([0.3, 0, 0.5]), rgbaColor=[1, 0, 0, 1], physicsClientId=client,
    )  # fmt: skip
    turn = pybullet.getQuaternionFromEuler([0.5, -0.2, 1])
    rod = pybullet.createVisualShape(pybullet.GEOM_CYLINDER, radius=0.05, length=0.8, physicsClientId=client)
    body = pybullet.createMultiBody(
        1, -1, look, [0.2, 0, 0.5], turn, baseInertialFramePosition=[0.1, 0.2, 0.3],
        baseInertialFrameOrientation=pybullet.getQuaternionFromEuler([0, 0.4, 0]), linkMasses=[1],
        linkCollisionShapeIndices=[-1], linkVisualShapeIndices=[rod], linkPositions=[[0, 0.4, 0]],
        linkOrientations=[[0, 0, 0, 1]], linkInertialFramePositions=[[0, 0, 0.2]], linkInertialFrameOrientations=[[0, 0, 0, 1]],
        linkParentIndices=[0], linkJointTypes=[pybullet.JOINT_REVOLUTE], linkJointAxis=[[1, 0, 0]], physicsClientId=client,
    )  # fmt: skip
    pybullet.resetJointState(body, 0, 0.7, physicsClientId=client)
    stage = ours.Stage(client)
    assert stage.link.tolist() == [-1, 0]
    for yaw in (0, 70, 200):
        view = pybullet.computeViewMatrixFromYawPitchRoll((0.2, 0.2, 0.5), 3, yaw, -20, 0, 2)
        _, depth, ids = theirs(client, view, lens(), flags=BOTH)
        _, _, _, my_depth, my_ids = stage.get_camera_image(96, 96, view, lens(), flags=BOTH)
        inner = ~edges(ids, my_ids)
        assert (ids == my_ids)[inner].all() and len(np.unique(ids[inner])) == 3
        both = inner & (ids >= 0)
        np.testing.assert_allclose(metres(my_depth)[both], metres(depth)[both], rtol=0.01)


def test_many_states_at_once_are_those_one_by_one(client):
    body = pybullet.loadURDF(str(DATA / "r2d2.urdf"), [0, 0, 1], physicsClientId=client)
    other = pybullet.connect(pybullet.DIRECT)
    pybullet.loadURDF(str(DATA / "r2d2.urdf"), [0.1, 0, 1], physicsClientId=other)
    stage = ours.Stage(client)
    states = []
    for k in range(3):
        pybullet.resetBasePositionAndOrientation(body, [0.1 * k, 0, 1], [0, 0, np.sin(k / 4), np.cos(k / 4)], client)
        states.append(stage.states())
    states.append(stage.states([other]))
    pybullet.disconnect(other)
    view = pybullet.computeViewMatrixFromYawPitchRoll((0, 0, 1), 2, 40, -20, 0, 2)
    together = ours.stack(states)
    cameras = ours.cameras([view] * 4, lens(), 40, 40)
    frames = renderers.load("raycast", stage.to_scenes(together)).render(cameras)
    pictures = frames.rgb.copy()
    for state, picture in zip(states, pictures, strict=True):
        alone = renderers.load("raycast", stage.to_scenes(state)).render(ours.cameras(view, lens(), 40, 40))
        assert (alone.rgb[0] == picture).all()
    assert (pictures[0] != pictures[1]).any()
    moved = states[3].position - states[0].position
    np.testing.assert_allclose(moved, np.broadcast_to(np.float32([0.1, 0, 0]), moved.shape), atol=1e-5)
    with pytest.raises(errors.CaveError, match="does not hold this stage's bodies"):
        stage.states([other])


def test_light_is_what_the_call_says_and_only_for_that_call(client):
    paint = {"rgbaColor": [1, 0.8, 0.5, 1], "physicsClientId": client}
    look = pybullet.createVisualShape(pybullet.GEOM_BOX, halfExtents=[0.5] * 3, **paint)
    pybullet.createMultiBody(0, -1, look, physicsClientId=client)
    stage = ours.Stage(client)
    view = pybullet.computeViewMatrix([2, 1.5, 2.5], [0, 0, 0], [0, 0, 1])
    default = stage.get_camera_image(64, 64, view, lens())[2]
    for light in (
        {}, {"lightDirection": [1, 0, 0.2]}, {"lightColor": [1, 0.5, 0]}, {"lightAmbientCoeff": 0.2, "lightDiffuseCoeff": 0.6},
    ):  # fmt: skip
        # PyBullet keeps what one call said for the next ones.
        full = {
            "lightDirection": ours.LIGHT,
            "lightColor": [1, 1, 1],
            "lightAmbientCoeff": 0.6,
            "lightDiffuseCoeff": 0.35,
        }
        rgb, _, ids = theirs(client, view, lens(), 64, 64, **full | light, lightSpecularCoeff=0)
        mine = stage.get_camera_image(64, 64, view, lens(), **light)[2]
        inner = ~edges(ids) & (ids >= 0)
        flat = np.abs(rgb.astype(int) - mine)[inner].max(-1)
        assert np.quantile(flat, 0.9) <= 3, light
    assert (stage.get_camera_image(64, 64, view, lens())[2] == default).all()


def test_matrices_are_cameras(client):
    eye, target = np.array([1.0, 2.0, 3.0]), np.array([-1.0, 0.5, 0.2])
    view = pybullet.computeViewMatrix(eye.tolist(), target.tolist(), [0, 0, 1])
    camera = ours.cameras(view, lens(120, 80), 80, 120)
    np.testing.assert_allclose(camera.position[0], eye, atol=1e-5)
    ahead = -scenes.rotation_matrices(camera.rotation.astype(float))[0, :, 2]
    np.testing.assert_allclose(ahead, (target - eye) / np.linalg.norm(target - eye), atol=1e-6)
    assert camera.fov == pytest.approx(np.radians(50), abs=1e-5)
    assert ours.planes(lens()) == pytest.approx((NEAR, FAR), rel=1e-3)
    for width, height in ((0, 8), (8, 0), (-8, -8), (4096, 4096), (100_000, 100_000)):
        with pytest.raises(errors.CaveError, match=f"pictures are {width} x {height} pixels, wanted 1 to 4095"):
            ours.Stage(client).get_camera_image(width, height, view, lens())
    with pytest.raises(errors.CaveError, match="aspect is 1, wanted width / height = 1.5"):
        ours.cameras(view, lens(), 80, 120)
    flat = pybullet.computeProjectionMatrix(-1, 1, -1, 1, 0.1, 10)
    shifted = list(lens())
    shifted[8] = 0.1
    for bad in (np.full(16, np.nan), np.eye(4).ravel(), shifted, flat[:15]):
        with pytest.raises(errors.CaveError, match="symmetric perspective"):
            ours.cameras(view, bad, 64, 64)
    for bad in (np.full(16, np.nan), np.zeros(16), np.ones(16)):
        with pytest.raises(errors.CaveError, match="a view matrix"):
            ours.cameras(bad, lens(), 64, 64)


def test_what_cannot_be_drawn_is_named(client):
    with pytest.raises(errors.CaveError, match="no physics client 77"):
        ours.Stage(77)
    with pytest.raises(errors.CaveError, match="body 5 is not there"):
        ours.Stage(client, [5])
    corners = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    faces = [0, 2, 1, 0, 1, 3, 0, 3, 2, 1, 2, 3]
    made = pybullet.createVisualShape(pybullet.GEOM_MESH, vertices=corners, indices=faces, physicsClientId=client)
    pybullet.createMultiBody(0, -1, made, physicsClientId=client)
    with pytest.raises(errors.CaveError, match="body 0, link -1: its mesh is of no file"):
        ours.Stage(client)


def test_an_empty_world_is_white(client):
    view = pybullet.computeViewMatrix([2, 0, 1], [0, 0, 0], [0, 0, 1])
    _, _, rgb, depth, ids = ours.Stage(client).get_camera_image(8, 8, view, lens())
    assert (rgb == 255).all() and (depth == 1).all() and (ids == -1).all()


def test_ground_with_a_checkered_picture_is_a_checkered_plane(client):
    pybullet.loadURDF(str(DATA / "plane.urdf"), physicsClientId=client)
    stage = ours.Stage(client)
    batch = stage.to_scenes(stage.states())
    batch.check()
    assert scenes.KINDS[batch.kind[0]] == "plane" and scenes.TEXTURES[batch.texture[0]] == "checker"
    assert batch.size[0].tolist() == [100, 100, 0] and batch.texture_scale[0] == 2


@pytest.mark.parametrize("name", ["duck_vhacd.urdf", "soccerball.urdf", "table/table.urdf"])
def test_a_mesh_with_a_picture_shows_it(client, name):
    body = pybullet.loadURDF(str(DATA / name), physicsClientId=client)
    stage = ours.Stage(client)
    batch = stage.to_scenes(stage.states())
    batch.check()
    assert (batch.texture == scenes.TEXTURES.index("image")).all() and len(batch.meshes) == 1
    assert np.ptp(batch.images[0].reshape(-1, 3), 0).max() > 50
    for yaw in (110, 200):
        view = around(client, body, yaw)
        rgb, _, ids = theirs(client, view, lens(), lightSpecularCoeff=0)
        _, _, mine, _, my_ids = stage.get_camera_image(96, 96, view, lens())
        solid = ~edges(ids, my_ids) & (ids >= 0)
        off = np.abs(rgb.astype(int) - mine)[solid].mean(-1)
        # TinyRenderer shows one pixel of the picture, and we the mean of those that a pixel covers.
        bound = 4 if "table" in name else 2.5
        assert solid.sum() > 300 and np.median(off) < 2.5 and off.mean() < bound, (np.median(off), off.mean())


def test_a_picture_on_flat_ground_is_laid_as_tinyrenderer_lays_it(client, tmp_path):
    """Stretched, shifted and mirrored: what each point of the ground shows is what its coordinates name."""
    v, u = np.indices((32, 48))
    picture = np.stack([5 * u, 7 * v, 200 * ((u // 12 + v // 16) % 2)], -1).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "picture.png")
    (tmp_path / "ground.mtl").write_text("newmtl m\nKd 1 1 1\nmap_Kd picture.png\n")
    cases = (((0.5, 0.5), (0.5, 0.5)), ((0.25, 0.4), (0.1, 0.3)), ((-0.3, 0.25), (0.2, 0.6)))
    for number, (slope, shift) in enumerate(cases):
        path = tmp_path / f"ground{number}.obj"  # PyBullet keeps what it read by its name
        corners = np.array([[-2, -1.5], [2, -1.5], [2, 1.5], [-2, 1.5]])
        rows = ["mtllib ground.mtl", "usemtl m", *(f"v {x} {y} 0" for x, y in corners), "vn 0 0 1"]
        rows += [f"vt {x} {y}" for x, y in corners * slope + shift]
        path.write_text("\n".join([*rows, "f 1/1/1 2/2/1 3/3/1", "f 1/1/1 3/3/1 4/4/1", ""]))
        look = pybullet.createVisualShape(pybullet.GEOM_MESH, fileName=str(path), physicsClientId=client)
        body = pybullet.createMultiBody(0, -1, look, physicsClientId=client)
        stage = ours.Stage(client)
        assert stage.to_scenes(stage.states()).texture.tolist() == [scenes.TEXTURES.index("image")]
        view = pybullet.computeViewMatrix([0.3, -0.2, 4], [0, 0, 0], [0, 1, 0])
        rgb, _, ids = theirs(client, view, lens(), lightSpecularCoeff=0)
        _, _, mine, _, my_ids = stage.get_camera_image(96, 96, view, lens())
        solid = ~edges(ids, my_ids) & (ids >= 0) & (ids == my_ids)
        off = np.abs(rgb.astype(int) - mine)[solid].max(-1)
        assert solid.sum() > 1000 and np.median(off) < 5 and np.quantile(off, 0.75) < 8
        pybullet.removeBody(body, client)


@pytest.mark.parametrize("name", ["kuka_iiwa/model.urdf", "duck_vhacd.urdf", "table/table.urdf", "r2d2.urdf"])
def test_what_is_loaded_safely_is_what_pybullet_loads(client, name):
    """The same joints, masses, boxes around each link (meshes in parts, too) and, but for a few pixels, pictures."""
    plain = pybullet.loadURDF(str(DATA / name), physicsClientId=client)
    bent(client, plain)
    view = around(client, plain, 200)
    rgb, _, ids = theirs(client, view, lens())
    told = _told(client, plain)
    pybullet.removeBody(plain, client)
    safe = ours.load_urdf(client, DATA / name, root=DATA)
    bent(client, safe)
    again = _told(client, safe)
    assert [row[:2] for row in told] == [row[:2] for row in again]
    for row, other in zip(told, again, strict=True):
        np.testing.assert_allclose(np.hstack(row[2:]), np.hstack(other[2:]), atol=2e-3)
    same, _, other = theirs(client, view, lens())
    assert ((ids >= 0) == (other >= 0)).mean() > 0.998
    assert (np.abs(rgb.astype(int) - same).max(-1) <= 2).mean() > 0.99


def _told(client, body):
    rows = []
    for link in range(-1, pybullet.getNumJoints(body, client)):
        name = pybullet.getJointInfo(body, link, client)[1:3] if link >= 0 else pybullet.getBodyInfo(body, client)[:1]
        parts = len(pybullet.getCollisionShapeData(body, link, client))
        mass = pybullet.getDynamicsInfo(body, link, client)[0]
        rows.append((name, parts, mass, *pybullet.getAABB(body, link, client)))
    return rows


def test_numbers_of_a_pose_are_checked(client):
    for bad in ({"basePosition": [0, 0, np.nan]}, {"baseOrientation": [0, 0, 0, 0]}, {"globalScaling": -1.0}):
        with pytest.raises(errors.CaveError, match="wanted 3 numbers"):
            ours.load_urdf(client, DATA / "r2d2.urdf", **bad)


def test_the_benchmark_measures_and_compares(tmp_path, capsys, monkeypatch):
    from envs import benchmark
    from envs.speed import bullet

    monkeypatch.setattr(bullet, "URDFS", ("table/table.urdf",))
    rows = benchmark.main(
        ["pybullet", "--n-states", "2", "--size", "32", "--rounds", "1", "--json", str(tmp_path / "f.json")]
    )
    assert [row.what for row in rows] == ["TinyRenderer", "ours, one by one", "ours, all at once", "agreement"]
    assert all(row.rate > 0 for row in rows[:3]) and (tmp_path / "f.json").exists()
    assert "ids agree on" in capsys.readouterr().out
