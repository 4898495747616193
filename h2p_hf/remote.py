"""The pipeline that a repository on the Hub brings along, for people who do not install h2p_hf.

    pipeline("hanzi-to-pinyin", model=REPO, trust_remote_code=True)

`hub.push` copies this file, text.py and phrases.py beside the checkpoint, and the lexicon as `LEXICON`; they need nothing but
transformers and torch. Simplified text is read as h2p_hf reads it without options (a test compares them). Traditional text, user
dictionaries, names, sandhi, styles and the fast int8 model are in h2p_hf itself.
"""

import gzip
import json
import math

import torch
from transformers.pipelines.base import ChunkPipeline
from transformers.utils import cached_file

from .phrases import LEXICON, PhraseTable
from .text import align, encodable, is_hanzi, owned, windows


class HanziToPinyinPipeline(ChunkPipeline):
    """Read the pinyin of every hanzi.

    Args (of the constructor or of a call):
        phrase_bonus (`float`, *optional*): in log space, what phrases add to their readings; defaults to that of the model
            config.

    Returns (for one text; a list of these for several):
        `list[dict]`: one item a hanzi, in order: `char`, `pinyin` (``hang2``, ``lv4`` for lǜ, 5 for the neutral tone), `score`
        (probability, 0-1), `start` and `end` (offsets in the text), `candidates` (list of `pinyin` and `score`, best first).
    """

    _load_processor = False
    _load_image_processor = False
    _load_feature_extractor = False
    _load_tokenizer = True

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.model.device.type == "cpu":
            self.model.float()  # half precision is for the disk: on a CPU it is slower
        config = self.model.config
        path = cached_file(self.model.name_or_path, LEXICON, _commit_hash=getattr(config, "_commit_hash", None))
        with gzip.open(path, "rt", encoding="utf-8") as file:
            lexicon = json.load(file)
        self._readings = {char: found.split() for char, found in lexicon["readings"].items()}
        self._rare = {char: found.split() for char, found in lexicon["rare"].items()}
        self._phrases = PhraseTable(lexicon["phrases"], parse=_readings_of_phrase)
        positions = getattr(config, "max_position_embeddings", None)
        self._longest = min(self.tokenizer.model_max_length, positions or self.tokenizer.model_max_length)

    def _sanitize_parameters(self, phrase_bonus=None, **_):
        return {}, {}, {} if phrase_bonus is None else {"phrase_bonus": phrase_bonus}

    def preprocess(self, text: str):
        """Yield the windows of a text, each as a batch of one."""
        if not isinstance(text, str):
            raise ValueError(f"give text (str), not {type(text).__name__}")
        # A text without a character is read as one window, too, so that it has a result.
        spans = windows(text, self._longest - self.tokenizer.num_special_tokens_to_add()) or [(0, 0)]
        for (start, end), share in zip(spans, owned(spans), strict=True):
            inputs = self.tokenizer(encodable(text[start:end]), return_offsets_mapping=True, return_tensors="pt")
            offsets = inputs.pop("offset_mapping")[0].tolist()
            aligned = align(text[start:end], offsets, inputs["input_ids"][0].tolist(), self.tokenizer.unk_token_id)
            # Where each token's character is in the text, or -1
            places = [start + at if at >= 0 and share[0] <= start + at < share[1] else -1 for at in aligned]
            yield {**inputs, "places": places, "text": text, "is_last": end == spans[-1][1]}

    def _forward(self, model_inputs: dict) -> dict:
        kept = {key: model_inputs.pop(key) for key in ("places", "text", "is_last")}
        return {"logits": self.model(**model_inputs).logits, **kept}

    def postprocess(self, model_outputs: list[dict], phrase_bonus: float | None = None) -> list[dict]:
        """Keep each hanzi to the readings of the lexicon, let phrases from both ends vote, and write the items."""
        bonus = getattr(self.model.config, "phrase_bonus", 0.0) if phrase_bonus is None else phrase_bonus
        text = model_outputs[0]["text"]
        logits: dict[int, torch.Tensor] = {}
        for window in model_outputs:
            for row, at in zip(window["logits"][0].float().cpu(), window["places"], strict=False):
                if at >= 0:
                    logits[at] = row
        label2id = self.model.config.label2id
        votes = [self._phrases.readings(text, backward) for backward in (False, True)]
        items = []
        for at, char in enumerate(text):
            if not is_hanzi(char):
                continue
            labels = self._readings.get(char, ())
            if at in logits:
                labels = [label for label in labels if label in label2id]
                scores = [logits[at][label2id[label]].item() for label in labels]
            else:  # a character that the tokenizer does not know: there the phrase decides
                scores = [0.0] * len(labels)
            for vote in votes:
                weight = bonus / 2 if at in logits else 5.0
                scores = [
                    score + weight * (label == vote.get(at)) for label, score in zip(labels, scores, strict=True)
                ]
            best = max(scores, default=0.0)
            exponents = [math.exp(score - best) for score in scores]
            found = sorted(
                ({"pinyin": label, "score": e / sum(exponents)} for label, e in zip(labels, exponents, strict=True)),
                key=lambda candidate: -candidate["score"],
            )
            rare = self._rare.get(char, ())
            items.append(
                {
                    "char": char,
                    "pinyin": found[0]["pinyin"] if found else None,
                    "score": found[0]["score"] if found else 0.0,
                    "start": at,
                    "end": at + 1,
                    "candidates": [one for i, one in enumerate(found) if i == 0 or one["pinyin"] not in rare],
                }
            )
        return items


def _readings_of_phrase(raw: str) -> tuple[str | None, ...]:
    return tuple(None if reading == "-" else reading for reading in raw.split())
