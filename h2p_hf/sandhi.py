"""Tone sandhi of standard Mandarin: how 一, 不 and third tones are spoken in context."""

from collections.abc import Sequence

from .lexicon import readings
from .text import is_hanzi, words

_DIGITS = frozenset("零〇一二三四五六七八九两")
_BEFORE_FIRST = frozenset("第初统唯专单之划")
_UNITS = frozenset("十百千万亿")
# Words that begin with 一 as a number in a series, not as a count: first month, first floor, first class ...
_ORDINAL = frozenset("月 号 楼 等奖 等功 级 流 线 审 年级 把手".split())


def spoken(text: str, pinyin: Sequence[str | None]) -> list[str | None]:
    """Return how the syllables of a text are spoken.

    - 一 is yi2 before a fourth tone and yi4 before any other; yi1 at the end of a word, in a number, after 第 and where it
      counts in a series (一月, 一楼); yi5 between a verb and the same again (看一看).
    - 不 is bu2 before a fourth tone, and bu5 between the same twice (好不好).
    - Of third tones in a row all but the last of a group are second tones. Groups are words, in longer ones first the word
      inside (展览馆 2-2-3, 小老虎 3-2-3); words of one syllable pair up from left to right, one left over joins what
      follows, or else what precedes. Between groups a third tone changes if the next one is still a third tone.

    What counts before a neutral tone is the tone it comes from (一个 yi2 ge5). Only the dictionary tones yi1 and bu4 are
    changed, so a reading like bu2 in a user dictionary stays. Sources: 普通话水平测试大纲 for 一 and 不; Shih 1986, The
    prosodic domain of tone sandhi in Chinese, for third tones; words by jieba.

    Args:
        text (`str`): Simplified text.
        pinyin (sequence): the dictionary reading of each character in normal form, None where there is none.

    Returns:
        `list[str | None]`: as long as the text.

    Example:
        >>> spoken("你好，一个", ["ni3", "hao3", None, "yi1", "ge4"])
        ['ni2', 'hao3', None, 'yi2', 'ge4']
    """
    found = list(pinyin)
    spans = words(text)
    ends = {end for start, end in spans if end - start > 1}
    for at, (char, syllable) in enumerate(zip(text, pinyin, strict=True)):
        if syllable in ("yi1", "bu4") and char in "一不":
            follower = _full_tone(text[at + 1], pinyin[at + 1]) if at + 1 < len(text) else ""
            between = 0 < at < len(text) - 1 and text[at - 1] == text[at + 1] and is_hanzi(text[at + 1])
            if between and text[max(at - 2, 0)] != char:
                found[at] = syllable[:-1] + "5"
            elif char == "不":
                found[at] = "bu2" if follower == "4" else "bu4"
            elif follower and not _is_number(text, at) and at + 1 not in ends:
                found[at] = "yi2" if follower == "4" else "yi4"
    for run in _runs(spans, found):
        groups = _groups(text, run)
        for group in groups:
            _third_tones(group, found)
        for left, right in zip(groups, groups[1:], strict=False):
            _meet(left, right, found)
    return found


def _full_tone(char: str, syllable: str | None) -> str:
    """Return the tone that a syllable has or comes from; empty if there is none."""
    if syllable and syllable.endswith("5"):
        return next((r[-1] for r in readings(char) if r[:-1] == syllable[:-1] and r[-1] != "5"), "5")
    return syllable[-1] if syllable else ""


def _is_number(text: str, at: int) -> bool:
    """Return whether the 一 at an offset is part of a number or keeps its tone as an ordinal or a noun."""
    before, after = text[at - 1] if at else "", text[at + 1]
    if before in _BEFORE_FIRST or before in _DIGITS or before in _UNITS or after in _DIGITS:
        return True
    return before != "这" and any(text.startswith(word, at + 1) for word in _ORDINAL)


def _runs(spans: Sequence[tuple[int, int]], found: Sequence[str | None]) -> list[list[tuple[int, int]]]:
    """Return the words between which nothing but hanzi stands, run by run."""
    runs: list[list[tuple[int, int]]] = [[]]
    for start, end in spans:
        if all(found[start:end]):
            runs[-1].append((start, end))
        else:
            runs.append([])
    return runs


_Group = int | tuple["_Group", "_Group"]
"""One character by its offset, or two groups that are spoken together."""


def _groups(text: str, run: Sequence[tuple[int, int]]) -> list[_Group]:
    """Group the words of a run into feet of two syllables or more."""
    groups: list[_Group] = []
    for start, end in run:
        if end - start == 1 and groups and isinstance(groups[-1], int):
            groups[-1] = (groups[-1], start)
        else:
            groups.append(_inside(text[start:end], start))
    feet: list[_Group] = []
    for group in groups[::-1]:
        if not isinstance(group, int) or not feet:
            feet.append(group)
        else:
            feet[-1] = (group, feet[-1])
    feet.reverse()
    if len(feet) > 1 and isinstance(feet[-1], int):
        feet[-2:] = [(feet[-2], feet[-1])]
    return feet


def _inside(word: str, start: int) -> _Group:
    """Group the characters of a word: around the word inside if it has three, else two by two."""
    if len(word) == 1:
        return start
    cut = 1 if len(word) == 2 or (len(word) == 3 and _ends_in_word(word)) else 2
    return _inside(word[:cut], start), _inside(word[cut:], start + cut)


def _ends_in_word(word: str) -> bool:
    import rjieba

    inner = rjieba.cut_for_search(word, False)
    return word[1:] in inner and word[:2] not in inner


def _third_tones(group: _Group, found: list[str | None]) -> None:
    """Change the third tones of a group, the groups inside it first."""
    if not isinstance(group, int):
        for part in group:
            _third_tones(part, found)
        _meet(*group, found)


def _meet(left: _Group, right: _Group, found: list[str | None]) -> None:
    """Change the last syllable of a group if it and the first one of the next still have the third tone."""
    while not isinstance(left, int):
        left = left[1]
    while not isinstance(right, int):
        right = right[0]
    if found[left][-1] == found[right][-1] == "3":
        found[left] = found[left][:-1] + "2"
