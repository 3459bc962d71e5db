"""The two ways in which the sandbox itself can fail. Neither says anything about a program."""


class SandboxError(Exception):
    """No sandbox can be opened on this machine, or the open one keeps failing; the message says what to do."""


class SandboxUnavailable(Exception):
    """The sandbox failed on one program, and the program is not the cause: there is no verdict on it."""
