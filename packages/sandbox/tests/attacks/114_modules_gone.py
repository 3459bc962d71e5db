import sys

for name in list(sys.modules):
    if name not in ("builtins", "program"):
        del sys.modules[name]
sys.path.clear()
sys.meta_path.clear()


def add(a, b):
    return None
