"""Reading a text, whatever runs the model: windows, candidates of the lexicon, phrases, names and dictionary on top.

Nothing here needs torch or transformers, so that a text is read a second after the start.
"""

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .errors import InputError
from .inline import InlineText
from .lexicon import UserDictionary, common_readings, phrase_table, readings, tone_variants
from .names import name_readings
from .pinyin import NON_HANZI, syllables, to_style, with_erhua
from .sandhi import spoken
from .text import align, is_hanzi, owned, windows
from .traditional import readings_of_pair, to_simplified

TASK = "hanzi-to-pinyin"
"""Its name in transformers."""

DEFAULT_MAX_LENGTH = 256
"""Longest input in tokens, if the tokenizer states none."""

CHUNK = 1024
"""Texts of a stream that are sorted by length and batched together."""


@dataclass
class _Window:
    """A piece of one text: `[start, end)` is read, and the characters `[first, last)` are answered for."""

    text: int
    start: int
    end: int
    first: int
    last: int


_CERTAIN = np.ones(1)
_CERTAIN.setflags(write=False)

Reading = tuple[tuple[str, ...], np.ndarray]
"""Candidates of one hanzi, and their scores or probabilities, as many."""


def best_reading(reading: Reading | None, min_score: float = 0.0) -> str | None:
    """Return the best candidate, or None if there is none or its score is below `min_score`."""
    if not reading or not reading[0]:
        return None
    best = int(reading[1].argmax())
    return reading[0][best] if reading[1][best] >= min_score else None


def has_pinyin_labels(label2id: Mapping[str, int]) -> bool:
    """Return whether all labels of a model are syllables (or ``O``): whether it was fine-tuned for this task."""
    return bool(label2id) and set(label2id) - {NON_HANZI} <= syllables()


def longest_input(model_max_length: float | None, positions: int | None) -> int:
    """Return the longest input in tokens that tokenizer and model take; a bare vocab.txt states 1e30."""
    known = model_max_length if model_max_length and model_max_length < 1_000_000 else DEFAULT_MAX_LENGTH
    return min(known, positions or known)


def candidate_ids(vocabulary: Mapping[str, int], label2id: Mapping[str, int]) -> dict[int, list[int]]:
    """Return the label ids of each token's readings, by token id; empty for what is not one hanzi of the lexicon."""
    return {
        i: [label2id[reading] for reading in readings(token) if reading in label2id] for token, i in vocabulary.items()
    }


class Scored(NamedTuple):
    """What a model says of a batch of windows."""

    input_ids: Sequence[Sequence[int]]
    offsets: Sequence[Sequence[tuple[int, int]]]
    scores: np.ndarray
    """`(batch_size, sequence_length, most readings)` at the candidates, or `(..., num_labels)` without the lexicon."""


class PinyinReader:
    """Read the pinyin of every hanzi.

    What runs the model is for the subclasses: `pipelines.HanziToPinyinPipeline` (PyTorch) and `onnx.OnnxPinyinReader`.

    Each hanzi gets the best of the readings that the lexicon gives it. Phrases of the lexicon are matched from left to
    right and from right to left, and each of the two adds half of `phrase_bonus` to the score of its reading. A hanzi
    that the tokenizer does not know has the reading of the phrases or its most common one. Names overrule that if asked
    for, then entries of the user dictionary, and readings written into the text (`inline.InlineText`) overrule everything.
    Traditional text is read as Simplified, and each character keeps to the readings of the Traditional one.

    Args (of the constructor or of a call):
        dictionary (`UserDictionary`, mapping or path, *optional*): see `lexicon.UserDictionary`; its phrases are looked
            for in the text as given, and in its Simplified form.
        names (`bool`, *optional*, defaults to `False`): read surnames and places as such, see `names.name_readings`.
        neutral_tone (`bool`, *optional*, defaults to `True`): `False` gives words with a lexical neutral tone their full
            tones (衣服 yi1 fu2); particles stay neutral.
        style (`str`, *optional*, defaults to `"tone3"`): how pinyin is written, a name in `pinyin.STYLES`.
        min_score (`float`, *optional*, defaults to 0): a reading less probable than this (0-1) is None.
        sandhi (`bool`, *optional*, defaults to `False`): items also have `sandhi`, the syllable as spoken, see
            `sandhi.spoken`.
        merge_erhua (`bool`, *optional*, defaults to `False`): the suffix 儿 and the character before it are one item, with
            one syllable (点儿 dianr3).
        rare_readings (`bool`, *optional*, defaults to `False`): candidates are all readings of the dictionaries, not only
            `lexicon.common_readings`.
        phrase_bonus (`float`, *optional*): in log space; defaults to the `phrase_bonus` in the model config, or 0.
        use_lexicon (`bool`, *optional*, defaults to `True`): `False` takes the best of all syllables, which is what plain
            ``pipeline("token-classification")`` gives; the five best are the candidates.
        batch_size (`int`, *optional*, defaults to 32): windows a forward pass. An int8 model rounds by batch, so the scores
            of a text depend a little on those read with it.
        cache_size (`int`, *optional*, defaults to 0): what the model says of so many texts is kept, and not computed again
            when one of them comes back; the oldest goes first.

    Returns (for one text; a list of these for a list, a generator for any other iterable):
        `list[dict]`: one item a hanzi, in order: `char`, `pinyin` (None if nobody knows it or it is below `min_score`),
        `score` (probability, 0-1), `start` and `end` (offsets in the text as given), `candidates` (list of `pinyin` and
        `score`, best first).
    """

    phrase_bonus: float
    """What the checkpoint has as its phrase bonus."""

    _batch_size: int | None = None
    _threads = 1
    """How many batches `_run` may read at a time."""

    def _run(self, contents: Sequence[str], use_lexicon: bool) -> Scored:
        """Run the model on one batch of windows."""
        raise NotImplementedError

    def _prepare(
        self,
        label2id: Mapping[str, int],
        vocabulary: Mapping[str, int],
        unk_id: int | None,
        max_length: int,
        special_tokens: int,
    ) -> None:
        """Note what decoding needs of model and tokenizer: to be called by the constructor.

        Raises:
            InputError: if the labels are no syllables.
        """
        if not has_pinyin_labels(label2id):
            raise InputError("this model has no pinyin labels: fine-tune it first with recipes/finetune.py")
        self._lock = threading.Lock()
        self._cache: dict[tuple[str, bool], list[Reading | None]] = {}
        self._labels = np.array(sorted(label2id, key=label2id.__getitem__))
        self._outside = label2id.get(NON_HANZI)
        self._unk_id, self._max_length, self._window = unk_id, max_length, max_length - special_tokens
        found = candidate_ids(vocabulary, label2id)
        # `(vocab_size, most readings)`, -1 where there are fewer
        self._candidates = np.full((max(found) + 1, max(map(len, found.values()))), -1)
        for i, ids in found.items():
            self._candidates[i, : len(ids)] = ids
        self._readings = {i: tuple(map(str, self._labels[ids])) for i, ids in found.items() if ids}

    @property
    def dictionary(self) -> UserDictionary:
        """The user dictionary given to the constructor; empty if there was none."""
        return self._forward_params.get("dictionary") or UserDictionary()

    def _sanitize_parameters(
        self,
        dictionary=None,
        names=None,
        neutral_tone=None,
        style=None,
        min_score=None,
        sandhi=None,
        merge_erhua=None,
        rare_readings=None,
        phrase_bonus=None,
        use_lexicon=None,
        batch_size=None,
        cache_size=None,
    ):
        if isinstance(dictionary, (str, Path)):
            dictionary = UserDictionary.load(dictionary)
        elif dictionary is not None and not isinstance(dictionary, UserDictionary):
            dictionary = UserDictionary.from_mapping(dictionary)
        if style is not None:
            to_style("a1", style)  # an unknown style is an error here, not in the middle of a stream
        if min_score is not None and not 0 <= min_score <= 1:
            raise InputError(f"min_score must be from 0 to 1, got {min_score}")
        if batch_size is not None and batch_size < 1:
            raise InputError(f"batch_size must be at least 1, got {batch_size}")
        if cache_size is not None and cache_size < 0:
            raise InputError(f"cache_size must be at least 0, got {cache_size}")
        # `Pipeline` keeps three kinds apart: here what is for the model, for decoding and for the items.
        return tuple(
            {key: value for key, value in part.items() if value is not None}
            for part in (
                {"batch_size": batch_size, "cache_size": cache_size},
                {
                    "dictionary": dictionary,
                    "names": names,
                    "neutral_tone": neutral_tone,
                    "phrase_bonus": phrase_bonus,
                    "use_lexicon": use_lexicon,
                },
                {
                    "style": style,
                    "min_score": min_score,
                    "sandhi": sandhi,
                    "merge_erhua": merge_erhua,
                    "rare_readings": rare_readings,
                },
            )
        )

    def __call__(self, inputs: str | Iterable[str], **kwargs):
        """Read one text, a list of texts, or a stream of texts. See the class for the parameters and the result."""
        model, decoding, output = self._parameters(kwargs)
        results = (
            self.items(text, found, **output) for text, found in self._stream(_as_texts(inputs), model, decoding)
        )
        if isinstance(inputs, str):
            return next(results)
        return list(results) if isinstance(inputs, Sequence) else results

    def readings(self, texts: Iterable[str], **kwargs) -> Iterator[list[str | None]]:
        """Read texts and yield, for each, a list as long as the text: the pinyin of a hanzi, None for all else.

        The same decoding as a call without the items around it: the column layout of the datasets. Of what is about items
        `style` and `min_score` count.
        """
        model, decoding, output = self._parameters(kwargs)
        style, min_score = output.get("style", "tone3"), output.get("min_score", 0.0)
        for _, found in self._stream(_as_texts(texts), model, decoding):
            best = (best_reading(reading, min_score) for reading in found)
            yield [syllable and to_style(syllable, style) for syllable in best]

    def probabilities(self, texts: Iterable[str], **kwargs) -> Iterator[list[Reading | None]]:
        """Read texts and yield, for each, a list as long as the text: the candidates of a hanzi and their probabilities."""
        model, decoding, _ = self._parameters(kwargs)
        for _, found in self._stream(_as_texts(texts), model, decoding):
            yield found

    def _parameters(self, kwargs: dict) -> tuple[dict, dict, dict]:
        model, decoding, output = self._sanitize_parameters(**kwargs)
        # `Pipeline` keeps the batch size of the constructor for itself.
        model = {"batch_size": self._batch_size or 32, **self._preprocess_params, **model}
        return model, {**self._forward_params, **decoding}, {**self._postprocess_params, **output}

    def _stream(self, texts: Iterable[str], model: dict, decoding: dict) -> Iterator[tuple[str, list[Reading | None]]]:
        use_lexicon = decoding.get("use_lexicon", True)

        def read(group: Sequence[str], parallel: bool) -> list[list[Reading | None]]:
            found = self._score(group, use_lexicon, parallel, **model)
            return [self.postprocess(text, scores, **decoding) for text, scores in zip(group, found, strict=True)]

        return self._in_groups(texts, model["batch_size"], read)

    def scores(
        self, texts: Iterable[str], batch_size: int = 32, use_lexicon: bool = True, cache_size: int = 0
    ) -> Iterator[tuple[str, list[Reading | None]]]:
        """Yield each text with what the model alone says: a list as long as the text, with the scores of each hanzi that
        the tokenizer knows, ready for `postprocess`.
        """
        return self._in_groups(
            texts,
            batch_size,
            lambda group, parallel: self._score(group, use_lexicon, parallel, batch_size, cache_size),
        )

    def _in_groups(
        self, texts: Iterable[str], size: int, read: Callable[..., list]
    ) -> Iterator[tuple[str, list[Reading | None]]]:
        """Yield texts with what was read of them, in order, while groups of like length are read in parallel: a thread that
        decodes leaves the other cores to those that run the model.
        """
        texts = iter(texts)
        while chunk := list(itertools.islice(texts, CHUNK)):
            order = sorted(range(len(chunk)), key=lambda index: len(chunk[index]))
            groups = [order[first : first + size] for first in range(0, len(order), size)]
            few = len(groups) < self._threads  # such as one long text: then its batches run in parallel
            members = [[chunk[index] for index in group] for group in groups]
            found: list[list[Reading | None]] = [[]] * len(chunk)
            results = self._each(partial(read, parallel=few), members, parallel=not few)
            for group, result in zip(groups, results, strict=True):
                for index, one in zip(group, result, strict=True):
                    found[index] = one
            yield from zip(chunk, found, strict=True)

    def _score(
        self, texts: Sequence[str], use_lexicon: bool, parallel: bool, batch_size: int, cache_size: int = 0
    ) -> list[list[Reading | None]]:
        """Return what the model says of texts, from the cache if there is one."""
        if not cache_size:
            return self._compute(texts, use_lexicon, parallel, batch_size)
        keys = [(str(text), use_lexicon) for text in texts]
        with self._lock:
            known = {key: self._cache[key] for key in keys if key in self._cache}
        new = [key for key in dict.fromkeys(keys) if key not in known]
        computed = self._compute([text for text, _ in new], use_lexicon, parallel, batch_size)
        known.update(zip(new, computed, strict=True))
        with self._lock:
            self._cache.update((key, known[key]) for key in new)
            for key in list(self._cache)[: max(0, len(self._cache) - cache_size)]:
                del self._cache[key]
        return [known[key] for key in keys]

    def _compute(
        self, texts: Sequence[str], use_lexicon: bool, parallel: bool, batch_size: int
    ) -> list[list[Reading | None]]:
        found: list[list[Reading | None]] = [[None] * len(text) for text in texts]
        simplified = list(map(to_simplified, texts))
        pieces = sorted(self.preprocess(simplified, use_lexicon), key=lambda piece: piece.end - piece.start)
        batches = [pieces[first : first + batch_size] for first in range(0, len(pieces), batch_size)]
        read = partial(self._read, simplified, use_lexicon)
        for result in self._each(read, batches, parallel):
            for index, place, reading in result:
                found[index][place] = reading
        return found

    def preprocess(self, texts: Sequence[str], use_lexicon: bool = True) -> list[_Window]:
        """Cut texts into windows that fit the model, leaving out those with nothing to choose from: without a hanzi, or,
        with the lexicon, without one of several readings.
        """

        def matters(char: str) -> bool:
            return len(readings(char)) > 1 if use_lexicon else is_hanzi(char)

        found = []
        for index, text in enumerate(texts):
            spans = windows(text, self._window)
            for (start, end), (first, last) in zip(spans, owned(spans), strict=True):
                if any(map(matters, text[first:last])):
                    found.append(_Window(index, start, end, first, last))
        return found

    def _each(self, function: Callable, items: Sequence, parallel: bool) -> Iterator:
        if not parallel or self._threads == 1 or len(items) < 2:
            yield from map(function, items)
        else:
            with ThreadPoolExecutor(self._threads) as pool:
                yield from pool.map(function, items)

    def _read(
        self, texts: Sequence[str], use_lexicon: bool, pieces: Sequence[_Window]
    ) -> list[tuple[int, int, Reading]]:
        """Run the model on one batch of windows and return index of text, offset and scores of each hanzi's candidates."""
        contents = [texts[piece.text][piece.start : piece.end] for piece in pieces]
        input_ids, offsets, scores = self._run(contents, use_lexicon)
        if not use_lexicon:
            scores, best = self._best(scores)
        found = []
        for row, piece in enumerate(pieces):
            tokens = input_ids[row]
            for column, at in enumerate(align(contents[row], offsets[row], tokens, self._unk_id)):
                place = piece.start + at
                if at >= 0 and piece.first <= place < piece.last:
                    if use_lexicon:
                        labels = self._readings.get(tokens[column], ())
                    else:
                        labels = tuple(map(str, self._labels[best[row, column]]))
                    if labels:
                        found.append((piece.text, place, (labels, scores[row, column, : len(labels)])))
        return found

    def _best(self, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the log probabilities of the five best syllables and their ids, best first."""
        if self._outside is not None:
            logits[..., self._outside] = -np.inf
        logits -= logits.max(-1, keepdims=True)
        logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
        ids = np.argsort(-logits, axis=-1, kind="stable")[..., :5]
        return np.take_along_axis(logits, ids, -1), ids

    def postprocess(
        self,
        text: str,
        scores: Sequence[Reading | None],
        dictionary: UserDictionary | None = None,
        names: bool = False,
        neutral_tone: bool = True,
        phrase_bonus: float | None = None,
        use_lexicon: bool = True,
    ) -> list[Reading | None]:
        """Turn scores into probabilities: fallback for unknown hanzi, phrase votes, softmax, names, user dictionary,
        readings in the text, neutral tone.
        """
        bonus = self.phrase_bonus if phrase_bonus is None else phrase_bonus
        simplified = to_simplified(text)
        votes = []
        if use_lexicon and any(len(readings(char)) > 1 for char in simplified):
            votes = [phrase_table().readings(simplified, backward) for backward in (False, True)]
        fixed = {}
        if names:
            fixed.update(name_readings(simplified))
        if dictionary:
            fixed.update(dictionary.readings(*dict.fromkeys((str(text), simplified))))
        if isinstance(text, InlineText):
            fixed.update(text.readings)

        result = list(scores)
        for at, char in enumerate(simplified):
            if not is_hanzi(char):
                continue
            if fixed.get(at):
                result[at] = (fixed[at],), _CERTAIN
                continue
            labels, found = result[at] or (readings(char), np.zeros(len(readings(char)), dtype=np.float32))
            if use_lexicon and len(labels) == 1:  # most characters: no need of arithmetic
                result[at] = labels, _CERTAIN
                continue
            if not use_lexicon and result[at]:
                result[at] = labels, np.exp(found)
                continue
            for vote in votes:
                if vote.get(at) in labels:
                    # An unknown hanzi has no scores of its own: there the phrase decides.
                    weight = bonus / 2 if result[at] else 5.0
                    found = found + np.where([label == vote[at] for label in labels], weight, 0.0)
            exponents = np.exp(found - found.max(initial=-np.inf))
            if char != text[at]:
                own = np.isin(labels, readings_of_pair(text[at], char))
                exponents = np.where(own, exponents, 0.0) if own.any() else exponents
            result[at] = labels, exponents / exponents.sum()
            if not neutral_tone:
                result[at] = _with_full_tones(char, result[at])
        return result

    def items(
        self,
        text: str,
        found: list[Reading | None],
        style: str = "tone3",
        min_score: float = 0.0,
        sandhi: bool = False,
        merge_erhua: bool = False,
        rare_readings: bool = False,
    ) -> list[dict]:
        """Write what `postprocess` found as the items that a call returns."""
        simplified = to_simplified(text)
        best = list(map(best_reading, found))
        aloud = spoken(simplified, best) if sandhi else best
        items: list[dict] = []
        for at, reading in enumerate(found):
            if reading is None:
                continue
            syllable = {"pinyin": best[at], **({"sandhi": aloud[at]} if sandhi else {})}
            labels, scores = reading
            order = [i for i in np.argsort(-scores, kind="stable") if scores[i] > 0]
            known = None if rare_readings else common_readings(simplified[at])
            candidates = [
                (labels[i], float(scores[i])) for i in order if i == order[0] or known is None or labels[i] in known
            ]
            score = candidates[0][1] if candidates else 0.0
            start = at
            last = items[-1] if items else None
            if merge_erhua and best[at] == "r5" and last and last["end"] == at and best[at - 1] not in (None, "r5"):
                items.pop()
                start, score = last["start"], score * last["score"]
                syllable = {key: with_erhua(value) for key, value in last["syllable"].items()}
                candidates = [(with_erhua(label), value) for label, value in last["candidates"]]
            items.append(
                {
                    "char": text[start : at + 1],
                    "syllable": syllable,
                    "score": score,
                    "start": start,
                    "end": at + 1,
                    "candidates": candidates,
                }
            )
        return [self._written(item, style, min_score) for item in items]

    @staticmethod
    def _written(item: dict, style: str, min_score: float) -> dict:
        """Return an item as users get it: syllables in their style, none below their threshold."""
        syllable = item.pop("syllable")
        if item["score"] < min_score:
            syllable = dict.fromkeys(syllable)
        return {
            "char": item.pop("char"),
            **{key: value and to_style(value, style) for key, value in syllable.items()},
            **item,
            "candidates": [{"pinyin": to_style(label, style), "score": score} for label, score in item["candidates"]],
        }


def _with_full_tones(char: str, reading: Reading) -> Reading:
    """Return candidates without lexical neutral tones: their probability goes to the best one that differs in tone only."""
    labels, scores = reading[0], reading[1].copy()
    neutral = [i for i, label in enumerate(labels) if label in tone_variants(char)]
    for i in neutral:
        full = [j for j, label in enumerate(labels) if j not in neutral and label[:-1] == labels[i][:-1]]
        if full:
            scores[max(full, key=scores.__getitem__)] += scores[i]
            scores[i] = 0.0
    return labels, scores


def _as_texts(inputs: str | Iterable[str]) -> Iterator[str]:
    for text in [inputs] if isinstance(inputs, str) else inputs:
        if not isinstance(text, str):
            raise InputError(f"give text (str), not {type(text).__name__}")
        yield text
