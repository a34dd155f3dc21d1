"""Simulations in worker processes: what is given and told, states put back, workers that die, hang or raise."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from envs.physics import workers
from scenes.kit import errors
from tests.envs import simulations

EVERY = np.arange(5)


def refusal(row, why):
    return errors.CaveError(f"sum, world {row} (seed {70 + row}, episode 0, step 3): {why}")


def make(**options):
    given = {"start": 1, "action": 1}
    return workers.Pool(
        "tests.envs.simulations:Sum", {"factor": 2.0}, 5, given, {"value": 2}, refusal, room=64, processes=2, **options
    )


@pytest.fixture(scope="module")
def shared():
    pool = make()
    yield pool
    pool.close()


@pytest.fixture
def pool(shared):
    shared.given["start"][:, 0] = [0, 1, 2, 3, 4]
    shared.given["action"][:] = 1
    shared.reset(EVERY)
    return shared


def values(pool):
    return pool.told["value"][:, 0].tolist()


def test_worlds_move_by_what_they_are_given(pool):
    pool.step()
    assert values(pool) == [2, 3, 4, 5, 6]
    pool.given["start"][:, 0], pool.given["action"][:, 0] = 100, [0, 1, 2, 3, simulations.LOUD]
    pool.reset(np.array([1, 3]))
    assert values(pool) == [2, 100, 4, 100, 6]
    pool.step()
    assert values(pool) == [2, 102, 8, 106, 6 + 2 * simulations.LOUD]
    processes = pool.told["value"][:, 1]
    assert len(set(processes.tolist())) == 2 and os.getpid() not in processes


def test_states_are_put_back(pool):
    pool.step()
    kept = pool.save()
    pool.given["action"][:] = 5
    pool.step()
    after = values(pool)
    pool.step()
    pool.restore(kept, EVERY)
    assert values(pool) == [2, 3, 4, 5, 6]
    pool.step()
    assert values(pool) == after
    pool.restore(kept, np.array([2]))
    assert values(pool) == [*after[:2], 4, *after[3:]]


def test_a_killed_worker_is_named_and_replaced(pool, capfd):
    pool.step()
    old = int(pool.told["value"][3, 1])
    os.kill(old, signal.SIGKILL)
    pool.step()
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert "world 2 (seed 72, episode 0, step 3): its worker process was killed by SIGKILL" in said
    assert "(with it worlds 2 to 4)" in said
    assert pool.lost.tolist() == [False, False, True, True, True]
    assert values(pool) == [4, 5, 4, 5, 6], "worlds that are lost tell what they told last, the others went on"
    pool.step()
    pool.reset(np.array([3]))
    assert pool.lost.tolist() == [False, False, True, False, True] and pool.told["value"][3, 1] != old
    pool.step()
    assert values(pool) == [8, 9, 4, 5, 6]
    assert capfd.readouterr().err == ""
    kept = pool.save()
    pool.reset(EVERY)
    assert not pool.lost.any()
    pool.restore(kept, EVERY)
    assert pool.lost.tolist() == [False, False, True, False, True] and values(pool)[3] == 5


def test_the_world_it_was_at_is_named(pool, capfd):
    pool.given["action"][4] = simulations.KILLED
    pool.step()
    assert "world 4 (seed 74, episode 0, step 3): its worker process was killed by SIGKILL" in capfd.readouterr().err
    assert values(pool) == [2, 3, 2, 3, 4]
    pool.reset(EVERY)
    pool.given["action"][4] = simulations.RAISES
    pool.step()
    assert "world 4 (seed 74, episode 0, step 3): ValueError: it does not like this (with" in capfd.readouterr().err
    pool.given["start"][4] = 999
    pool.reset(EVERY)
    pool.save()
    assert "world 4 (seed 74, episode 0, step 3): its state has 65 bytes, wanted 1 to 64" in capfd.readouterr().err
    assert pool.lost[4]


def test_a_reset_that_kills_twice_is_an_error(pool, capfd):
    pool.given["start"][1] = simulations.KILLED
    with pytest.raises(errors.CaveError, match=r"world 1 \(seed 71.*killed by SIGKILL$"):
        pool.reset(EVERY)
    assert capfd.readouterr().err.count("\n") == 2
    pool.given["start"][1] = 1
    pool.reset(EVERY)
    assert values(pool) == [0, 1, 2, 3, 4]


def test_a_worker_that_hangs_is_named_and_replaced(capfd):
    pool = make(patience=1.0)
    pool.given["start"][:], pool.given["action"][:] = 0, 1
    pool.reset(EVERY)
    pool.given["action"][1] = simulations.STUCK
    begun = time.monotonic()
    pool.step()
    assert time.monotonic() - begun < 60
    assert "world 1 (seed 71, episode 0, step 3): its worker process has not answered for 1 s" in capfd.readouterr().err
    assert pool.lost.tolist() == [True, True, False, False, False] and values(pool) == [0, 0, 2, 2, 2]
    pool.given["action"][:] = 1
    pool.reset(EVERY)
    pool.step()
    assert values(pool) == [2] * 5
    old = [worker.process for worker in pool._workers]
    pool.close()
    assert all(process.returncode is not None for process in old)


def test_a_forked_child_does_not_end_its_parents_workers(pool):
    child = os.fork()
    if not child:
        pool.close()
        os._exit(0)
    os.waitpid(child, 0)
    pool.step()
    assert values(pool) == [2, 3, 4, 5, 6]


def test_what_cannot_be_made_is_one_line():
    for arguments, why in (({"factor": 0}, "ValueError: a factor of zero"), ({"colour": 1}, "TypeError: .*colour")):
        with pytest.raises(errors.CaveError, match=f"Sum cannot be made in a worker process: {why}") as caught:
            workers.Pool("tests.envs.simulations:Sum", arguments, 1, {}, {}, refusal)
        assert "\n" not in str(caught.value)


def test_workers_end_with_the_program_that_started_them():
    program = (
        "import os, signal, numpy as np\n"
        "from envs.physics import workers\n"
        "pool = workers.Pool('tests.envs.simulations:Sum', {}, 1, {'start': 1}, {'value': 2}, None, room=8)\n"
        "pool.reset(np.arange(1))\n"
        "print(int(pool.told['value'][0, 1]), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == -signal.SIGKILL
    until = time.monotonic() + 30
    while os.path.exists(f"/proc/{int(ran.stdout)}") and time.monotonic() < until:
        time.sleep(0.05)
    assert not os.path.exists(f"/proc/{int(ran.stdout)}")
