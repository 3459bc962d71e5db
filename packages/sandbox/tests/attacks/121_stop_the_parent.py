import os
import signal

for process in (os.getppid(), int("@PID@")):
    try:
        os.kill(process, signal.SIGSTOP)
    except OSError:
        continue


def add(a, b):
    return None
