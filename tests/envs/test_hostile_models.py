"""Models of unknown origin: what is valid is as the simulators read it themselves, and what is not ends in one line."""

import os
import subprocess
import sys
from pathlib import Path

import gymnasium
import mujoco
import numpy as np
import pytest

from envs.physics import mujoco as ours
from scenes.geometry import reading
from scenes.kit import errors

HOSTILE = Path(__file__).parent / "hostile_models.py"
ASSETS = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"
WORLD = "<mujoco><worldbody>{}</worldbody></mujoco>"
ASSET = '<mujoco><asset>{}</asset><worldbody><geom size="1"/></worldbody></mujoco>'
LINK = '<link name="{}"/>'
JOINT = '<joint name="{}" type="fixed"><parent link="{}"/><child link="{}"/></joint>'
ROBOT = '<robot name="r">{}</robot>'
MESH = '<link name="a"><visual><geometry><mesh filename="{}"/></geometry></visual></link>'

BAD_MJCF = {
    "entities": ('<!DOCTYPE a [<!ENTITY e "x">]><mujoco model="&e;"/>', "declarations .* are not accepted"),
    "cut": ("<mujoco><worldbody>", "not XML"),
    "other": ("<html/>", "the first tag is <html>, wanted <mujoco>"),
    "heights": (ASSET.format('<hfield name="h" nrow="100000" ncol="100000" size="1 1 1 1"/>'), "nrow .* wanted numbers of at"),
    "copies": (WORLD.format('<replicate count="1e8"><body/></replicate>'), "count of <replicate> is '1e8'"),
    "copies of copies": (
        WORLD.format('<replicate count="1000">' * 4 + '<geom size="1"/>' + "</replicate>" * 4), "copies among them, wanted"
    ),
    "pixels": (
        ASSET.format('<texture builtin="flat" type="2d" width="4096" height="32768"/>'), "has 1.34218e.08 pixels, at most",
    ),
    "divisions": (ASSET.format('<mesh name="m" builtin="supersphere" params="1e6 1 1"/>'), "params of <mesh> is '1e6'"),
    "points": (
        WORLD.format('<body name="b"><flexcomp name="f" type="grid" count="99 99 99" spacing="1 1 1"/></body>'),
        "count makes 970299 points",
    ),
    "memory": ('<mujoco><size memory="1E"/></mujoco>', "memory is '1E'"),
    "infinite": (WORLD.format('<geom size="inf"/>'), "geom_size holds numbers that are not finite"),
    "colour": (WORLD.format('<geom size="1" rgba="nan 0 0 1"/>'), "geom_rgba holds numbers that are not finite|rgba"),
    "file": (ASSET.format('<mesh file="/etc/passwd.obj"/>'), "text may refer to no files"),
    "schema": (WORLD.format("<sphere/>"), "MuJoCo does not accept it: .*unrecognized"),
    "deep": ("<mujoco><worldbody>" + "<body>" * 300 + "</body>" * 300 + "</worldbody></mujoco>", "256 within each other"),
}  # fmt: skip

BAD_FILES = {
    "leaves": (ASSET.format('<mesh file="../../etc/passwd.obj"/>'), "lies outside of"),
    "absent": (ASSET.format('<mesh file="none.obj"/>'), "'none.obj' is not there"),
    "nan": (ASSET.format('<mesh file="nan.obj"/>'), "nan.obj, vertex 1"),
    "form": (ASSET.format('<mesh file="a.msh"/>'), "'a.msh' is not read as a mesh: convert it to .obj or .stl"),
    "model": (ASSET.format('<model file="a.xml"/>'), "<model file=> is not read"),
    "passwd": ('<mujoco><include file="/etc/passwd"/></mujoco>', "'/etc/passwd' lies outside of"),
    "itself": ('<mujoco><include file="model.xml"/></mujoco>', "'model.xml' is included twice"),
    "cycle": ('<mujoco><include file="again.xml"/></mujoco>', "'again.xml' is included twice"),
    "broken": ('<mujoco><include file="broken.xml"/></mujoco>', "broken.xml, line 2"),
}

BAD_URDF = {
    "roots": (LINK.format("a") + LINK.format("b"), "a, b are links without a parent, wanted only one"),
    "parents": (
        "".join(map(LINK.format, "abc")) + JOINT.format("j", "a", "c") + JOINT.format("k", "b", "c"), "child of two joints",
    ),
    "twice": (
        "".join(map(LINK.format, "abc")) + JOINT.format("j", "a", "b") + JOINT.format("j", "a", "c"), "a second joint 'j'",
    ),
    "cycle": (
        "".join(map(LINK.format, "abc")) + JOINT.format("j", "b", "c") + JOINT.format("k", "c", "b"), "child of its own",
    ),
    "nameless": (LINK.format("a") + LINK.format("b") + JOINT.format("", "a", "b"), "<joint> has the name ''"),
    "orphan": (LINK.format("a") + JOINT.format("j", "z", "a"), "its parent is 'z', which is no link"),
    "many": ("".join(LINK.format(i) for i in range(200)), "it has 200 links, wanted 1 to 128"),
    "empty": ("", "it has 0 links"),
    "size": (
        '<link name="a"><visual><geometry><box size="nan 1 1"/></geometry></visual></link>', "size of <box> is 'nan 1 1'"
    ),
    "mass": ('<link name="a"><inertial><mass value="inf"/></inertial></link>', "value of <mass> is 'inf', wanted a finite"),
    "leaves": (MESH.format("../../../etc/passwd"), "lies outside of"),
    "absent": (MESH.format("package://p/none.obj"), "'package://p/none.obj' is not there"),
    "nan": (MESH.format("nan.obj"), "nan.obj, vertex 1"),
    "index": (MESH.format("index.obj"), "index.obj, triangle 0: it names vertex 999999999"),
    "count": (MESH.format("count.stl"), "count.stl, byte 80"),
    "form": (MESH.format("a.dae"), "ends in '.dae' is not read"),
    "xacro": ("<xacro:include/>" + LINK.format("a"), "run xacro"),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "nan.obj").write_text("v 0 0 0\nv nan 0 0\nv 0 1 0\nf 1 2 3\n")
    (tmp_path / "index.obj").write_text("v 0 0 0\nf 1 1 999999999\n")
    (tmp_path / "count.stl").write_bytes(bytes(80) + b"\xff\xff\xff\x7f" + bytes(50))
    (tmp_path / "again.xml").write_text('<mujoco><include file="again.xml"/></mujoco>')
    (tmp_path / "broken.xml").write_text("<mujoco>\n<worldbody></mujoco>")
    for name in ("a.msh", "a.xml", "a.dae"):
        (tmp_path / name).write_text("")
    return tmp_path


@pytest.mark.parametrize("case", BAD_MJCF)
def test_bad_mjcf_is_one_line(case):
    text, said = BAD_MJCF[case]
    with pytest.raises(errors.CaveError, match=said) as caught:
        ours.read(text)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("<text>")


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_model_opens_only_what_lies_beside_it(folder, case):
    text, said = BAD_FILES[case]
    (folder / "model.xml").write_text(text)
    with pytest.raises(errors.CaveError, match=said):
        ours.read(folder / "model.xml")


@pytest.mark.parametrize("case", BAD_URDF)
def test_bad_urdf_is_one_line(folder, case):
    text, said = BAD_URDF[case]
    (folder / "model.urdf").write_text(ROBOT.format(text))
    with pytest.raises(errors.CaveError, match=said) as caught:
        reading.urdf_files(folder / "model.urdf")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["urdf", "mjcf"])
@pytest.mark.parametrize("count", [150, pytest.param(10000, marks=pytest.mark.slow)])
def test_mutated_models_are_taken_or_refused_in_one_line(kind, count):
    """In a process of its own, with 4 GiB and ten seconds a model: neither simulator crashes over what it is handed."""
    if kind == "urdf":
        pytest.importorskip("pybullet")
    here = os.pathsep.join([str(HOSTILE.parents[2]), os.environ.get("PYTHONPATH", "")])
    around = os.environ | {"PYTHONPATH": here, "OPENBLAS_NUM_THREADS": "1"}
    line = [sys.executable, "-W", "error", HOSTILE, kind, str(count), "3"]
    done = subprocess.run(line, env=around, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("name", ["ant", "humanoid", "hopper", "walker2d_v5"])
def test_models_are_what_mujoco_reads_itself(name):
    theirs, mine = mujoco.MjModel.from_xml_path(str(ASSETS / f"{name}.xml")), ours.read(ASSETS / f"{name}.xml")
    for part in ("geom_size", "geom_rgba", "body_mass", "qpos0", "jnt_range", "actuator_gear"):
        np.testing.assert_array_equal(getattr(theirs, part), getattr(mine, part))
    assert theirs.names == mine.names


def test_what_a_model_includes_and_refers_to_goes_with_it(tmp_path):
    """Meshes in a folder of their own, an include in another, names taken from files: as MuJoCo has it."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "box.obj").write_text(
        "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"
    )
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "body.xml").write_text(
        '<mujoco><worldbody><body pos="0 0 1"><geom type="mesh" mesh="box"/></body></worldbody></mujoco>'
    )
    (tmp_path / "scene.xml").write_text(
        '<mujoco><compiler meshdir="parts"/><asset><mesh file="box.obj" scale="1 1 2"/></asset>'
        '<include file="more/body.xml"/><worldbody><geom size="1"/></worldbody></mujoco>'
    )
    theirs, mine = mujoco.MjModel.from_xml_path(str(tmp_path / "scene.xml")), ours.read(tmp_path / "scene.xml")
    assert theirs.names == mine.names and mine.nmesh == 1
    np.testing.assert_array_equal(theirs.mesh_vert, mine.mesh_vert)
    np.testing.assert_array_equal(theirs.geom_pos, mine.geom_pos)


def test_mujoco_reads_a_checked_urdf(tmp_path):
    inertial = '<inertial><mass value="1"/><inertia ixx="1" ixy="0" ixz="0" iyy="1" iyz="0" izz="1"/></inertial>'
    shape = '<collision><geometry><box size="1 2 3"/></geometry></collision>'
    links = "".join(f'<link name="{name}">{inertial}{shape}</link>' for name in "ab")
    joint = '<joint name="j" type="revolute"><parent link="a"/><child link="b"/><axis xyz="0 1 0"/>'
    joint += '<limit lower="-1" upper="1" effort="1" velocity="1"/></joint>'
    (tmp_path / "m.urdf").write_text(f'<robot name="r">{links}{joint}<gazebo/></robot>')
    model = ours.read(tmp_path / "m.urdf")
    assert model.njnt == 1 and model.ngeom == 2
    np.testing.assert_allclose(model.geom_size[0], [0.5, 1, 1.5])
