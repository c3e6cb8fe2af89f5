"""What a failed operation raises: one class a status of the library, with the library's words as text."""

import builtins


class Error(Exception):
    """Any failure of the library."""


class InvalidError(Error, ValueError):
    """A bad argument; nothing was sent, and the call can be made again."""


class MismatchError(Error):
    """The ranks called different operations, counts, types, ops or roots. The communicator is broken."""


class PeerLostError(Error):
    """A rank died, left or aborted. The communicator is broken; shrink() makes one of the survivors."""


class TimeoutError(Error, builtins.TimeoutError):
    """A rank did not arrive in time. The communicator is broken."""


class MemoryError(Error, builtins.MemoryError):
    """Not enough memory; nothing was sent."""


class SystemError(Error):
    """A system call failed; the text has errno's. The communicator is broken."""


class UnsupportedError(Error):
    """Not possible here; the text says what is missing."""
