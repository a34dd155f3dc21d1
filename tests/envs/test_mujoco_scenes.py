"""MuJoCo's own models through our renderer: geoms where MuJoCo has them, pictures as MuJoCo draws them."""

import pathlib

import gymnasium
import mujoco
import numpy as np
import pytest
import trimesh

import scenes
from envs.physics import mujoco as ours
from scenes import renderers
from scenes.geometry import files as files_of
from scenes.kit import errors, sheets

ASSETS = pathlib.Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"
MODELS = (
    "ant", "half_cheetah", "hopper", "humanoid", "humanoidstandup", "inverted_pendulum", "inverted_double_pendulum",
    "pusher_v5", "reacher", "swimmer", "walker2d_v5",
)  # fmt: skip

ROOM = """
<mujoco>
  <asset>
    <texture name="floor" type="2d" builtin="checker" rgb1="1 0 0" rgb2="0 0 1" width="64" height="64"/>
    <material name="floor" texture="floor" texrepeat="4 4"/>
    <material name="green" rgba="0 0.8 0 1"/>
  </asset>
  <worldbody>
    <light type="directional" pos="0 0 3" dir="0 0 -1" diffuse="0.5 0.5 0.5"/>
    <camera name="above" pos="0 0 4" xyaxes="1 0 0 0 1 0" fovy="60"/>
    <geom name="ground" type="plane" size="2 2 1" material="floor"/>
    <geom name="ghost" type="box" size="1 1 1" group="3"/>
    <geom name="glass" type="box" size="1 1 1" rgba="1 1 1 0.1"/>
    <body pos="0.5 0.5 0.3"><freejoint/><geom name="ball" type="sphere" size="0.3" material="green"/></body>
    <body name="follower" pos="0 -1 0.2"><joint type="slide" axis="1 0 0"/>
      <geom name="block" type="box" size="0.1 0.2 0.2" rgba="1 1 0 1"/>
      <camera name="track" mode="track" pos="0 -2 1" xyaxes="1 0 0 0 0.4 0.9"/></body>
  </worldbody>
</mujoco>
"""


def stepped(model, n=20, seed=0):
    data, rng = mujoco.MjData(model), np.random.default_rng(seed)
    for _ in range(n):
        data.ctrl[:] = rng.uniform(-1, 1, model.nu)
        mujoco.mj_step(model, data)
    mujoco.mj_forward(model, data)
    return data


def room():
    model = mujoco.MjModel.from_xml_string(ROOM)
    return model, stepped(model)


def test_rotations_survive_as_quaternions():
    rng = np.random.default_rng(0)
    turns = rng.normal(size=(200, 4))
    turns = np.concatenate([turns, np.eye(4), [[0, 1, 1, 0], [0, 0, 1, -1], [1, 0, 0, -1]]])
    turns /= np.linalg.norm(turns, axis=1, keepdims=True)
    again = ours.quaternions(scenes.rotation_matrices(turns))
    np.testing.assert_allclose(np.abs((turns * again).sum(1)), 1, atol=1e-6)


def test_what_is_hidden_or_glass_is_left_out_and_the_rest_is_where_it_is():
    model, data = room()
    stage = ours.Stage(model)
    names = [mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_GEOM, i) for i in stage.geoms.tolist()]
    assert names == ["ground", "ball", "block"]
    batch = stage.to_scenes(stage.states([data, data]))
    assert len(batch) == 2
    batch.check()
    np.testing.assert_allclose(batch[1].position, data.geom_xpos[stage.geoms], atol=1e-6)
    np.testing.assert_allclose(batch[0].colour[1, 0], (0, 0.8, 0), atol=1e-6)  # the material's, since it has none
    everything = ours.Stage(model, groups=(True,) * 6)
    assert len(everything.geoms) == 4


def test_the_checker_lies_as_in_mujoco_s_own_picture():
    """Four repeats over four metres, two squares each; the second colour lies to the right of the middle and ahead."""
    model, data = room()
    data.qpos[:2] = 1.7, 1.7
    mujoco.mj_forward(model, data)
    with ours.Renderer(model, 65, 65, supersample=1) as renderer:
        renderer.update_scene(data, "above")
        rgb = renderer.render().astype(int)
    redder = rgb[..., 0] > rgb[..., 2]
    scale = 65 / (2 * 4 * np.tan(np.radians(30)))
    for x, y in ((0.25, 0.25), (-0.25, 0.25), (-0.25, -0.25), (0.75, 0.25), (-0.75, 0.25), (1.25, -0.75)):
        row, column = int(32.5 - y * scale), int(32.5 + x * scale)
        same = (np.floor(x / 0.5) + np.floor(y / 0.5)) % 2 == 0
        assert redder[row, column] != same, (x, y)


def test_cameras_that_track_do_and_the_free_one_sees_the_middle():
    model, data = room()
    stage = ours.Stage(model)
    before = stage.cameras(stage.states(data), 8, 8, "track")
    data.qpos[7] = 0.7
    mujoco.mj_forward(model, data)
    after = stage.cameras(stage.states(data), 8, 8, 1)
    np.testing.assert_allclose(after.position - before.position, [[0.7, 0, 0]], atol=1e-5)
    np.testing.assert_allclose(after.rotation, before.rotation, atol=1e-6)
    free = stage.cameras(stage.states(data), 8, 8)
    ahead = -scenes.rotation_matrices(free.rotation)[0, :, 2]
    to = np.asarray(model.stat.center) - free.position[0]
    np.testing.assert_allclose(ahead, to / np.linalg.norm(to), atol=1e-5)


def test_many_states_at_once_are_those_one_by_one():
    model = mujoco.MjModel.from_xml_path(str(ASSETS / "ant.xml"))
    datas = [stepped(model, n) for n in (5, 25, 60)]
    stage = ours.Stage(model)
    states = stage.states(datas)
    cameras = stage.cameras(states, 32, 40, "track")
    together = renderers.load("raycast", stage.to_scenes(states, cameras)).render(cameras).rgb.copy()
    with ours.Renderer(model, 32, 40, supersample=1) as renderer:
        for i, data in enumerate(datas):
            renderer.update_scene(data, "track")
            assert (renderer.render() == together[i]).all()
    assert (together[0] != together[2]).any()


def test_what_cannot_be_drawn_is_named():
    odd = room()[0]
    odd.geom_type[1] = int(mujoco.mjtGeom.mjGEOM_SDF)
    with pytest.raises(
        errors.CaveError, match=r"geom ghost is a sdf, which cannot be drawn yet: hide its group, 3, .*mesh"
    ):
        ours.Stage(odd, groups=(True,) * 6)
    ours.Stage(odd)
    model, data = room()
    renderer = ours.Renderer(model, 8, 8)
    with pytest.raises(errors.CaveError, match="call update_scene first"):
        renderer.render()
    with pytest.raises(errors.CaveError, match="did you mean 'above'"):
        renderer.update_scene(data, "abov")
    with pytest.raises(errors.CaveError, match="camera is 2, wanted a name, -1"):
        renderer.update_scene(data, 2)


def test_calls_of_mujoco_s_renderer_stay_as_they_are():
    """Cameras that track by hand, groups of geoms, looks that change, and each mode that is only left by its own name."""
    model, data = room()
    tracking = mujoco.MjvCamera()
    tracking.type, tracking.trackbodyid = mujoco.mjtCamera.mjCAMERA_TRACKING, 1
    tracking.distance, tracking.azimuth, tracking.elevation = 3, 40, -20
    told = mujoco.MjvCamera()
    told.type, told.lookat = mujoco.mjtCamera.mjCAMERA_FREE, data.subtree_com[1]
    told.distance, told.azimuth, told.elevation = 3, 40, -20
    option = mujoco.MjvOption()
    option.geomgroup[3] = 1
    with ours.Renderer(model, 24, 32, 10000) as renderer:
        renderer.update_scene(data, tracking)
        seen = renderer.render()
        renderer.update_scene(data, told)
        assert (renderer.render() == seen).all() and seen.std() > 0
        renderer.enable_segmentation_rendering()
        renderer.disable_depth_rendering()
        assert renderer.render().shape == (24, 32, 2)
        renderer.enable_depth_rendering()
        renderer.disable_segmentation_rendering()
        assert renderer.render().shape == (24, 32)
        renderer.disable_depth_rendering()
        assert renderer.render().shape == (24, 32, 3)
        model.geom_rgba[:, :3] = 0
        renderer.update_scene(data, tracking)
        assert renderer.render().astype(int).sum() < seen.astype(int).sum()
        renderer.update_scene(data, tracking, scene_option=option)
        assert len(renderer._stage.geoms) == len(ours.Stage(model).geoms) + 1


def test_calls_that_cannot_be_are_one_line():
    model, data = room()
    renderer = ours.Renderer(model, 8, 8)
    other = mujoco.MjModel.from_xml_string('<mujoco><worldbody><geom size="1"/></worldbody></mujoco>')
    camera, option = mujoco.MjvCamera(), mujoco.MjvOption()
    camera.type, camera.trackbodyid = mujoco.mjtCamera.mjCAMERA_TRACKING, 99
    option.flags[mujoco.mjtVisFlag.mjVIS_CONTACTPOINT] = 1
    for said, call in {
        "another model": lambda: renderer.update_scene(mujoco.MjData(other)),
        "trackbodyid is 99, wanted 0 to": lambda: renderer.update_scene(data, camera),
        "camera is -2, wanted a name": lambda: renderer.update_scene(data, -2),
        "mjVIS_CONTACTPOINT differs .* only geomgroup": lambda: renderer.update_scene(data, -1, option),
    }.items():
        with pytest.raises(errors.CaveError, match=said):
            call()


@pytest.mark.parametrize("builtin", ["checker", "gradient"])
@pytest.mark.parametrize("repeat", ["0 0", "-1 1", "inf 1", "1 1e30", "1e-30 1"])
def test_repeats_that_cannot_be_drawn_name_the_material(builtin, repeat):
    model = mujoco.MjModel.from_xml_string(
        f'<mujoco><asset><texture name="t" builtin="{builtin}" type="2d" width="4" height="4"/>'
        f'<material name="tiles" texture="t" texrepeat="{repeat}"/></asset>'
        '<worldbody><geom type="plane" size="1 1 1" material="tiles"/></worldbody></mujoco>'
    )
    with pytest.raises(
        errors.CaveError, match="material tiles: texrepeat is .*, wanted two numbers from 0.0001 to 10000"
    ):
        ours.Stage(model)


def test_ground_of_too_many_heights_is_one_line(monkeypatch):
    monkeypatch.setattr(scenes, "MOST_FACES", 10)
    model = mujoco.MjModel.from_xml_string(
        '<mujoco><asset><hfield name="h" nrow="9" ncol="9" size="1 1 1 1"/></asset>'
        '<worldbody><geom type="hfield" hfield="h"/></worldbody></mujoco>'
    )
    with pytest.raises(errors.CaveError, match="cannot be drawn: height field: 9 x 9 heights"):
        ours.Stage(model)


def compare(model, data):
    """Our pictures of a state and MuJoCo's, by every camera: alike in ids and depth. How much colours differ, in bytes."""
    model.vis.quality.shadowsize, model.vis.quality.offsamples = 0, 0
    differences = []
    for camera in range(-1, model.ncam):
        theirs = mujoco.Renderer(model, 90, 120)
        theirs.update_scene(data, camera)
        for flag in ("SHADOW", "REFLECTION", "HAZE", "FOG"):
            theirs.scene.flags[getattr(mujoco.mjtRndFlag, f"mjRND_{flag}")] = 0
        rgb = theirs.render().astype(float)
        theirs.enable_segmentation_rendering()
        ids = theirs.render()[..., 0].copy()
        theirs.disable_segmentation_rendering()
        theirs.enable_depth_rendering()
        depth = theirs.render().copy()
        theirs.close()
        with ours.Renderer(model, 90, 120, supersample=1) as renderer:
            renderer.update_scene(data, camera)
            my_rgb = renderer.render().astype(float)
            renderer.enable_segmentation_rendering()
            my_ids = renderer.render()[..., 0]
            renderer.enable_depth_rendering()
            my_depth = renderer.render()
        edge = np.zeros_like(ids, bool)
        for picture in (ids, my_ids):
            for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
                for sign in (1, -1):
                    edge |= np.roll(picture, (sign * shift[0], sign * shift[1]), (0, 1)) != picture
        inner = ~edge
        assert (ids == my_ids)[inner].mean() > 0.995
        solid = inner & (ids >= 0) & (ids == my_ids)
        assert (np.abs(my_depth - depth)[solid] < 0.01 * depth[solid]).mean() > 0.995
        differences.append(np.abs(rgb - my_rgb)[solid].mean())
        if rgb[solid].std() > 1:
            assert np.corrcoef(rgb[solid].ravel(), my_rgb[solid].ravel())[0, 1] > 0.6
    return np.array(differences)


def terrain():
    """A ball falling on a height field, under a lamp."""
    spec = mujoco.MjSpec()
    heights = np.random.default_rng(1).random((20, 30))
    spec.add_hfield(name="ground", size=(2, 1.5, 0.4, 0.2), nrow=20, ncol=30, userdata=heights.ravel())
    look = {"pos": (1, -1, 4), "dir": (-0.2, 0.2, -1), "type": mujoco.mjtLightType.mjLIGHT_DIRECTIONAL}
    spec.worldbody.add_light(diffuse=(0.5, 0.5, 0.5), **look)
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_HFIELD, hfieldname="ground", rgba=(0.4, 0.6, 0.3, 1))
    body = spec.worldbody.add_body(pos=(0.3, 0.2, 1))
    body.add_freejoint()
    body.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=(0.2, 0, 0), rgba=(0.8, 0.2, 0.2, 1))
    spec.worldbody.add_camera(name="low", pos=(-3, -2.5, 0.6), xyaxes=(0.64, -0.77, 0, 0.1, 0.08, 1))
    return spec.compile()


def carved():
    """Shapes of trimesh, as text of an OBJ and bytes of an STL, and one given by its vertices alone: mirrored, stretched,
    smooth and creased."""
    knot = trimesh.creation.torus(0.4, 0.15)
    ball = trimesh.creation.icosphere(3)
    ball.vertices *= 1 + 0.2 * np.sin(5 * ball.vertices[:, :1]) * np.cos(4 * ball.vertices[:, 1:2])
    gear = trimesh.creation.annulus(0.2, 0.5, 0.3)
    files = {"knot.obj": files_of.obj(knot.vertices, knot.faces).encode(), "gear.stl": gear.export(file_type="stl")}
    files["ball.obj"] = files_of.obj(ball.vertices, ball.faces).encode()
    xml = """
    <mujoco>
      <asset>
        <mesh name="knot" file="knot.obj" scale="1 1.5 -1"/><mesh name="gear" file="gear.stl"/>
        <mesh name="ball" file="ball.obj" scale="0.4 0.4 0.5" smoothnormal="true"/>
        <mesh name="hull" vertex="0 0 0 0.5 0 0 0 0.6 0 0 0 0.7 0.3 0.3 0.4"/>
        <material name="copper" rgba="0.8 0.5 0.3 1"/>
      </asset>
      <worldbody>
        <light type="directional" pos="0 0 3" dir="0.3 0.2 -1" diffuse="0.5 0.5 0.5" specular="0 0 0"/>
        <geom type="plane" size="3 3 1" rgba="0.5 0.5 0.6 1"/>
        <geom type="mesh" mesh="knot" pos="-0.8 0 0.5" euler="40 20 0" material="copper"/>
        <body pos="0.4 0.6 0.6" euler="0 60 30"><freejoint/><geom type="mesh" mesh="gear" rgba="0.2 0.6 0.8 1"/></body>
        <body pos="0.2 -0.7 1"><freejoint/><geom type="mesh" mesh="ball" rgba="0.9 0.9 0.2 1"/></body>
        <body pos="1 -0.2 0.3"><geom type="mesh" mesh="hull" rgba="0.3 0.8 0.3 1"/>
          <geom type="mesh" mesh="gear" pos="0 0 0.8"/></body>
        <camera name="close" pos="0 -2.2 1.6" xyaxes="1 0 0 0 0.55 0.83"/>
      </worldbody>
    </mujoco>"""
    return mujoco.MjModel.from_xml_string(xml, files)


def panda():
    """The visual meshes of an arm, where PyBullet's data are installed, as a chain of bodies."""
    data = pytest.importorskip("pybullet_data")
    folder = pathlib.Path(data.getDataPath()) / "franka_panda" / "meshes" / "visual"
    spec = mujoco.MjSpec()
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=(2, 2, 1), rgba=(0.6, 0.6, 0.6, 1))
    body = spec.worldbody
    for i, name in enumerate(("link1", "link2", "link3", "link4", "link5", "link6", "hand", "finger")):
        read = trimesh.load(folder / f"{name}.obj", force="mesh", process=False)
        spec.add_mesh(name=name, uservert=read.vertices.ravel(), userface=read.faces.astype(np.int32).ravel(),
                      inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL)  # fmt: skip
        body = body.add_body(pos=(0.08, 0.05, 0.3 if i == 0 else 0.12))
        body.add_joint(type=mujoco.mjtJoint.mjJNT_HINGE, axis=(1, i % 2, 0.3))
        body.add_geom(
            type=mujoco.mjtGeom.mjGEOM_MESH, meshname=name, rgba=(0.9, 0.9 - 0.1 * i, 0.8, 1), contype=0, conaffinity=0
        )
    return spec.compile()


@pytest.mark.opengl
@pytest.mark.parametrize("make", [terrain, carved, panda])
def test_meshes_and_height_fields_look_as_in_mujoco_s_own_renderer(make):
    model = make()
    model.mat_specular[:] = 0
    model.vis.headlight.specular[:] = 0
    model.light_specular[:] = 0
    assert (compare(model, stepped(model, 40)) < 4).all()


def test_a_mesh_s_geoms_share_it():
    model = carved()
    stage = ours.Stage(model)
    data = stepped(model, 1)
    batch = stage.to_scenes(stage.states([data, data]))
    batch.check()
    assert len(batch.meshes) == 4 and (batch.mesh >= 0).sum() == 10
    gears = [i for i in range(model.ngeom) if model.geom_dataid[i] == 1]
    assert len(set(batch.mesh[gears].tolist())) == 1


def wrapped():
    """A ball that shows a picture by its coordinates, once, repeated, and mirrored with a colour."""
    ball = trimesh.creation.uv_sphere(count=[12, 16])
    u, v = np.arctan2(ball.vertices[:, 1], ball.vertices[:, 0]) / (2 * np.pi) + 0.5, ball.vertices[:, 2] / 2 + 0.5
    rows = [f"v {x} {y} {z}" for x, y, z in ball.vertices] + [f"vt {a} {b}" for a, b in zip(u, v)]
    # Not the faces across which u falls from 1 to 0.
    own = ball.faces[np.ptp(u[ball.faces], axis=1) < 0.5]
    rows += [f"f {a}/{a} {b}/{b} {c}/{c}" for a, b, c in own + 1]
    row, column = np.indices((48, 64))
    picture = np.stack([3 * column, 5 * row, 120 * ((column // 8 + row // 8) % 2)], -1).astype(np.uint8)
    picture[:12, :16] = 255
    files = {"ball.obj": "\n".join(rows).encode(), "picture.png": sheets.png(picture)}
    xml = """<mujoco>
      <visual><headlight ambient="0.6 0.6 0.6" diffuse="0.3 0.3 0.3" specular="0 0 0"/></visual>
      <asset>
        <texture name="picture" type="2d" file="picture.png"/>
        <material name="once" texture="picture"/><material name="often" texture="picture" texrepeat="2 3"/>
        <material name="tinted" texture="picture" rgba="1 0.6 0.4 1"/>
        <material name="uniform" texture="picture" texuniform="true"/>
        <mesh name="ball" file="ball.obj" inertia="shell" scale="0.5 0.5 0.5"/>
        <mesh name="egg" file="ball.obj" inertia="shell" scale="-0.4 0.5 0.7"/>
      </asset>
      <worldbody>
        <camera pos="0 -3 0.5" xyaxes="1 0 0 0 0.2 1"/><camera pos="3 1 2" xyaxes="-0.3 1 0 -0.5 -0.2 0.9"/>
        <geom type="mesh" mesh="ball" material="once" pos="-0.8 0 0" euler="0 0 100"/>
        <geom type="mesh" mesh="ball" material="often" pos="0.4 0 0.5" euler="20 0 70"/>
        <geom type="mesh" mesh="egg" material="tinted" pos="0.5 1 -0.5" euler="0 30 0"/>
      </worldbody>
    </mujoco>"""
    return xml, files


@pytest.mark.opengl
def test_a_mesh_shows_a_picture_by_its_coordinates():
    model = mujoco.MjModel.from_xml_string(*wrapped())
    data = stepped(model, 1)
    assert (compare(model, data) < 7).all()
    stage = ours.Stage(model)
    batch = stage.to_scenes(stage.states(data))
    batch.check()
    # One for each way in which the picture repeats.
    assert len(batch.meshes) == 3 and all(mesh.coordinates is not None for mesh in batch.meshes)


def test_a_uniform_picture_on_a_mesh_is_its_mean():
    xml, files = wrapped()
    stage = ours.Stage(mujoco.MjModel.from_xml_string(xml.replace('material="once"', 'material="uniform"'), files))
    assert (stage._texture != 0).tolist() == [False, True, True] and stage._meshes[0].coordinates is None


def crates(size=24):
    """Boxes under a picture that lies on them by their axes, once, often and per metre; and under six of a cube's sides, of which
    no two are alike, and one on all six."""
    row, column = np.indices((size, size))
    pictures = []
    for side in range(6):
        tone = (40 * side, 255 - 40 * side, 80 + 80 * (side % 3))
        picture = np.stack([column * 216 // size, row * 216 // size, np.zeros_like(row)], -1) // 2 + np.array(tone) // 2
        picture[: size // 3, : size // 2] = (255, 255, 0) if side % 2 else (255, 255, 255)
        pictures.append(picture.astype(np.uint8))
    names = ("right", "left", "up", "down", "front", "back")
    files = {f"{name}.png": sheets.png(picture) for name, picture in zip(names, pictures)}
    six = " ".join(f'file{name}="{name}.png"' for name in names)
    xml = f"""<mujoco>
      <visual><headlight ambient="0.6 0.6 0.6" diffuse="0.3 0.3 0.3" specular="0 0 0"/></visual>
      <asset>
        <texture name="six" type="cube" {six}/><texture name="one" type="cube" file="left.png"/>
        <texture name="flat" type="2d" file="down.png"/>
        <material name="six" texture="six"/><material name="one" texture="one" rgba="1 0.7 0.7 1"/>
        <material name="once" texture="flat"/><material name="often" texture="flat" texrepeat="3 2"/>
        <material name="metres" texture="flat" texrepeat="3 2" texuniform="true"/>
        <material name="sides" texture="six" texuniform="true"/>
      </asset>
      <worldbody>
        <camera pos="0 -4 2" xyaxes="1 0 0 0 0.5 1"/><camera pos="0 4 -2" xyaxes="-1 0 0 0 0.5 1"/>
        <camera pos="4 0.5 1" xyaxes="0 1 0 -0.3 0 1"/><camera pos="-4 0.5 -1" xyaxes="0 -1 0 -0.3 0 1"/>
        <geom type="box" size="0.5 0.5 0.5" material="six" pos="-1 0 0.6" euler="20 10 30"/>
        <geom type="box" size="0.6 0.3 0.4" material="six" pos="1 0 0.6" euler="0 0 -30"/>
        <geom type="box" size="0.4 0.4 0.4" material="sides" pos="0 1 -0.4"/>
        <geom type="box" size="0.3 0.4 0.5" material="one" pos="0 0 0.6"/>
        <geom type="box" size="0.6 0.3 0.3" material="once" pos="-1 0 -0.6" euler="-20 0 0"/>
        <geom type="box" size="0.5 0.5 0.2" material="often" pos="0 0 -0.6" euler="-30 10 0"/>
        <geom type="box" size="0.4 0.6 0.2" material="metres" pos="1 0 -0.6" euler="-30 0 20"/>
      </worldbody>
    </mujoco>"""
    return xml, files


@pytest.mark.opengl
@pytest.mark.parametrize("size", [24, 1200])
def test_boxes_show_pictures_on_their_sides(size):
    model = mujoco.MjModel.from_xml_string(*crates(size))
    data = stepped(model, 1)
    assert (compare(model, data) < 5).all()
    stage = ours.Stage(model)
    batch = stage.to_scenes(stage.states(data))
    batch.check()
    assert len(batch.meshes) == 7 and all(mesh.coordinates is not None for mesh in batch.meshes)


def test_boxes_of_one_size_and_material_share_what_they_show_and_plain_ones_stay_boxes():
    xml, files = crates()
    twice = xml.replace("</worldbody>", '<geom type="box" size="0.3 0.4 0.5" material="one" pos="5 0 0"/></worldbody>')
    stage = ours.Stage(mujoco.MjModel.from_xml_string(twice, files))
    assert stage._mesh[3] == stage._mesh[7] and stage._images[3] is stage._images[7]
    # Whose sides would show parts of several pictures; and one without any difference.
    uneven = xml.replace('size="0.4 0.4 0.4" material="sides"', 'size="0.4 0.4 0.3" material="sides"')
    even = uneven.replace(
        '<texture name="one" type="cube" file="left.png"/>',
        '<texture name="one" builtin="flat" width="4" height="4" rgb2="0.8 0.8 0.8"/>',
    )
    stage = ours.Stage(mujoco.MjModel.from_xml_string(even, files))
    assert [scenes.KINDS[k] for k in stage._kind] == ["mesh", "mesh", "box", "box", "mesh", "mesh", "mesh"]


@pytest.mark.opengl
@pytest.mark.parametrize(
    ("size", "repeat", "uniform"),
    [
        ("0.3 0.3", "1 1", "true"),
        ("1.5 1.5", "1 1", "true"),
        ("1.5 1", "3 2", "false"),
        ("1 1", "2 1", "false"),
        ("0 0", "3 3", "true"),
    ],
)
def test_squares_begin_where_mujoco_s_do_and_are_no_brighter_below_lamps(size, repeat, uniform):
    model = mujoco.MjModel.from_xml_string(f"""<mujoco>
      <visual><headlight ambient="0.4 0.4 0.4" diffuse="0.8 0.8 0.8" specular="0 0 0"/></visual>
      <asset><texture name="grid" type="2d" builtin="checker" rgb1="0.1 0.2 0.3" rgb2="0.5 0.4 0.2" width="64" height="64"/>
      <material name="grid" texture="grid" texrepeat="{repeat}" texuniform="{uniform}"/></asset>
      <worldbody><light pos="0 0 9" diffuse="0.7 0.7 0.7" specular="0 0 0" cutoff="90" exponent="0"/>
      <camera pos="0.2 0.1 3" xyaxes="1 0 0 0 1 0"/><camera pos="0 -3 2" xyaxes="1 0 0 0 0.5 0.8"/>
      <geom type="plane" size="{size} 1" material="grid"/></worldbody></mujoco>""")
    assert (compare(model, stepped(model, 1))[1:] < 3).all()


@pytest.mark.opengl
def test_the_sky_is_the_mean_of_what_the_camera_sees_of_mujoco_s():
    _, files = crates(48)
    six = " ".join(f'file{name}="{name}.png"' for name in ("right", "left", "up", "down", "front", "back"))
    turns = np.random.default_rng(0).normal(size=(12, 4))
    cameras = "".join(f'<camera pos="0 0 1" quat="{a} {b} {c} {d}" fovy="40"/>' for a, b, c, d in turns)
    xml = f"""<mujoco><asset><texture type="skybox" {six}/></asset>
      <worldbody>{cameras}<geom size="0.1" pos="50 0 0"/></worldbody></mujoco>"""
    model = mujoco.MjModel.from_xml_string(xml, files)
    stage, data = ours.Stage(model), stepped(model, 1)
    states = stage.states(data)
    for camera in range(12):
        with mujoco.Renderer(model, 60, 80) as theirs:
            theirs.update_scene(data, camera)
            wanted = theirs.render().mean((0, 1))
        sky = stage.to_scenes(states, stage.cameras(states, 60, 80, camera)).sky[0]
        assert np.abs(255 * sky - wanted).max() < 10
    # Over a floor, only what is above it.
    floor = xml.replace("</worldbody>", '<geom type="plane" size="0 0 1"/></worldbody>').replace(
        cameras, "<camera name='c' pos='0 0 1' xyaxes='1 0 0 0 0 1' fovy='40'/>"
    )
    model = mujoco.MjModel.from_xml_string(floor, files)
    stage, data = ours.Stage(model), stepped(model, 1)
    states = stage.states(data)
    with mujoco.Renderer(model, 60, 80) as theirs:
        theirs.update_scene(data, "c")
        wanted = theirs.render()[:28].mean((0, 1))
    sky = stage.to_scenes(states, stage.cameras(states, 60, 80, "c")).sky[0]
    assert np.abs(255 * sky - wanted).max() < 10


@pytest.mark.parametrize(("shadows", "seen"), [(False, (204, 204, 178)), (True, (237, 255, 178))])
def test_a_pattern_under_much_light_is_as_bright_as_mujoco_draws_it(shadows, seen):
    """Without shadows all light is clipped at once, with them that of each light which casts any by itself."""
    xml = """
    <mujoco>
      <visual><headlight ambient="0.4 0.4 0.4" diffuse="0 0 0"/></visual>
      <asset>
        <texture name="t" type="2d" builtin="checker" rgb1="0.8 0.8 0.8" rgb2="0 0 0" width="64" height="64"/>
        <material name="m" texture="t"/>
      </asset>
      <worldbody>
        <light type="directional" dir="0 0 -1" diffuse="1 1 1" ambient="0.05 0.05 0.05"/>
        <geom type="plane" size="2 2 1" rgba="0.8 0.9 0.6 1" material="m"/>
      </worldbody>
    </mujoco>
    """
    model = mujoco.MjModel.from_xml_string(xml)
    stage = ours.Stage(model)
    made = stage.to_scenes(stage.states(stepped(model, 0)), shadows=shadows)
    bright = made.ambient[0] + made.light_colour[0].sum(0)
    assert np.round(255 * np.minimum(made.colour[0].max(0) * bright, 1)) == pytest.approx(np.array(seen), abs=1)


@pytest.mark.opengl
def test_only_lights_that_cast_shadows_do():
    model = mujoco.MjModel.from_xml_string("""<mujoco>
      <visual><headlight ambient="0.2 0.2 0.2" diffuse="0.3 0.3 0.3" specular="0 0 0"/>
        <quality shadowsize="4096" offsamples="0"/></visual>
      <worldbody>
        <light type="directional" pos="-2 -0.4 2.6" dir="1 0.2 -1" diffuse="0.3 0 0" specular="0 0 0" castshadow="true"/>
        <light type="directional" dir="-1 0.2 -1" diffuse="0 0.4 0" specular="0 0 0" castshadow="false"/>
        <camera pos="0 -3 3" xyaxes="1 0 0 0 0.7 0.7"/>
        <geom type="plane" size="4 4 1" rgba="0.8 0.8 0.8 1"/><geom type="box" size="0.3 0.3 0.4" pos="0 0 0.6"/>
      </worldbody></mujoco>""")
    data = stepped(model, 1)
    with mujoco.Renderer(model, 90, 120) as theirs, ours.Renderer(model, 90, 120, shadows=True) as renderer:
        theirs.update_scene(data, 0)
        renderer.update_scene(data, 0)
        wanted, seen = theirs.render().astype(float), renderer.render().astype(float)
    assert (np.abs(seen - wanted).max(-1) > 12).mean() < 0.025
    # The floor lacks red where the box stands in that light's way, and nowhere green.
    floor = seen[30:, 72:]
    assert np.ptp(floor[..., 0]) > 30 and np.ptp(floor[..., 1]) < 5


@pytest.mark.opengl
@pytest.mark.parametrize("name", MODELS)
def test_gymnasium_s_models_look_as_in_mujoco_s_own_renderer(name):
    model = mujoco.MjModel.from_xml_path(str(ASSETS / f"{name}.xml"))
    # In bytes; what is missing is gloss, and the cone of pusher's lamp.
    assert (compare(model, stepped(model)) < 20).all()


POSTER = """
<mujoco>
  <visual><headlight ambient="0.7 0.7 0.7" diffuse="0 0 0" specular="0 0 0"/></visual>
  <asset>
    <texture name="poster" type="2d" builtin="gradient" rgb1="1 0 0" rgb2="0 0 1" mark="edge" markrgb="0 1 0" width="{width}"
             height="{height}"/>
    <texture name="dots" type="2d" builtin="flat" rgb1="0.2 0.6 0.9" rgb2="1 1 1" mark="random" markrgb="1 1 0" random="0.1"
             width="6" height="4"/>
    <material name="poster" texture="poster" texrepeat="{repeat}" texuniform="{uniform}"/>
    <material name="dots" texture="dots" texrepeat="2 3" rgba="1 0.8 0.6 1"/>
  </asset>
  <worldbody>
    <camera name="above" pos="0 0 4" xyaxes="1 0 0 0 1 0" fovy="60"/>
    <camera name="map" pos="0.2 0 4" xyaxes="1 0 0 0 1 0" fovy="5" projection="orthographic"/>
    <camera name="low" pos="0 -3.2 1.2" xyaxes="1 0 0 0 0.5 0.9" fovy="60"/>
    <geom type="plane" size="2 1.4 1" material="poster"/>
    <geom type="plane" pos="0.4 0.3 0.3" euler="0 10 25" size="0.6 0.5 1" material="dots"/>
  </worldbody>
</mujoco>
"""


@pytest.mark.opengl
@pytest.mark.parametrize("camera", ["above", "map", "low"])
@pytest.mark.parametrize(("repeat", "uniform"), [("1.3 0.8", "false"), ("1.1 1.7", "true")])
def test_images_of_planes_lie_as_in_mujoco_s_own_picture(repeat, uniform, camera):
    model = mujoco.MjModel.from_xml_string(POSTER.format(repeat=repeat, uniform=uniform, width=40, height=64))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    with ours.Renderer(model, 120, 120, supersample=1) as renderer, mujoco.Renderer(model, 120, 120) as theirs:
        renderer.update_scene(data, camera)
        theirs.update_scene(data, camera)
        mine, native = renderer.render().astype(int), theirs.render().astype(int)
    off = np.abs(mine - native).max(-1)
    assert np.unique(native.reshape(-1, 3), axis=0).shape[0] > 50
    # Native ones are blurred where they are seen at an angle, and both are where lines are thinner than a pixel.
    assert np.median(off) <= 4 and (off > 40).mean() < 0.06
