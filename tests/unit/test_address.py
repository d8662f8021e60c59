"""Addresses: what is read is what was written, and a password never shows."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.address import Address, is_url, redact, secrets_of
from wherry.errors import BadAddress

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30)
EVIL_NAMES = ("a#b", "a?b", "100%", "%23", "a b", "a&b=c", "a@b", "//x:y@z", "고객 안내", "../x", "'; drop", "+", "\n")
# Both halves are telling, so that a password cut in two is seen as well.
EVIL_PASSWORDS = (
    "qwj",
    "비밀번호",
    "'\"\\qwj",
    *(f"qwj{mark}zvk" for mark in "/@#%:?=&+ '"),
    "qwj?a=zvk",
    "qwj@a#b@zvk",
)
PLACES = ("pgvector:", "chroma:./welno", "chroma+http://host:8000", "postgresql://u@host:5432/db", "memory:", "a.json")


@given(st.sampled_from(PLACES), NAMES | st.sampled_from(EVIL_NAMES), st.dictionaries(st.sampled_from("abc"), NAMES))
def test_an_address_reads_back_from_its_own_text(place: str, name: str, options: dict[str, str]) -> None:
    query = "&".join(f"{k}={quote(v, safe='')}" for k, v in options.items())
    address = Address.parse(f"{place}?{query}#{quote(name, safe='')}")
    assert (address.collection, address.options) == (name, options)
    assert Address.parse(str(address)) == address


@given(NAMES)
def test_options_may_follow_the_name(name: str) -> None:
    late = Address.parse(f"pgvector:#{quote(name, safe='')}?id=pk&vector=emb")
    assert late == Address.parse(f"pgvector:?vector=emb&id=pk#{quote(name, safe='')}")
    assert late.option("id") == "pk"
    assert late.option("text") is None
    assert late.option("text", "body") == "body"


def test_parts_of_an_address() -> None:
    address = Address.parse("PostgreSQL://user:pw@host:5432/db?sslmode=require#docs")
    assert (address.scheme, address.collection) == ("postgresql", "docs")
    assert address.url == "postgresql://user:pw@host:5432/db"
    assert address.options == {"sslmode": "require"}
    assert is_url(address.location)
    assert not is_url(Address.parse("chroma:./welno#a").location)


@pytest.mark.parametrize("name", ["export.json", "./a/dump.parquet", "/x/a.jsonl", "C:\\data\\a.json", "b/a.jsonl?x=1"])
def test_a_file_name_is_an_archive(name: str) -> None:
    assert Address.parse(name).scheme == "archive"


def test_a_file_url_is_a_path() -> None:
    assert Address.parse("archive:///tmp/a.json").path == "/tmp/a.json"
    assert Address.parse("./tmp/a.json").path == "./tmp/a.json"
    assert Address.parse("archive:///tmp/a%20%23b.json").path == "/tmp/a #b.json"
    assert Address.parse("./100%25.json").path == "./100%25.json"


@pytest.mark.parametrize(
    "text", ["", "  ", "a\x00b.json", "notes.txt", "docs", "pgvector:?a=1&a=2", "pgvector:?novalue", "#docs"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(BadAddress) as caught:
        Address.parse(text)
    assert caught.value.exit_code == 2
    assert caught.value.what


def test_an_option_nobody_knows_is_refused() -> None:
    address = Address.parse("pgvector:?idd=pk&schema=x#docs")
    address.require_options({"idd", "schema"})
    with pytest.raises(BadAddress, match="unknown option idd"):
        address.require_options({"id", "schema"})


def shown_by(text: str) -> str:
    """Return everything that parsing and printing an address shows, errors included."""
    try:
        address = Address.parse(text)
        address.require_options(set())
    except BadAddress as error:
        return f"{error} {error!r} {json.dumps(error.to_dict(), ensure_ascii=False)}"
    return f"{address} {address!r} {address}".replace("sslmode", "")


SHAPES = (
    "postgresql://wherry:{}@host:5432/db#docs",
    "postgresql://us@er:{}@host/db#docs",
    "postgresql://wherry:{}@host/db?x=1#docs",
    "chroma+http://wherry:{}@host:8000#docs",
    "postgresql//wherry:{}@host/db#docs",
    "//wherry:{}@host/db",
    " postgresql://wherry:{}@host/db",
    "postgresql:wherry:{}@host/db#docs",
    "postgresql:/wherry:{}@host/db#docs",
    "nosuch://wherry:{}@host/db#docs",
)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("secret", EVIL_PASSWORDS)
def test_a_password_never_shows(shape: str, secret: str) -> None:
    for written in (secret, quote(secret, safe=""), quote(secret)):
        shown = shown_by(shape.format(written))
        for part in (secret, quote(secret, safe=""), repr(secret)[1:-1], "qwj", "zvk"):
            assert part not in shown


@pytest.mark.parametrize("option", ["password", "api_key", "apikey", "token", "auth", "client_secret", "pwd"])
def test_a_secret_option_never_shows(option: str) -> None:
    for secret in EVIL_PASSWORDS:
        address = Address.parse(f"chroma+http://host?{option}={quote(secret, safe='')}#docs")
        assert address.options == {option: secret}
        assert secret not in f"{address}{address!r}"
        assert quote(secret, safe="") not in f"{address}{address!r}"
        assert secret in secrets_of(address)


def test_an_url_inside_an_option_hides_its_password() -> None:
    address = Address.parse("pgvector:?url=postgresql://wherry:geheim@host/db#docs")
    assert "geheim" not in f"{address}{address!r}"
    assert "geheim" in "".join(secrets_of(address))


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00<>"), min_size=4, max_size=20))
def test_redact_hides_a_secret_in_every_spelling(secret: str) -> None:
    for form in (secret, quote(secret, safe=""), quote(secret), repr(secret)[1:-1], json.dumps(secret)[1:-1]):
        assert redact(f"login as <{form}> failed", secret) == "login as <***> failed"


def test_redact_hides_the_longer_secret_first() -> None:
    assert redact("x p@ss y", "p", "p@ss") == "x *** y"


@pytest.mark.parametrize("password", ["geheim", "sl/ash", "a@t", "co:lon", "per%40cent"])
def test_redact_masks_urls_it_was_told_nothing_about(password: str) -> None:
    shown = redact(f"could not connect to postgresql://wherry:{password}@host:5432/db: refused")
    assert shown == "could not connect to postgresql://wherry:***@host:5432/db: refused"


@pytest.mark.parametrize(
    "text", ["password=geheim", "password = 'ge heim' x", "PASSWORD='geheim'", "dsn: password=geheim user=a"]
)
def test_redact_masks_connection_strings(text: str) -> None:
    assert "heim" not in redact(text)


def test_redact_leaves_the_rest_alone() -> None:
    text = "http://host:8000/path answered 500, see https://host/docs"
    assert redact(text, "") == text


@given(st.sampled_from(EVIL_PASSWORDS))
def test_secrets_are_found_decoded(secret: str) -> None:
    address = Address.parse(f"postgresql://u:{quote(secret, safe='')}@host/db#docs")
    assert secret in secrets_of(address)
    assert secret not in redact(f"cannot log in with {secret!r}", *secrets_of(address))


def test_an_address_without_secrets_has_none() -> None:
    assert secrets_of(Address.parse("chroma+http://host:8000#docs")) == []
    assert secrets_of(Address.parse("postgresql://user@host/db#docs")) == []
