"""Mandarin syllables: parsing, normal form, the closed label inventory and output styles.

The normal form is what the field calls TONE3 with a neutral-tone digit: lower-case letters, ``v`` for ü, and a tone
digit 1-5 at the end (5 is the neutral tone), for example ``hang2``, ``lv4``, ``de5``. The erhua suffix is ``r5``.
"""

import re
import unicodedata
from functools import cache

from pypinyin import Style
from pypinyin.contrib.tone_convert import to_tone3, tone3_to_tone
from pypinyin.style import convert as convert_style

from .files import RESOURCES

NON_HANZI = "O"
"""Label of every token that is no hanzi. It is the outside label of token classification, which
``pipeline("token-classification")`` leaves out by default."""

STYLES = {
    "tone": Style.TONE,
    "tone2": Style.TONE2,
    "tone3": Style.TONE3,
    "normal": Style.NORMAL,
    "initials": Style.INITIALS,
    "first_letter": Style.FIRST_LETTER,
    "finals": Style.FINALS,
    "finals_tone": Style.FINALS_TONE,
    "finals_tone2": Style.FINALS_TONE2,
    "finals_tone3": Style.FINALS_TONE3,
    "bopomofo": Style.BOPOMOFO,
    "bopomofo_first": Style.BOPOMOFO_FIRST,
    "cyrillic": Style.CYRILLIC,
    "cyrillic_first": Style.CYRILLIC_FIRST,
    "wadegiles": Style.WADEGILES,
}
"""Output styles by name: pypinyin's, in lower case. ``tone3`` here always writes the neutral tone as 5."""

_ERHUA = {"bopomofo": "ㄦ", "cyrillic": "р", "wadegiles": "rh"}


@cache
def syllables() -> frozenset[str]:
    """Return the closed set of syllables in normal form.

    Source: the union of the readings in 通用规范汉字字典 (kTGHZ2013), 现代汉语词典 (kXHC1983), the phrase readings of
    pypinyin, pypinyin-dict and CC-CEDICT, and the labels of CPP, frozen in ``resources/syllables.txt`` (one line a
    toneless syllable with the tones it occurs in), so that label ids never change with the version of a dictionary.
    """
    lines = (RESOURCES / "syllables.txt").read_text("utf-8").split("\n")
    return frozenset(base + tone for base, tones in (line.split() for line in lines if line) for tone in tones)


@cache
def labels() -> tuple[str, ...]:
    """Return the labels in the order of their ids: ``O`` for anything but hanzi, then the syllables sorted."""
    return (NON_HANZI, *sorted(syllables()))


def id2label() -> dict[int, str]:
    """Return a fresh ``id2label`` map for a model config."""
    return dict(enumerate(labels()))


def label2id() -> dict[str, int]:
    """Return a fresh ``label2id`` map for a model config."""
    return {label: i for i, label in enumerate(labels())}


def normalize(syllable: str) -> str:
    """Return the normal form of one syllable written in any common way.

    Args:
        syllable (`str`): with a tone mark (``lǜ``), a digit at the end (``lü4``, ``lu:4``, ``lv4``), ``0`` or no digit
            for the neutral tone (``de``, ``de0``), in any case; ``r``, ``r5`` and ``er5`` are the erhua suffix.

    Returns:
        `str`: letters and tone digit, for example ``lv4``.

    Raises:
        ValueError: if it is not a syllable of Mandarin.

    Example:
        >>> [normalize(s) for s in ("háng", "Lu:4", "lüè", "de", "me0", "er5")]
        ['hang2', 'lv4', 'lve4', 'de5', 'me5', 'r5']
    """
    if not isinstance(syllable, str):
        raise ValueError(f"{syllable!r} is not a pinyin syllable: write text such as 'hang2'")
    return _normalize(syllable)


@cache
def _normalize(syllable: str) -> str:
    text = unicodedata.normalize("NFC", syllable.strip().lower()).replace("u:", "ü")
    if text[-1:].isdigit():
        text = text.replace("ü", "v")
        if text.endswith("0"):
            text = text[:-1] + "5"
    else:
        text = to_tone3(text, v_to_u=False, neutral_tone_with_five=True) if text else text
    text = text.replace("ê", "ei")
    if text == "er5":
        text = "r5"
    if text not in syllables():
        raise ValueError(f"{syllable!r} is not a syllable of Mandarin: write it like hang2, lv4 or de5")
    return text


def is_syllable(syllable: str) -> bool:
    """Return whether a text is letters of a syllable and a tone from 1 to 5, maybe with the suffix 儿 (see `with_erhua`)."""
    letters, tone = syllable[:-1], syllable[-1:]
    return tone in tuple("12345") and (letters in _letters() or letters[-1:] == "r" and letters[:-1] in _letters())


@cache
def _letters() -> frozenset[str]:
    return frozenset(syllable[:-1] for syllable in syllables())


def with_erhua(syllable: str) -> str:
    """Return a syllable in normal form with the suffix 儿 in it, as 汉语拼音方案 writes it: ``dian3`` becomes ``dianr3``.

    Such syllables are for output: they are no labels, and only `to_style` takes them.
    """
    return f"{syllable[:-1]}r{syllable[-1]}"


@cache
def to_style(syllable: str, style: str = "tone") -> str:
    """Write a syllable in normal form in another style.

    Args:
        syllable (`str`): a syllable in normal form.
        style (`str`, *optional*, defaults to `"tone"`): a name in `STYLES`.

    Returns:
        `str`: for example ``háng`` (tone), ``hang`` (normal), ``ㄏㄤˊ`` (bopomofo).

    Raises:
        ValueError: if there is no such style.

    Example:
        >>> [to_style("lv4", s) for s in ("tone", "tone3", "normal", "bopomofo", "initials")]
        ['lǜ', 'lv4', 'lv', 'ㄌㄩˋ', 'l']
        >>> to_style("r5")
        'r'
        >>> to_style(with_erhua("dian3")), to_style(with_erhua("dian3"), "bopomofo")
        ('diǎnr', 'ㄉㄧㄢˇㄦ')
    """
    if style not in STYLES:
        raise ValueError(f"unknown style {style!r}: choose from {', '.join(STYLES)}")
    if style == "tone3":
        return syllable
    if syllable[-2:-1] == "r" and syllable[:-2] not in ("", "e"):
        suffix = _ERHUA.get(style.removesuffix("_first"), "r")
        silent = style in ("initials", "first_letter") or style.endswith("_first")
        written = to_style(syllable[:-2] + syllable[-1], style)
        return written if silent else re.sub(r"(\d?)$", rf"{suffix}\1", written, count=1)
    if syllable == "r5":
        return "ㄦ˙" if style.startswith("bopomofo") else "r"
    marked = tone3_to_tone(syllable).replace("v", "ü")
    written = convert_style(marked, STYLES[style], strict=False, default=marked)
    return written if style.startswith(("tone", "finals_tone")) else written.replace("ü", "v")
