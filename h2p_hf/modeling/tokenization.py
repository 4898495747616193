"""From characters to tokens and back: every tokenizer with offsets works, and the text is tokenised as it stands."""

import itertools
from collections.abc import Sequence

from transformers import BertTokenizer, PreTrainedTokenizerBase

from ..lexicon import general_standard
from ..pinyin import NON_HANZI
from ..text import align, encodable, is_hanzi, owned, windows

SYMBOLS = (
    "，。、：；！？…—－～·•°“”‘’（）《》〈〉「」『』【】〔〕"
    "０１２３４５６７８９％①②③④⑤⑥⑦⑧⑨⑩℃√×÷±→←↑↓■□●○★☆♪￥"
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
    "〇衹"
)
"""What a Chinese character vocabulary needs beside the general-standard table: those seen most in the texts that
the bundled checkpoint was pretrained on."""

SOFT_LABELS = 8
"""Most soft labels a token; no character of the lexicon has more candidates."""


def character_tokenizer(model_max_length: int = 256) -> BertTokenizer:
    """Build the tokenizer of a character BERT.

    The vocabulary is the 8,105 characters of 通用规范汉字表, `SYMBOLS`, and letters and digits both as first and as
    continuing pieces, so that a Latin word or a number becomes one token a character and never ``[UNK]``.

    Args:
        model_max_length (`int`, *optional*, defaults to 256): longest input, in tokens with ``[CLS]`` and ``[SEP]``.
    """
    alphanumerics = "0123456789abcdefghijklmnopqrstuvwxyz"
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *alphanumerics, *("##" + c for c in alphanumerics)]
    tokens += dict.fromkeys([*SYMBOLS, *general_standard()])
    return BertTokenizer(vocab={token: i for i, token in enumerate(tokens)}, model_max_length=model_max_length)


def tokenize(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_length: int):
    """Tokenise texts with offsets, truncated to `max_length` tokens."""
    return tokenizer(list(map(encodable, texts)), truncation=True, max_length=max_length, return_offsets_mapping=True)


def encode(
    batch: dict[str, list],
    tokenizer: PreTrainedTokenizerBase,
    label2id: dict[str, int],
    max_length: int,
) -> dict[str, list]:
    """Tokenise rows of the common column layout and align their labels; for `Dataset.map(batched=True)`.

    A labelled hanzi gets its syllable, an unlabelled or unknown (``[UNK]``) one -100, and a token that is no hanzi
    the label ``O``, which teaches plain ``pipeline("token-classification")`` to leave it out. A text that is too long
    becomes several rows, as the pipeline reads it (see `text.windows`); no label is in two of them.

    Soft labels go the same way: a column `soft` has for each character a list of `{"reading", "probability"}`, empty where
    there is none. They become `soft_ids` and `soft_probabilities`, `SOFT_LABELS` a token, with -100 and 0 for fewer.

    Args:
        batch (`dict`): columns `text` and `pinyin`, and maybe `soft`.
        tokenizer (`PreTrainedTokenizerBase`): any tokenizer with offsets.
        label2id (`dict[str, int]`): the label map of the model.
        max_length (`int`): longest row, in tokens with special tokens.

    Returns:
        `dict[str, list]`: `input_ids`, `attention_mask` (and `token_type_ids`) and `labels`, one list of equal
        lengths a row.
    """
    pieces, shares, readings, softs = [], [], [], []
    no_soft = itertools.repeat(None)
    size = max_length - tokenizer.num_special_tokens_to_add()
    for text, pinyin, soft in zip(batch["text"], batch["pinyin"], batch.get("soft", no_soft), strict=False):
        spans = windows(text, size)
        for (start, end), (first, last) in zip(spans, owned(spans), strict=True):
            pieces.append(text[start:end])
            shares.append(range(first - start, last - start))
            readings.append(pinyin[start:end])
            softs.append(None if soft is None else soft[start:end])
    encoded = tokenize(tokenizer, pieces, max_length)
    outside = label2id.get(NON_HANZI, -100)
    labels, soft_ids, soft_probabilities = [], [], []
    for text, share, pinyin, soft, ids, offsets in zip(
        pieces, shares, readings, softs, encoded["input_ids"], encoded.pop("offset_mapping"), strict=True
    ):
        row = []
        places = align(text, offsets, ids, tokenizer.unk_token_id)
        if soft is not None:
            chosen = [soft[at][:SOFT_LABELS] if at in share else [] for at in places]
            soft_ids.append([_filled([label2id[one["reading"]] for one in found], -100) for found in chosen])
            soft_probabilities.append([_filled([one["probability"] for one in found], 0.0) for found in chosen])
        for (start, end), at in zip(offsets, places, strict=True):
            if at >= 0:
                row.append(label2id[pinyin[at]] if at in share and pinyin[at] is not None else -100)
            else:
                row.append(outside if end > start and not any(map(is_hanzi, text[start:end])) else -100)
        labels.append(row)
    if soft_ids:
        encoded = {**encoded, "soft_ids": soft_ids, "soft_probabilities": soft_probabilities}
    return {**encoded, "labels": labels}


def _filled(values: list, filler: float) -> list:
    return values + [filler] * (SOFT_LABELS - len(values))
