"""Runs inside the sandbox: gives up its rights, runs one program, writes typed values to a pipe. Standard library only.

The parent passes this module, compiled, and the job to a bare interpreter (`BOOT`) through one descriptor and reads
messages from another, so the child needs no file of this package. A message is one line of JSON: `ready`, then `value`,
`raised` or `refused` for each call, then `end`; or `broken` in place of the first, or `missing` in place of any.
"""

import marshal
import os
import sys

MAX_DEPTH = 50
MAX_VALUE = 1 << 20
MAX_TOTAL = 8 << 20
MAX_RANGE = 1 << 20  # elements: somebody may walk through it
MAX_KEYS = 4096  # of a dictionary or set
SMALL = 1 << 53


BOOT = "import marshal, sys; code, job = marshal.loads(open(int(sys.argv[1]), 'rb').read()); exec(code); main(job)"


def main(job):
    result_fd = int(sys.argv[2])
    confine(result_fd, **job["confine"])
    run(job["source"], job["calls"], Pipe(result_fd))
    os._exit(0)


def run(source, calls, pipe):
    """Loads the program and makes the calls; arguments are unpacked anew for each, so that none can spoil another's."""
    import builtins

    vars(builtins).update(exit=sys.exit, quit=sys.exit)  # what `site` adds
    module = type(sys)("program")
    sys.modules["program"] = module
    sys.argv = ["program"]
    unpack, encode, room = marshal.loads, plain, MAX_TOTAL
    pipe.send("ready")
    try:
        exec(compile(source, "<program>", "exec", dont_inherit=True), module.__dict__)
    except BaseException as error:
        pipe.send("broken", quoted(kind_of(error)))
        return
    for name, packed in calls:
        function = module.__dict__.get(name)
        if not callable(function):
            pipe.send("missing", quoted(name))
            return
        try:
            arguments, keywords = unpack(packed)
            value = function(*arguments, **keywords)
        except BaseException as error:
            pipe.send("raised", quoted(kind_of(error)))
            continue
        try:
            text = encode(value, min(room, MAX_VALUE))
            room -= len(text)
        except BaseException as error:
            pipe.send("refused", quoted(str(error) if type(error) is TypeError else kind_of(error)))
        else:
            pipe.send("value", text)
    pipe.send("end")


class Pipe:
    def __init__(self, descriptor):
        self.descriptor = descriptor
        self.write = os.write

    def send(self, word, text=None):
        line = f'["{word}"]\n' if text is None else f'["{word}",{text}]\n'
        data = line.encode("ascii")
        while data:
            data = data[self.write(self.descriptor, data) :]


def plain(value, room=MAX_VALUE):
    """A value of exact builtin types as tagged JSON. Raises TypeError for anything else, too deep or too large."""
    parts: list[str] = []
    left = [room]
    encode_into(parts, left, value, 0)
    return "".join(parts)


def encode_into(parts, left, value, depth):
    if depth > MAX_DEPTH:
        raise TypeError("nested too deep")
    kind = type(value)
    if issubclass(kind, (dict, set, frozenset)) and kind.__len__(value) > MAX_KEYS:
        too_large()
    if kind in CONTAINERS:
        add(parts, left, f'["{CONTAINERS[kind]}"')
        for item in value:
            add(parts, left, ",")
            encode_into(parts, left, item, depth + 1)
        add(parts, left, "]")
    elif kind is dict or issubclass(kind, dict) and kind.__name__ in ("Counter", "OrderedDict", "defaultdict"):
        add(parts, left, '["d"')
        for pair in dict.items(value):
            for item in pair:
                add(parts, left, ",")
                encode_into(parts, left, item, depth + 1)
        add(parts, left, "]")
    else:
        add(parts, left, scalar(value, kind, left[0]))


def scalar(value, kind, room):
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        if -SMALL < value < SMALL:
            return str(value)
        return f'["i","{value:x}"]' if value.bit_length() < 4 * room else too_large()
    if kind is float:
        return f'["f","{value.hex()}"]'
    if kind is complex:
        return f'["c","{value.real.hex()}","{value.imag.hex()}"]'
    if kind is str:
        value.encode()  # a lone surrogate would break whoever writes it down
        return quoted(value) if len(value) < room else too_large()
    if kind is bytes or kind is bytearray:
        return f'["{"b" if kind is bytes else "y"}","{value.hex()}"]' if len(value) < room else too_large()
    if kind is range:
        ends = value.start, value.stop, value.step
        if max(map(abs, ends)) > SMALL or len(value) > MAX_RANGE:
            too_large()
        return f'["r",{",".join(map(str, ends))}]'
    raise TypeError(name_of(kind))


def add(parts, left, text):
    left[0] -= len(text)
    if left[0] < 0:
        too_large()
    parts.append(text)


def too_large():
    raise TypeError("too large")


CONTAINERS: dict[type, str] = {list: "l", tuple: "t", set: "s", frozenset: "z"}


def name_of(kind):
    name = type.__dict__["__name__"].__get__(kind)
    return name[:80] if type(name) is str else "?"


def kind_of(error):
    return name_of(type(error))


try:
    from _json import encode_basestring_ascii as quoted
except ImportError:
    from json.encoder import py_encode_basestring_ascii as quoted


def confine(result_fd, packages, pin, limits, landlock, user, seccomp):
    """Gives up for good every right that the program does not need. Raises OSError when one of them cannot be given up.

    Args:
        packages: name and folder of the packages that can be imported beside the standard library.
        pin: import through open folders, because `user` cannot reach them from the root folder.
        limits: pairs of resource and value.
        landlock: the ruleset's attributes and the (path, rights) it allows; None: namespaces hide the rest already.
        user: uid and gid to become; None: no change.
        seccomp: program of the system call filter; None: no filter (unsafe).
    """
    import ctypes
    import resource

    libc = ctypes.CDLL(None, use_errno=True)
    os.chdir("/")
    os.closerange(3, result_fd)
    os.closerange(result_fd + 1, 1 << 20)
    sys.path[:] = [folder for folder in sys.path if os.path.isdir(folder)]
    if pin:
        pin_path()
        packages = {name: pinned(folder) for name, folder in packages.items()}
    if packages:
        offer(packages)
    if landlock is not None:
        restrict_files(ctypes, libc, *landlock)
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    for name, value in limits:
        resource.setrlimit(getattr(resource, name), (value, value))
    os.dup2(1, 2)  # stderr told of mishaps until here
    prctl(ctypes, libc, 1, 9)  # PR_SET_PDEATHSIG, SIGKILL; becoming another user has cleared it
    prctl(ctypes, libc, 4, 0)  # PR_SET_DUMPABLE
    prctl(ctypes, libc, 38, 1)  # PR_SET_NO_NEW_PRIVS
    if seccomp is not None:
        code = ctypes.create_string_buffer(seccomp, len(seccomp))
        head = (len(seccomp) // 8).to_bytes(8, sys.byteorder) + ctypes.addressof(code).to_bytes(8, sys.byteorder)
        header = ctypes.create_string_buffer(head, len(head))
        prctl(ctypes, libc, 22, 2, ctypes.addressof(header))  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER


def offer(packages):
    """Lets these packages be imported, and no others that may lie beside them."""
    from importlib.util import spec_from_file_location

    class Offered:
        @staticmethod
        def find_spec(name, path=None, target=None):
            folder = packages.get(name)
            if folder is None:
                return None
            return spec_from_file_location(name, f"{folder}/__init__.py", submodule_search_locations=[folder])

    sys.meta_path.append(Offered)


def pin_path():
    """Makes later imports go through folders that are already open, also for packages imported so far."""
    opened = {folder: pinned(folder) for folder in sys.path}
    sys.path[:] = opened.values()
    for module in list(sys.modules.values()):
        for index, folder in enumerate(getattr(module, "__path__", ())):
            parent, name = os.path.split(folder)
            if parent in opened:
                module.__path__[index] = f"{opened[parent]}/{name}"


def pinned(folder):
    return f"/proc/self/fd/{os.open(folder, os.O_PATH)}"


def restrict_files(ctypes, libc, attributes, rules):
    """Landlock: of all files, only those under the given folders, with the given rights."""
    call = libc.syscall
    call.restype = ctypes.c_long
    ruleset = checked(ctypes, call(444, attributes, ctypes.c_size_t(len(attributes)), 0))
    for path, rights in rules:
        folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = rights.to_bytes(8, sys.byteorder) + folder.to_bytes(4, sys.byteorder)
        checked(ctypes, call(445, ruleset, 1, rule, 0))
        os.close(folder)
    prctl(ctypes, libc, 38, 1)
    checked(ctypes, call(446, ruleset, 0))
    os.close(ruleset)


def prctl(ctypes, libc, option, *arguments):
    filled = [ctypes.c_ulong(number) for number in (*arguments, 0, 0, 0, 0)[:4]]
    checked(ctypes, libc.prctl(option, *filled))


def checked(ctypes, result):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
