import os
import time


def add(a, b):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(1)
            with open("@FOLDER@/PWNED", "w") as file:
                file.write("daemon")
            time.sleep(1000)
        os._exit(0)
    return a + b
