"""A job post comes in, is found, and is repaired where its vectors failed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy import func

import wherry
from tests.apps.interview.conftest import POST, Shop
from tests.indexing.pdfs import make_pdf
from wherry_apps.interview.service import jobs, records
from wherry_apps.interview.service.embedding import MOST_CHARACTERS, vectors
from wherry_apps.interview.service.intake import MOST_BYTES, BadFile
from wherry_apps.interview.service.opened import Interview
from wherry_apps.interview.service.searching import search
from wherry_apps.interview.tables import Job, JobChunk

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)) * 4


def rows(shop: Shop, model: type[Any]) -> int:
    """Count the rows of a table that are the shop's."""
    with shop.on.session() as session:
        inside = Job.owner == shop.owner
        statement = sa.select(func.count()).select_from(Job if model is Job else sa.join(JobChunk, Job))
        return session.scalar(statement.where(inside)) or 0


class Failing:
    """An embedder that fails for texts that hold a word, as long as it shall."""

    def __init__(self, inner: Any, word: str, whole: bool = False) -> None:
        self.inner, self.word, self.whole, self.broken = inner, word, whole, True

    def space(self) -> Any:
        """Return the card."""
        return self.inner.space()

    def embed_each(self, texts: list[str]) -> list[Any]:
        """Embed, or fail for one text, or for all."""
        if self.broken and self.whole and any(self.word in text for text in texts):
            raise wherry.StoreError("the network is gone")
        found = self.inner.embed_each(texts)
        bad = [self.broken and self.word in text for text in texts]
        return [wherry.StoreError("no") if b else v for b, v in zip(bad, found, strict=True)]

    def embed_query(self, text: str) -> np.ndarray:
        """Embed a question."""
        return self.inner.embed_query(text)

    def close(self) -> None:
        """Close."""
        self.inner.close()


def test_a_post_is_cut_embedded_analysed_and_found(shop: Shop) -> None:
    found = shop.upload(POST + "\n\n" + "회사 소개입니다. " * 300)
    assert (found.failed, found.index_status, found.analysis_source) == (0, "complete", "rules-1")
    assert found.chunks == found.embedded > 2
    assert found.exit_code == 0
    hits = search(shop.on, shop.owner, "Kafka 분산 캐시 우대", 3)
    assert hits[0].job_id == found.job_id
    assert hits[0].chunk_index == 0
    told = records.one(shop.on, shop.owner, "jobs", found.job_id)
    assert told["required_skills"] == ["Kotlin", "Redis", "장애 대응"]
    assert told["source_file"] == "post.txt"
    with shop.on.session() as session:
        chunks = session.scalars(sa.select(JobChunk).where(JobChunk.job_id == found.job_id).order_by(JobChunk.id)).all()
    assert [one.chunk_index for one in chunks] == list(range(found.chunks))
    assert all(told["description"][one.start_char : one.end_char] == one.chunk_text for one in chunks)
    assert all(
        one.embedder == {"provider": "hash", "model": "hash:1024", "dim": 1024, "normalised": True} for one in chunks
    )


def test_a_pdf_is_read_by_its_content(shop: Shop) -> None:
    data = make_pdf([POST, "둘째 쪽입니다. 결제 정산 경험"])
    found = jobs.upload(shop.on, shop.owner, shop.company_id, "PDF", data, "post.dat")
    told = records.one(shop.on, shop.owner, "jobs", found.job_id)
    assert "둘째 쪽입니다" in told["description"]
    assert told["required_skills"][:2] == ["Kotlin", "Redis"]


def test_the_same_file_is_the_same_job_unless_forced(shop: Shop) -> None:
    first, again = shop.upload(), shop.upload()
    assert again.existing
    assert again.job_id == first.job_id
    assert shop.upload(title="Other").job_id != first.job_id
    assert not shop.upload(force=True).existing
    assert rows(shop, Job) == 3


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (PNG, "no PDF and no text"),
        (b"%PDF-1.7 but not really", "cannot be opened"),
        (b"", "empty"),
        (b"x" * (MOST_BYTES + 1), "10,485,760"),
        (b"\xff\xd8\xff\xe0" + bytes(range(128, 256)) * 20, "no PDF, and no text"),
    ],
)
def test_what_is_no_post_leaves_no_rows(shop: Shop, data: bytes, said: str) -> None:
    with pytest.raises(wherry.BadRecord, match=said) as caught:
        jobs.upload(shop.on, shop.owner, shop.company_id, "Bad", data, "post.pdf")
    assert caught.value.exit_code == 5
    assert rows(shop, Job) == rows(shop, JobChunk) == 0


def test_a_scanned_pdf_says_that_ocr_comes_first(shop: Shop) -> None:
    with pytest.raises(wherry.BadRecord) as caught:
        jobs.upload(shop.on, shop.owner, shop.company_id, "Scan", make_pdf([""]), "scan.pdf")
    assert "scanned pages need OCR" in caught.value.what
    assert not isinstance(caught.value, BadFile)


def test_an_unknown_company_is_not_found(shop: Shop) -> None:
    with pytest.raises(wherry.NotFound):
        jobs.upload(shop.on, shop.owner, 2**31 - 1, "T", POST.encode(), "")


@pytest.mark.parametrize("whole", [False, True])
def test_a_failed_chunk_is_kept_and_embedded_later(shop: Shop, monkeypatch: pytest.MonkeyPatch, whole: bool) -> None:
    text = "\n\n".join(
        f"{word} " + "배차 경험. " * 150 for word in ("하나", "실패", "셋", "넷", "다섯", "여섯", "일곱")
    )
    failing = Failing(shop.on.embedder, "실패", whole)
    monkeypatch.setattr(shop.on, "_embedder", failing)
    found = shop.upload(text)
    assert found.index_status == "partial"
    assert found.exit_code == 5
    assert 0 < found.failed < found.chunks == rows(shop, JobChunk)
    assert "StoreError" in found.errors[0]["error"]
    # The others are found.
    assert search(shop.on, shop.owner, "배차 경험", 50)
    assert all("실패" not in hit.chunk_text for hit in search(shop.on, shop.owner, "배차 경험", 50))
    failing.broken = False
    done = jobs.reembed(shop.on, shop.owner)
    assert done == {"jobs": 1, "embedded": found.failed, "failed": 0, "complete": True}
    assert records.one(shop.on, shop.owner, "jobs", found.job_id)["index_status"] == "complete"
    assert jobs.reembed(shop.on, shop.owner)["jobs"] == 0
    with shop.on.session() as session:
        attempts = session.scalars(sa.select(JobChunk.embed_attempts).where(JobChunk.job_id == found.job_id))
        assert set(attempts) == {1, 2}


def test_a_killed_upload_leaves_nothing_and_the_same_command_does_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "_cut", killed)
        with pytest.raises(KeyboardInterrupt):
            shop.upload()
    assert rows(shop, Job) == rows(shop, JobChunk) == 0
    assert shop.upload().index_status == "complete"


def test_a_text_that_is_too_long_is_an_error_and_never_cut(on: Interview) -> None:
    good, bad = vectors(on, ["가나다", "가" * (MOST_CHARACTERS + 1)])
    assert isinstance(good, np.ndarray)
    assert isinstance(bad, wherry.BadRecord)
    with pytest.raises(wherry.BadRecord, match="nothing is cut"):
        search(on, None, "가" * (MOST_CHARACTERS + 1))


def test_another_dimension_is_refused_before_anything_is_written(shop: Shop) -> None:
    other = Shop(Interview(embedder="hash:512"), shop.owner, shop.company_id, shop.applicant_id)
    with pytest.raises(wherry.SpaceMismatch, match=r"512.*1024"):
        other.upload()
    assert rows(shop, Job) == 0
    other.on.close()


def test_a_changed_embedder_is_refused_naming_both(shop: Shop) -> None:
    shop.upload()
    with shop.on.session() as session:
        mine = JobChunk.job_id.in_(sa.select(Job.id).where(Job.owner == shop.owner))
        titan = {"provider": "bedrock", "model": "titan", "dim": 1024, "normalised": True}
        session.execute(sa.update(JobChunk).where(mine).values(embedder=titan))
    with pytest.raises(wherry.SpaceMismatch, match=r"bedrock/titan.*hash/hash:1024"):
        search(shop.on, shop.owner, "배차")
    assert jobs.reembed(shop.on, shop.owner)["jobs"] == 0
    assert jobs.reembed(shop.on, shop.owner, everything=True)["embedded"] > 0
    assert search(shop.on, shop.owner, "배차")


def test_search_by_each_operator(shop: Shop) -> None:
    for n, words in enumerate(("분산 캐시 설계", "회계 결산 경험", "분산 캐시 운영")):
        shop.upload(words, title=f"t{n}")
    cosine, l2, ip = (search(shop.on, shop.owner, "분산 캐시", 3, metric=metric) for metric in ("cosine", "l2", "ip"))
    # Unit vectors: the three orders agree, and their distances tell the same angle.
    assert [hit.chunk_id for hit in cosine] == [hit.chunk_id for hit in l2] == [hit.chunk_id for hit in ip]
    for one, two, three in zip(cosine, l2, ip, strict=True):
        similarity = one.to_dict()["similarity"]
        assert two.to_dict()["l2_distance"] == pytest.approx((2 - 2 * similarity) ** 0.5, abs=1e-5)
        assert three.to_dict()["negative_inner_product"] == pytest.approx(-similarity, abs=1e-5)
        assert "similarity" not in two.to_dict() | three.to_dict()
    similarities = [hit.to_dict()["similarity"] for hit in cosine]
    assert similarities == sorted(similarities, reverse=True)
    assert all(-1 <= one <= 1 for one in similarities)


def test_equal_chunks_come_by_id(shop: Shop) -> None:
    for n in range(4):
        shop.upload("같은 글입니다", title=f"t{n}")
    ids = [hit.chunk_id for hit in search(shop.on, shop.owner, "같은 글", 4)]
    assert ids == sorted(ids)


def test_the_filter_0_is_a_filter(shop: Shop) -> None:
    shop.upload()
    assert search(shop.on, shop.owner, "배차", job_id=0) == []
    with shop.on.session() as session:
        session.add(Job(id=0, owner=shop.owner, company_id=shop.company_id, title="zero"))
        session.flush()
        vector = shop.on.embedder.embed_query("배차")
        made_by = {"provider": "hash", "model": "hash:1024", "dim": 1024, "normalised": True}
        session.add(JobChunk(job_id=0, chunk_text="배차", chunk_index=0, embedding=vector, embedder=made_by))
    try:
        assert {hit.job_id for hit in search(shop.on, shop.owner, "배차", job_id=0)} == {0}
        assert len(search(shop.on, shop.owner, "배차")) == 2
    finally:
        records.remove(shop.on, shop.owner, "jobs", 0)


def test_k_chunks_come_where_k_are_there_however_many_others_have(shop: Shop, on: Interview) -> None:
    from tests.apps.interview.conftest import shop_of

    other = shop_of(on, shop.owner + "x")
    other.upload("\n\n".join("분산 캐시 설계 경험입니다. " * 40 for _ in range(30)))
    shop.upload("분산 캐시와는 아주 먼 회계 결산")
    shop.upload("급여 정산", title="two")
    assert len(search(shop.on, shop.owner, "분산 캐시", 2)) == 2


@pytest.mark.parametrize(("top_k", "metric", "fields"), [(0, "cosine", ["top_k"]), (101, "cos", ["top_k", "metric"])])
def test_bad_wishes_are_named(on: Interview, top_k: int, metric: str, fields: list[str]) -> None:
    with pytest.raises(wherry.BadRecord) as caught:
        search(on, None, "배차", top_k, metric=metric)
    assert caught.value.fields == fields


def test_the_search_of_the_seed_runs_on_current_pgvector(shop: Shop) -> None:
    """The original imported a function that is not there; a column has the comparators."""
    shop.upload()
    vector = shop.on.embedder.embed_query("배차")
    with shop.on.session() as session:
        orm = sa.select(JobChunk.id, JobChunk.chunk_text, JobChunk.job_id)
        found = session.execute(orm.order_by(JobChunk.embedding.cosine_distance(vector)).limit(5)).all()
        raw = session.execute(
            sa.text(
                "SELECT id, 1 - (embedding <=> CAST(:v AS vector)) AS similarity FROM job_chunks"
                " WHERE embedding IS NOT NULL ORDER BY embedding <=> CAST(:v AS vector) LIMIT 10"
            ),
            {"v": str(vector.tolist())},
        ).all()
    assert found[0].id == raw[0].id
    assert -1 <= raw[0].similarity <= 1
