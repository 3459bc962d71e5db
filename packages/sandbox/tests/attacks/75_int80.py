import ctypes
import mmap
import platform

if platform.machine() != "x86_64":
    raise SystemExit
# mov eax, 20 (getpid of the 32-bit table); int 0x80; ret
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
enter = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))


def add(a, b):
    return a + b if enter() > 0 else None
