"""What an answer must not say: a diagnosis, a prescription, a drug that the supplied guidance does not name.

An instruction to a model is a wish. This is the rule: sentences are looked at before anybody sees them, and one
that breaks it is replaced. What the guidance itself says, word for word, may be repeated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

INSTEAD = "(진단과 약에 대해서는 안내하지 않습니다. 의사와 상의하십시오.)"
_DISEASES = (
    "당뇨병|당뇨|고혈압|저혈압|고지혈증|이상지질혈증|지방간|간염|간경변증?|신부전|콩팥병|빈혈|통풍|비만증?|대사증후군"
    "|심근경색|협심증|뇌졸중|갑상선기능저하증|갑상선기능항진증|[가-힣]{1,4}암"
)
_DIAGNOSIS = re.compile(
    rf"(?:{_DISEASES})\s*(?:입니다|이에요|예요|이십니다|이 맞습니다|에 걸리|을 앓고|이 확실|이 분명)"
    r"|(?:으로|로)\s*진단(?:합니다|됩니다|드립니다|할 수 있습니다|하겠습니다)|진단을 내리"
    rf"|(?:you have|diagnosed with|i diagnose)\s+\w+",
    re.I,
)
_PRESCRIPTION = re.compile(
    r"(?:복용|투약|투여|처방)\s*(?:하세요|하십시오|해 보세요|하시기 바랍니다|합니다|해드|을 시작하|량을 (?:늘|줄))"
    r"|\d+(?:\.\d+)?\s*(?:mg|밀리그램|그램|정|알|캡슐|단위)\s*(?:씩|을|를)?\s*(?:하루|매일|복용|드세요|드십시오|투여)"
    r"|약을\s*(?:끊|중단|바꾸|늘리|줄이)(?![^.!?\n]*의사)|\btake \d+\s*mg\b",
    re.I,
)
_DRUG = re.compile(
    r"[가-힣]{1,8}(?:스타틴|프릴|사르탄|살탄|디핀|글립틴|글리플로진|글리타존|글루타이드|파이브레이트|피브레이트|티아지드|졸람|프라졸)"
    r"|메트포르민|글리메피리드|글리클라지드|에제티미브|와파린|아스피린|이부프로펜|아세트아미노펜|알로푸리놀|페북소스타트"
    r"|레보티록신|푸로세미드|티르제파타이드|인슐린\s?(?:주사|글라진)|타이레놀|리피토|크레스토|노바스크|자누비아|디아벡스"
    r"|위고비|오젬픽|삭센다|마운자로|게보린|씬지로이드|우루사|밀크시슬"
    r"|\b\w+(?:statin|pril|sartan|dipine|gliptin|gliflozin|glitazone|glutide|fibrate|prazole|formin)\b"
    r"|\b(?:aspirin|warfarin|ibuprofen|tylenol|lipitor|insulin glargine|tirzepatide)\b",
    re.I,
)
_END = re.compile(r"(?<=[.!?。])\s+|\n+")


class Guard:
    """Holds an answer against the guidance it was given. replaced: how many sentences were."""

    def __init__(self, supplied: Iterable[str]) -> None:
        self._supplied = _plain(" ".join(supplied))
        self.replaced = 0
        self._held = ""

    def feed(self, piece: str) -> str:
        """Take a piece; return the sentences that are whole by now, as they may be shown."""
        self._held += piece
        ends = [found.end() for found in _END.finditer(self._held)]
        whole, self._held = self._held[: ends[-1]] if ends else "", self._held[ends[-1] :] if ends else self._held
        return "".join(self._shown(whole))

    def end(self) -> str:
        """Return what was held back; nothing more comes."""
        rest, self._held = self._held, ""
        return "".join(self._shown(rest))

    def allows(self, sentence: str) -> bool:
        """Tell whether a sentence may be shown."""
        said = _plain(sentence)
        drugs = [_plain(found.group()) for found in _DRUG.finditer(sentence)]
        if any(drug not in self._supplied for drug in drugs):
            return False
        # Of the guidance itself, the words of a sentence with its citation taken off.
        quoted = len(said) > 8 and re.sub(r"\[\d+\]", "", said).strip(".“”\"'") in self._supplied
        return quoted or not (_DIAGNOSIS.search(sentence) or _PRESCRIPTION.search(sentence))

    def _shown(self, text: str) -> Iterator[str]:
        start = 0
        for end in [*(found.end() for found in _END.finditer(text)), len(text)]:
            sentence, start = text[start:end], end
            if not sentence.strip() or self.allows(sentence):
                yield sentence
                continue
            self.replaced += 1
            yield INSTEAD + sentence[len(sentence.rstrip()) :]


def _plain(text: str) -> str:
    return "".join(text.split()).casefold()
