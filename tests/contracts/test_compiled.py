"""Every compiled function."""

import collections
import gc
import importlib
import pkgutil

from numba.core import dispatcher

PACKAGES = ("envs", "scenes", "learners")


def test_no_two_compiled_functions_share_a_name():
    """numba tells such apart by numbers that each process counts anew; out of code that several processes left in its cache
    it then calls one in the place of another (a cone was not seen, since a box was looked for)."""
    for name in PACKAGES:
        for module in pkgutil.walk_packages(importlib.import_module(name).__path__, f"{name}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    functions = {o.py_func for o in gc.get_objects() if issubclass(type(o), dispatcher.Dispatcher)}
    names = [(f.__module__, f.__qualname__) for f in functions if f.__module__.split(".")[0] in PACKAGES]
    assert len(names) > 100
    assert not [name for name, n in collections.Counter(names).items() if n > 1]
