"""wherry.toml: indexes by name, so that `wherry index NAME` says it all.

    [index.guides]
    paths = ["docs/", "faq.md"]           # relative to this file
    into = "pgvector:#guides"
    embedder = "ollama:qwen3-embedding:8b?dim=1024"
    chunker = "markdown?size=1200"

    [index.products]
    into = "${SHOP_DATABASE}#products"    # from the environment
    [index.products.sql]
    url = "${SHOP_DATABASE}"
    query = "SELECT id, name, description FROM products"
    text = "description"
    metadata = ["name"]

The file is the one WHERRY_CONFIG names, else `wherry.toml` in the working directory.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from wherry.errors import Usage

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from wherry.indexing.base import DocumentSource

FILE = "wherry.toml"
VARIABLE = "WHERRY_CONFIG"
_FROM_ENVIRONMENT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_EXAMPLE = '[index.guides]\npaths = ["docs/"]\ninto = "pgvector:#guides"'


def _filled(text: str) -> str:
    """Put environment variables in; a ValueError names the one that is not set."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in os.environ:
            raise ValueError(f"the environment variable {found[1]} is not set")
        return os.environ[found[1]]

    return _FROM_ENVIRONMENT.sub(value, text)


Filled = Annotated[str, AfterValidator(_filled)]
Column = Annotated[str, Field(min_length=1)]
# One word is written without brackets now and then.
_listed = BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)
Words = Annotated[tuple[str, ...], _listed]
Columns = Annotated[tuple[Column, ...], _listed]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class SqlSettings(_Strict):
    """A query whose rows are documents. url: as SQLAlchemy writes it. id, text, title, metadata: its columns."""

    url: Filled = Field(repr=False)
    query: str
    id: Column = "id"
    text: Column = "text"
    title: Column | None = None
    metadata: Columns = ()


class ColumnSettings(_Strict):
    """Which columns of CSV and JSONL rows are what; None: found by their usual names."""

    id: Column | None = None
    text: Column | None = None
    metadata: Columns | None = None


class IndexSettings(_Strict):
    """One named index.

    paths: files and folders, absolute once they are read. sql: a query instead of paths. into: the address it
    is kept at. embedder, chunker: specs; None means the usual ones. include, exclude: patterns of files.
    columns: of tables. max_bytes: a larger file is an error. name: from the heading of the table.
    """

    name: str
    into: Filled = Field(repr=False)
    paths: Annotated[tuple[Filled, ...], _listed] = ()
    sql: SqlSettings | None = None
    embedder: str | None = None
    chunker: str | None = None
    include: Words = ()
    exclude: Words = ()
    columns: ColumnSettings | None = None
    max_bytes: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _require_one_source(self) -> IndexSettings:
        if bool(self.paths) == (self.sql is not None):
            raise ValueError("an index has either paths or an sql query")
        if self.sql is not None and (self.include or self.exclude or self.columns or self.max_bytes):
            raise ValueError("include, exclude, columns and max_bytes belong to paths, not to an sql query")
        return self

    def source(self) -> DocumentSource:
        """Open the documents of the index; the source is called by the name of the index. Raises Usage."""
        from wherry.indexing.sources import Columns as Chosen
        from wherry.indexing.sources import SqlSource, open_source_paths

        if self.sql is not None:
            return SqlSource(**self.sql.model_dump(), name=self.name)
        from wherry.indexing.sources.files import MAX_BYTES

        return open_source_paths(
            self.paths,
            name=self.name,
            include=self.include,
            exclude=self.exclude,
            columns=None if self.columns is None else Chosen(**self.columns.model_dump()),
            max_bytes=self.max_bytes or MAX_BYTES,
        )


class _Settings(_Strict):
    """The whole file."""

    index: dict[str, dict[str, Any]] = {}


def find_file(file: str | os.PathLike[str] | None = None) -> Path:
    """Return the settings file: the one given, else that of WHERRY_CONFIG, else `wherry.toml` of the working directory.

    Raises Usage where it is not there.
    """
    path = Path(file or os.environ.get(VARIABLE) or FILE)
    if not path.is_file():
        raise Usage(
            f"there is no settings file {path}",
            where=str(path.absolute()),
            next=f"write one, or name paths and --into:\n{_EXAMPLE}",
        )
    return path.absolute()


def named_indexes(file: str | os.PathLike[str] | None = None) -> dict[str, IndexSettings]:
    """Return every index of the settings file by its name. Raises Usage, naming the file and the key."""
    path = find_file(file)
    return {name: _index(name, table, path) for name, table in _tables(path).items()}


def named_index(name: str, file: str | os.PathLike[str] | None = None) -> IndexSettings:
    """Return one index of the settings file.

    file: by default the one WHERRY_CONFIG names, else `wherry.toml` of the working directory. Raises Usage for a
    name that is not there, an unknown key, a value of the wrong kind or a variable that is not set; other
    indexes of the file may be wrong without harm.
    """
    path = find_file(file)
    tables = _tables(path)
    if name not in tables:
        close = difflib.get_close_matches(name, tables, 1)
        known = f"indexes: {', '.join(tables)}" if tables else f"add one:\n{_EXAMPLE.replace('guides', name, 1)}"
        raise Usage(
            f"no index is called {name!r}", where=str(path), next=f"did you mean {close[0]}?" if close else known
        )
    return _index(name, tables[name], path)


def is_named(name: str, file: str | os.PathLike[str] | None = None) -> bool:
    """Tell whether a word is the name of an index rather than a path; False where there is no settings file."""
    path = Path(file or os.environ.get(VARIABLE) or FILE)
    return path.is_file() and name in _tables(path)


def _tables(path: Path) -> dict[str, dict[str, Any]]:
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Usage(f"the settings file is no TOML: {error}", where=str(path), next="correct the file") from None
    except OSError as error:
        raise Usage(f"the settings file cannot be read: {error.strerror}", where=str(path)) from None
    try:
        return _Settings.model_validate(read).index
    except ValidationError as error:
        raise _failure(error, path, "") from None


def _index(name: str, table: dict[str, Any], path: Path) -> IndexSettings:
    if "name" in table:
        raise Usage(f"[index.{name}] has an unknown key name", where=str(path), next="its name is in the brackets")
    try:
        settings = IndexSettings.model_validate({**table, "name": name})
    except ValidationError as error:
        raise _failure(error, path, f"index.{name}") from None
    # Paths are meant from where the file is, not from where the command is run.
    paths = tuple(str(path.parent / one) for one in settings.paths)
    return settings.model_copy(update={"paths": paths})


def _failure(error: ValidationError, path: Path, prefix: str) -> Usage:
    """Return what is wrong in the words of the file; values are left out, for they may hold passwords."""
    details = error.errors(include_input=False, include_url=False)
    unknown = [detail["loc"] for detail in details if detail["type"] == "extra_forbidden"]
    advice = _advice(unknown[0], bool(prefix)) if unknown else "correct the file"
    return Usage("; ".join(_words(detail, prefix) for detail in details), where=str(path), next=advice)


def _advice(place: tuple[int | str, ...], in_index: bool) -> str:
    """Return the keys that the table with an unknown one may have."""
    if not in_index:
        return f"tables: {', '.join(f'[{name}.NAME]' for name in _Settings.model_fields)}"
    models = {"sql": SqlSettings, "columns": ColumnSettings}
    inner = models[str(place[0])] if len(place) > 1 else IndexSettings
    keys = ", ".join(key for key in inner.model_fields if (inner, key) != (IndexSettings, "name"))
    return f"keys: {keys}"


def _words(detail: ErrorDetails, prefix: str) -> str:
    place = ".".join([*([prefix] if prefix else []), *map(str, detail["loc"])])
    if detail["type"] == "extra_forbidden":
        table, _, key = place.rpartition(".")
        return f"unknown key {key}" + (f" in [{table}]" if table else "")
    if detail["type"] == "missing":
        return f"{place} is missing"
    return f"{place}: {detail['msg'].removeprefix('Value error, ')}"
