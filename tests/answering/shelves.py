"""Small collections for the tests of search: Korean texts, and the ways to fill a store with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from wherry.models.hashing import HashEmbedder
from wherry.record import make_batch
from wherry.space import Space
from wherry.stores.base import Index
from wherry.stores.registry import open_target

EMBEDDER = HashEmbedder(64)
TEXTS = {
    "bp-1": "혈압의 두 숫자가 뜻하는 것\n앞의 숫자는 수축기혈압이고 뒤의 숫자는 이완기혈압입니다.",
    "bp-2": "집에서 혈압을 재는 법\n의자에 앉아 5분 쉰 뒤에 잽니다. 커피와 담배는 피합니다.",
    "glu-1": "공복혈당 판정 범위\n100 미만이면 정상이고 126 이상이면 당뇨병이 의심됩니다.",
    "glu-2": "당화혈색소가 보여 주는 석 달\n적혈구에 포도당이 붙은 비율입니다.",
    "seoul": "서울에서 받는 건강검진\n보건소마다 예약하는 방법이 다릅니다.",
    "en-1": "How to prepare for a checkup\nDo not eat for eight hours before the blood test.",
}


def fill(
    address: str,
    texts: Mapping[str, str | None] = TEXTS,
    metadata: Mapping[str, Any] | None = None,
    space: Space | None = None,
) -> str:
    """Write texts as records, embedded offline; return the address."""
    space = space or EMBEDDER.space()
    vectors = EMBEDDER.embed([text or "leer" for text in texts.values()])
    data = [json.dumps((metadata or {}).get(name, {"source": f"{name}.pdf"}), ensure_ascii=False) for name in texts]
    store = open_target(address)
    store.prepare(space, Index(), len(texts))
    store.upsert(make_batch(list(texts), vectors, list(texts.values()), data))
    store.finish(space, Index())
    store.close()
    return address
