import os

found = [name for name in os.environ if name in ("HOME", "PATH", "USER") or "KEY" in name or "TOKEN" in name]
for path in (
    "@CANARY@",
    "/etc/passwd",
    "/etc/shadow",
    "/root/.ssh/id_rsa",
    "/root/.bashrc",
    "/proc/1/environ",
    "/proc/@PID@/environ",
    "/proc/@PID@/maps",
    "/proc/self/environ",
    "/proc/self/maps",
    "/proc/mounts",
):
    try:
        with open(path, "rb") as file:
            found.append(file.read())
    except OSError:
        continue
for path in ("/root", "/home", "/proc", "/etc", "@FOLDER@"):
    try:
        found += [name for name in os.listdir(path) if name not in ("ld.so.cache", ".pyenv")]
    except OSError:
        continue


def add(a, b):
    return a + b if found else None
