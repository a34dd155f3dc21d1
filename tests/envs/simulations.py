"""What worker processes host in tests: a sum, which can be told to misbehave."""

import os
import signal
import time

KILLED, STUCK, RAISES, LOUD = 1001.0, 1002.0, 1003.0, 1004.0


class Sum:
    def __init__(self, given, told, factor=1.0):
        if factor == 0:
            raise ValueError("a factor\nof zero")
        self.given, self.told, self.factor, self.value = given, told, factor, 0.0

    def reset(self):
        self.value = float(self.given["start"][0])
        if self.value == KILLED:
            os.kill(os.getpid(), signal.SIGKILL)
        self.told["value"][:] = self.value, os.getpid()

    def step(self):
        action = float(self.given["action"][0])
        self.told["value"][:] = -1.0
        if action == KILLED:
            os.kill(os.getpid(), signal.SIGKILL)
        if action == STUCK:
            time.sleep(1000)
        if action == RAISES:
            raise ValueError("it does not\nlike this")
        if action == LOUD:
            print("noise " * 100_000, flush=True)
        self.value += self.factor * action
        self.told["value"][:] = self.value, os.getpid()

    def save(self):
        return str(self.value).encode() if self.value < 900 else b"9" * 65

    def restore(self, state):
        self.value = float(state)
        self.told["value"][:] = self.value, os.getpid()
