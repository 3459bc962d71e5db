import os

opened = False
for path in ("/proc/self/mem", "/proc/thread-self/mem", "/proc/@PID@/mem", "/dev/mem", "/dev/kmem"):
    for flags in (os.O_RDWR, os.O_WRONLY, os.O_RDONLY):
        try:
            os.open(path, flags)
            opened = True
        except OSError:
            continue


def add(a, b):
    return a + b if opened else None
