"""The task "hanzi-to-pinyin": one forward pass a sentence, candidates from the lexicon, user dictionary on top."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForTokenClassification, Pipeline
from transformers.pipelines import PIPELINE_REGISTRY

from .errors import InputError
from .inline import InlineText
from .lexicon import UserDictionary, common_readings, phrase_table, readings, tone_variants
from .modeling import align, bundled_checkpoint, candidate_ids, load_model, load_tokenizer, max_length
from .modeling.loading import check_tokenizer, has_pinyin_labels
from .modeling.onnx import ONNX_FILES, load_onnx
from .modeling.tokenization import model_windows, tokenize
from .names import name_readings
from .pinyin import NON_HANZI, to_style, with_erhua
from .sandhi import spoken
from .text import is_hanzi, owned
from .traditional import readings_of_pair, to_simplified

TASK = "hanzi-to-pinyin"
BACKENDS = ("torch", *ONNX_FILES)
"""What runs the model."""

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

Reading = tuple[tuple[str, ...], np.ndarray]
"""Candidates of one hanzi, and their scores or probabilities, as many."""


def best_reading(reading: Reading | None, min_score: float = 0.0) -> str | None:
    """Return the best candidate, or None if there is none or its score is below `min_score`."""
    if not reading or not reading[0]:
        return None
    best = int(reading[1].argmax())
    return reading[0][best] if reading[1][best] >= min_score else None


class HanziToPinyinPipeline(Pipeline):
    """Read the pinyin of every hanzi.

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
        batch_size (`int`, *optional*, defaults to 32): windows a forward pass.

    Returns (for one text; a list of these for a list, a generator for any other iterable):
        `list[dict]`: one item a hanzi, in order: `char`, `pinyin` (None if nobody knows it or it is below `min_score`),
        `score` (probability, 0-1), `start` and `end` (offsets in the text as given), `candidates` (list of `pinyin` and
        `score`, best first).
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
        found = candidate_ids(self.tokenizer, label2id)
        # `(vocab_size, most readings)`, -1 where there are fewer
        self._candidates = torch.full((max(found) + 1, max(map(len, found.values()))), -1)
        for i, ids in found.items():
            self._candidates[i, : len(ids)] = torch.tensor(ids)
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
        # `Pipeline` keeps three kinds apart: here what is for the model, for decoding and for the items.
        return tuple(
            {key: value for key, value in part.items() if value is not None}
            for part in (
                {"batch_size": batch_size},
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
        batch_size, decoding, output = self._parameters(kwargs)
        results = (
            self.items(text, found, **output) for text, found in self._stream(_as_texts(inputs), batch_size, decoding)
        )
        if isinstance(inputs, str):
            return next(results)
        return list(results) if isinstance(inputs, Sequence) else results

    def readings(self, texts: Iterable[str], **kwargs) -> Iterator[list[str | None]]:
        """Read texts and yield, for each, a list as long as the text: the pinyin of a hanzi, None for all else.

        The same decoding as a call without the items around it: the column layout of the datasets. Of what is about items
        `style` and `min_score` count.
        """
        batch_size, decoding, output = self._parameters(kwargs)
        style, min_score = output.get("style", "tone3"), output.get("min_score", 0.0)
        for _, found in self._stream(_as_texts(texts), batch_size, decoding):
            best = (best_reading(reading, min_score) for reading in found)
            yield [syllable and to_style(syllable, style) for syllable in best]

    def probabilities(self, texts: Iterable[str], **kwargs) -> Iterator[list[Reading | None]]:
        """Read texts and yield, for each, a list as long as the text: the candidates of a hanzi and their probabilities."""
        batch_size, decoding, _ = self._parameters(kwargs)
        for _, found in self._stream(_as_texts(texts), batch_size, decoding):
            yield found

    def _parameters(self, kwargs: dict) -> tuple[int, dict, dict]:
        model, decoding, output = self._sanitize_parameters(**kwargs)
        # `Pipeline` keeps the batch size of the constructor for itself.
        batch_size = model.get("batch_size") or self._batch_size or 32
        return batch_size, {**self._forward_params, **decoding}, {**self._postprocess_params, **output}

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
            simplified = list(map(to_simplified, chunk))
            pieces = sorted(self.preprocess(simplified, use_lexicon), key=lambda piece: piece.end - piece.start)
            for first in range(0, len(pieces), batch_size):
                self._read(simplified, pieces[first : first + batch_size], found, use_lexicon)
            yield from zip(chunk, found, strict=True)

    def preprocess(self, texts: Sequence[str], use_lexicon: bool = True) -> list[_Window]:
        """Cut texts into windows that fit the model, leaving out those with nothing to choose from: without a hanzi, or,
        with the lexicon, without one of several readings.
        """

        def matters(char: str) -> bool:
            return len(readings(char)) > 1 if use_lexicon else is_hanzi(char)

        found = []
        for index, text in enumerate(texts):
            spans = model_windows(self.tokenizer, text, self._max_length)
            for (start, end), (first, last) in zip(spans, owned(spans), strict=True):
                if any(map(matters, text[first:last])):
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
                    if use_lexicon:
                        labels = self._readings.get(tokens[column], ())
                    else:
                        labels = tuple(map(str, self._labels[ids[row, column]]))
                    if labels:
                        found[piece.text][place] = labels, scores[row, column, : len(labels)]

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
        names: bool = False,
        neutral_tone: bool = True,
        phrase_bonus: float | None = None,
        use_lexicon: bool = True,
    ) -> list[Reading | None]:
        """Turn scores into probabilities: fallback for unknown hanzi, phrase votes, softmax, names, user dictionary,
        readings in the text, neutral tone.
        """
        bonus = getattr(self.model.config, "phrase_bonus", 0.0) if phrase_bonus is None else phrase_bonus
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


def pipeline(
    model: str | None = None,
    revision: str | None = None,
    device: str | int | None = None,
    backend: str | None = None,
    **kwargs,
):
    """Make a `HanziToPinyinPipeline`.

    Args:
        model (`str`, *optional*): a checkpoint folder or a Hub id; defaults to the checkpoint of the package.
        revision (`str`, *optional*): branch, tag or commit on the Hub.
        device (`str` or `int`, *optional*): defaults to the first GPU, or else the CPU.
        backend (`str`, *optional*): ``torch``, or for a CPU ``onnx`` or ``onnx-int8``, which run what `modeling.onnx.export`
            wrote; by default ``onnx-int8`` where the checkpoint has it, no device is asked for and there is no GPU.
        kwargs: parameters of `HanziToPinyinPipeline`, such as `dictionary` or `style`.

    Raises:
        InputError: if the checkpoint cannot be loaded, has no pinyin labels, or not what the backend runs.

    Example:
        >>> pipe = pipeline()
        >>> [item["pinyin"] for item in pipe("银行行长，重新长大了！")]
        ['yin2', 'hang2', 'hang2', 'zhang3', 'chong2', 'xin1', 'zhang3', 'da4', 'le5']
    """
    name = model or bundled_checkpoint()
    if backend not in (None, *BACKENDS):
        raise InputError(f"no backend {backend!r}: choose from {', '.join(BACKENDS)}")
    if device is not None:
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"no device {device!r} here: {reason}; try cpu or cuda:0") from None
    found = None
    if backend in ONNX_FILES:
        if device is not None and torch.device(device).type != "cpu":
            raise InputError(f"backend {backend} runs on the CPU: leave out device {device!r}, or take backend torch")
        found = load_onnx(name, backend, revision)
        if not found:
            raise InputError(f"{name} has no {ONNX_FILES[backend]}: write it with recipes/export.py --model {name}")
    elif backend is None and device is None and not torch.accelerator.is_available():
        found = load_onnx(name, "onnx-int8", revision)
    return HanziToPinyinPipeline(
        model=found or load_model(name, revision, for_inference=True),
        tokenizer=load_tokenizer(name, revision),
        task=TASK,
        device="cpu" if found else device,
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
