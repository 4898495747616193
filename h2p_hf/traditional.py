"""Traditional characters: what the model reads instead of them, character by character."""

from functools import cache

from opencc import OpenCC
from pypinyin.constants import PINYIN_DICT
from pypinyin_dict.pinyin_data import kxhc1983

from .lexicon import general_standard, parse_readings, readings, tone_variants
from .text import encodable


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
    The conversion is OpenCC's, which knows words (頭髮 and 發展, 乾坤 and 乾淨).

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
    return converted


@cache
def readings_of_pair(traditional: str, simplified: str) -> tuple[str, ...]:
    """Return the readings of a Simplified character that the Traditional one it stands for has as well.

    Simplified writing merged characters that sound differently: 发 is 發 fa1 and 髮 fa4. The readings of Traditional
    characters are those of 现代汉语词典 (kXHC1983), or pypinyin's where it lacks them; the lexical neutral tones are those
    of the Simplified character.

    Example:
        >>> readings_of_pair("髮", "发"), readings_of_pair("長", "长")
        (('fa4', 'fa5'), ('zhang3', 'chang2'))
    """
    known = readings(simplified)
    code = ord(traditional)
    listed = readings(traditional) if code in kxhc1983.pinyin_dict else parse_readings(PINYIN_DICT.get(code, ""))
    own = {*listed, *tone_variants(simplified)}
    return tuple(reading for reading in known if reading in own) or known
