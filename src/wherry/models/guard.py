"""The one guard around every embedder: nothing goes to a model, or comes from it, that does not pass here.

A provider's wire sends single requests. The guard probes the model first, cuts texts into requests, keeps the
pace, retries what can succeed, finds the one text a refused request failed for, checks every answer, cuts and
renormalises vectors, and counts what it cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from functools import cached_property, partial
from threading import Lock

import numpy as np

from wherry.errors import BadAddress, BadAnswer, BadRecord, Rejected, TimedOut, WherryError
from wherry.models import checking
from wherry.models.accounts import Account, Accounts
from wherry.models.base import Usage
from wherry.models.batching import Batch, batches
from wherry.models.calls import Calls, Patience
from wherry.models.crew import Crew
from wherry.models.prices import price_of
from wherry.models.probe import Probe, probed
from wherry.models.spec import ModelSpec
from wherry.models.tokens import estimate, estimate_all
from wherry.models.wire import EmbedWire, Limits
from wherry.space import Space

# So many texts refused without one accepted between them are no poison: the model refuses everything.
_MOST_REFUSED = 100


@dataclass(frozen=True)
class Arrival:
    """What one request brought. positions: of the texts in the call. results: a vector or an error for each."""

    positions: list[int]
    results: list[np.ndarray | WherryError]
    fatal: WherryError | None = None


class GuardedEmbedder:
    """An embedder that can be trusted with a bill and with an index."""

    def __init__(self, wire: EmbedWire, patience: Patience | None = None) -> None:
        self._wire = wire
        self._where = str(wire.spec)
        self._wanted = wire.spec.whole("dim")
        self._accounts = Accounts(price_of(self._where))
        self._patience = patience
        # What the wire asks its server for before anything is embedded is no part of any rate.
        deadline = {name: value for name, value in wire.spec.options.items() if name == "deadline"}
        self._facts = Calls(ModelSpec(wire.spec.provider, wire.spec.model, deadline), 1, self._accounts, patience)
        self._calls_made: Calls | None = None
        self._probe: Probe | None = None
        self._refused_in_a_row = 0
        self._crew: Crew | None = None
        # Smaller than wished after a request that was too large to be answered in time.
        self._most_items: int | None = None
        self._lock = Lock()

    @property
    def spec(self) -> str:
        """Return the spec it was opened by, fit to print."""
        return self._where

    @property
    def account(self) -> Account:
        """Return what was consumed so far."""
        return self._accounts.so_far

    def space(self) -> Space:
        """Return the card of its vectors. Embeds something only where nothing else tells the dimension."""
        card = self._card
        if self._wire.spec.text("truncate") == "true":
            # A long text has another vector then: such an index must not pass for one that refuses to cut.
            card = replace(card, model_digest=(card.model_digest or "") + "+truncated")
        if self._wanted is not None:
            return replace(card, dimension=self._wanted)
        return card if card.dimension is not None else replace(card, dimension=self.probe().width)

    def probe(self) -> Probe:
        """Find out, once, what the model really does. Raises BadAnswer, or what the request raises."""
        with self._lock:
            if self._probe is None:
                self._probe = self._probed()
            return self._probe

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of documents: float32, shape (n, dimension). Raises the first error there is."""
        if not texts:
            return np.empty((0, self.space().dimension or 0), dtype=np.float32)
        found = self.embed_each(texts)
        for result in found:
            if isinstance(result, WherryError):
                raise result
        return np.stack([row for row in found if not isinstance(row, WherryError)])

    def embed_each(self, texts: Sequence[str]) -> list[np.ndarray | WherryError]:
        """Return a vector (float32, shape (dimension,)) or an error for each text, in order.

        A text that cannot be embedded has its own BadRecord. What stops everything (credentials, quota, a
        server that stays down) is the error of every text that was not embedded before it.
        """
        found: list[np.ndarray | WherryError] = [WherryError("not embedded")] * len(texts)
        for arrival in self.arrivals(texts):
            for position, result in zip(arrival.positions, arrival.results, strict=True):
                found[position] = result
        return found

    def arrivals(self, texts: Sequence[str]) -> Iterator[Arrival]:
        """Yield what each request brings as soon as it is there, so that it can be kept before the next.

        Every position comes exactly once. After an Arrival that is `fatal` nothing more is sent, and the rest
        comes with that error.
        """
        if not texts:
            return
        probe = self.probe()
        longest = self._longest(probe)
        refused = {n: error for n, text in enumerate(texts) if (error := self._unfit(text, n, longest)) is not None}
        if refused:
            self._accounts.refused(len(refused))
            yield Arrival(list(refused), list(refused.values()))
        left = [n for n in range(len(texts)) if n not in refused]
        ratio = self._accounts.tokens_per_estimate
        yield from self._answers(batches(texts, left, lambda: self._items(probe), self._tokens, ratio))

    def embed_query(self, text: str) -> np.ndarray:
        """Return the vector of a question: float32, shape (dimension,)."""
        error = self._unfit(text, 0, self._longest(self.probe()))
        if error is not None:
            raise error
        result = self._batch(Batch([0], [text], estimate(text)), query=True).results[0]
        if isinstance(result, WherryError):
            raise result
        return result

    def estimate(self, texts: Sequence[str]) -> Usage:
        """Return about what embedding these texts would take, without sending anything."""
        tokens = round(estimate_all(texts) * self._accounts.tokens_per_estimate)
        price = self._accounts.price
        return Usage(tokens_in=tokens, cost=None if price is None else price.of(tokens))

    def close(self) -> None:
        """Release threads and connections; a second call does nothing."""
        if self._calls_made is not None:
            self._calls_made.stop()
        if self._crew is not None:
            self._crew.close()
            self._crew = None
        self._wire.close()

    @cached_property
    def _card(self) -> Space:
        return self._facts.make(self._wire.space, 0)

    @cached_property
    def _limits(self) -> Limits:
        return self._facts.make(lambda: self._wire.limits, 0)

    @property
    def _window(self) -> int | None:
        """The tokens of the longest text, as the spec says or the provider."""
        return self._wire.spec.whole("window") or self._limits.text_tokens

    @property
    def _calls(self) -> Calls:
        if self._calls_made is None:
            limits = self._limits
            asked = self._wire.spec.whole("batch") or 1
            if asked > limits.items:
                raise BadAddress(f"batch={asked} in {self._where} is more than the provider takes ({limits.items})")
            self._calls_made = Calls(self._wire.spec, limits.concurrency, self._accounts, self._patience)
        return self._calls_made

    def _probed(self) -> Probe:
        limits, level = self._limits, self._wire.spec.choice("probe", ("full", "quick"))
        most = self._wire.spec.whole("batch") or limits.items
        rate = self._calls.tokens_a_minute
        # A long text would take more than a minute's tokens, only to be refused.
        too_dear = rate is not None and self._window is not None and rate < 4 * self._window
        longest = None if level == "quick" or too_dear else self._window
        found = probed(self._ask, min(most, 4), longest, self._where)
        promised = self._card.dimension
        wanted = self._wanted or promised or found.width
        if found.width < wanted or (self._wanted is None and found.width != wanted):
            raise BadAnswer(
                f"the model answers with {found.width} components, not {wanted}",
                where=self._where,
                next=f"ask for ?dim={found.width} or fewer",
            )
        return found

    def _ask(self, texts: Sequence[str]) -> np.ndarray:
        return self._sent(texts, estimate_all(texts), query=False)

    def _sent(self, texts: Sequence[str], tokens: int, *, query: bool) -> np.ndarray:
        expected = round(tokens * self._accounts.tokens_per_estimate)
        sent = self._calls.make(lambda: self._wire.send(texts, query=query), expected)
        self._accounts.answered(len(texts), tokens, sent.tokens)
        return sent.vectors

    def _items(self, probe: Probe) -> int:
        """Return how many texts the next request may hold."""
        limits = self._limits
        wished = 1 if probe.batch_varies else self._wire.spec.whole("batch") or min(limits.items, limits.usual)
        return min(wished, self._most_items or wished)

    @property
    def _tokens(self) -> float | None:
        """The tokens one request may hold."""
        bounds = [bound for bound in (self._limits.tokens, self._calls.tokens_a_minute) if bound is not None]
        return min(bounds, default=None)

    def _longest(self, probe: Probe) -> int | None:
        """Return the tokens that a text may have because the model would not say that it read no more of it."""
        cuts = probe.too_long == "cut in silence" and self._wire.spec.text("truncate") != "true"
        return (self._window or None) if cuts else None

    def _unfit(self, text: str, position: int, longest: int | None) -> WherryError | None:
        """Return why a text must not be sent, None when it may."""
        if not text or text.isspace():
            return BadRecord(f"text {position} is empty and cannot be embedded", next="leave out empty texts")
        if not _is_unicode(text):
            return BadRecord(f"text {position} holds lone surrogates, which are not Unicode")
        if longest is not None and estimate(text) * self._accounts.tokens_per_estimate > longest:
            return BadRecord(
                f"text {position} is longer than the {longest} tokens the model reads, and it would not say so",
                where=self._where,
                next="cut smaller chunks, or accept the loss with ?truncate=true",
            )
        return None

    def _answers(self, cut: Iterator[Batch]) -> Iterator[Arrival]:
        """Send the batches, several at once, and yield what they bring; after a fatal error none is sent."""
        most, ended = self._calls.gate.most, _Ended()
        running: set[Future[Arrival]] = set()
        try:
            for batch in cut:
                if most == 1:
                    yield ended.unless(batch, self._batch)
                    continue
                running.add(self._workers(most).give(partial(ended.unless, batch, self._batch)))
                if len(running) == most:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            for future in running:
                future.cancel()

    def _workers(self, most: int) -> Crew:
        with self._lock:
            if self._crew is None:
                self._crew = Crew(most)
            return self._crew

    def _batch(self, batch: Batch, *, query: bool = False) -> Arrival:
        """Send one batch; a refused one is halved until the text is found that it was refused for."""
        try:
            results = self._checked(batch, query=query)
        except Rejected as error:
            return self._divided(batch, error, query=query) if error.divisible else _stopped(batch, error)
        except TimedOut as error:
            # A request may be too large for a slow server. One text that is not answered ends it.
            if len(batch.texts) == 1:
                return _stopped(batch, error)
            self._most_items = len(batch.texts) // 2
            return self._divided(batch, error, query=query)
        except WherryError as error:
            return _stopped(batch, error)
        self._refused_in_a_row = 0
        return Arrival(batch.positions, results)

    def _divided(self, batch: Batch, error: WherryError, *, query: bool) -> Arrival:
        if len(batch.texts) == 1:
            return self._poisoned(batch, error)
        results: list[np.ndarray | WherryError] = []
        for half in batch.halves():
            arrival = self._batch(half, query=query)
            results += arrival.results
            if arrival.fatal is not None:
                results += [arrival.fatal] * (len(batch.texts) - len(results))
                return Arrival(batch.positions, results, arrival.fatal)
        return Arrival(batch.positions, results)

    def _poisoned(self, batch: Batch, error: WherryError) -> Arrival:
        self._accounts.refused(1)
        self._refused_in_a_row += 1
        if self._refused_in_a_row >= _MOST_REFUSED:
            return _stopped(batch, Rejected(f"the model refuses every text: {error.what}", where=self._where))
        refusal = BadRecord(
            f"the model refuses text {batch.positions[0]}: {error.what}",
            where=self._where,
            next="cut or mend this text",
        )
        return Arrival(batch.positions, [refusal])

    def _checked(self, batch: Batch, *, query: bool) -> list[np.ndarray | WherryError]:
        vectors = self._sent(batch.texts, batch.tokens, query=query)
        probe, card = self.probe(), self._card
        checking.require_shape(vectors, len(batch.texts), probe.width, self._where)
        bad = checking.faults(vectors, batch.positions, self._where)
        dimension = self._wanted or probe.width
        # Vectors that arrive as they should keep their bits; anything else becomes unit length again.
        unit = card.normalised is True and not (probe.unit and dimension == probe.width)
        if dimension < probe.width or unit or vectors.dtype != np.float32:
            vectors = checking.shaped(vectors, dimension, unit)
        self._accounts.refused(len(bad))
        results: list[np.ndarray | WherryError] = list(vectors)
        for row, error in bad.items():
            results[row] = error
        return results


class _Ended:
    """Whether one of several requests met an error that the others would only meet too."""

    def __init__(self) -> None:
        self._fatal: WherryError | None = None

    def unless(self, batch: Batch, act: Callable[[Batch], Arrival]) -> Arrival:
        if self._fatal is not None:
            return _stopped(batch, self._fatal)
        arrival = act(batch)
        self._fatal = self._fatal or arrival.fatal
        return arrival


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _stopped(batch: Batch, error: WherryError) -> Arrival:
    return Arrival(batch.positions, [error] * len(batch.positions), error)
