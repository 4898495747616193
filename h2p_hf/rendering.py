"""Ways to write a text with its pinyin: plain, in brackets after words, ruby HTML, SSML, and lists for review.

Each takes the text that was given to the pipeline and the items that it returned. Where the items have `sandhi` (the
pipeline's option), that is written, else `pinyin`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

from .errors import InputError
from .inline import InlineText
from .lexicon import common_readings, tone_variants
from .pinyin import is_syllable
from .traditional import to_simplified
from .words import words

# What XML 1.0 does not allow, and lone surrogates.
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def reading(item: dict) -> str | None:
    """Return the pinyin of an item as it is to be written: with sandhi if it has it."""
    return item.get("sandhi") or item["pinyin"]


def pieces(text: str, items: Sequence[dict]) -> Iterator[tuple[str, list[dict]]]:
    """Cut a text into what has pinyin, word by word, and what stands between.

    Yields:
        `tuple[str, list[dict]]`: a piece of the text and its items, none for what stands between; together the pieces are
        the text.
    """
    starts = {start for start, _ in words(to_simplified(text))}
    word: list[dict] = []
    at = 0
    for item in items:
        if word and (item["start"] > at or item["start"] in starts):
            yield text[word[0]["start"] : at], word
            word = []
        if item["start"] > at:
            yield text[at : item["start"]], []
        word.append(item)
        at = item["end"]
    if word:
        yield text[word[0]["start"] : at], word
    if at < len(text):
        yield text[at:], []


def plain(text: str, items: Sequence[dict]) -> str:
    """Write pinyin with spaces between syllables; everything else stays as it is.

    Example:
        >>> items = [{"char": "长", "pinyin": "cháng", "start": 0, "end": 1}, {"char": "江", "pinyin": "jiāng", "start": 1, "end": 2}]
        >>> plain("长江！", items), after_words("长江！", items)
        ('cháng jiāng！', '长江(cháng jiāng)！')
    """
    written, at = "", 0
    for item in items:
        between = text[at : item["start"]]
        # A space keeps syllables from each other, and from letters and digits.
        before = " " if written and (between or "a")[0].isalnum() else ""
        written += before + between + (" " if between and between[-1].isalnum() else "")
        written += reading(item) or item["char"]
        at = item["end"]
    rest = text[at:]
    return written + (" " if written and rest[:1].isalnum() else "") + rest


def after_words(text: str, items: Sequence[dict]) -> str:
    """Write each word with its pinyin in brackets behind it; see `plain` for an example."""
    return "".join(
        f"{piece}({' '.join(reading(item) or item['char'] for item in word)})" if word else piece
        for piece, word in pieces(text, items)
    )


def ruby(text: str, items: Sequence[dict], mark: Callable[[dict, str], str] | None = None) -> str:
    """Write HTML with the pinyin above each character: one ``<ruby>`` a word (HTML Living Standard, 4.5.10).

    Browsers without ruby show the pinyin in brackets. The result is a fragment: markup of the text is escaped, line breaks
    stay line breaks.

    Args:
        text (`str`): the text.
        items (`list[dict]`): of the pipeline.
        mark (callable, *optional*): takes an item and its escaped characters and returns the HTML to write for these.
    """
    html = ""
    for piece, word in pieces(text, items):
        if not word:
            html += _xml(piece)
            continue
        html += "<ruby>"
        for item in word:
            above = reading(item)
            char = _xml(text[item["start"] : item["end"]])
            html += mark(item, char) if mark else char
            html += f"<rp>(</rp><rt>{_xml(above)}</rt><rp>)</rp>" if above else "<rt></rt>"
        html += "</ruby>"
    return html


@dataclass(frozen=True)
class Engine:
    """How a speech engine wants pinyin in SSML."""

    alphabet: str
    spell: Callable[[str], str]  # a syllable in normal form
    separator: str = " "
    begin: str = "<speak>"
    end: str = "</speak>"


_NAMESPACE = 'version="1.0" xmlns="http://www.w3.org/2001/10/synthesis" xml:lang="zh-CN"'

ENGINES = {
    "azure": Engine(
        "sapi",
        lambda syllable: f"{syllable[:-1]} {syllable[-1]}",
        " - ",
        f'<speak {_NAMESPACE}><voice name="zh-CN-XiaoxiaoNeural">',
        "</voice></speak>",
    ),
    "google": Engine("pinyin", str),
    "polly": Engine("x-amazon-pinyin", lambda syllable: syllable.replace("5", "0")),
    "aliyun": Engine("py", str),
}
"""Engines by name, after the makers' documentation (not tried against their services): Azure AI Speech (phonetic alphabet
sapi for zh-CN: ``zu 3 - zhi 1``), Google Cloud Text-to-Speech (pinyin), Amazon Polly (x-amazon-pinyin, neutral tone 0),
Alibaba Cloud (py)."""


def ssml(text: str, items: Sequence[dict], engine: str = "azure", every_word: bool = False) -> str:
    """Write SSML with a ``<phoneme>`` tag around each word that an engine could read otherwise, or around every word.

    Those are words with a polyphone or with a reading that is not the usual one. A word with 儿 as a syllable of its own is
    left as it is, for engines know how to say that; with the pipeline's `merge_erhua` it is tagged.

    Args:
        text (`str`): the text.
        items (`list[dict]`): of the pipeline with ``style="tone3"``.
        engine (`str`, *optional*, defaults to `"azure"`): a name in `ENGINES`.
        every_word (`bool`, *optional*, defaults to `False`): tag words whose reading is not in doubt too.

    Raises:
        InputError: if there is no such engine, or the items are in another style.
    """
    if engine not in ENGINES:
        raise InputError(f"no engine {engine!r}: choose from {', '.join(ENGINES)}")
    form = ENGINES[engine]
    body = ""
    for piece, word in pieces(text, items):
        spoken = [reading(item) for item in word]
        if not word or not all(spoken) or "r5" in spoken or not (every_word or any(map(_in_doubt, word))):
            body += _xml(piece)
            continue
        if not all(map(is_syllable, spoken)):
            raise InputError("SSML needs items of the pipeline with style='tone3'")
        sounds = form.separator.join(map(form.spell, spoken))
        body += f'<phoneme alphabet="{form.alphabet}" ph="{sounds}">{_xml(piece)}</phoneme>'
    return form.begin + body + form.end


def _in_doubt(item: dict) -> bool:
    """Return whether a character has several common readings, or another one here than usual."""
    char = to_simplified(item["char"])[0]
    common = common_readings(char)
    return len({*common} - tone_variants(char)) > 1 or item["pinyin"] not in common


def _xml(text: str) -> str:
    return escape(_NO_XML.sub("\ufffd", text))


@dataclass(order=True)
class Doubt:
    """A character for a person to look at."""

    score: float
    line: int
    start: int
    text: str
    item: dict

    def __str__(self) -> str:
        """One line with tabs: line, offset, probability, context, and the candidates with their probabilities."""
        context = self.text[max(self.start - 8, 0) : self.start], self.text[self.item["end"] : self.item["end"] + 8]
        marked = f"{context[0]}【{self.item['char']}】{context[1]}"
        candidates = " ".join(f"{c['pinyin']} {c['score']:.2f}" for c in self.item["candidates"])
        start = self.text.offsets[self.start] if isinstance(self.text, InlineText) else self.start
        return "\t".join((str(self.line), str(start), f"{self.score:.2f}", " ".join(marked.split()), candidates))


def doubts(texts: Iterable[tuple[str, Sequence[dict]]]) -> Iterator[Doubt]:
    """Yield the characters that have not just one candidate, with the number of their text, from 1.

    ``heapq.nsmallest(n, doubts(...))`` are the least certain.
    """
    for line, (text, items) in enumerate(texts, 1):
        for item in items:
            if len(item["candidates"]) != 1:
                yield Doubt(item["score"], line, item["start"], text, item)
