"""`wherry checkup`: its arguments; `jobs.py` carries them out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

Job = Callable[[], int]
Root = Annotated[
    Path | None,
    typer.Option(help="Folder of the service; else CHECKUP_ROOT, else ./vector_db/welno.", show_default=False),
]
Url = Annotated[
    str | None, typer.Option("--db-url", help="PostgreSQL; else DATABASE_URL, else the built-in.", show_default=False)
]
Yes = Annotated[bool, typer.Option("--yes", help="It was approved.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Print a traceback when something goes wrong.")]

commands = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="""Health-checkup questions answered from guidance, and the move off a cloud index.

    \b
    The move, phase by phase (each refuses to begin before the one before it passed):
      extract  verify  init  migrate  compare  switch  watch, and rollback at any time

    \b
    Example:
      wherry checkup extract --from export.json
      wherry checkup ask "혈당 108이면?"
    """,
)


@commands.command()
def extract(
    source: Annotated[
        Path | None, typer.Option("--from", help="A file or a folder instead of the cloud.", show_default=False)
    ] = None,
    cloud: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="The index that is left.", show_default=False)
    ] = None,
    made_by: Annotated[
        str | None, typer.Option(metavar="SPEC", help="Which model made its vectors.", show_default=False)
    ] = None,
    root: Root = None,
    db_url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Phase 1: write everything the cloud index holds into backup/llamacloud_export.json.

    \b
    Example:
      wherry checkup extract
      wherry checkup extract --from export.json --made-by openai:text-embedding-3-small
    """
    from wherry_apps.checkup import jobs

    return partial(jobs.extract, jobs.Wanted(root, db_url, json), source, cloud, made_by)


@commands.command()
def verify(root: Root = None, db_url: Url = None, json: Json = False, debug: Debug = False) -> Job:
    """Phase 1: look at all of the export; name up to 20 ids that are wrong.

    \b
    Example:
      wherry checkup verify
    """
    from wherry_apps.checkup import jobs

    return partial(jobs.verify, jobs.Wanted(root, db_url, json))


@commands.command()
def init(
    engine: Annotated[str | None, typer.Option(help="chroma, qdrant or faiss.", show_default=False)] = None,
    embedder: Annotated[
        str | None, typer.Option(metavar="SPEC", help="What embeds questions.", show_default=False)
    ] = None,
    floor: Annotated[float | None, typer.Option(help="Least similarity of a passage.", show_default=False)] = None,
    cloud_cost: Annotated[
        float | None, typer.Option(help="US dollars per question in the cloud.", show_default=False)
    ] = None,
    root: Root = None,
    db_url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Phase 2: make the folders, and agree on engine and embedder.

    \b
    Example:
      wherry checkup init --engine chroma --embedder hash:1024
    """
    from wherry_apps.checkup import jobs

    return partial(jobs.init, jobs.Wanted(root, db_url, json), engine, embedder, floor, cloud_cost)


@commands.command()
def migrate(
    accept_losses: Annotated[
        bool, typer.Option("--accept-losses", help="Go on although the plan lists losses.")
    ] = False,
    root: Root = None,
    db_url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Phase 3: store what the export holds, and prove it value by value. Interrupted, the same command goes on.

    \b
    Example:
      wherry checkup migrate
    """
    from wherry_apps.checkup import jobs

    return partial(jobs.migrate, jobs.Wanted(root, db_url, json), accept_losses)


@commands.command()
def compare(
    queries: Annotated[str, typer.Option(metavar="FILE", help="One question a line.", show_default=False)],
    left: Annotated[str, typer.Option(help="cloud, local, export, recorded or an address.")] = "cloud",
    right: Annotated[str, typer.Option(help="The same.")] = "local",
    k: Annotated[int, typer.Option("-k", help="Passages per answer.")] = 10,
    report: Annotated[str | None, typer.Option(metavar="FILE.html", help="Write a page.", show_default=False)] = None,
    root: Root = None,
    db_url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Phase 5: ask both sides the same questions. Everything printed was measured, but for the cost you stated.

    \b
    Example:
      wherry checkup compare --queries q.txt --left cloud --right local
    """
    from wherry_apps.checkup import jobs

    return partial(jobs.compare, jobs.Wanted(root, db_url, json), queries, left, right, k, report)


@commands.command()
def switch(
    to: Annotated[str, typer.Option("--to", help="local or cloud.", show_default=False)],
    accept: Annotated[bool, typer.Option("--accept", help="Vectors were made anew, and the answers are good.")] = False,
    yes: Yes = False,
    root: Root = None,
    db_url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Phase 6: lead readers to the local side, after a backup, a verification and a comparison.

    \b
    Example:
      wherry checkup switch --to local --yes
    """
    from wherry_apps.checkup import jobs

    return partial(jobs.switch, jobs.Wanted(root, db_url, json), to, accept, yes)


@commands.command()
def rollback(yes: Yes = False, root: Root = None, db_url: Url = None, json: Json = False, debug: Debug = False) -> Job:
    """Lead readers back to the cloud. Nothing is deleted on either side.

    \b
    Example:
      wherry checkup rollback --yes
    """
    from wherry_apps.checkup import jobs

    return partial(jobs.rollback, jobs.Wanted(root, db_url, json), yes)


@commands.command()
def watch(
    for_: Annotated[str, typer.Option("--for", help="90s, 15m, 24h or 2d.")] = "24h",
    every: Annotated[str, typer.Option("--every", help="Between looks.")] = "10s",
    rollback_if: Annotated[
        str, typer.Option("--rollback-if", metavar="CONDITION", help="'error_rate>1% or p95>2x'", show_default=False)
    ] = "",
    root: Root = None,
    db_url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Phase 6: watch errors, response time, memory and disk of what readers see.

    \b
    Example:
      wherry checkup watch --for 24h
    """
    from wherry_apps.checkup import jobs

    return partial(jobs.watch, jobs.Wanted(root, db_url, json), for_, every, rollback_if)


@commands.command()
def update(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The documents.", show_default=False)],
    allow_mass_delete: Annotated[bool, typer.Option("--allow-mass-delete", help="Although many are gone.")] = False,
    root: Root = None,
    db_url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Take up new and changed documents by content; remove those that vanished from the folder.

    \b
    Example:
      wherry checkup update ./guides
    """
    from wherry_apps.checkup import jobs

    return partial(jobs.update, jobs.Wanted(root, db_url, json), folder, allow_mass_delete)


@commands.command()
def backup(
    table: Annotated[
        list[str] | None, typer.Option("--table", metavar="SCHEMA.TABLE", help="Also this table.", show_default=False)
    ] = None,
    into: Annotated[Path | None, typer.Option("--into", help="Folder of the archive.", show_default=False)] = None,
    root: Root = None,
    db_url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Archive the collections and named PostgreSQL tables, with checksums.

    \b
    Example:
      wherry checkup backup --table wello.wello_checkup_data
    """
    from wherry_apps.checkup import jobs

    return partial(jobs.backup, jobs.Wanted(root, db_url, json), table or [], into)


@commands.command()
def restore(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Of a backup.", show_default=False)],
    schema: Annotated[str | None, typer.Option(help="Restore tables here instead.", show_default=False)] = None,
    yes: Yes = False,
    root: Root = None,
    db_url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Bring back what a backup holds, once every checksum is right.

    \b
    Example:
      wherry checkup restore backup/20260301-101500 --schema restored --yes
    """
    from wherry_apps.checkup import jobs

    return partial(jobs.restore, jobs.Wanted(root, db_url, json), folder, schema, yes)


@commands.command()
def ask(
    question: Annotated[str, typer.Argument(metavar="QUESTION", show_default=False)],
    results: Annotated[
        Path | None, typer.Option("--results", metavar="FILE", help="Checkup results, JSON.", show_default=False)
    ] = None,
    hospital: Annotated[
        str | None, typer.Option(help="Ask this hospital's documents first.", show_default=False)
    ] = None,
    chat: Annotated[
        str | None, typer.Option(metavar="SPEC", help="Model; offline by default.", show_default=False)
    ] = None,
    root: Root = None,
    db_url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Answer a question from the library, with the passages used; no key is needed.

    \b
    Example:
      wherry checkup ask "혈당 108이면?" --results r.json
    """
    from wherry_apps.checkup import jobs

    return partial(jobs.ask, jobs.Wanted(root, db_url, json), question, results, hospital, chat)


@commands.command()
def evidence(
    results: Annotated[Path, typer.Argument(metavar="FILE", help="Checkup results, JSON.", show_default=False)],
    family: Annotated[list[str] | None, typer.Option("--family", help="Family history.", show_default=False)] = None,
    concern: Annotated[list[str] | None, typer.Option("--concern", help="A concern.", show_default=False)] = None,
    root: Root = None,
    db_url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Lay passages of guidance under abnormal results.

    \b
    Example:
      wherry checkup evidence r.json --family "아버지 당뇨병"
    """
    from wherry_apps.checkup import jobs

    return partial(jobs.evidence, jobs.Wanted(root, db_url, json), results, family or [], concern or [])


@commands.command()
def status(root: Root = None, db_url: Url = None, json: Json = False, debug: Debug = False) -> Job:
    """Say which side answers, what it is made of, what leaves the machine, how full the disk is.

    \b
    Example:
      wherry checkup status
    """
    from wherry_apps.checkup import jobs

    return partial(jobs.status, jobs.Wanted(root, db_url, json))


@commands.command()
def demo(
    folder: Annotated[
        Path | None, typer.Option(help="Where it plays; ./checkup-demo by default.", show_default=False)
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Play the whole story on a small library that comes along: no key, no network.

    \b
    Example:
      wherry checkup demo
    """
    from wherry_apps.checkup import jobs

    return partial(jobs.demo, folder, json)
