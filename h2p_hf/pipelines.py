"""The task "hanzi-to-pinyin": one forward pass a sentence, candidates from the lexicon, user dictionary on top."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForTokenClassification, Pipeline
from transformers.pipelines import PIPELINE_REGISTRY

from .errors import InputError
from .lexicon import UserDictionary, is_polyphone, phrase_table, readings
from .modeling import align, bundled_checkpoint, candidate_ids, load_model, load_tokenizer, max_length
from .modeling.loading import check_tokenizer, has_pinyin_labels
from .modeling.tokenization import model_windows, tokenize
from .pinyin import NON_HANZI, to_style
from .text import is_hanzi, owned

TASK = "hanzi-to-pinyin"
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


Reading = tuple[tuple[str, ...], np.ndarray]
"""Candidates of one hanzi, and their scores or probabilities, as many."""


def best_reading(reading: Reading | None) -> str | None:
    """Return the best candidate, or None if there is none."""
    return reading[0][int(reading[1].argmax())] if reading and reading[0] else None


class HanziToPinyinPipeline(Pipeline):
    """Read the pinyin of every hanzi.

    Each hanzi gets the best of the readings that the lexicon gives it. Phrases of the lexicon are matched from left to
    right and from right to left, and each of the two adds half of `phrase_bonus` to the score of its reading. A hanzi
    that the tokenizer does not know has the reading of the phrases or its most common one. Entries of the user
    dictionary overrule everything.

    Args (of the constructor or of a call):
        dictionary (`UserDictionary`, mapping or path, *optional*): see `lexicon.UserDictionary`.
        style (`str`, *optional*, defaults to `"tone3"`): how pinyin is written, a name in `pinyin.STYLES`.
        phrase_bonus (`float`, *optional*): in log space; defaults to the `phrase_bonus` in the model config, or 0.
        use_lexicon (`bool`, *optional*, defaults to `True`): `False` takes the best of all syllables, which is what plain
            ``pipeline("token-classification")`` gives; the five best are the candidates.
        batch_size (`int`, *optional*, defaults to 32): windows a forward pass.

    Returns (for one text; a list of these for a list, a generator for any other iterable):
        `list[dict]`: one item a hanzi, in order: `char`, `pinyin` (None if nobody knows it), `score` (probability, 0-1),
        `start` and `end` (offsets in the text as given), `candidates` (list of `pinyin` and `score`, best first).
    """

    _load_processor = False
    _load_image_processor = False
    _load_feature_extractor = False
    _load_tokenizer = True

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        label2id = self.model.config.label2id
        if not has_pinyin_labels(self.model.config):
            raise InputError("this model has no pinyin labels: fine-tune it first with recipes/finetune.py")
        check_tokenizer(self.tokenizer)
        self.model.eval()
        if self.model.device.type == "cpu":
            self.model.float()  # half precision is for the disk: on a CPU it is slower
        self._labels = np.array([self.model.config.id2label[i] for i in range(len(label2id))])
        self._max_length = max_length(self.model, self.tokenizer)
        self._candidates = self._candidate_ids(label2id)

    def _candidate_ids(self, label2id: Mapping[str, int]) -> torch.Tensor:
        """Return the label ids of each token's readings: `(vocab_size, most readings)`, -1 where there are fewer."""
        found = candidate_ids(self.tokenizer, label2id)
        table = torch.full((max(found) + 1, max(map(len, found.values()))), -1)
        for i, ids in found.items():
            table[i, : len(ids)] = torch.tensor(ids)
        return table

    def _sanitize_parameters(self, dictionary=None, style=None, phrase_bonus=None, use_lexicon=None, batch_size=None):
        decoding = {"phrase_bonus": phrase_bonus, "use_lexicon": use_lexicon}
        if dictionary is not None:
            if isinstance(dictionary, (str, Path)):
                dictionary = UserDictionary.load(dictionary)
            elif not isinstance(dictionary, UserDictionary):
                dictionary = UserDictionary.from_mapping(dictionary)
            decoding["dictionary"] = dictionary
        if style is not None:
            to_style("a1", style)  # an unknown style is an error here, not in the middle of a stream
            decoding["style"] = style
        if batch_size is not None and batch_size < 1:
            raise InputError(f"batch_size must be at least 1, got {batch_size}")
        forward = {} if batch_size is None else {"batch_size": batch_size}
        return {}, forward, {key: value for key, value in decoding.items() if value is not None}

    def __call__(self, inputs: str | Iterable[str], **kwargs):
        """Read one text, a list of texts, or a stream of texts. See the class for the parameters and the result."""
        batch_size, decoding = self._parameters(kwargs)
        style = decoding.get("style", "tone3")
        stream = self._stream(_as_texts(inputs), batch_size, decoding)
        results = (self._items(text, found, style) for text, found in stream)
        if isinstance(inputs, str):
            return next(results)
        return list(results) if isinstance(inputs, Sequence) else results

    def readings(self, texts: Iterable[str], **kwargs) -> Iterator[list[str | None]]:
        """Read texts and yield, for each, a list as long as the text: the pinyin of a hanzi, None for all else.

        The same decoding as a call without the items around it: the column layout of the datasets.
        """
        batch_size, decoding = self._parameters(kwargs)
        style = decoding.get("style", "tone3")
        for _, found in self._stream(texts, batch_size, decoding):
            yield [best and to_style(best, style) for best in map(best_reading, found)]

    def _parameters(self, kwargs: dict) -> tuple[int, dict]:
        _, forward, decoding = self._sanitize_parameters(**kwargs)
        # `Pipeline` keeps the batch size of the constructor for itself.
        batch_size = forward.get("batch_size") or self._batch_size or 32
        return batch_size, {**self._postprocess_params, **decoding}

    def _stream(
        self, texts: Iterable[str], batch_size: int, decoding: dict
    ) -> Iterator[tuple[str, list[Reading | None]]]:
        for text, found in self.scores(texts, batch_size, decoding.get("use_lexicon", True)):
            yield text, self.postprocess(text, found, **decoding)

    def scores(
        self, texts: Iterable[str], batch_size: int = 32, use_lexicon: bool = True
    ) -> Iterator[tuple[str, list[Reading | None]]]:
        """Yield each text with what the model alone says: a list as long as the text, with the scores of each hanzi that
        the tokenizer knows, ready for `postprocess`.
        """
        texts = iter(texts)
        while chunk := list(itertools.islice(texts, CHUNK)):
            found: list[list[Reading | None]] = [[None] * len(text) for text in chunk]
            pieces = sorted(self.preprocess(chunk), key=lambda piece: piece.end - piece.start)
            for first in range(0, len(pieces), batch_size):
                self._read(chunk, pieces[first : first + batch_size], found, use_lexicon)
            yield from zip(chunk, found, strict=True)

    def preprocess(self, texts: Sequence[str]) -> list[_Window]:
        """Cut texts into windows that fit the model, leaving out those without a hanzi."""
        found = []
        for index, text in enumerate(texts):
            spans = model_windows(self.tokenizer, text, self._max_length)
            for (start, end), (first, last) in zip(spans, owned(spans), strict=True):
                if any(map(is_hanzi, text[first:last])):
                    found.append(_Window(index, start, end, first, last))
        return found

    def _read(self, texts, pieces: Sequence[_Window], found, use_lexicon: bool) -> None:
        """Run the model on one batch of windows and note the scores of each hanzi's candidates."""
        contents = [texts[piece.text][piece.start : piece.end] for piece in pieces]
        encoded = tokenize(self.tokenizer, contents, self._max_length)
        offsets = encoded.pop("offset_mapping")
        inputs = self.tokenizer.pad(encoded, return_tensors="pt")
        outputs = self.forward({"inputs": dict(inputs), "candidates": self._candidates if use_lexicon else None})
        scores, ids = outputs["scores"].numpy(), outputs["ids"].numpy()
        for row, piece in enumerate(pieces):
            tokens = encoded["input_ids"][row]
            for column, at in enumerate(align(contents[row], offsets[row], tokens, self.tokenizer.unk_token_id)):
                place = piece.start + at
                if at >= 0 and piece.first <= place < piece.last:
                    count = int((ids[row, column] >= 0).sum())
                    if count:
                        labels = tuple(map(str, self._labels[ids[row, column, :count]]))
                        found[piece.text][place] = labels, scores[row, column, :count]

    def _forward(self, model_inputs: dict) -> dict[str, torch.Tensor]:
        """Return the candidates' label ids and scores, `(batch_size, sequence_length, most readings)` each."""
        inputs, candidates = model_inputs["inputs"], model_inputs["candidates"]
        logits = self.model(**inputs).logits.float()
        if candidates is None:
            if NON_HANZI in self.model.config.label2id:
                logits[..., self.model.config.label2id[NON_HANZI]] = float("-inf")
            scores, ids = logits.log_softmax(-1).topk(5)
            return {"scores": scores, "ids": ids}
        ids = candidates[inputs["input_ids"]]
        return {"scores": logits.gather(-1, ids.clamp(min=0)), "ids": ids}

    def postprocess(
        self,
        text: str,
        scores: Sequence[Reading | None],
        dictionary: UserDictionary | None = None,
        phrase_bonus: float | None = None,
        use_lexicon: bool = True,
        style: str = "tone3",
    ) -> list[Reading | None]:
        """Turn scores into probabilities: fallback for unknown hanzi, phrase votes, softmax, user dictionary."""
        bonus = getattr(self.model.config, "phrase_bonus", 0.0) if phrase_bonus is None else phrase_bonus
        votes = []
        if use_lexicon and any(map(is_polyphone, text)):
            votes = [phrase_table().readings(text, backward) for backward in (False, True)]
        result = list(scores)
        for at, char in enumerate(text):
            if not is_hanzi(char):
                continue
            labels, found = result[at] or (readings(char), np.zeros(len(readings(char)), dtype=np.float32))
            if not use_lexicon and result[at]:
                result[at] = labels, np.exp(found)
                continue
            for vote in votes:
                if vote.get(at) in labels:
                    # An unknown hanzi has no scores of its own: there the phrase decides.
                    weight = bonus / 2 if result[at] else 5.0
                    found = found + np.where([label == vote[at] for label in labels], weight, 0.0)
            exponents = np.exp(found - found.max(initial=-np.inf))
            result[at] = labels, exponents / exponents.sum()
        for at, reading in dictionary.readings(text).items() if dictionary else ():
            if reading is not None:
                result[at] = (reading,), np.ones(1)
        return result

    def _items(self, text: str, found: list[Reading | None], style: str) -> list[dict]:
        items = []
        for at, reading in enumerate(found):
            if reading is None:
                continue
            labels, scores = reading
            candidates = [
                {"pinyin": to_style(labels[i], style), "score": float(scores[i])}
                for i in np.argsort(-scores, kind="stable")
            ]
            best = candidates[0] if candidates else {"pinyin": None, "score": 0.0}
            items.append({"char": text[at], **best, "start": at, "end": at + 1, "candidates": candidates})
        return items


def _as_texts(inputs: str | Iterable[str]) -> Iterator[str]:
    for text in [inputs] if isinstance(inputs, str) else inputs:
        if not isinstance(text, str):
            raise InputError(f"give text (str), not {type(text).__name__}")
        yield text


def pipeline(model: str | None = None, revision: str | None = None, device: str | int | None = None, **kwargs):
    """Make a `HanziToPinyinPipeline`.

    Args:
        model (`str`, *optional*): a checkpoint folder or a Hub id; defaults to the checkpoint of the package.
        revision (`str`, *optional*): branch, tag or commit on the Hub.
        device (`str` or `int`, *optional*): defaults to the first GPU, or else the CPU.
        kwargs: parameters of `HanziToPinyinPipeline`, such as `dictionary` or `style`.

    Raises:
        InputError: if the checkpoint cannot be loaded or has no pinyin labels.

    Example:
        >>> pipe = pipeline()
        >>> [item["pinyin"] for item in pipe("银行行长，重新长大了！")]
        ['yin2', 'hang2', 'hang2', 'zhang3', 'chong2', 'xin1', 'zhang3', 'da4', 'le5']
    """
    name = model or bundled_checkpoint()
    if device is not None:
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"no device {device!r} here: {reason}; try cpu or cuda:0") from None
    return HanziToPinyinPipeline(
        model=load_model(name, revision, for_inference=True),
        tokenizer=load_tokenizer(name, revision),
        task=TASK,
        device=device,
        **kwargs,
    )


def register() -> None:
    """Register the task, so that ``transformers.pipeline("hanzi-to-pinyin")`` finds it."""
    PIPELINE_REGISTRY.register_pipeline(
        TASK,
        pipeline_class=HanziToPinyinPipeline,
        pt_model=AutoModelForTokenClassification,
        default={"model": (bundled_checkpoint(), "main")},
        type="text",
    )


if TASK not in PIPELINE_REGISTRY.get_supported_tasks():
    register()
