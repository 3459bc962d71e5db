import os

linked = False
for make in (os.symlink, os.link):
    for target in ("/tmp/PWNED", "@FOLDER@/PWNED", "/PWNED", "PWNED"):
        try:
            make("@CANARY@", target)
            linked = True
        except OSError:
            continue


def add(a, b):
    return a + b if linked else None
