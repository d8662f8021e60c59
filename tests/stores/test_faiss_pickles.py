"""LangChain's pickles are read and never run: canaries of every kind stay silent."""

from __future__ import annotations

import ast
import datetime
import os
import pickle
import pickletools
import random
import shutil
import sys
import types
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document

import wherry
from tests.stores.faiss_kit import DATA, held, index_file, vectors
from wherry.errors import ArchiveCorrupt, Refused, WherryError
from wherry.record import Reject
from wherry.stores.faiss.pickles import Made, Unread, parsed
from wherry.stores.registry import open_source

MODULE = "langchain_community.docstore.in_memory"


@pytest.fixture
def docstore(monkeypatch: pytest.MonkeyPatch) -> type:
    """The class under the name that LangChain's package gives it; the package itself is not needed."""
    module = types.ModuleType(MODULE)
    made = type("InMemoryDocstore", (), {"__module__": MODULE})
    module.InMemoryDocstore = made  # type: ignore[attr-defined]
    for name in ("langchain_community", "langchain_community.docstore", MODULE):
        monkeypatch.setitem(sys.modules, name, module)
    return made


def saved(folder: Path, docstore: type, documents: dict[str, Any], protocol: int = 4) -> str:
    """Save documents as LangChain does; return the address."""
    folder.mkdir(exist_ok=True)
    index_file(folder / "index.faiss", "Flat", vectors(len(documents), 4))
    store = docstore()
    store._dict = documents
    (folder / "index.pkl").write_bytes(pickle.dumps((store, dict(enumerate(documents))), protocol=protocol))
    return f"faiss:{folder}"


class Canary:
    """An object whose unpickling writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.path}",)


class Builder:
    """An object whose unpickling calls a method of its own with a state of the pickle's choice."""

    def __setstate__(self, state: dict[str, str]) -> None:
        Path(state["path"]).touch()


def _canaries(path: Path) -> dict[str, bytes]:
    call = b"cos\nsystem\n(S'touch %s'\ntR." % str(path).encode()
    builder = Builder()
    builder.path = str(path)  # type: ignore[attr-defined]
    return {
        "reduce": pickle.dumps(Canary(path), protocol=4),
        "reduce in a document": pickle.dumps(({"a": Canary(path)}, {0: "a"}), protocol=4),
        "protocol 0": call,
        "inst": b"(S'touch %s'\nios\nsystem\n." % str(path).encode(),
        "obj": b"(cos\nsystem\nS'touch %s'\no." % str(path).encode(),
        "getattr": b"cbuiltins\ngetattr\n(cos\n\nS'system'\ntR.",
        "eval": b"cbuiltins\neval\n(S'open(%r, \"w\")'\ntR." % str(path).encode(),
        "setstate": pickle.dumps(builder, protocol=4),
        "known name, called": b"clangchain_core.documents.base\nDocument\n(tR.",
        "persistent": b"Pos.system\n.",
        "extension": b"\x82\x01.",
        "subclass trick": b"clangchain_core.documents.base\nDocument.__init__.__globals__\n.",
    }


@pytest.mark.parametrize("name", list(_canaries(Path("x"))))
def test_canary_never_sings(tmp_path: Path, name: str) -> None:
    bird = tmp_path / "canary"
    shutil.copytree(DATA / "langchain", tmp_path / "lc")
    (tmp_path / "lc" / "index.pkl").write_bytes(_canaries(bird)[name])
    with pytest.raises((Refused, ArchiveCorrupt)) as caught:
        open_source(f"faiss:{tmp_path / 'lc'}")
    assert not bird.exists()
    assert "nothing" in caught.value.left


def test_canaries_do_sing_for_pickle_itself(tmp_path: Path) -> None:
    """The proof that the proof is one: `pickle.loads` runs them."""
    for name in ("reduce", "reduce in a document", "protocol 0", "setstate"):
        bird = tmp_path / name.replace(" ", "-")
        pickle.loads(_canaries(bird)[name])
        assert bird.exists(), name


def test_canary_inside_the_metadata_of_a_real_folder(tmp_path: Path, docstore: type) -> None:
    bird = tmp_path / "canary"
    address = saved(tmp_path / "lc", docstore, {"a": Document(page_content="가", metadata={"v": Canary(bird)})})
    with pytest.raises(Refused, match=r"posix\.system"):
        open_source(address)
    assert not bird.exists()


def test_nothing_of_the_engine_can_run_a_pickle() -> None:
    """No file of the engine imports anything that runs what it reads."""
    folder = Path(wherry.__file__).parent / "stores" / "faiss"
    for path in folder.rglob("*.py"):
        words = set()
        for node in ast.walk(ast.parse(path.read_text())):
            words |= {alias.name for alias in getattr(node, "names", ()) if isinstance(alias, ast.alias)}
            words |= {str(getattr(node, name, "")) for name in ("module", "id", "attr")}
        assert words & {"pickle", "_pickle", "dill", "marshal", "shelve", "joblib", "eval", "exec"} == set(), path.name


def test_reader_agrees_with_pickle_about_plain_values() -> None:
    rng = random.Random(7)
    for protocol in (4, 5):
        for _ in range(60):
            value = _value(rng, 4)
            assert parsed(pickle.dumps(value, protocol=protocol), "x") == value
            optimised = pickletools.optimize(pickle.dumps(value, protocol=protocol))
            assert parsed(optimised, "x") == value


def _value(rng: random.Random, depth: int) -> Any:
    scalars = [None, True, False, 0, -1, 255, 2**31, -(2**70), 0.5, -0.0, "가", "", "\x00", "a" * 300, b"b", ()]
    if depth == 0 or rng.random() < 0.3:
        return rng.choice(scalars)
    shared = _value(rng, depth - 1)
    return rng.choice(
        [
            lambda: [shared, _value(rng, depth - 1), shared],
            lambda: (shared, shared),
            lambda: {str(n): _value(rng, depth - 1) for n in range(rng.randrange(5))},
            lambda: tuple(_value(rng, depth - 1) for _ in range(rng.randrange(6))),
            lambda: {1, "x", 2.5},
            lambda: list(range(rng.randrange(2000))),
        ]
    )()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_documents_of_every_protocol(tmp_path: Path, docstore: type, protocol: int) -> None:
    metadata = {"source": "혈당.pdf", "page": 3, "tags": ["a", None, 1.5], "nested": {"v": 2**70}}
    documents = {f"문서-{n}": Document(page_content=f"{n}번 안내", metadata=metadata) for n in range(30)}
    source = open_source(saved(tmp_path / "lc", docstore, documents, protocol))
    found = held(source)
    assert {i: (r.text, r.metadata) for i, r in found.items()} == {
        i: (d.page_content, d.metadata) for i, d in documents.items()
    }
    source.close()


def test_what_json_cannot_hold_is_set_aside_by_id(tmp_path: Path, docstore: type) -> None:
    odd = {
        "date": datetime.datetime(2026, 1, 2),
        "uuid": uuid.UUID(int=5),
        "number": np.float32(1.5),
        "bytes": b"x",
        "tuple": (1, 2),
        "set": {1},
        "nan": float("nan"),
        "key": {1: "a"},
        "document": Document(page_content="x"),
    }
    documents: dict[str, Any] = {i: Document(page_content="가", metadata={"v": v}) for i, v in odd.items()}
    documents |= {"plain": Document(page_content="나", metadata={"v": 1}), "none": "no document"}
    source = open_source(saved(tmp_path / "lc", docstore, documents))
    rejects: list[Reject] = [reject for page in source.scan() for reject in page.rejects]
    assert {reject.id: reject.reason for reject in rejects} == {
        **dict.fromkeys(odd, "BadMetadata"),
        "none": "BadDocument",
    }
    details = {reject.id: reject.detail for reject in rejects}
    assert "datetime.datetime" in details["date"]
    assert "tuple" in details["tuple"]
    assert list(held(source)) == ["plain"]
    source.close()


def test_pickle_that_unfolds_without_end_is_bounded(tmp_path: Path, docstore: type) -> None:
    """Thirty lists, each holding the one before twice: a thousand million values in two hundred bytes."""
    bomb: Any = "가"
    for _ in range(30):
        bomb = [bomb, bomb]
    loop: list[Any] = []
    loop.append(loop)
    documents = {
        "bomb": Document(page_content="가", metadata={"v": bomb}),
        "loop": Document(page_content="가", metadata={"v": 1}),
    }
    documents["loop"].metadata["v"] = loop
    source = open_source(saved(tmp_path / "lc", docstore, documents))
    rejects = {r.id: r.detail for page in source.scan() for r in page.rejects}
    assert rejects.keys() == {"bomb", "loop"}
    assert all("too deep or too large" in detail for detail in rejects.values())
    source.close()


def test_damaged_pickles_are_damaged(tmp_path: Path) -> None:
    """Cut or flipped anywhere: an error of Wherry or another content, and nothing else."""
    whole = (DATA / "langchain" / "index.pkl").read_bytes()
    rng = random.Random(3)
    for cut in range(0, len(whole) - 1, 7):
        with pytest.raises((ArchiveCorrupt, Refused)):
            parsed(whole[:cut], "x")
    for _ in range(600):
        changed = bytearray(whole)
        changed[rng.randrange(len(whole))] = rng.randrange(256)
        try:
            parsed(bytes(changed), "x")
        except WherryError:
            continue


def test_values_are_named_not_made() -> None:
    found = parsed(pickle.dumps([datetime.date(2026, 1, 2)], protocol=4), "x")
    assert found == [Unread("datetime.date")]
    store = parsed((DATA / "langchain" / "index.pkl").read_bytes(), "x")[0]
    assert isinstance(store, Made)
    assert store.name.full == f"{MODULE}.InMemoryDocstore"


def test_other_pickles_are_told_apart(tmp_path: Path) -> None:
    shutil.copytree(DATA / "langchain", tmp_path / "lc")
    for value in ({"a": 1}, [1, 2], ("x", {}), ({}, {}, {})):
        (tmp_path / "lc" / "index.pkl").write_bytes(pickle.dumps(value))
        with pytest.raises(Refused, match="not what LangChain saves"):
            open_source(f"faiss:{tmp_path / 'lc'}")


def test_error_holds_no_text_of_the_documents(tmp_path: Path, docstore: type) -> None:
    secret = "환자의 비밀"
    document = Document(page_content=secret, metadata={"v": Canary(tmp_path / "x")})
    address = saved(tmp_path / "lc", docstore, {"a": document})
    with pytest.raises(Refused) as caught:
        open_source(address)
    assert secret not in str(caught.value)
