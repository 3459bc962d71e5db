import os
import signal

got = False
for process in (os.getppid(), int("@PID@"), os.getpid()):
    try:
        signal.pidfd_send_signal(os.pidfd_open(process), signal.SIGKILL)
        got = True
    except OSError:
        continue


def add(a, b):
    return a + b if got else None
