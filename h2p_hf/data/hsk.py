"""Graded sentences of the PyPI package hsk-sentences-audio (CC-BY-SA-4.0), labelled by dictionary.

About 2% of its readings of polyphones are wrong (很长 zhang3), nearly all of them outside of words that a phrase dictionary
knows; there a polyphone is left unlabelled. It is for training only.
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
                if at not in sure and is_polyphone(char):
                    pinyin[at] = None
            yield f"hsk {row['id']}", text, pinyin
