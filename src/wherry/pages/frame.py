"""The frame of a page: one HTML file that needs nothing else, in light or dark, on screen or on paper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from importlib.metadata import version
from pathlib import Path

from wherry.errors import Usage

# Nothing is fetched, whoever opens the page, and no text in it is ever run.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1b2330;--soft:#5b6675;--line:#dde2ea;--wash:#f5f7fa;
--a:#3b6fb6;--b:#c2651d;--good:#1a7f4b;--bad:#b3261e;--good-wash:#e8f5ee;--bad-wash:#fbeceb}
@media(prefers-color-scheme:dark){:root{--paper:#14181f;--ink:#e4e8ee;--soft:#9aa5b5;--line:#313a48;--wash:#1b212b;
--a:#7fb0ee;--b:#f0a062;--good:#5fcf96;--bad:#f28b82;--good-wash:#173127;--bad-wash:#3a1f1d}}
*{box-sizing:border-box}
body{font:15px/1.55 system-ui,-apple-system,"Segoe UI","Apple SD Gothic Neo","Malgun Gothic","Noto Sans KR",
"Noto Sans CJK KR",sans-serif;max-width:66rem;margin:0 auto;padding:2.2rem 1.4rem 3rem;color:var(--ink);
background:var(--paper);word-break:keep-all;overflow-wrap:anywhere}
h1{font-size:1.75rem;line-height:1.25;margin:0 0 .3rem;letter-spacing:-.01em}
h2{font-size:1.15rem;margin:2.2rem 0 .6rem;padding-bottom:.3rem;border-bottom:1px solid var(--line)}
h3{font-size:.95rem;margin:1.4rem 0 .4rem}
p{margin:.5rem 0}small,.note{color:var(--soft)}small{font-size:.86em}.note{font-size:.92em}
code{font:.9em ui-monospace,"SF Mono",Menlo,Consolas,monospace}
table{border-collapse:collapse;margin:.8rem 0;width:100%}
th,td{text-align:left;padding:.4rem .7rem .4rem 0;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:600;color:var(--soft);font-size:.86em}td.named{width:45%}td.n,th.n{font-variant-numeric:tabular-nums;white-space:nowrap}
svg{display:block;max-width:100%}svg text{font-size:11px;fill:var(--soft);font-family:inherit}
.verdict{display:flex;gap:.9rem;align-items:baseline;padding:.9rem 1.1rem;border-radius:10px;margin:1.2rem 0}
.verdict b{font-size:1.1rem;white-space:nowrap}.verdict.open{background:var(--wash)}
.verdict.good{background:var(--good-wash)}
.verdict.good b{color:var(--good)}.verdict.bad{background:var(--bad-wash)}.verdict.bad b{color:var(--bad)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(11.5rem,1fr));gap:.8rem;margin:1.2rem 0}
.card{background:var(--wash);border-radius:10px;padding:.8rem 1rem}.card b{display:block;font-size:1.55rem;
line-height:1.25;font-variant-numeric:tabular-nums;letter-spacing:-.01em}.card span{color:var(--soft);font-size:.86em}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(20rem,1fr));gap:1.4rem}
figure{margin:.4rem 0}figcaption{font-size:.9em;font-weight:600;margin-bottom:.3rem}
.key{display:inline-block;width:.72em;height:.72em;border-radius:3px;margin-right:.4em}
.key.a{background:var(--a)}.key.b{background:var(--b)}
.question{border:1px solid var(--line);border-radius:10px;padding:.8rem 1.1rem;margin:.9rem 0}
.question h3{margin:0 0 .2rem}.pair{display:grid;grid-template-columns:1fr 1fr;gap:1.4rem}
.pair ol{margin:.3rem 0;padding-left:1.6rem;font-size:.9em}.pair li{padding:.1rem 0}.pair li.odd{font-weight:600}
.pair li.odd::marker{color:var(--bad)}.said{white-space:pre-wrap;font-size:.93em}
details{margin:.6rem 0}summary{cursor:pointer;color:var(--soft)}
footer{margin-top:2.6rem;padding-top:.7rem;border-top:1px solid var(--line);color:var(--soft);font-size:.86em}
@media(max-width:40rem){.pair{grid-template-columns:1fr}}
@media print{:root{color-scheme:light;--paper:#fff;--ink:#1b2330;--soft:#4a5462;--line:#cfd6e0;--wash:#f5f7fa;
--a:#3b6fb6;--b:#c2651d;--good:#1a7f4b;--bad:#b3261e;--good-wash:#e8f5ee;--bad-wash:#fbeceb}
body{max-width:none;padding:0;font-size:11pt;-webkit-print-color-adjust:exact;print-color-adjust:exact}
.question,figure,.card,tr,.verdict{break-inside:avoid}h2{break-after:avoid}details{display:none}}
"""


def page(title: str, parts: Iterable[str]) -> str:
    """Return a page as HTML. title: plain text. parts: HTML, everything of strangers escaped."""
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
    )
    return "\n".join([head, *parts, "</body></html>"]) + "\n"


def write(path: Path, html: str) -> None:
    """Write a page; an older file is replaced. Raises Usage where that cannot be done."""
    try:
        # A lone surrogate in somebody's text has no place in UTF-8 and must not lose the page.
        path.write_text(html, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise Usage(f"the page cannot be written: {error.strerror}", where=str(path)) from None


def require_place(path: Path | None) -> None:
    """Raise Usage where a page could not be written later, before any work is done for it."""
    if path is not None and (path.is_dir() or not path.parent.is_dir()):
        raise Usage(
            "the page cannot be written there",
            where=str(path),
            left="nothing was asked",
            next="name a file in a folder that exists",
        )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table. head: plain text. rows: HTML; every column but the first holds figures."""
    tops = "".join(f"<th{' class=n' if n else ''}>{escape(name)}</th>" for n, name in enumerate(head))
    body = ""
    for row in rows:
        cells = "".join(f'<td class="n">{cell}</td>' if n else f"<td>{cell}</td>" for n, cell in enumerate(row))
        body += f"<tr>{cells}</tr>"
    return f"<table><thead><tr>{tops}</tr></thead><tbody>{body}</tbody></table>"


def explained(rows: Iterable[tuple[str, str, str]]) -> str:
    """Return figures with what each says below its name: name (HTML), figure (HTML), words (HTML, may be empty)."""
    body = ""
    for name, figure, words in rows:
        below = f"<br><small>{words}</small>" if words else ""
        body += f'<tr><td class="named">{name}{below}</td><td>{figure}</td></tr>'
    return f"<table><tbody>{body}</tbody></table>"


def made() -> str:
    """Return the line that says what made the page, and when."""
    return f"Made by Wherry {version('wherry')} on {datetime.now(UTC):%Y-%m-%d at %H:%M} UTC."


def verdict(good: bool | None, word: str, sentence: str) -> str:
    """Return the box that says how it came out. good: None where nothing had to be reached. The rest is plain text."""
    kind = {True: "good", False: "bad", None: "open"}[good]
    return f'<div class="verdict {kind}"><b>{escape(word)}</b><span>{escape(sentence)}</span></div>'


def cards(found: Iterable[tuple[str, str, str]]) -> str:
    """Return the key figures: name, figure, a line below; plain text."""
    body = "".join(
        f'<div class="card"><span>{escape(name)}</span><b>{escape(figure)}</b><span>{escape(below)}</span></div>'
        for name, figure, below in found
    )
    return f'<div class="cards">{body}</div>'


def figure(caption: str, drawing: str, below: str = "") -> str:
    """Return a drawing with its caption; caption and what is below it in plain text."""
    tail = f'<p class="note">{escape(below)}</p>' if below else ""
    return f"<figure><figcaption>{escape(caption)}</figcaption>{drawing}{tail}</figure>"


def key(letter: str, words: str) -> str:
    """Return the name of a side behind its colour. letter: `a` or `b`. words: plain text."""
    return f'<span class="key {letter}"></span>{escape(words)}'
