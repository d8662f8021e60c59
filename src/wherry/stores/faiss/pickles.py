"""Reading what is in a pickle without running it.

A pickle is a program for a small machine that can import and call anything; `pickle.load` runs it. Here the
opcodes are only *read*, one by one, with `pickletools`: containers, texts and numbers are put together,
classes become names and objects a name with a state. Nothing is imported and nothing is called. A program
that names anything else than what LangChain's folders hold is refused.
"""

from __future__ import annotations

import io
import pickletools
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from wherry.errors import Refused
from wherry.stores.faiss.files import corrupt

# Classes of LangChain that its folders hold, whatever package it keeps them in.
_KNOWN = frozenset({"Document", "InMemoryDocstore"})
_PACKAGES = ("langchain.", "langchain_core.", "langchain_community.", "langchain_classic.")
# Values that people put into metadata and that JSON cannot hold: noticed, never made.
_VALUES = (
    "datetime.", "decimal.Decimal", "uuid.UUID", "numpy.", "collections.OrderedDict", "copyreg._reconstructor",
    # How older protocols write a set and bytes.
    "builtins.set", "__builtin__.set", "_codecs.encode",
)  # fmt: skip
_MARK = object()
_BROKEN = (ValueError, IndexError, KeyError, TypeError, struct.error, OverflowError)


@dataclass(frozen=True)
class Name:
    """A class or function that the pickle names. It is never looked up."""

    full: str


@dataclass
class Made:
    """An object the pickle would make: the name of its class, and its state."""

    name: Name
    state: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Unread:
    """A value that only running the pickle would give, such as a date."""

    name: str


def parsed(data: bytes, shown: str) -> Any:
    """Return what a pickle holds. Raises Refused for a pickle that wants to do something, ArchiveCorrupt."""
    machine = _Machine(shown)
    try:
        for opcode, argument, _ in pickletools.genops(io.BytesIO(data)):
            if opcode.name == "STOP":
                return machine.stack.pop()
            machine.do(opcode.name, argument)
    except _BROKEN:
        raise corrupt(shown, "the pickle is damaged") from None
    raise corrupt(shown, "the pickle has no end")


class _Machine:
    """The stack and the memo of a pickle."""

    def __init__(self, shown: str) -> None:
        self.shown = shown
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def do(self, name: str, argument: Any) -> None:
        """Follow one opcode. Raises Refused for one that does more than hold data."""
        if name in _LITERALS:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _ACTS:
            _ACTS[name](self, argument)
        elif name not in _NOTHING:
            raise self._refused(f"it uses the instruction {name}")

    def _refused(self, words: str) -> Refused:
        return Refused(
            f"the pickle holds more than texts and metadata: {words}",
            where=self.shown,
            left="nothing of it was run and nothing was read from it",
            next="if you trust it, load it with LangChain itself and save it anew",
        )

    def marked(self) -> list[Any]:
        """Take everything above the last mark off the stack."""
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise ValueError("no mark")
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def mark(self, _: Any) -> None:
        """Begin a group."""
        self.stack.append(_MARK)

    def remember(self, number: Any) -> None:
        """Keep the top of the stack under a number."""
        self.memo[len(self.memo) if number is None else number] = self.stack[-1]

    def recall(self, number: Any) -> None:
        """Push what was kept under a number."""
        self.stack.append(self.memo[number])

    def append(self, _: Any) -> None:
        """Add one value to a list."""
        value = self.stack.pop()
        _list(self.stack[-1]).append(value)

    def appends(self, _: Any) -> None:
        """Add a group to a list."""
        items = self.marked()
        _list(self.stack[-1]).extend(items)

    def setitem(self, _: Any) -> None:
        """Add one pair to an object."""
        value, key = self.stack.pop(), self.stack.pop()
        _dict(self.stack[-1])[key] = value

    def setitems(self, _: Any) -> None:
        """Add pairs to an object."""
        items = self.marked()
        _dict(self.stack[-1]).update(zip(items[::2], items[1::2], strict=True))

    def add_to_set(self, _: Any) -> None:
        """Add a group to a set."""
        items = self.marked()
        self.stack[-1].update(items)

    def group(self, _: Any) -> None:
        """Make a tuple of a group."""
        self.stack.append(tuple(self.marked()))

    def last(self, count: int) -> None:
        """Make a tuple of the last `count` values."""
        if len(self.stack) < count:
            raise ValueError("too few values")
        items = tuple(self.stack[-count:])
        del self.stack[-count:]
        self.stack.append(items)

    def name(self, argument: Any) -> None:
        """Note the name of a class: as an argument (`module name`), or as the last two values."""
        if argument is None:
            word, module = self.stack.pop(), self.stack.pop()
        else:
            module, _, word = argument.partition(" ")
        full = f"{module}.{word}"
        if not _is_known(full) and not _is_value(full):
            raise self._refused(f"it names {full[:100]!r}")
        self.stack.append(Name(full))

    def make(self, _: Any) -> None:
        """Note an object of a class: `cls.__new__(cls, *arguments)`."""
        arguments, name = self.stack.pop(), self.stack.pop()
        if not isinstance(name, Name):
            raise ValueError("no class")
        if _is_known(name.full) and arguments != ():
            raise self._refused(f"it makes a {name.full} of something")
        self.stack.append(Made(name) if _is_known(name.full) else Unread(name.full))

    def call(self, _: Any) -> None:
        """Note the result of a call, which is not made."""
        self.stack.pop()
        name = self.stack.pop()
        if not isinstance(name, Name) or _is_known(name.full):
            raise self._refused("it calls something")
        self.stack.append(Unread(name.full))

    def build(self, _: Any) -> None:
        """Give an object its state."""
        state, made = self.stack.pop(), self.stack[-1]
        if isinstance(made, Made):
            made.state.update(_dict(state))
        elif not isinstance(made, Unread):
            raise ValueError("no object")


def _is_known(full: str) -> bool:
    return full.startswith(_PACKAGES) and full.rpartition(".")[2] in _KNOWN


def _is_value(full: str) -> bool:
    return any(full == name or (name.endswith(".") and full.startswith(name)) for name in _VALUES)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("no list")
    return value


def _dict(value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise ValueError("no object")
    return value


_NOTHING = frozenset({"PROTO", "FRAME"})
_LITERALS = frozenset(
    {
        "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "INT", "LONG", "BINFLOAT", "FLOAT",
        "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE",
        "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "SHORT_BINSTRING", "BINSTRING", "STRING",
    }
)  # fmt: skip
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": set,
}
_ACTS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine.mark,
    "MEMOIZE": _Machine.remember,
    "PUT": _Machine.remember,
    "BINPUT": _Machine.remember,
    "LONG_BINPUT": _Machine.remember,
    "GET": _Machine.recall,
    "BINGET": _Machine.recall,
    "LONG_BINGET": _Machine.recall,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "SETITEM": _Machine.setitem,
    "SETITEMS": _Machine.setitems,
    "ADDITEMS": _Machine.add_to_set,
    "TUPLE": _Machine.group,
    "TUPLE1": lambda machine, _: machine.last(1),
    "TUPLE2": lambda machine, _: machine.last(2),
    "TUPLE3": lambda machine, _: machine.last(3),
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.name,
    "NEWOBJ": _Machine.make,
    "REDUCE": _Machine.call,
    "BUILD": _Machine.build,
}
