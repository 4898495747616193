"""Graded sentences of the PyPI package hsk-sentences-audio (CC-BY-SA-4.0), labelled by dictionary.

Some of its readings of polyphones are wrong (很长 zhang3, 结果 jie1, 高兴地 di4) and others are not ours (一个 ge5, 家里 li3): a
polyphone keeps its label only where a phrase dictionary has the same reading. It is for training only.
"""

from collections.abc import Iterator

from ..errors import InputError
from ..lexicon import is_polyphone, phrase_table
from ..text import is_hanzi
from .records import Record


def read_hsk(split: str = "train") -> Iterator[Record]:
    """Yield the sentences whose syllables and characters can be matched one to one (nearly all of 4,354).

    Raises:
        InputError: if the package is not installed.
    """
    if split != "train":
        raise InputError(f"hsk has no split {split!r}: it has only train")
    try:
        from hsk_sentences_audio import load_sentences
    except ImportError:
        raise InputError("hsk-sentences-audio is not installed: pip install 'h2p-hf[hsk]'") from None
    for row in load_sentences():
        text = row["chinese"]
        syllables = row["pinyin_numbered"].split()
        if len(syllables) == sum(map(is_hanzi, text)):
            rest = iter(syllables)
            pinyin = [next(rest) if is_hanzi(char) else None for char in text]
            sure = phrase_table().readings(text)
            for at, char in enumerate(text):
                if is_polyphone(char) and sure.get(at) != pinyin[at]:
                    pinyin[at] = None
            yield f"hsk {row['id']}", text, pinyin
