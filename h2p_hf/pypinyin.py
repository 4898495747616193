"""The functions of pypinyin with readings from context: change ``from pypinyin import`` to ``from h2p_hf.pypinyin import``.

Parameters and results are those of pypinyin (its documentation applies); only the readings differ:

- a whole string (or a list of words, joined) is read at once, so that context counts; one call, one pass of the model;
- ``heteronym=True`` lists the common readings of each character, the most likely in this context first, without those
  that are rare or mere neutral-tone variants;
- ``tone_sandhi=True`` goes by `h2p_hf.sandhi.spoken`;
- `load_phrases_dict` and `load_single_dict` act on this module, not on pypinyin: a phrase counts wherever it stands,
  whatever the segmentation; the readings of a single character are those the model may choose from.

>>> lazy_pinyin("银行行长"), lazy_pinyin("长大", style=Style.TONE)
(['yin', 'hang', 'hang', 'zhang'], ['zhǎng', 'dà'])
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any

import pypinyin as _original
from pypinyin import Style
from pypinyin.constants import RE_HANS
from pypinyin.contrib.tone_convert import tone2_to_tone, tone3_to_tone
from pypinyin.converter import UltimateConverter
from pypinyin.core import Pinyin
from pypinyin.seg.simpleseg import simple_seg
from pypinyin.utils import _remove_dup_and_empty

from .auto import pipeline
from .errors import InputError
from .lexicon import UserDictionary, tone_variants
from .pinyin import normalize
from .reader import PinyinReader
from .sandhi import spoken
from .text import is_hanzi
from .traditional import to_simplified

__all__ = ["ContextConverter", "ContextPinyin", "Style", "lazy_pinyin", "load_phrases_dict", "load_single_dict", "pinyin", "slug"]  # fmt: skip

_PHRASES = UserDictionary()
_SINGLE: dict[str, tuple[str, ...]] = {}


@cache
def _default_pipeline() -> PinyinReader:
    return pipeline()


class ContextConverter(UltimateConverter):
    """A converter that asks our pipeline, for `ContextPinyin`.

    In ``pypinyin.core.Pinyin`` it works too, but is handed one word after the other, without the context.

    Args:
        pipe (`PinyinReader`, *optional*): defaults to that of the bundled checkpoint. How it decodes counts (its
            dictionary, names ...), not how it writes.
        v_to_u, neutral_tone_with_five, tone_sandhi (`bool`, *optional*): as in pypinyin.
    """

    def __init__(self, pipe: PinyinReader | None = None, tone_sandhi: bool = False, **kwargs):
        super().__init__(**kwargs)
        self._pipe = pipe or _default_pipeline()
        self._spoken = tone_sandhi
        self._together: tuple[UserDictionary, UserDictionary] | None = None

    def read(self, text: str) -> list[list[str]]:
        """Return the readings of each character with tone marks, the best first; none for what is no hanzi."""
        dictionary = self._dictionary()
        items = self._pipe(text, dictionary=dictionary, style="tone3", min_score=0.0, merge_erhua=False)
        phrases = dictionary.readings(text) if _SINGLE else {}
        found: list[list[str]] = [[] for _ in text]
        for item in items:
            candidates = [candidate["pinyin"] for candidate in item["candidates"]]
            neutral = tone_variants(item["char"])
            ours = [reading for reading in candidates if reading == candidates[0] or reading not in neutral]
            if item["char"] in _SINGLE and not phrases.get(item["start"]):
                allowed = _SINGLE[item["char"]]
                ours = sorted(allowed, key=lambda r: ours.index(r) if r in ours else len(ours))
            found[item["start"]] = ours
        if self._spoken:
            aloud = spoken(to_simplified(text), [readings[0] if readings else None for readings in found])
            found = [[best, *readings[1:]] if best else [] for best, readings in zip(aloud, found, strict=True)]
        return [[_marked(reading) for reading in readings] for readings in found]

    def _dictionary(self) -> UserDictionary:
        """Return the entries of the pipeline and of `load_phrases_dict`, put together once."""
        if not self._pipe.dictionary.entries:
            return _PHRASES
        if self._together is None or self._together[0] is not _PHRASES:
            both = UserDictionary({**self._pipe.dictionary.entries, **_PHRASES.entries})
            self._together = _PHRASES, both
        return self._together[1]

    def convert(self, words, style, heteronym, errors, strict, found: Sequence[list[str]] | None = None, **kwargs):
        """Convert what is all hanzi, or none, as pypinyin's segmentation gives it; `found` are its readings if known."""
        if not RE_HANS.match(words):
            return super().convert(words, style, heteronym, errors, strict, **kwargs)
        result = []
        for char, readings in zip(words, self.read(words) if found is None else found, strict=True):
            # What nobody knows goes through `errors`, and may become nothing or several things.
            some = [readings] if readings else self.handle_nopinyin(char, style, heteronym, errors, strict)
            result += self.convert_styles(some, char * len(some), style, heteronym, errors, strict)
        return _remove_dup_and_empty(result)


def _marked(syllable: str) -> str:
    """Return a syllable as pypinyin's tables write it."""
    return "er" if syllable == "r5" else tone3_to_tone(syllable).replace("v", "ü")


class ContextPinyin(Pinyin):
    """``pypinyin.core.Pinyin`` that has each string read as a whole; segmentation, and hooks for it, play no part.

    Args:
        converter (`ContextConverter`, *optional*): defaults to one with the bundled checkpoint.
    """

    def __init__(self, converter: ContextConverter | None = None, **kwargs):
        super().__init__(converter or ContextConverter(), **kwargs)

    def pinyin(self, hans, style=Style.TONE, heteronym=False, errors="default", strict=True, **kwargs):
        """See ``pypinyin.pinyin``."""
        words = [hans] if isinstance(hans, str) else list(hans)
        found = self._converter.read(words[0] if len(words) == 1 else "".join(words))
        result, at = [], 0
        for segment in chain.from_iterable(simple_seg(word) for word in words if word):
            part = found[at : at + len(segment)]
            result += self._converter.convert(segment, style, heteronym, errors, strict=strict, found=part)
            at += len(segment)
        return result


def pinyin(
    hans: str | Iterable[str],
    style: Style = Style.TONE,
    heteronym: bool = False,
    errors: str | Callable[[str], Any] = "default",
    strict: bool = True,
    v_to_u: bool = False,
    neutral_tone_with_five: bool = False,
) -> list[list[str]]:
    """See ``pypinyin.pinyin``.

    Example:
        >>> pinyin("中心"), pinyin("中", heteronym=True)
        ([['zhōng'], ['xīn']], [['zhōng', 'zhòng']])
    """
    converter = ContextConverter(v_to_u=v_to_u, neutral_tone_with_five=neutral_tone_with_five)
    return ContextPinyin(converter).pinyin(hans, style, heteronym, errors, strict)


def lazy_pinyin(
    hans: str | Iterable[str],
    style: Style = Style.NORMAL,
    errors: str | Callable[[str], Any] = "default",
    strict: bool = True,
    v_to_u: bool = False,
    neutral_tone_with_five: bool = False,
    tone_sandhi: bool = False,
) -> list[str]:
    """See ``pypinyin.lazy_pinyin``."""
    converter = ContextConverter(v_to_u=v_to_u, neutral_tone_with_five=neutral_tone_with_five, tone_sandhi=tone_sandhi)
    return ContextPinyin(converter).lazy_pinyin(hans, style, errors, strict)


def slug(
    hans: str | Iterable[str],
    style: Style = Style.NORMAL,
    heteronym: bool = False,
    separator: str = "-",
    errors: str | Callable[[str], Any] = "default",
    strict: bool = True,
) -> str:
    """See ``pypinyin.slug``."""
    return separator.join(chain.from_iterable(ContextPinyin().pinyin(hans, style, heteronym, errors, strict)))


def load_phrases_dict(phrases_dict: Mapping[str, Sequence[Sequence[str]]], style: str = "default") -> None:
    """See ``pypinyin.load_phrases_dict``; of several readings of a character the first one counts.

    Raises:
        InputError: if an entry has not one reading a character, or one that is no syllable; then nothing is loaded.
    """
    written = tone2_to_tone if style == "tone2" else str
    entries = {}
    for phrase, row in phrases_dict.items():
        entries[phrase] = [written(found[0]) if found else "" for found in row]
        if len(row) == len(phrase):
            entries[phrase] = [r if is_hanzi(char) else "-" for char, r in zip(phrase, entries[phrase], strict=True)]
    added = UserDictionary.from_mapping(entries)
    global _PHRASES
    _PHRASES = UserDictionary({**_PHRASES.entries, **added.entries})


def load_single_dict(pinyin_dict: Mapping[int, str], style: str = "default") -> None:
    """See ``pypinyin.load_single_dict``.

    Raises:
        InputError: if a reading is no syllable; then nothing is loaded.
    """
    written = tone2_to_tone if style == "tone2" else str
    added = {}
    for code, found in pinyin_dict.items():
        try:
            added[chr(code)] = tuple(normalize(written(reading)) for reading in found.split(","))
        except ValueError as error:
            raise InputError(f"entry {chr(code)!r}: {error}") from None
    _SINGLE.update(added)


def __getattr__(name: str) -> Any:
    """Everything else of pypinyin, such as its constants, is pypinyin's own."""
    return getattr(_original, name)
