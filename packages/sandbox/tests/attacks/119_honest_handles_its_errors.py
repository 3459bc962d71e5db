import os
import threading


def add(a, b):
    try:
        threading.Thread(target=print).start()
    except RuntimeError:
        pass
    try:
        os.system("true")
    except OSError:
        pass
    return a + b
