"""Graded sentences of the PyPI package hsk-sentences-audio (CC-BY-SA-4.0): every character labelled, by dictionary.

Its readings come from a dictionary and about 2% of those of polyphones are wrong, so it is for training only.
"""

from collections.abc import Iterator

from ..errors import InputError
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
            yield f"hsk {row['id']}", text, [next(rest) if is_hanzi(char) else None for char in text]
