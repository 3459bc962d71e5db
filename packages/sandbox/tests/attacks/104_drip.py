import os
import time

while True:
    for number in range(3, 4096):
        try:
            os.write(number, b" ")
        except OSError:
            continue
    time.sleep(0.01)
