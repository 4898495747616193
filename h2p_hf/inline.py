"""Readings written into the text itself: 长[chang2]江."""

import re
from collections.abc import Sequence

from .lexicon import readings
from .pinyin import normalize
from .text import is_hanzi

_MARKUP = re.compile(r"\\([\[\]])|\[([^\[\]\\\n]*)\]")


class InlineText(str):
    """A text whose author fixed some readings in brackets: the text without the brackets, to be passed to the pipeline.

    A bracket after hanzi that holds one syllable fixes the reading of the last of them, one with several syllables those
    of as many (``长江[chang2 jiang1]``), in any notation with a tone (``cháng``, ``chang2``; without one it must be a neutral
    tone that the hanzi has, as in ``的[de]``). Any other bracket is plain text, such as ``[1]``, ``[A]``, ``[chang]``, or more
    syllables than hanzi; so is one written with backslashes: ``\\[chang2\\]``.

    Args:
        source (`str`): the text with brackets.

    Attributes:
        source (`str`): what was given.
        offsets (`tuple[int, ...]`): where each character of this text, and then its end, is in `source`.
        readings (`dict[int, str]`): the fixed readings in normal form, by offset in this text.

    Example:
        >>> text = InlineText("长[chang2]江[1]")
        >>> text, text.readings, text.offsets
        ('长江[1]', {0: 'chang2'}, (0, 9, 10, 11, 12, 13))
    """

    source: str
    offsets: tuple[int, ...]
    readings: dict[int, str]

    def __new__(cls, source: str) -> "InlineText":
        kept: list[int] = []  # offsets in the source of what is text
        readings: dict[int, str] = {}
        at = 0
        for match in _MARKUP.finditer(source):
            kept += range(at, match.start())
            escaped, content = match.groups()
            written = (content or "").split()
            fixed = _fixed([source[place] for place in kept[-len(written) :]], written) if written else []
            if escaped:
                kept.append(match.start(1))
            elif fixed:
                readings.update(enumerate(fixed, len(kept) - len(fixed)))
            else:
                kept += range(*match.span())
            at = match.end()
        kept += range(at, len(source))
        text = super().__new__(cls, "".join(source[place] for place in kept))
        text.source, text.offsets, text.readings = source, (*kept, len(source)), readings
        return text

    def __getnewargs__(self) -> tuple[str]:
        return (self.source,)


def _fixed(chars: Sequence[str], written: Sequence[str]) -> list[str]:
    """Return the syllables in normal form if they can be meant for these characters, or else nothing."""
    if len(chars) != len(written) or not all(map(is_hanzi, chars)):
        return []
    try:
        found = [normalize(syllable) for syllable in written]
    except ValueError:
        return []
    toned = [not syllable.isascii() or syllable[-1].isdigit() for syllable in written]
    meant = all(t or s in readings(char) for t, s, char in zip(toned, found, chars, strict=True))
    return found if meant else []
