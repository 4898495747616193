"""Traditional text: the Simplified one, as long as it, that the model reads instead."""

from functools import cache

from opencc import OpenCC

from .lexicon import general_standard, readings
from .text import encodable

# Where Simplified writing merged characters that sound differently: the readings of the Traditional ones, by 现代汉语词典.
_MERGED = """
發 fa1 fa5|髮 fa4 fa5|乾 gan1|幹 gan4|榦 gan4|隻 zhi1|祇 zhi3|衹 zhi3|鬥 dou4|鬪 dou4|捲 juan3|儘 jin3|盡 jin4|繫 ji4 xi4|係 xi4|
種 zhong3 zhong4|髒 zang1|臟 zang4|縴 qian4|纖 xian1|捨 she3|籲 yu4|樸 pu3|術 shu4 shu5|葉 ye4|雲 yun2|衝 chong1 chong4|僕 pu2|徵 zheng1|
捱 ai2|瞭 liao3 liao4|蔔 bo5|佔 zhan4|採 cai3|彆 bie4|癥 zheng1|鬨 hong4|摺 zhe2|颳 gua1|薑 jiang1|噹 dang1|鬱 yu4|誇 kua1|剋 ke4 kei1|
夥 huo3 huo5|醜 chou3|鞦 qiu1|鹹 xian2|穀 gu3|範 fan4|嚮 xiang4|彙 hui4|復 fu4|複 fu4
"""


@cache
def _converter() -> OpenCC:
    # From Taiwan's forms: the only one of OpenCC's that tells 看著 from 著名.
    return OpenCC("tw2s")


@cache
def _standard() -> frozenset[str]:
    return frozenset(general_standard())


@cache
def _is_traditional(char: str) -> bool:
    return char > "\u3400" and char not in _standard() and _converter().convert(encodable(char)) != encodable(char)


def to_simplified(text: str) -> str:
    """Return a text in Simplified characters, exactly as long, so that offsets stay true.

    Text without a character that only Traditional writing has is returned as it is: there 著, 乾 and 於 are what they seem.
    The conversion is OpenCC's, which knows words (頭髮 and 發展, 乾坤 and 乾淨). A character whose Simplified form nobody
    knows how to read stays.

    Example:
        >>> to_simplified("她看著頭髮，乾坤"), to_simplified("著名")
        ('她看着头发，乾坤', '著名')
    """
    if not any(map(_is_traditional, text)):
        return text
    clean = encodable(text).replace("\0", "\ufffd")  # OpenCC stops at a null character
    converted = _converter().convert(clean)
    if len(converted) != len(text):
        converted = "".join(c if len(c) == 1 else char for char in clean for c in [_converter().convert(char)])
    return "".join(
        new if readings(new) or not readings(old) else old for old, new in zip(text, converted, strict=True)
    )


@cache
def _own_readings() -> dict[str, list[str]]:
    return {char: own for char, *own in map(str.split, "".join(_MERGED.split("\n")).split("|"))}


def readings_of_pair(traditional: str, simplified: str) -> tuple[str, ...]:
    """Return the readings of a Simplified character that it has in place of a Traditional one: 发 in place of 髮 is fa4.

    Example:
        >>> readings_of_pair("髮", "发"), readings_of_pair("長", "长")
        (('fa4', 'fa5'), ('zhang3', 'chang2'))
    """
    own = _own_readings().get(traditional)
    return tuple(reading for reading in readings(simplified) if own is None or reading in own)
