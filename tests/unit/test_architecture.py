"""The house rules, checked: which way imports point, and how large things may grow."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

import wherry

ROOT = Path(__file__).parents[2]
SOURCE = Path(wherry.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
NAMES = [str(path.relative_to(SOURCE)) for path in FILES]
ENGINES = {"pgvector", "chroma", "chromadb", "qdrant", "faiss", "llamacloud", "psycopg", "lancedb"}
# Waiting for a model (one clock, which tests replace), for a server to start, for a lock to be let go of, or
# as long as a server asked for.
MAY_SLEEP = {
    "models/clock.py",
    "moving/retry.py",
    "postgres/server.py",
    "routing/watch.py",
    "stores/archive/disk.py",
    "stores/faiss/files.py",
    "stores/qdrant/remote.py",
}
MOST_CODE_LINES, MOST_FUNCTION_LINES = 450, 60
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def tree(path: Path) -> ast.Module:
    """Return a file, parsed."""
    return ast.parse(path.read_text())


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Return all nodes of a file."""
    return tuple(ast.walk(tree(path)))


@pytest.fixture(scope="module", autouse=True)
def _trees() -> Iterator[None]:
    yield
    # Some million objects would be walked through by every collection of garbage that follows.
    nodes.cache_clear()
    tree.cache_clear()


def functions(path: Path) -> Iterator[Function]:
    """Yield every function of a file, nested ones too."""
    for node in nodes(path):
        if isinstance(node, Function):
            yield node


def public(body: list[ast.stmt]) -> Iterator[Function | ast.ClassDef]:
    """Yield the public functions and classes of a module, and the public methods of its public classes."""
    for node in body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body)


def code_lines(path: Path) -> int:
    """Count the lines that are neither empty nor comment nor docstring."""
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type not in skipped:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in nodes(path):
        if isinstance(node, ast.Module | ast.ClassDef | Function) and ast.get_docstring(node) is not None:
            first = node.body[0]
            lines.difference_update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return len(lines)


def narrows(node: ast.expr) -> bool:
    """Tell whether a condition only tells a type checker what is known: `x is not None`, isinstance."""
    if isinstance(node, ast.Compare):
        return isinstance(node.ops[0], ast.IsNot) and ast.unparse(node.comparators[0]) == "None"
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance"


def swallows(handler: ast.ExceptHandler) -> bool:
    """Tell whether a handler catches everything and does nothing."""
    only_pass = len(handler.body) == 1 and isinstance(handler.body[0], ast.Pass)
    return only_pass and ast.unparse(handler.type or handler) in {"Exception", "BaseException"}


def offenders(rule: Callable[[Path], object]) -> dict[str, object]:
    """Return what a rule finds, by the file it finds it in; a test for each file would be two thousand."""
    return {name: found for name, path in zip(NAMES, FILES, strict=True) if (found := rule(path))}


def test_imports_point_one_way(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    code = lint_imports(config_filename="pyproject.toml", no_cache=True)
    assert code == 0, capsys.readouterr().out


def test_a_file_stays_small() -> None:
    assert offenders(lambda path: max(0, code_lines(path) - MOST_CODE_LINES)) == {}


def test_a_function_stays_short() -> None:
    def long(path: Path) -> list[str]:
        lines = {f.name: f.end_lineno - f.lineno + 1 for f in functions(path) if f.end_lineno}
        return [name for name in lines if lines[name] > MOST_FUNCTION_LINES]

    assert offenders(long) == {}


def test_every_public_name_is_explained() -> None:
    def unexplained(path: Path) -> list[str]:
        found = [node.name for node in public(tree(path).body) if ast.get_docstring(node) is None]
        return found if ast.get_docstring(tree(path)) or not tree(path).body else [*found, "the module"]

    assert offenders(unexplained) == {}


def test_every_public_function_tells_what_it_returns() -> None:
    def untyped(path: Path) -> list[str]:
        return [f.name for f in public(tree(path).body) if isinstance(f, Function) and f.returns is None]

    assert offenders(untyped) == {}


def test_nothing_is_decided_by_an_assertion() -> None:
    def decided(path: Path) -> list[str]:
        asserted = [node for node in nodes(path) if isinstance(node, ast.Assert)]
        return [ast.unparse(node) for node in asserted if not narrows(node.test)]

    assert {name for name in offenders(decided) if not name.startswith("testing/")} == set()


def test_only_those_who_wait_for_others_sleep() -> None:
    sleepers = {
        name
        for name, path in zip(NAMES, FILES, strict=True)
        for node in nodes(path)
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "sleep"
    }
    assert {name for name in sleepers if not name.startswith("testing/")} <= MAY_SLEEP


@pytest.mark.parametrize("folder", ["moving", "cli"])
def test_no_engine_is_known_by_name(folder: str) -> None:
    found = []
    for path in sorted((SOURCE / folder).rglob("*.py")):
        for node in nodes(path):
            words = {getattr(node, "id", ""), getattr(node, "attr", ""), getattr(node, "module", "") or ""}
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                # An address in an example is no decision; a bare name or scheme is compared with something.
                words.add(node.value.strip().removesuffix(":"))
            if any(part in ENGINES for word in words for part in word.lower().split(".")):
                found.append(f"{path.name}:{getattr(node, 'lineno', '?')}")
    assert found == []


def test_no_exception_disappears() -> None:
    def swallowed(path: Path) -> list[str]:
        handlers = [node for node in nodes(path) if isinstance(node, ast.ExceptHandler)]
        return [f"line {node.lineno}" for node in handlers if node.type is None or swallows(node)]

    assert offenders(swallowed) == {}
