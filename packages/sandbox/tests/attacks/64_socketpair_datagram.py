import socket

reached = False
try:
    here, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    here.sendto(b"PWNED", "@SOCKET@")
    reached = True
except OSError:
    pass


def add(a, b):
    return a + b if reached else None
