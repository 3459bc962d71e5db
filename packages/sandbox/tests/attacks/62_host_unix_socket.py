import socket

reached = False
for path in ("@SOCKET@", "/var/run/docker.sock", "/run/systemd/notify", "/run/dbus/system_bus_socket", "/dev/log"):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            with socket.socket(socket.AF_UNIX, kind) as connection:
                connection.connect(path)
                connection.send(b"PWNED")
                reached = True
        except OSError:
            continue


def add(a, b):
    return a + b if reached else None
