"""Korean without a dictionary: what is an ending, a particle, or a word that only asks.

Both lists are closed classes of grammar. Cutting them off a word is a guess, so a stem is one hint among others
and never the only one: `나이` loses its `이`, but it does so in the question and in the text alike.
"""

from __future__ import annotations

import re

# Particles and common endings; the longest that fits is cut off, and at least one syllable stays.
_ENDINGS = """
은 는 이 가 을 를 에 의 와 과 도 만 로 으로 에서 에게 께 한테 까지 부터 처럼 보다 마다 조차 밖에 이나 나 이라 라
이란 란 이며 며 이고 고 이면 면 에는 에도 에서는 에서도 으로는 로는 으로도 로도 으로서 로서 으로써 로써 에서의
과의 와의 이라고 라고 이라는 라는 인 인가 인가요 인지 인데 이에요 예요 이에 입니다 입니까 이었다 였다 이다
하다 하는 하고 하면 하여 해서 해야 했다 한다 합니다 합니까 하기 하게 하지 할 한 해 했 된 되는 되면 되어 됐다 된다
됩니다 되나요 하나요 한가요 할까요 될까요 나요 까요 가요 어요 아요 는데 은데 는지 은지 던 던데 들 들이 들은 들을
들의 들에 적 적인 적으로 대해 습니다 습니까 었다 았다 었던 았던 으며 으면 으니 니까 거나 지만 려면 으려면
"""
# What begins like this carries no content in a question, and what is exactly this: 대한 asks, 대한민국 does not.
_ASKING = re.compile(
    "(?:무엇|무슨|뭐|뭘|뭔|어떻게|어떤|어떡|언제|어디|누구|얼마|알려|주세요|주십|어느|어때|어떨|괜찮|무얼|할까|합니까"
    "|됩니까|되나요|하나요|인가요|건가|거예요|거죠|있|없|하는|되는|몇|때문).*"
    "|누가|왜|왜요|수|수가|수는|수도|것|것은|것이|것을|때|때는|때에|대해|대한|대하여"
)
_ASKING_ENDINGS = """
인가요 인가 나요 까요 습니까 입니까 합니까 됩니까 하나요 되나요 한가요 할까요 될까요 예요 이에요 이죠 하죠 되죠 죠
래요 대요 네요 는가 은가 을까 일까 일까요 는지 인지 니까 어요 아요 해요 돼요 가요 세요 주세요 했나 했는가 하였는가
였는가 이었는가 되었는가 됐나 하는가 되는가 했나요 였나요 이었나요
"""
_MARKS = "?!.,…\"'()[]"


def _ending(endings: str) -> re.Pattern[str]:
    longest_first = sorted(set(endings.split()), key=len, reverse=True)
    return re.compile("(?<=.)(?:" + "|".join(longest_first) + ")$")


_ENDING, _ASKING_ENDING = _ending(_ENDINGS), _ending(_ASKING_ENDINGS)


def stem(word: str) -> str:
    """Return a word of syllables without its particle or ending."""
    return _ENDING.sub("", word, count=1)


def content(question: str) -> str:
    """Return a question without the words and endings that only ask; all of it when nothing would be left."""
    words = (word.strip(_MARKS) for word in question.split())
    kept = [_ASKING_ENDING.sub("", word, count=1) for word in words if not _ASKING.fullmatch(word)]
    return " ".join(kept) if any(kept) else question
