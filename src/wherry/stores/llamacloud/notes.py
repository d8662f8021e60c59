"""What a person should know of a pipeline before moving it."""

from __future__ import annotations

from collections.abc import Iterator

from wherry.models.prices import price_of
from wherry.stores.llamacloud.embedding import Bill
from wherry.stores.llamacloud.pipeline import Pipeline
from wherry.stores.llamacloud.place import Place
from wherry.stores.llamacloud.spool import Missing, Spool

_INDEXED = frozenset({"SUCCESS"})
_SHOWN = 5


def notes(
    place: Place, pipeline: Pipeline, spool: Spool, statuses: dict[str, int] | None, spared: int, bill: Bill | None
) -> list[str]:
    """Return the notes, the most important first. bill: what embedding anew would take, None without an embedder."""
    return [
        *(
            [f"embeds with {place.embedder}: {bill.words}"]
            if bill
            else _missing(pipeline, spool.missing(), spool.count())
        ),
        *([pipeline.sink.note()] if pipeline.sink else []),
        *_dimensions(pipeline, spool.dimensions()),
        *_documents(spool, statuses),
        *_kept_out(spool.kept_out()),
        *_reading(place, spool, spared),
    ]


def _missing(pipeline: Pipeline, missing: Missing, count: int) -> Iterator[str]:
    if not missing.records:
        return
    spec = f"{pipeline.provider}:{pipeline.model}" if pipeline.provider and pipeline.model else None
    price = price_of(spec) if spec else None
    if price is not None:
        cost = f", {_dollars(price.of(missing.tokens))} with {spec}"
    else:
        cost = f"; no price is known for {spec}" if spec else "; the service does not say which model made its vectors"
    yield (
        f"re-embed: {missing.records:,} of {count:,} records have no vector ({missing.characters:,} characters, "
        f"about {missing.tokens:,} tokens{cost}); ?embedder= does it"
    )


def _dollars(cost: float) -> str:
    return f"about ${cost:,.2f}" if cost >= 0.01 or cost == 0 else "less than $0.01"


def _dimensions(pipeline: Pipeline, found: dict[int, int]) -> Iterator[str]:
    if len(found) > 1:
        yield "vectors of different dimension: " + ", ".join(f"{n:,} of {d}" for d, n in sorted(found.items()))
    elif pipeline.stated and found and pipeline.dimension not in found:
        yield f"the pipeline is configured for {pipeline.dimension} components and its vectors have {next(iter(found))}"


def _documents(spool: Spool, statuses: dict[str, int] | None) -> Iterator[str]:
    if statuses is None:
        yield "the service does not say which documents are indexed"
    unfinished = {k: n for k, n in (statuses or {}).items() if n and k not in _INDEXED}
    if unfinished:
        said = ", ".join(f"{n:,} {status}" for status, n in sorted(unfinished.items()))
        yield f"not every document is indexed ({said}): what they lack is not here"
    empty, gone = spool.empty()
    if empty:
        yield f"documents without chunks: {empty:,}" + (f", of which {gone:,} are being deleted" if gone else "")


def _kept_out(counts: dict[str, int]) -> Iterator[str]:
    if counts:
        shown = ", ".join(f"{name} ({n:,})" for name, n in sorted(counts.items())[:_SHOWN])
        yield f"fields of chunks that are in no record: {shown}; ?carry=NAME,… keeps them in the metadata"


def _reading(place: Place, spool: Spool, spared: int) -> Iterator[str]:
    if spool.resumed and spared:
        yield f"goes on where an interrupted reading stopped: {spared:,} unchanged documents are not asked for again"
    if place.exposes_key:
        yield "the key travels unencrypted; https protects it"


__all__ = ["notes"]
