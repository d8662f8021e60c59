"""`wherry interview`: its arguments. What the commands do is in acts.py."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

Job = Callable[[], int]

commands = typer.Typer(rich_markup_mode=None, no_args_is_help=True, add_completion=False)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Print a traceback when something goes wrong.")]
Url = Annotated[
    str | None,
    typer.Option(
        "--db-url", metavar="URL", help="Database; else DATABASE_URL, else the embedded one.", show_default=False
    ),
]
Embedder = Annotated[
    str | None,
    typer.Option(metavar="SPEC", help="Embedding model; else INTERVIEW_EMBEDDER, else hash:1024.", show_default=False),
]
Chat = Annotated[
    str | None,
    typer.Option(metavar="SPEC", help="Chat model; else INTERVIEW_CHAT, else offline: by rule.", show_default=False),
]
JobId = Annotated[int | None, typer.Option("--job-id", metavar="N", help="Of this job.", show_default=False)]
InterviewId = Annotated[int, typer.Option("--interview-id", metavar="N", help="The interview.", show_default=False)]
ApplicantId = Annotated[
    int, typer.Option("--applicant-id", metavar="N", help="Who is interviewed.", show_default=False)
]
Force = Annotated[bool, typer.Option("--force", help="Even where it was done already.")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="A JSON file.", show_default=False)]
Kind = Annotated[
    str,
    typer.Argument(
        metavar="KIND", help="companies, applicants, jobs, questions, sessions or results.", show_default=False
    ),
]


def _job(act: str, *given: Any) -> Job:
    from wherry_apps.interview import acts

    return partial(getattr(acts, act), *given)


@commands.command()
def init(db_url: Url = None, json: Json = False, debug: Debug = False) -> Job:
    """Make extension, tables and index, and check that all of it is there. Asks nothing; safe to repeat.

    \b
    Example:
      wherry interview init
    """
    return _job("init", db_url, json)


@commands.command()
def migrate(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")] = False,
    embedder: Annotated[
        str | None,
        typer.Option(metavar="SPEC", help="Model that made the older vectors; recorded with them.", show_default=False),
    ] = None,
    db_url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Bring the tables of an older program to this one's form, in place and whole or not at all.

    \b
    Example:
      wherry interview migrate --dry-run
    """
    return _job("migrate", dry_run, embedder, db_url, json)


@commands.command()
def upload(
    company_id: Annotated[int, typer.Option(metavar="N", help="Whose post it is.", show_default=False)],
    title: Annotated[str, typer.Option(metavar="TEXT", help="Title of the job.", show_default=False)],
    pdf_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The post as PDF, 10 MB at most.", show_default=False)
    ] = None,
    text_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The post as text.", show_default=False)
    ] = None,
    force: Force = False,
    db_url: Url = None,
    embedder: Embedder = None,
    chat: Chat = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Take in a job post: text, chunks, vectors, and what it asks for.

    \b
    Example:
      wherry interview upload --pdf-file post.pdf --company-id 1 --title "Backend"
    """
    return _job("upload", company_id, title, pdf_file, text_file, force, (db_url, embedder, chat), json)


@commands.command("upload-folder")
def upload_folder(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Its files are posts.", show_default=False)],
    company_id: Annotated[int, typer.Option(metavar="N", help="Whose posts they are.", show_default=False)],
    workers: Annotated[int, typer.Option(metavar="N", help="How many at a time.")] = 2,
    db_url: Url = None,
    embedder: Embedder = None,
    chat: Chat = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Take in every file of a folder as a job post, titled by its name; run again, it goes on with what is new.

    \b
    Example:
      wherry interview upload-folder posts --company-id 1
    """
    return _job("upload_folder", folder, company_id, workers, (db_url, embedder, chat), json)


@commands.command()
def search(
    query: Annotated[str, typer.Option(metavar="TEXT", help="What to look for.", show_default=False)],
    top_k: Annotated[int, typer.Option(metavar="K", help="How many chunks.")] = 5,
    job_id: JobId = None,
    metric: Annotated[str, typer.Option(metavar="METRIC", help="cosine, l2 or ip.")] = "cosine",
    db_url: Url = None,
    embedder: Embedder = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Find chunks of job posts by meaning.

    \b
    Example:
      wherry interview search --query "분산 캐시" --top-k 5
    """
    return _job("search", query, top_k, job_id, metric, (db_url, embedder, None), json)


@commands.command()
def reembed(
    job_id: JobId = None,
    all_: Annotated[bool, typer.Option("--all", help="Also vectors of another embedder.")] = False,
    db_url: Url = None,
    embedder: Embedder = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Embed the chunks that have no vector.

    \b
    Example:
      wherry interview reembed
    """
    return _job("reembed", job_id, all_, (db_url, embedder, None), json)


@commands.command("add-company")
def add_company(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False)],
    blind: Annotated[bool, typer.Option("--blind", help="Hide names, ages, education and gender.")] = False,
    db_url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Store a company.

    \b
    Example:
      wherry interview add-company "나루 물류"
    """
    return _job("add", "companies", {"name": name, "blind_mode": blind}, db_url, json)


@commands.command("add-applicant")
def add_applicant(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False)],
    email: Annotated[str | None, typer.Option(metavar="MAIL", show_default=False)] = None,
    years: Annotated[int, typer.Option(metavar="N", help="Years of experience.")] = 0,
    skill: Annotated[
        list[str] | None, typer.Option(metavar="WORD", help="May be repeated.", show_default=False)
    ] = None,
    db_url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Store an applicant.

    \b
    Example:
      wherry interview add-applicant "김하늘" --email haneul@example.com --skill Redis
    """
    content = {"name": name, "email": email, "total_experience_years": years, "skills": list(skill or [])}
    return _job("add", "applicants", content, db_url, json)


@commands.command("list")
def listed(
    kind: Kind,
    limit: Annotated[int, typer.Option(metavar="N")] = 100,
    db_url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """List records of one kind.

    \b
    Example:
      wherry interview list jobs
    """
    return _job("listed", kind, limit, db_url, json)


@commands.command()
def show(
    kind: Kind,
    id: Annotated[int, typer.Argument(metavar="ID", show_default=False)],
    db_url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Show one record.

    \b
    Example:
      wherry interview show jobs 1
    """
    return _job("show", kind, id, db_url, json)


@commands.command()
def delete(
    kind: Kind,
    id: Annotated[int, typer.Argument(metavar="ID", show_default=False)],
    db_url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Delete a record with everything below it.

    \b
    Example:
      wherry interview delete jobs 1
    """
    return _job("delete", kind, id, db_url, json)


@commands.command()
def questions(
    job_id: Annotated[int, typer.Option("--job-id", metavar="N", help="For this job.", show_default=False)],
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read them from a file of interviewers.", show_default=False)
    ] = None,
    db_url: Url = None,
    chat: Chat = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Make questions from what a job post asks for, or read them from a file.

    \b
    Example:
      wherry interview questions --job-id 1
    """
    return _job("questions", job_id, file, (db_url, None, chat), json)


@commands.command()
def start(
    applicant_id: ApplicantId,
    job_id: Annotated[
        list[int] | None, typer.Option("--job-id", metavar="N", help="For one to three jobs.", show_default=False)
    ] = None,
    company_id: Annotated[int | None, typer.Option(metavar="N", help="Or for a company.", show_default=False)] = None,
    db_url: Url = None,
    chat: Chat = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Start an interview and show its first question.

    \b
    Example:
      wherry interview start --applicant-id 1 --job-id 1
    """
    return _job("start", applicant_id, list(job_id or []), company_id, (db_url, None, chat), json)


@commands.command()
def answer(
    interview_id: InterviewId,
    text: Annotated[str | None, typer.Argument(metavar="TEXT", show_default=False)] = None,
    text_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read it from a file.", show_default=False)
    ] = None,
    turn: Annotated[
        int | None,
        typer.Option(metavar="N", help="Which one it answers: sent twice, it counts once.", show_default=False),
    ] = None,
    db_url: Url = None,
    chat: Chat = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Answer the current question and show the next one.

    \b
    Example:
      wherry interview answer --interview-id 1 "작년에 배차 지연을 30% 줄였습니다."
    """
    return _job("answer", interview_id, text, text_file, turn, (db_url, None, chat), json)


@commands.command()
def evaluate(
    interview_id: InterviewId,
    force: Force = False,
    db_url: Url = None,
    embedder: Embedder = None,
    chat: Chat = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Score the answers of an interview; once, unless forced.

    \b
    Example:
      wherry interview evaluate --interview-id 1
    """
    return _job("evaluate", interview_id, force, (db_url, embedder, chat), json)


@commands.command()
def results(interview_id: InterviewId, db_url: Url = None, json: Json = False, debug: Debug = False) -> Job:
    """Show every question with its answer, scores, keywords, strengths and weaknesses.

    \b
    Example:
      wherry interview results --interview-id 1
    """
    return _job("results_of", interview_id, db_url, json)


@commands.command()
def compare(
    job_id: Annotated[int, typer.Option("--job-id", metavar="N", help="For this job.", show_default=False)],
    db_url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Put the applicants that were interviewed for a job side by side.

    \b
    Example:
      wherry interview compare --job-id 1
    """
    return _job("compare", job_id, db_url, json)


@commands.command("import-transcript")
def import_transcript(
    file: File,
    applicant_id: Annotated[
        int | None, typer.Option(metavar="N", help="Instead of the one in the file.", show_default=False)
    ] = None,
    job_id: JobId = None,
    force: Force = False,
    db_url: Url = None,
    embedder: Embedder = None,
    chat: Chat = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Take in the transcript of an interview that was held elsewhere, and score it.

    \b
    Example:
      wherry interview import-transcript t.json
    """
    return _job("import_transcript", file, applicant_id, job_id, force, (db_url, embedder, chat), json)


@commands.command()
def demo(json: Json = False, debug: Debug = False) -> Job:
    """Play the whole story offline: posts, search, interviews, results, comparison.

    \b
    Example:
      wherry interview demo
    """
    return _job("demo", json)
