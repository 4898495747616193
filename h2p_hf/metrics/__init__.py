"""The polyphone metric.

Polyphone positions are the labelled characters that the lexicon gives two or more readings, and every character that
is the only labelled one of its text (the marked target of CPP and of our own sentences). A class is a character with a
reading (长/chang2), since one syllable is another decision for another character. The three averages of accuracy, by
sample, by character and by reading, are those of CVTE-Poly (Interspeech 2023) and g2pW (Chen et al. 2022): the last
one shows rare readings, where the first is dominated by the majority.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from ..lexicon import is_polyphone
from ..pinyin import NON_HANZI

METRIC_PATH = str(Path(__file__).parent / "polyphone")
"""Folder of the metric module: ``evaluate.load(h2p_hf.metrics.METRIC_PATH)`` works without a network."""


def polyphone_scores(
    characters: Sequence[str], references: Sequence[str], predictions: Sequence[str | None]
) -> dict[str, float]:
    """Score the readings of polyphones, given as flat arrays.

    Args:
        characters (sequence of `str`): the characters.
        references (sequence of `str`): their readings, as many.
        predictions (sequence of `str` or `None`): predicted readings, as many; None counts as wrong.

    Returns:
        `dict[str, float]`: fractions 0-1. `accuracy` (by sample), `accuracy_by_character` and `accuracy_by_reading`
        (means over characters, and over pairs of character and reference), `precision`, `recall` and `f1` with the
        suffixes `_macro`, `_micro` and `_weighted` as scikit-learn has them over the classes that occur in
        references or predictions (0 where undefined), and `polyphones`, the number of positions. Without positions
        all scores are 0.
    """
    gold = [f"{c}/{r}" for c, r in zip(characters, references, strict=True)]
    guess = [f"{c}/{p}" for c, p in zip(characters, predictions, strict=True)]
    right = np.array([g == p for g, p in zip(gold, guess, strict=True)], dtype=float)
    scores = {
        "accuracy": float(accuracy_score(gold, guess)) if gold else 0.0,
        "accuracy_by_character": _mean_by(characters, right),
        "accuracy_by_reading": _mean_by(gold, right),
    }
    for average in ("macro", "micro", "weighted"):
        found = (
            precision_recall_fscore_support(gold, guess, average=average, zero_division=0)[:3] if gold else (0.0,) * 3
        )
        scores |= {f"{k}_{average}": float(v) for k, v in zip(("precision", "recall", "f1"), found, strict=True)}
    return {**scores, "polyphones": len(gold)}


def pinyin_scores(
    texts: Iterable[str],
    references: Iterable[Sequence[str | None]],
    predictions: Iterable[Sequence[str | None]],
) -> dict[str, float]:
    """Score predictions in the column layout of the datasets.

    Args:
        texts (iterable of `str`): the texts.
        references (iterable of lists): for each a list as long as the text, None where unlabelled.
        predictions (iterable of lists): likewise; what stands at unlabelled characters does not count.

    Returns:
        `dict[str, float]`: those of `polyphone_scores` over the polyphone positions, `hanzi_accuracy` over all labelled
        characters, `sentence_accuracy`, the fraction of texts in which every labelled character is right (texts without
        a label are left out), and the numbers `hanzi` and `sentences`.

    Raises:
        ValueError: if the lengths of a row differ.
    """
    flat: list[tuple[str, str, str | None]] = []
    hanzi: list[bool] = []
    sentences: list[bool] = []
    for text, gold, guess in zip(texts, references, predictions, strict=True):
        if not len(text) == len(gold) == len(guess):
            raise ValueError(f"lengths differ: text {len(text)}, references {len(gold)}, predictions {len(guess)}")
        right = [g == p for g, p in zip(gold, guess, strict=True) if g is not None]
        if right:
            sentences.append(all(right))
        hanzi += right
        flat += [(text[at], gold[at], guess[at]) for at in polyphone_positions(text, gold)]
    return {
        **polyphone_scores(*(list(zip(*flat, strict=True)) or ((), (), ()))),
        "hanzi_accuracy": float(np.mean(hanzi)) if hanzi else 0.0,
        "sentence_accuracy": float(np.mean(sentences)) if sentences else 0.0,
        "hanzi": len(hanzi),
        "sentences": len(sentences),
    }


def polyphone_positions(text: str, references: Sequence[str | None]) -> list[int]:
    """Return the offsets that count as polyphones in a row (see the module)."""
    labelled = [at for at, reading in enumerate(references) if reading is not None]
    return labelled if len(labelled) == 1 else [at for at in labelled if is_polyphone(text[at])]


def build_compute_metrics(tokenizer, id2label: Mapping[int, str]):
    """Return `compute_metrics` for a `Trainer` with `include_for_metrics=["inputs"]` and predicted label ids.

    It scores the tokens at polyphone positions (see the module); the characters come from the input ids.
    """
    characters = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    counts = np.array([is_polyphone(token) for token in characters])
    other = next((i for i, label in id2label.items() if label == NON_HANZI), -1)

    def compute_metrics(prediction: Any) -> dict[str, float]:
        inputs, labels, guesses = (
            np.asarray(a) for a in (prediction.inputs, prediction.label_ids, prediction.predictions)
        )
        labelled = (labels >= 0) & (labels != other)
        alone = labelled.sum(axis=1, keepdims=True) == 1
        rows = labelled & (alone | counts[np.clip(inputs, 0, None)])
        return polyphone_scores(
            [characters[i] for i in inputs[rows]],
            [id2label[i] for i in labels[rows]],
            [id2label[i] for i in guesses[rows]],
        )

    return compute_metrics


def _mean_by(groups: Sequence[str], right: np.ndarray) -> float:
    by_group: dict[str, list[float]] = defaultdict(list)
    for group, value in zip(groups, right, strict=True):
        by_group[group].append(value)
    return float(np.mean([np.mean(values) for values in by_group.values()])) if by_group else 0.0
