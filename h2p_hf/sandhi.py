"""Tone sandhi of standard Mandarin: how 一, 不 and third tones are spoken in context."""

import re
from collections.abc import Sequence

from .lexicon import readings
from .text import is_hanzi
from .words import words

_DIGITS = frozenset("零〇一二三四五六七八九")
_UNITS = frozenset("百千万亿")
_BEFORE_FIRST = frozenset("第初统唯专单之划十")
# Words in which 一 is a number in a series, not a count.
_FIXED = frozenset("一月 一号 一楼 一流 一审 一级 一等奖 一等功 一年级 一把手 数一数二".split())
_PARTICLES = frozenset("了的吧吗呢啊呀嘛")
# Before 不 these are no verbs: 决不能, 并不是.
_ADVERBS = frozenset("决绝并毫从也都再就更还太才又却可要若莫")
# Words whose neutral tone still changes the third tone before it, unlike that of 姐姐 or 椅子.
_BEFORE_NEUTRAL = re.compile("小姐|晌午")


def spoken(text: str, pinyin: Sequence[str | None]) -> list[str | None]:
    """Return how the syllables of a text are spoken.

    - 一 is yi2 before a fourth tone and yi4 before any other; yi1 at the end of a word, in a number, after 第 and where it
      counts in a series (一月, 一楼); yi5 between a verb and the same again (看一看).
    - 不 is bu2 before a fourth tone, and bu5 between the same twice (好不好) and inside words such as 差不多.
    - Of third tones in a row all but the last of a group are second tones. Groups are words, in longer ones first the word
      inside (展览馆 2-2-3, 小老虎 3-2-3); words of one syllable pair up from left to right, one left over joins what
      follows, or else what precedes. Between groups a third tone changes if the next one is still a third tone. The
      suffix 儿 is part of the syllable before it.

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
    inside = {at: text[start:end] for start, end in spans for at in range(start, end)}
    ends = {end - 1 for start, end in spans if end - start > 1}
    for at, (char, syllable) in enumerate(zip(text, pinyin, strict=True)):
        if char == "一" and syllable == "yi1":
            keeps = at in ends or inside[at] in _FIXED or _is_number(text, at)
        elif char == "不" and syllable == "bu4":
            keeps = False
        else:
            continue
        after = text[at + 1 : at + 2]
        follower = _full_tone(after, pinyin[at + 1]) if after and after not in _PARTICLES else ""
        if not keeps and _is_between(text, at, inside[at]):
            found[at] = syllable[:-1] + "5"
        elif follower and not keeps:
            found[at] = syllable[:-1] + ("2" if follower == "4" else "4")
    for match in _BEFORE_NEUTRAL.finditer(text):
        first, second = found[match.start() : match.end()]
        if first and second and second.endswith("5"):
            found[match.start()] = first.replace("3", "2")
    for run in _runs(spans, found):
        groups = _groups(text, run, found)
        for group in groups:
            _third_tones(group, found)
        for left, right in zip(groups, groups[1:], strict=False):
            _meet(left, right, found)
    return found


def _is_between(text: str, at: int, word: str) -> bool:
    """Return whether a 一 or 不 stands between a verb and the same again, or inside a word such as 差不多."""
    if not 0 < at < len(text) - 1:
        return False
    before, char, after = text[at - 1 : at + 2]
    if char == "不" and len(word) == 3 and word[1] == char and before not in _ADVERBS:
        return True
    # 一天一天 and 人不人鬼不鬼 repeat a noun.
    neighbours = (text[max(at - 2, 0)], text[max(at - 3, 0)], text[at + 3 : at + 4])
    return before == after and is_hanzi(after) and char not in neighbours


def _full_tone(char: str, syllable: str | None) -> str:
    """Return the tone that a syllable has or comes from; empty if there is none."""
    if syllable and syllable.endswith("5"):
        return next((r[-1] for r in readings(char) if r[:-1] == syllable[:-1] and r[-1] != "5"), "5")
    return syllable[-1] if syllable else ""


def _is_number(text: str, at: int) -> bool:
    """Return whether the 一 at an offset is part of a number, or keeps its tone as an ordinal or a noun."""
    before, after = text[at - 1 : at] if at else "", text[at + 1 : at + 2]
    if before in _BEFORE_FIRST or before in _DIGITS or after in _DIGITS:
        return True
    if before == "月" and after in ("日", "号"):
        return True
    decimal = before == "点" and text[at - 2 : at - 1] in _DIGITS | {"十"}
    return decimal or (before in _UNITS and after in (*_UNITS, "十"))


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


def _groups(text: str, run: Sequence[tuple[int, int]], found: Sequence[str | None]) -> list[_Group]:
    """Group the words of a run into feet of two syllables or more."""
    groups: list[_Group] = []
    for start, end in run:
        syllables = [at for at in range(start, end) if found[at] != "r5"]
        if len(syllables) == 1 and groups and isinstance(groups[-1], int):
            groups[-1] = (groups[-1], syllables[0])
        elif syllables:
            groups.append(_inside("".join(text[at] for at in syllables), syllables))
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


def _inside(word: str, places: Sequence[int]) -> _Group:
    """Group the characters of a word: around the word inside if it has three, else two by two."""
    if len(word) == 1:
        return places[0]
    cut = 1 if len(word) == 2 or (len(word) == 3 and _ends_in_word(word)) else 2
    return _inside(word[:cut], places[:cut]), _inside(word[cut:], places[cut:])


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
