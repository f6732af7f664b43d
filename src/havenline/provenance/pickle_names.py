"""What a pickle would call, by reading its opcodes and running none of them (`pickletools`, protocols 0 to 5)."""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from io import BytesIO
from typing import NamedTuple

_MOST_STEPS = 300_000
_MOST_NAMES = 1000
_MOST_PICKLES = 8
_DANGEROUS_MODULES = frozenset(
    (
        *(
            "os",
            "posix",
            "nt",
            "subprocess",
            "sys",
            "socket",
            "shutil",
            "runpy",
            "ctypes",
            "importlib",
            "pty",
            "commands",
        ),
        *(
            "builtins",
            "__builtin__",
            "webbrowser",
            "requests",
            "urllib",
            "http",
            "httplib",
            "aiohttp",
            "asyncio",
            "code",
        ),
        *(
            "codeop",
            "pickle",
            "_pickle",
            "cloudpickle",
            "dill",
            "timeit",
            "bdb",
            "pdb",
            "operator",
            "functools",
            "types",
        ),
        *("pip", "pydoc", "marshal", "multiprocessing", "threading", "signal", "tempfile", "pathlib", "inspect"),
    )
)
_HARMLESS = frozenset(
    {
        *("collections.OrderedDict", "collections.defaultdict", "builtins.dict", "builtins.list", "builtins.set"),
        *(
            "__builtin__.set",
            "__builtin__.dict",
            "__builtin__.list",
            "builtins.tuple",
            "builtins.int",
            "builtins.float",
        ),
        *("builtins.bytearray", "builtins.complex", "builtins.slice", "builtins.frozenset", "_codecs.encode"),
        *("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter"),
        *("torch._utils._rebuild_tensor_v3", "torch._tensor._rebuild_from_type_v2", "torch.Size", "torch.device"),
        *(
            "torch.FloatStorage",
            "torch.HalfStorage",
            "torch.BFloat16Storage",
            "torch.DoubleStorage",
            "torch.LongStorage",
        ),
        *("torch.IntStorage", "torch.ByteStorage", "torch.CharStorage", "torch.ShortStorage", "torch.BoolStorage"),
        *("torch.storage.UntypedStorage", "torch.float32", "torch.float16", "torch.bfloat16", "torch.int64"),
        *("numpy.core.multiarray._reconstruct", "numpy.core.multiarray.scalar", "numpy.ndarray", "numpy.dtype"),
        *("numpy._core.multiarray._reconstruct", "numpy._core.multiarray.scalar"),
    }
)
_STRINGS = {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}


class PickleName(NamedTuple):
    """A name that a pickle would call or build with: usual, dangerous or unknown; the name itself is of the file."""

    verdict: str
    name: str


def pickle_names(content: bytes) -> tuple[tuple[PickleName, ...], bool]:
    """The names in the pickles that stand one after the other in `content`, and whether all of it could be followed.

    Not run: anything. Not checked: what a name would do, names that a pickle puts together while it runs.
    """
    stream, found, steps, whole = BytesIO(content), dict[PickleName, None](), 0, True
    for _ in range(_MOST_PICKLES):
        begun = stream.tell()
        if begun >= len(content) or (begun and content[begun : begun + 1] != b"\x80"):
            break
        try:
            for name in _names(stream, _MOST_STEPS - steps):
                steps += 1
                if name is not None and len(found) < _MOST_NAMES:
                    found[_judged(name)] = None
        except _TooLongError:
            return tuple(found), False
        except (ValueError, IndexError, KeyError, OverflowError, MemoryError, AttributeError, UnicodeError):
            whole = begun > 0 and whole
            break
    return tuple(found), whole


class _TooLongError(Exception):
    """More opcodes than are followed."""


def _names(stream: BytesIO, room: int) -> Iterator[str | None]:
    """For each opcode the name that it takes, or None. Texts are followed through the memo, as STACK_GLOBAL needs."""
    last: list[str] = []
    memo: dict[int, str] = {}
    memoized, fresh = 0, False
    for count, (code, argument, _) in enumerate(pickletools.genops(stream)):
        if count >= room:
            raise _TooLongError
        name, was_fresh, fresh = None, fresh, False
        if code.name in _STRINGS:
            last, fresh = [*last[-1:], str(argument)], True
        elif code.name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            place = memoized if code.name == "MEMOIZE" else int(str(argument))
            memoized += 1
            fresh = was_fresh
            if was_fresh:
                memo[place] = last[-1]
            else:
                memo.pop(place, None)
        elif code.name in ("GET", "BINGET", "LONG_BINGET"):
            if int(str(argument)) in memo:
                last, fresh = [*last[-1:], memo[int(str(argument))]], True
        elif code.name in ("GLOBAL", "INST"):
            name = ".".join(str(argument).split(" ", 1))
        elif code.name == "STACK_GLOBAL":
            name = ".".join(last) if len(last) == 2 and was_fresh else "?.?"
        yield name


def _judged(name: str) -> PickleName:
    if name in _HARMLESS:
        return PickleName("usual", name)
    return PickleName("dangerous" if name.split(".")[0] in _DANGEROUS_MODULES else "unknown", name)
