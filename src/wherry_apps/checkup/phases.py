"""The phases of leaving a cloud index: words over Wherry's acts, each with a report and a gate."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import wherry
from wherry_apps.checkup.checks import LISTED, check
from wherry_apps.checkup.exports import Export, Item, read_export, spec_of, write_export
from wherry_apps.checkup.loading import Heard, prepare, silent
from wherry_apps.checkup.manifests import LIBRARY, WHOLE, write_manifest
from wherry_apps.checkup.places import ENGINES, USE, Places, keys_set
from wherry_apps.checkup.runs import Runs

WARN_DISK = 0.8
TIES = 1e-3
_ANY = 1 << 40
_NEAR = ("hash", "st", "ollama")
Report = dict[str, Any]


def extract(runs: Runs, source: Path | None, cloud: str | None, made_by: str | None) -> Report:
    """Write everything the cloud index holds into the export; from a file or a folder where one is named."""
    places = runs.places
    with runs.run("extract") as report:
        if source is None:
            address = cloud or f"llamacloud:#{quote(places.config.name)}?metric=cosine"
            said = _live(address, places.export)
        else:
            address = cloud or ""
            found = read_export(source)
            write_export(found, places.export)
            said = {"shape": found.shape, "documents": len(found.items), "made_by": found.made_by}
        places = runs.places = places.agreed(cloud=address, made_by=made_by or said["made_by"])
        origin = str(source) if source else str(wherry.Address.parse(address))
        report |= {
            **said, "made_by": places.config.made_by, "from": origin, "export": str(places.export),
            "bytes": places.export.stat().st_size, "sha256": sha256(places.export),
        }  # fmt: skip
    return report


def _live(address: str, export: Path) -> Report:
    """Copy a pipeline into a file and prove it; texts alone where the service sends no vectors."""
    export.parent.mkdir(parents=True, exist_ok=True)
    store = wherry.open_source(address)
    try:
        there = store.describe()
        maker, missing = spec_of(there.space), int(there.extra.get("missing_vectors", 0))
        if missing:
            write_export(_of_store(store, there.name, maker), export)
            return {"shape": "L2", "documents": there.count, "made_by": maker, "without_vector": missing}
    finally:
        store.close()
    new = export.with_name(f"new-{export.name}")
    done = wherry.sync(address, str(new), allow_mass_delete=True)
    proof = wherry.verify(address, str(new))
    if not (done.equal and proof.equal):
        raise wherry.Different(
            f"the export differs from the index: {_named(proof)}", where=str(new), next="run it again: it goes on"
        )
    new.replace(export)
    return {"shape": "L1", "documents": done.read, "made_by": maker, "verified": proof.verdict}


def _of_store(store: Any, name: str, maker: str | None) -> Export:
    """Return a pipeline whose chunks do not all have a vector."""
    vectors = {r.id: list(map(float, r.vector)) for page in store.scan() for r in wherry.to_records(page.records)}
    items = [Item(i, text or "", json.loads(meta or "{}"), vectors.get(i)) for i, text, meta in store.texts()]
    return Export("L2", name, items, total=len(items), made_by=maker)


def verify(runs: Runs) -> Report:
    """Look at all of the export. Raises Integrity, naming up to 20 ids, when anything is wrong."""
    runs.require_before("verify")
    with runs.run("verify") as report:
        checked = check(read_export(runs.places.export))
        report |= {**checked.to_dict(), "export": str(runs.places.export), "sha256": sha256(runs.places.export)}
        checked.require(str(runs.places.export))
    return report


def init(runs: Runs, engine: str | None, embedder: str | None, floor: float | None, cost: float | None) -> Report:
    """Make the folders and agree on engine and embedder; nothing is stored yet."""
    runs.require_before("init")
    if engine is not None and engine not in ENGINES:
        raise wherry.Usage(f"there is no engine {engine!r}", where="--engine", next=f"use {', '.join(ENGINES)}")
    with runs.run("init") as report:
        config = runs.places.config
        maker = config.made_by or ""
        near = maker if maker.partition(":")[0] in _NEAR else "hash:1024"
        wished = {"engine": engine or config.engine, "embedder": embedder or near, "floor": floor}
        runs.places = places = runs.places.agreed(**wished, cloud_cost=config.cloud_cost if cost is None else cost)
        for folder in (places.folder, places.root / "backup", places.root / "logs", places.root / "manifests"):
            folder.mkdir(parents=True, exist_ok=True)
        wherry.open_target(places.made).close()
        wherry.open_embedder(places.config.embedder).close()
        report |= {
            "root": str(places.root), "local": places.local, "embedder": places.config.embedder,
            "embeds_here": places.embeds_here, **disk(places),
        }  # fmt: skip
    return report


def migrate(runs: Runs, accept_losses: bool = False, heard: Heard = silent) -> Report:
    """Store what the export holds, and prove it value by value. Interrupted, the same call goes on."""
    runs.require_before("migrate")
    places, began = runs.places, time.perf_counter()
    with runs.run("migrate") as report:
        export = read_export(places.export)
        checked = check(export)
        checked.require(str(places.export))
        ready = prepare(places, export, checked, heard)
        report |= {"vectors": "copied" if ready.copied else "re-embedded", "why": ready.why, "embedded": ready.embedded}
        source = str(places.prepared)
        done = wherry.sync(source, places.made, accept_losses=accept_losses, allow_mass_delete=True)
        proof = wherry.verify(source, places.local)
        report |= {
            "read": done.read, "written": done.written, "unchanged": done.unchanged, "deleted": done.deleted,
            "quarantined": done.quarantined, "verified": proof.verdict, "compared": proof.compared,
            "dimension": ready.space.dimension, "losses": [loss.words for loss in done.losses],
            "seconds": round(time.perf_counter() - began, 3), **disk(places),
        }  # fmt: skip
        if not proof.equal or proof.target_count != len(export.items):
            raise wherry.Different(
                f"the local side differs from the export: {_named(proof)}",
                where=places.local,
                left="readers go on as before",
                next="wherry checkup migrate",
            )
        write_manifest(
            places, LIBRARY, ready.space, chunker=WHOLE, count=done.read, checksum=sha256(places.export),
            address=places.local,
        )  # fmt: skip
        named(places)
    return report


def _named(proof: wherry.Verification) -> str:
    ids = list(dict.fromkeys(d.id for d in proof.differences))[:LISTED]
    return f"{proof.missing:,} missing, {proof.extra:,} too many, {proof.different:,} different ({', '.join(ids)})"


def named(places: Places) -> wherry.Route:
    """Return the route of this pair of sides, made where there is none: it leads to the cloud until it is switched."""
    return wherry.set_route(
        places.route, places.cloud, variable=USE, on=places.local, off=places.cloud, why="wherry checkup"
    )


def side(places: Places, name: str) -> str:
    """Return the address of a side: cloud, local, export, recorded, or any address."""
    return {"cloud": places.cloud, "local": places.local, "export": str(places.prepared)}.get(name, name)


def compare(
    runs: Runs, queries: str, left: str = "cloud", right: str = "local", k: int = 10, page: str | None = None
) -> Report:
    """Ask both sides the same questions and report what was measured; copied vectors must find the same."""
    runs.require_before("compare")
    places = runs.places
    with runs.run("compare") as report:
        month = places.config.queries_per_month
        found = wherry.compare(side(places, left), side(places, right), queries, k=k, per_month=month, report=page)
        copied = runs.passed("migrate").get("vectors") == "copied"
        overlaps = [overlap(one.hits[0], one.hits[1], k) for one in found.asked]
        report |= {
            "left": _measured(left, found.a, [one.hits[0] for one in found.asked]),
            "right": _measured(right, found.b, [one.hits[1] for one in found.asked]),
            "questions": found.questions, "k": k, f"overlap@{k}": sum(overlaps) / len(overlaps),
            "vectors": "copied" if copied else "re-embedded", "notes": list(found.notes),
            "cost": {
                "said_by": "the operator, not measured", "cloud_per_query": places.config.cloud_cost,
                "cloud_per_month": places.config.cloud_cost * month, "queries_per_month": month,
            },
            "ok": not copied or min(overlaps) >= 1.0,
        }  # fmt: skip
        passed = report["ok"]
    return {**report, "ok": passed}


def overlap(left: Sequence[Any], right: Sequence[Any], k: int) -> float:
    """Return the share of the left answers that the right gives too; one within 0.001 of its last is as good."""
    if not left:
        return 1.0
    ids, last = {hit.id for hit in right}, min(hit.similarity for hit in left)
    full = len(right) >= len(left)
    same = [hit for hit in left if hit.id in ids or (full and hit.similarity - last <= TIES)]
    return len(same) / len(left)


def _measured(name: str, found: Any, hits: list[Sequence[Any]]) -> Report:
    """Return what was measured of a side: milliseconds, similarities, bytes."""
    best = [one[0].similarity for one in hits if one]
    every = [hit.similarity for one in hits for hit in one]
    times = found.times.to_dict() if found.times else None
    return {
        "side": name, "address": found.address, "records": found.records, "times": times, "memory": found.memory,
        "disk": found.disk, "similarity_best": sum(best) / len(best) if best else None,
        "similarity_mean": sum(every) / len(every) if every else None,
    }  # fmt: skip


def switch(runs: Runs, to: str, accept: bool = False) -> Report:
    """Lead readers to the local side, after the gate; or back to the cloud, which needs none."""
    if to not in ("local", "cloud"):
        raise wherry.Usage(f"there is no side {to!r}", where="--to", next="use local or cloud")
    if to == "cloud":
        return rollback(runs)
    places = runs.places
    evidence = _gate(runs, accept)
    with runs.run("switch") as report:
        route = named(places)
        report |= {**evidence, "route": places.route}
        if route.target != places.local:
            # The export itself can be proved equal; of a service in the cloud the gate's own proofs have to do.
            stands = str(places.prepared) == places.cloud
            waive = "" if stands else f"gate of checkup: {json.dumps(evidence, ensure_ascii=False)}"
            done = wherry.switch(places.route, places.local, why="wherry checkup switch", prove=stands, waive=waive)
            report |= {"came_from": str(done.to_dict()["came_from"]), "proved_at": done.proved_at}
        places.lead(local=True)
        report |= {"leads_to": places.local, "keys_kept": keys_set(), "note": _overruled(True)}
    return report


def _gate(runs: Runs, accept: bool) -> Report:
    """Return what allows a switch. Raises Refused, saying what is lacking."""
    runs.require_before("switch")
    verified, moved, compared = (runs.passed(phase) for phase in ("verify", "migrate", "compare"))
    if not runs.places.export.is_file() or sha256(runs.places.export) != verified["sha256"]:
        raise wherry.Refused(
            "the export is not the one that was verified",
            where=str(runs.places.export),
            left="readers go on as before",
            next="wherry checkup extract, and the phases after it",
        )
    said = f"overlap@{compared['k']}"
    if moved["vectors"] != "copied" and not accept:
        raise wherry.Refused(
            f"the vectors were made anew ({moved['why']}); {said} with the former side is {compared[said]:.3f}",
            where=runs.places.local,
            left="readers go on as before",
            next="look at the answers, then wherry checkup switch --to local --accept --yes",
        )
    return {"vectors": moved["vectors"], "verified": moved["verified"], said: compared[said], "accepted": accept}


def rollback(runs: Runs) -> Report:
    """Lead readers back to the cloud side. Nothing is deleted on either."""
    places = runs.places
    with runs.run("rollback") as report:
        route = named(places)
        if route.target == places.local:
            # Only `migrate` writes the local side, so going back gives up nothing that readers wrote.
            done = wherry.rollback(places.route, why="wherry checkup rollback", waive_writes=_ANY)
            report |= {"came_from": str(done.to_dict()["came_from"])}
        places.lead(local=False)
        report |= {"route": places.route, "leads_to": str(named(places).to_dict()["target"]), "note": _overruled(False)}
    return report


def _overruled(local: bool) -> str:
    said = os.environ.get(USE, "").strip().lower()
    if not said or said in (("true", "1", "yes", "on") if local else ("false", "0", "no", "off")):
        return ""
    return f"{USE}={said} in a process's own variables still decides there: set it to {str(local).lower()}"


def watch(
    runs: Runs, for_s: float, every_s: float, rollback_if: str, heard: Callable[[Any], None] = lambda look: None
) -> Report:
    """Watch errors, times, memory and disk of what readers see, and give a verdict."""
    runs.require_before("watch")
    with runs.run("watch") as report:
        seen = wherry.watch(runs.places.route, for_s=for_s, every_s=every_s, rollback_if=rollback_if, heard=heard)
        report |= {**seen.to_dict(), **disk(runs.places), "ok": seen.exit_code == 0}
        if seen.rollback_error is not None:
            # A cloud takes no writes, so nothing can be carried back to it; the way back is open all the same.
            report |= {"rolled_back": True, "verdict": "rolled back", "leads_to": rollback(runs)["leads_to"]}
    return {**report, "exit_code": seen.exit_code}


def disk(places: Places) -> Report:
    """Return what the service takes, how full its disk is, and a warning from 80 % on."""
    base = next(p for p in (places.root, *places.root.parents) if p.exists())
    usage = shutil.disk_usage(base)
    share = usage.used / usage.total
    parts = {name: _size(places.root / name) for name in ("backup", "logs")}
    warning = f"the disk of {places.root} is {share:.0%} full" if share > WARN_DISK else ""
    return {"disk_share": share, "disk_free": usage.free, "bytes": {"store": _size(places.folder), **parts},
            "warning": warning}  # fmt: skip


def _size(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) if folder.is_dir() else 0


def sha256(path: Path) -> str:
    """Return the checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
