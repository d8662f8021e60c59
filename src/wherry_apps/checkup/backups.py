"""An archive of the library and of tables beside it, with checksums; and the way back."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from psycopg import sql

import wherry
from wherry_apps.checkup.documents import address_of, common_key
from wherry_apps.checkup.manifests import LIBRARY, read_manifest
from wherry_apps.checkup.phases import sha256
from wherry_apps.checkup.places import Places

_MANIFEST = "backup.json"
_TABLE = re.compile(r"[A-Za-z_][\w$]*(\.[A-Za-z_][\w$]*)?")
_COLUMNS = (
    "SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a"
    " WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum"
)


def backup(places: Places, database: wherry.AppDatabase, tables: list[str], into: Path | None = None) -> dict[str, Any]:
    """Archive the collections there are and the named tables; return the list with checksums."""
    folder = into or places.root / "backup" / datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / _MANIFEST).exists():
        raise wherry.Refused("there is a backup in this folder", where=str(folder), next="name another folder")
    parts = [_collection(name, address, folder) for name, address in _collections(places)]
    parts += [_table(database, name, folder) for name in tables]
    if not parts:
        raise wherry.Refused("there is nothing to archive", where=str(places.root), next="wherry checkup migrate")
    found = {"made_at": datetime.now(UTC).isoformat(), "folder": str(folder), "parts": parts}
    (folder / _MANIFEST).write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return found


def restore(folder: Path, places: Places, database: wherry.AppDatabase, schema: str | None = None) -> dict[str, Any]:
    """Bring back what an archive holds, after all of its checksums were found right.

    Collections go where they were, tables into `schema`, or where they were if they are empty there. Raises
    Integrity for a file that is not what was archived, Refused for a table that holds rows.
    """
    found = _read(folder)
    for part in found["parts"]:
        if not (folder / part["file"]).is_file() or sha256(folder / part["file"]) != part["sha256"]:
            raise wherry.Integrity(
                f"{part['file']} is not what was archived", where=str(folder), left="nothing was restored",
                next="take another backup",
            )  # fmt: skip
    here = dict(_collections(places, all_of_them=True))
    done = []
    for part in found["parts"]:
        if part["kind"] == "collection":
            done.append(_filled(folder / part["file"], here[part["name"]], part))
        else:
            done.append(_copied_back(database, folder / part["file"], part, schema))
    return {"folder": str(folder), "parts": done}


def _collections(places: Places, all_of_them: bool = False) -> list[tuple[str, str]]:
    known = [
        (LIBRARY, LIBRARY, places.made if all_of_them else places.local),
        ("documents", common_key(places), address_of(common_key(places))),
    ]
    return [(name, a) for name, key, a in known if all_of_them or read_manifest(places, key) is not None]


def _collection(name: str, address: str, folder: Path) -> dict[str, Any]:
    file = folder / f"{name}.parquet"
    done = wherry.sync(address, str(file))
    proof = wherry.verify(address, str(file))
    if not (done.equal and proof.equal):
        raise wherry.Different("the archive differs from the collection", where=str(file), next="take it again")
    return {"kind": "collection", "name": name, "file": file.name, "records": done.read, "sha256": sha256(file)}


def _table(database: wherry.AppDatabase, name: str, folder: Path) -> dict[str, Any]:
    if not _TABLE.fullmatch(name):
        raise wherry.Usage(f"{name!r} is no name of a table", where="--table", next="write TABLE or SCHEMA.TABLE")
    file = folder / f"{name}.copy"
    with database.begin() as connection, file.open("wb") as out:
        driver = connection.connection.driver_connection
        columns = [list(row) for row in driver.execute(_COLUMNS, [name])]
        statement = sql.SQL("COPY {} ({}) TO STDOUT").format(_named(name), _listed(columns))
        with driver.cursor() as cursor:
            with cursor.copy(statement) as rows:
                for piece in rows:
                    out.write(piece)
            count = cursor.rowcount
    return {"kind": "table", "name": name, "file": file.name, "records": count, "columns": columns,
            "sha256": sha256(file)}  # fmt: skip


def _copied_back(database: wherry.AppDatabase, file: Path, part: dict[str, Any], schema: str | None) -> dict[str, Any]:
    name = f"{schema}.{part['name'].rpartition('.')[2]}" if schema else part["name"]
    if not _TABLE.fullmatch(name):
        raise wherry.Usage(f"{name!r} is no name of a table", where="--schema")
    typed = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(c), sql.SQL(t)) for c, t in part["columns"])
    with database.begin() as connection:
        driver = connection.connection.driver_connection
        if "." in name:
            driver.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(name.partition(".")[0])))
        driver.execute(sql.SQL("CREATE TABLE IF NOT EXISTS {} ({})").format(_named(name), typed))
        if driver.execute(sql.SQL("SELECT 1 FROM {} LIMIT 1").format(_named(name))).fetchone():
            raise wherry.Refused(
                f"{name} holds rows", where=name, left="nothing was written to it", next="name another --schema"
            )
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(_named(name), _listed(part["columns"]))
        with driver.cursor() as cursor:
            with cursor.copy(statement) as rows, file.open("rb") as source:
                while piece := source.read(1 << 16):
                    rows.write(piece)
            count = cursor.rowcount
    return {"kind": "table", "name": name, "records": count}


def _filled(file: Path, address: str, part: dict[str, Any]) -> dict[str, Any]:
    done = wherry.sync(str(file), address, allow_mass_delete=True)
    proof = wherry.verify(str(file), address)
    if not (done.equal and proof.equal):
        raise wherry.Different("the collection differs from the archive", where=address, next="restore it again")
    return {"kind": "collection", "name": part["name"], "records": done.read, "written": done.written}


def _read(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        return {**found, "parts": [{**p, "file": Path(p["file"]).name} for p in found["parts"]]}
    except OSError as error:
        raise wherry.Usage(f"there is no backup: {error.strerror}", where=str(folder)) from None
    except (ValueError, KeyError, TypeError) as error:
        raise wherry.Integrity(f"the list of the backup is damaged: {error}", where=str(folder / _MANIFEST)) from None


def _named(name: str) -> sql.Identifier:
    return sql.Identifier(*name.split("."))


def _listed(columns: list[list[str]]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(column) for column, _ in columns)
