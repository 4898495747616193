"""What people use today, behind the same call as our pipeline: texts in, one reading a character out.

A system is a callable that takes a list of texts and returns for each a list as long as the text, with a syllable in
normal form for each hanzi (None if it has none to give) and None for every other character.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from datasets import Dataset
from pypinyin import Style, lazy_pinyin

from .errors import InputError
from .lexicon import large_pinyin_phrases, readings
from .pinyin import normalize
from .text import is_hanzi

System = Callable[[Sequence[str]], list[list[str | None]]]
Tagger = Callable[[str], list[tuple[str | None, float | None]]]
"""Takes one text and returns the reading of each character with its probability (0-1), None where it did not have to
choose: what it takes for no polyphone, or does not know."""


def pypinyin_system(texts: Sequence[str]) -> list[list[str | None]]:
    """Read with pypinyin as it comes: longest phrases, then the most common reading."""
    return [
        _aligned(
            text,
            lazy_pinyin(text, style=Style.TONE3, neutral_tone_with_five=True, v_to_u=False, errors=list),
        )
        for text in texts
    ]


def large_pinyin_system(texts: Sequence[str]) -> list[list[str | None]]:
    """Read with the 410,000 phrases of large_pinyin, longest match from left to right, else pypinyin's first reading."""
    results = pypinyin_system([" ".join(text) for text in texts])  # no phrase survives the spaces
    results = [result[::2] for result in results]
    for text, result in zip(texts, results, strict=True):
        for at, reading in large_pinyin_phrases().readings(text).items():
            result[at] = reading if is_hanzi(text[at]) else None
    return results


def g2pm_system() -> System:
    """Return g2pM (Park & Lee 2020), from the PyPI package of that name.

    Raises:
        InputError: if it is not installed.
    """
    model = _g2pm()()
    return lambda texts: [_aligned(text, model(text, char_split=True)) for text in texts]


def g2pm_probabilities() -> Tagger:
    """Return g2pM with its probabilities.

    Raises:
        InputError: if it is not installed.
    """

    class Model(_g2pm()):
        def fc_layer(self, inputs):
            self.logits = super().fc_layer(inputs)  # one row a polyphone, in order
            return self.logits

    model = Model()

    def read(text: str) -> list[tuple[str | None, float | None]]:
        syllables = _aligned(text, model(text, char_split=True))
        polyphones = [at for at, char in enumerate(text) if len(model.cedict.get(char, ())) > 1]
        probabilities: list[float | None] = [None] * len(text)
        if polyphones:
            exponents = np.exp(model.logits - model.logits.max(axis=-1, keepdims=True))
            for at, best in zip(polyphones, exponents.max(axis=-1) / exponents.sum(axis=-1), strict=True):
                probabilities[at] = float(best)
        return list(zip(syllables, probabilities, strict=True))

    return read


def _g2pm() -> type:
    try:
        from g2pM import G2pM
    except ImportError:
        raise InputError("g2pM is not installed: pip install 'h2p-hf[g2pm]'") from None
    return G2pM


def majority_system(train: Dataset) -> System:
    """Return the guess that always gives a character the reading it has most often in `train`, or else its first."""
    counts: dict[str, Counter] = defaultdict(Counter)
    for row in train:
        for char, reading in zip(row["text"], row["pinyin"], strict=True):
            if reading is not None:
                counts[char][reading] += 1
    best = {char: count.most_common(1)[0][0] for char, count in counts.items()}
    return lambda texts: [[best.get(char) or next(iter(readings(char)), None) for char in text] for text in texts]


def _aligned(text: str, syllables: Iterable[str]) -> list[str | None]:
    syllables = list(syllables)
    if len(syllables) != len(text):
        raise RuntimeError(f"the baseline gave {len(syllables)} items for {len(text)} characters: {text!r}")
    result: list[str | None] = []
    for char, syllable in zip(text, syllables, strict=True):
        try:
            result.append(normalize(syllable) if is_hanzi(char) else None)
        except ValueError:  # a character that the baseline does not know comes back as it is
            result.append(None)
    return result
