"""Names: surnames and places whose readings are not the common ones of their characters."""

import re
from functools import cache

import rjieba

from .lexicon import phrase_table, resource_rows
from .phrases import PhraseTable
from .text import encodable, is_hanzi
from .words import words

_TITLES = frozenset(
    "先生 女士 小姐 太太 夫人 老师 教授 博士 院士 医生 大夫 护士 律师 法官 经理 总监 总裁 董事 主任 主席 主管 书记 局长 处长 科长 "
    "部长 省长 市长 县长 镇长 村长 校长 院长 所长 站长 队长 班长 组长 厂长 店长 行长 会长 社长 团长 师长 连长 排长 司令 将军 "
    "老板 师傅 工程师 警官 同学 同志 导演 编辑 记者 教练 秘书 法师 道长 公子 姑娘 大爷 大妈 大哥 大姐 叔叔 阿姨 爷爷 奶奶 伯伯 "
    "总经理 总书记 董事长 副教授 副主任 班主任 某 总 氏".split()
)
# Words that people use before titles and after 老 or 小 much more than surnames (应老师要求, 区主任, 过主任).
_OFTEN_WORDS = frozenset("应都过能句种折强占区")
# Those that need a start or one of these before them, too (任经理 is to serve as one, 在华记者, 他曾编辑).
_SOMETIMES_WORDS = frozenset("任华曾乐单查解盖")
_BEFORE_NAMES = frozenset("的和与跟给请找问是叫向对让被由及同比、，。！？；：“（ \n")
_GIVEN_NAMES = frozenset("小华 小燕 小曲 小柏 小石".split())
_PARTICLES = frozenset("吗呢吧了的啊呀着过哦嘛")
_ENTRY = re.compile(r"[^\s、，,;；/]+")


@cache
def _tables() -> tuple[dict[str, tuple[str, ...]], PhraseTable]:
    """Return the readings of surnames, and the table of places."""
    kinds: dict[str, dict[str, tuple[str, ...]]] = {"surname": {}, "place": {}}
    for kind, name, found in resource_rows("names.tsv"):
        kinds[kind][name] = tuple(found.split())
    return kinds["surname"], PhraseTable(kinds["place"])


def name_readings(text: str) -> dict[int, str]:
    """Find surnames and places in a text and return their readings by offset.

    Both come from a table of those that are not read as usual (``resources/names.tsv``). A surname is one

    - at the start of each entry, if the text is nothing but a list of entries of two to four hanzi (contacts);
    - before a title (单老师, 任总, 查某) or after 姓, 老 or 小 (老解), if it is a word of its own there;
    - at the start of a word that jieba tags as a person's name (``nr``) and the phrase dictionary does not have.

    Args:
        text (`str`): Simplified text.

    Example:
        >>> name_readings("单老师姓单")
        {0: 'shan4', 4: 'shan4'}
        >>> name_readings("老师单独查资料"), name_readings("查良镛、任正非")
        ({}, {0: 'zha1', 4: 'ren2'})
    """
    surnames, places = _tables()
    starts = []
    entries = list(_ENTRY.finditer(text))
    if len(entries) > 1 and all(map(_is_entry, entries)):
        starts += [entry.start() for entry in entries if entry[0] not in phrase_table()]
    spans = [(text[start:end], start) for start, end in words(text)]
    for (before, _), (word, start), (after, _) in zip([("", 0), *spans], spans, [*spans[1:], ("", 0)], strict=False):
        if word.startswith("姓") and len(word) > 1:
            starts.append(start + 1)
        if word in surnames and (len(word) == 2 or _alone(before, word, after)):
            starts.append(start)
    at = 0
    for word, tag in rjieba.tag(encodable(text)):
        if tag == "nr" and 2 <= len(word) <= 4 and word not in phrase_table():
            starts.append(at)
        at += len(word)
    edges = {len(text), *(start for _, start in spans)}
    found = {
        at: reading
        for start, end, place in places.match(text)
        if start in edges and end in edges
        for at, reading in enumerate(place, start)
    }
    for start in starts:
        for name in (text[start : start + 2], text[start : start + 1]):
            if reading := surnames.get(name):
                found.update(enumerate(reading, start))
                break
    return found


def _is_entry(match: re.Match) -> bool:
    """Return whether a piece of text can be a name in a list."""
    entry = match[0]
    hanzi = 2 <= len(entry) <= 4 and all(map(is_hanzi, entry))
    return hanzi and entry[0] not in _OFTEN_WORDS and entry[-1] not in _PARTICLES


def _alone(before: str, char: str, after: str) -> bool:
    """Return whether a word of one character, between two others, stands where a surname does."""
    if before == "姓":
        return True
    if char in _OFTEN_WORDS:
        return False
    if after in _TITLES:
        return char not in _SOMETIMES_WORDS or not before or before in _BEFORE_NAMES
    return before in ("老", "小") and before + char not in phrase_table() and before + char not in _GIVEN_NAMES
