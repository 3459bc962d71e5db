import os

ran = False
try:
    number = os.memfd_create("PWNED")
    os.write(number, b"#!/bin/true\n")
    os.execve(number, ["true"], {})
    ran = True
except OSError:
    pass


def add(a, b):
    return a + b if ran else None
