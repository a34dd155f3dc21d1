"""Models and their mutations, handed to the simulators one after another in a process of its own:

    python hostile_models.py urdf|mjcf COUNT SEED

It ends badly if a simulator does: a crash, a traceback, an answer that takes too long or is not one line.
"""

import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from scenes.kit import errors

MEMORY, SECONDS = 4 * 2**30, 10.0
VALUES = (
    "nan", "inf", "-inf", "-1", "0", "1e9", "1e300", "1e-300", "2147483647", "4294967296", "99999999999999999999", "", "a",
    " ".join(["1"] * 1000), "0.5", "1 2", "100000", "3", "1e30 1e30 1e30", "-1 -1 -1", "../../etc/passwd", "/dev/zero", "base",
    "x" * 5000, "box.obj", "fixed", "spherical",
)  # fmt: skip

URDF = """<robot name="r"><material name="red"><color rgba="1 0 0 1"/></material>
<link name="base"><contact><lateral_friction value="1"/></contact>
 <inertial><origin xyz="0 0 0.1" rpy="0 0.1 0"/><mass value="1"/>
  <inertia ixx="1" ixy="0" ixz="0" iyy="1" iyz="0" izz="1"/></inertial>
 <visual><origin xyz="0 0 0" rpy="0 0 0"/><geometry><box size="1 2 3"/></geometry><material name="red"/></visual>
 <collision><geometry><box size="1 2 3"/></geometry></collision></link>
<link name="arm"><inertial><mass value="1"/><inertia ixx="1" ixy="0" ixz="0" iyy="1" iyz="0" izz="1"/></inertial>
 <visual><geometry><mesh filename="box.obj" scale="1 1 2"/></geometry></visual>
 <collision><geometry><mesh filename="box.obj"/></geometry></collision></link>
<link name="hand"><visual><geometry><cylinder radius="0.1" length="1"/></geometry><material name="m"><color rgba="0 1 0 1"/>
 </material></visual><collision><geometry><sphere radius="0.1"/></geometry></collision></link>
<link name="tip"><visual><geometry><capsule radius="0.1" length="0.2"/></geometry></visual></link>
<joint name="a" type="revolute"><parent link="base"/><child link="arm"/><origin xyz="0 0 1"/><axis xyz="0 1 0"/>
 <limit lower="-1" upper="1" effort="1" velocity="1"/><dynamics damping="0.1" friction="0.1"/></joint>
<joint name="b" type="prismatic"><parent link="arm"/><child link="hand"/><axis xyz="0 0 1"/>
 <limit lower="0" upper="1" effort="1" velocity="1"/></joint>
<joint name="c" type="fixed"><parent link="hand"/><child link="tip"/></joint></robot>"""

MJCF = """<mujoco><compiler angle="radian" autolimits="true" meshdir="."/>
<size memory="10M" nuserdata="3"/><option timestep="0.01"/>
<asset><texture name="t" type="2d" builtin="checker" width="16" height="16" rgb1="1 0 0" rgb2="0 0 1"/>
 <material name="m" texture="t" texrepeat="2 2"/><hfield name="h" nrow="4" ncol="4" size="1 1 .1 .1"/>
 <mesh name="x" vertex="0 0 0 1 0 0 0 1 0 0 0 1" face="0 2 1 0 1 3 0 3 2 1 2 3"/><mesh name="s" builtin="sphere" params="2"/>
 <mesh file="box.obj" scale="1 1 2"/></asset>
<default><geom rgba="1 0 0 1"/><default class="k"><joint damping="1"/></default></default>
<worldbody><geom type="hfield" hfield="h"/><geom type="plane" size="1 1 1" material="m"/><light pos="0 0 1"/>
 <camera name="q" pos="0 0 1" mode="targetbody" target="b"/>
 <body name="b" pos="0 0 1"><freejoint/><geom type="mesh" mesh="x"/><geom type="mesh" mesh="box"/><site name="s1"/>
  <body name="b2" pos="0 0 .2"><joint name="j" type="hinge" axis="0 1 0" range="-1 1"/>
   <geom type="capsule" fromto="0 0 0 0 0 .3" size=".05"/><site name="s2" pos="0 0 .1"/></body></body>
 <replicate count="3" offset="0 1 0" euler="0 0 .1"><body pos="3 0 1"><geom size=".1"/></body></replicate>
 <body name="cl" pos="0 3 1"><flexcomp name="f" type="grid" count="3 3 1" spacing=".1 .1 .1" radius=".01" dim="2" mass="1">
  <edge equality="true"/></flexcomp></body></worldbody>
<tendon><spatial name="t1"><site site="s1"/><site site="s2"/></spatial>
 <fixed name="t2"><joint joint="j" coef="2"/></fixed></tendon>
<actuator><motor joint="j" gear="2" ctrlrange="-1 1"/><position tendon="t1" kp="3"/></actuator>
<sensor><jointpos joint="j"/><rangefinder site="s1"/><user dim="2"/><framequat objtype="body" objname="b"/></sensor>
<equality><weld body1="b" body2="b2"/></equality><custom><numeric name="n" size="4" data="1 2"/></custom></mujoco>"""

BOX = (
    "\n".join(f"v {x} {y} {z}" for x in (0, 1) for y in (0, 1) for z in (0, 1))
    + """
f 1 2 4 3
f 5 7 8 6
f 1 5 6 2
f 3 4 8 7
f 1 3 7 5
f 2 6 8 4
"""
)


def mutated(text: str, rng: np.random.Generator) -> str:
    """A model with one or two attributes changed, elements doubled, taken away or moved."""
    root = ElementTree.fromstring(text)
    for _ in range(rng.integers(1, 3)):
        elements = list(root.iter())
        element, kind = elements[rng.integers(len(elements))], rng.random()
        if kind < 0.75 and element.attrib:
            key = list(element.attrib)[rng.integers(len(element.attrib))]
            value, words = VALUES[rng.integers(len(VALUES))], element.attrib[key].split()
            if len(words) > 1 and rng.random() < 0.6:
                words[rng.integers(len(words))] = (value.split() or ["0"])[0]
                value = " ".join(words)
            element.set(key, value)
        elif kind < 0.85 and len(element):
            element.append(element[rng.integers(len(element))])
        elif kind < 0.93 and len(element):
            element.remove(element[rng.integers(len(element))])
        else:
            other = elements[rng.integers(len(elements))]
            if element not in other.iter():
                element.append(other)
    return ElementTree.tostring(root, encoding="unicode")


def urdf(path: Path) -> None:
    """Load a URDF into PyBullet, let it fall, and take up its looks."""
    import pybullet

    from envs.physics import pybullet as ours

    client = 0
    if not pybullet.isConnected(client):
        assert pybullet.connect(pybullet.DIRECT) == client
    pybullet.resetSimulation(client)
    pybullet.setGravity(0, 0, -10, client)
    body = ours.load_urdf(client, path)
    for _ in range(3):
        pybullet.stepSimulation(client)
    assert pybullet.getNumJoints(body, client) < 128
    ours.Stage(client).states()


def mjcf(path: Path) -> None:
    """Load an MJCF into MuJoCo."""
    import mujoco

    from envs.physics import mujoco as ours

    mujoco.MjData(ours.read(path))


def main(kind: str, count: int, seed: int) -> None:
    """Print how many of `count` mutations were taken and how many refused, and the slowest in seconds."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    rng, told, slowest = np.random.default_rng(seed), [0, 0], 0.0
    take, valid = {"urdf": (urdf, URDF), "mjcf": (mjcf, MJCF)}[kind]
    # What the simulators say goes with what they write, into a folder that is thrown away.
    quiet, out = os.open(os.devnull, os.O_WRONLY), os.dup(1)
    os.dup2(quiet, 1)
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        path = Path(name) / f"model.{kind}"
        (path.parent / "box.obj").write_text(BOX)
        path.write_text(valid)
        take(path)
        for i in range(count):
            path.write_text(mutated(valid, rng))
            print(f"\rmutation {i} of seed {seed}", end="", file=sys.stderr, flush=True)
            start = time.perf_counter()
            try:
                take(path)
                told[0] += 1
            except errors.CaveError as error:
                line = str(error)
                assert "\n" not in line and len(line) < 700 and ("model." in line or "body " in line), line
                told[1] += 1
            slowest = max(slowest, time.perf_counter() - start)
            assert slowest < SECONDS, f"{slowest} s"
        os.chdir("/")
    os.write(out, json.dumps({"taken": told[0], "refused": told[1], "slowest": round(slowest, 3)}).encode() + b"\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
