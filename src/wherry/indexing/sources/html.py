"""HTML: what a reader sees, written down as Markdown, so that headings, lists and tables keep their meaning."""

from __future__ import annotations

import codecs
import re
from typing import Any

from wherry.errors import BadRecord
from wherry.indexing.base import Document, Part
from wherry.indexing.sources.decoding import decode, tidy


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


_UNSEEN = _names("script style noscript template head title iframe object svg math select datalist canvas")
_BLOCKS = _names(
    "address article aside blockquote body dd details dialog div dl dt fieldset figcaption figure footer form"
    " header hgroup html main nav p section summary center caption"
)
_HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}
_SPACE = re.compile(r"[ \t\n\r\f]+")
_HIDING = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([A-Za-z0-9_.:-]{1,40})""", re.IGNORECASE)
# What would be read as a heading, a list or a rule at the beginning of a line.
_LEADING = re.compile(r"^(#{1,6}(?=\s|$)|```|~~~)")
# A comment, or a tag with its attributes; possessive, so that a quote that never ends costs one look.
_TAG = re.compile(r"""<(?:(!--)|(/?)([A-Za-z][^\s/>]*)(?:"[^"]*"|'[^']*'|[^'">])*+)""")
# Within these a < is no tag.
_RAW = {name: re.compile(f"</{name}", re.IGNORECASE) for name in ("script", "style", "textarea", "title", "xmp")}
# Elements that end by themselves nest in no file, however many of them there are.
_SELF_ENDING = _names(
    "area base br col embed hr img input link meta source track wbr p li dt dd tr td th thead tbody tfoot option"
    " optgroup colgroup rt rp html head body"
)
_DEEPEST = 4_000
_TITLE = 300


def read_html(document: str, data: bytes) -> Document:
    """Return the visible text of a page. Raises BadRecord where its encoding cannot be told or it nests too deep."""
    from selectolax.lexbor import LexborHTMLParser

    source = _source(document, data)
    if not source.strip():
        return Document(document, (), None, {"format": "html"})
    _require_shallow(document, source)
    tree = LexborHTMLParser(source)
    stated = tree.css_first("head title")
    title = _SPACE.sub(" ", stated.text()).strip() if stated else ""
    writer = _Writer()
    if tree.body is not None:
        _walk(tree.body, writer)
    text = tidy(writer.text())
    title = title or writer.first_heading
    return Document(document, (Part(text),) if text.strip() else (), title[:_TITLE] or None, {"format": "html"})


def _source(document: str, data: bytes) -> str:
    stated = _CHARSET.search(data[:4096])
    if stated and not data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            # EUC-KR on the web means its superset, CP949.
            name = codecs.lookup(stated[1].decode("ascii")).name
            return data.decode("cp949" if name == "euc_kr" else name).replace("\x00", "")
        except (LookupError, UnicodeDecodeError):
            # Pages often state what they are not; then the bytes decide.
            return decode(data, document)
    return decode(data, document)


def _require_shallow(document: str, source: str) -> None:
    depth = at = 0
    while found := _TAG.search(source, at):
        name, at = (found[3] or "").lower(), found.end()
        if found[1]:
            at = source.find("-->", at)
        elif name in _RAW and not found[2]:
            ended = _RAW[name].search(source, at)
            at = ended.start() if ended else -1
        elif name not in _SELF_ENDING:
            depth = max(0, depth - 1) if found[2] else depth + 1
        if at < 0:
            return
        if depth > _DEEPEST:
            raise BadRecord(
                f"the page nests more than {_DEEPEST:,} elements",
                where=document,
                next="repair the page, or leave it out with an exclude pattern",
            )


def _walk(root: Any, writer: _Writer) -> None:
    """Visit what is seen, in order; without recursion, for pages nest deeper than Python does."""
    node, entering = root, True
    while node is not None:
        if entering and not _unseen(node):
            writer.enter(node)
            if node.child is not None:
                node = node.child
                continue
            writer.leave(node)
        elif not entering:
            writer.leave(node)
        if node.mem_id == root.mem_id:
            return
        node, entering = (node.next, True) if node.next is not None else (node.parent, False)


def _unseen(node: Any) -> bool:
    if node.tag in _UNSEEN:
        return True
    if node.tag.startswith("-"):
        return bool(node.tag != "-text")
    attributes = node.attributes
    return "hidden" in attributes or bool(_HIDING.search(attributes.get("style") or ""))


class _Writer:
    """Writes elements as lines of Markdown."""

    def __init__(self) -> None:
        self.blocks: list[str] = []
        self.first_heading = ""
        self._line: list[str] = []
        self._lead = ""
        self._lists: list[list[int]] = []
        self._row: list[str] | None = None
        self._pre = 0
        self._headed = False

    def enter(self, node: Any) -> None:
        """Begin an element, or take its text."""
        tag = node.tag
        if tag == "-text":
            self._take(node.text_content or "")
        elif tag == "br":
            self._line.append("\n")
        elif self._row is not None and tag not in ("tr", "td", "th", "table"):
            # Within a row everything is one line.
            self._line.append(" ")
        elif tag in _HEADINGS or tag == "li" or tag in _BLOCKS:
            self._flush()
            self._lead = self._leading(tag)
        elif tag in ("ul", "ol"):
            self._flush()
            self._lists.append([1 if tag == "ol" else 0])
        elif tag == "pre":
            self._flush()
            self._pre += 1
        elif tag in ("table", "tr"):
            self._flush()
            self._row = [] if tag == "tr" else None
            self._headed = self._headed and tag == "tr"
        elif tag in ("td", "th"):
            self._line = []

    def leave(self, node: Any) -> None:
        """End an element."""
        tag = node.tag
        if tag in ("td", "th") and self._row is not None:
            self._row.append(_SPACE.sub(" ", "".join(self._line)).strip().replace("|", "\\|"))
            self._line = []
        elif tag == "tr":
            self._end_row()
        elif tag == "table":
            self._flush()
            self._headed = False
        elif self._row is not None:
            self._line.append(" ")
        elif tag in _HEADINGS or tag == "li" or tag in _BLOCKS:
            self._flush()
            # What held no words has no mark either.
            self._lead = self._lead if tag in _BLOCKS else ""
        elif tag in ("ul", "ol"):
            self._flush()
            self._lists = self._lists[:-1]
        elif tag == "pre":
            self._end_pre()

    def text(self) -> str:
        """Return everything that was written, one blank line between blocks."""
        self._flush()
        text = "".join(self.blocks)
        return text.strip("\n")

    def _take(self, text: str) -> None:
        self._line.append(text if self._pre else _SPACE.sub(" ", text))

    def _leading(self, tag: str) -> str:
        if tag in _HEADINGS:
            return _HEADINGS[tag] + " "
        if tag != "li":
            # The first paragraph of an item stands beside its mark.
            return self._lead
        inner = self._lists[-1] if self._lists else [0]
        mark = f"{inner[0]}. " if inner[0] else "- "
        inner[0] += bool(inner[0])
        return "  " * max(0, len(self._lists) - 1) + mark

    def _flush(self) -> None:
        """Write the line that was collected as a block of its own."""
        if self._pre:
            return
        lines = [_SPACE.sub(" ", line).strip() for line in "".join(self._line).split("\n")]
        self._line = []
        words = "\n".join(line for line in lines if line)
        if not words:
            return
        lead, self._lead = self._lead, ""
        if lead.startswith("#"):
            words = words.replace("\n", " ")
            self.first_heading = self.first_heading or words
        else:
            words = "\n".join(_LEADING.sub(r"\\\1", line) for line in words.split("\n"))
        tight = lead.lstrip().startswith(("-", *"0123456789"))
        self._write(lead + words, tight)

    def _write(self, block: str, tight: bool) -> None:
        # Items of a list and rows of a table follow each other without a blank line.
        before = self.blocks[-1] if self.blocks else ""
        if tight and before.endswith("\n\n") and before.lstrip().startswith(("- ", "| ", *"0123456789")):
            self.blocks[-1] = before[:-1]
        self.blocks.append(block + "\n\n")

    def _end_row(self) -> None:
        row, self._row = self._row or [], None
        if not any(row):
            return
        self._write("| " + " | ".join(row) + " |", self._headed)
        if not self._headed:
            self._headed = True
            self._write("|" + " --- |" * len(row), True)

    def _end_pre(self) -> None:
        self._pre -= 1
        body, self._line = "".join(self._line).strip("\n"), []
        if self._pre or not body.strip():
            return
        longest = max((len(run) for run in re.findall(r"`+", body)), default=0)
        fence = "`" * max(3, longest + 1)
        self._write(f"{fence}\n{body}\n{fence}", False)
