"""LlamaCloud as a source: the chunks of a managed pipeline, by the service's own client.

    llamacloud:#Dr.Welno                      a pipeline by its name, or by its id
    llamacloud:#Dr.Welno?project=checkup      in one project, named or by id
    llamacloud+http://127.0.0.1:8080#guides   another place (or LLAMA_CLOUD_BASE_URL)

The key comes from LLAMA_CLOUD_API_KEY, LLAMA_PARSE_API_KEY or LLAMAINDEX_API_KEY. Options: `project`,
`metric` (the service does not say by which metric vectors are compared), `carry` (fields of a chunk kept
in the metadata of its record), `via=sink` (read the pipeline's own store instead), `embedder` (the spec of
a model that makes the vectors that the service does not send) and `budget` (dollars that may cost), `rate`
(requests per second), `concurrency`, `deadline` (seconds for which a request is tried), `timeout` (seconds
of one).

Nothing is ever written there.
"""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec

from wherry.address import Address
from wherry.errors import Unsupported
from wherry.stores.base import Probe, Readable
from wherry.stores.llamacloud.place import KEY_VARIABLES, Place, key_of_environment
from wherry.stores.llamacloud.sink import Sink

if find_spec("llama_cloud") is None:
    raise ModuleNotFoundError("No module named 'llama_cloud'", name="llama_cloud")


def open_source(address: Address) -> Readable:
    """Open a pipeline for reading.

    Raises AuthFailed for a missing or wrong key, NoSuchCollection for an unknown name, Refused for a name
    that several pipelines have.
    """
    from wherry.stores.llamacloud.link import Link
    from wherry.stores.llamacloud.pipeline import found_by
    from wherry.stores.llamacloud.source import LlamaCloudSource

    place = Place.of(address)
    link = Link(place)
    try:
        pipeline = found_by(link, place)
        if place.sink:
            link.close()
            return _of_sink(pipeline.sink, place)
        return LlamaCloudSource(place, link, pipeline)
    except BaseException:
        link.close()
        raise


def probe() -> Probe:
    """Tell the client's version and whether there is a key; nobody is asked whether it is right."""
    name, _ = key_of_environment()
    key = f"key in {name}" if name else f"no key: set {KEY_VARIABLES[0]}"
    return Probe("llamacloud", True, f"client {version('llama-cloud')}, read only, {key}")


def _of_sink(sink: Sink | None, place: Place) -> Readable:
    from wherry.stores.registry import open_source as opened

    if sink is None or sink.address is None:
        kept = "the service keeps its vectors" if sink is None else f"Wherry does not read {sink.words}"
        raise Unsupported(
            f"there is no store of its own to read: {kept}", where=place.shown, next="leave out ?via=sink"
        )
    found = Address.parse(sink.address)
    if place.metric is not None:
        found = Address(found.scheme, found.location, found.collection, {**found.options, "metric": place.metric.value})
    return opened(found)


__all__ = ["open_source", "probe"]
