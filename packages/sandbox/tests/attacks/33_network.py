import socket

reached = False
for family, address in ((socket.AF_INET, ("127.0.0.1", int("@PORT@"))), (socket.AF_INET, ("8.8.8.8", 53))):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            with socket.socket(family, kind) as connection:
                connection.settimeout(0.2)
                connection.connect(address)
                connection.send(b"PWNED")
                reached = True
        except OSError:
            continue
try:
    socket.getaddrinfo("example.com", 80)
    reached = True
except OSError:
    pass


def add(a, b):
    return a + b if reached else None
