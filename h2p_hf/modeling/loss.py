"""The training loss: cross-entropy over labelled tokens, if asked among the readings that each character can have."""

from collections.abc import Mapping

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerBase

from ..reader import candidate_ids


def candidate_mask(tokenizer: PreTrainedTokenizerBase, label2id: Mapping[str, int]) -> torch.Tensor:
    """Return which labels each token of a vocabulary can have.

    Returns:
        `torch.BoolTensor` of shape `(vocab_size, num_labels)`: for a token that is one hanzi of the lexicon its
        readings; for any other token every label.
    """
    mask = torch.ones(len(tokenizer), len(label2id), dtype=torch.bool)
    for i, ids in candidate_ids(tokenizer.get_vocab(), label2id).items():
        if ids:
            mask[i] = False
            mask[i, ids] = True
    return mask


def token_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    num_items: torch.Tensor | int | None = None,
    allowed: torch.Tensor | None = None,
) -> torch.Tensor:
    """Sum the cross-entropy over labelled tokens and divide it by their number.

    The stock `BertForTokenClassification` ignores `num_items_in_batch`, so its loss grows with the gradient
    accumulation steps and the number of processes; this one does not.

    Args:
        logits (`torch.FloatTensor` of shape `(batch_size, sequence_length, num_labels)`): scores.
        labels (`torch.LongTensor` of shape `(batch_size, sequence_length)`): label ids, -100 where unlabelled.
        num_items (`int`, *optional*): labelled tokens in the whole optimiser step (all accumulation steps and
            processes); defaults to those in `labels`.
        allowed (`torch.BoolTensor` of the shape of `logits`, *optional*): labels to choose from. A gold label outside
            them (a dictionary that lacks it) counts as allowed, so that the loss stays finite.

    Returns:
        `torch.FloatTensor` of shape `()`; zero if nothing is labelled.
    """
    logits = logits.float().flatten(0, 1)
    labels = labels.flatten()
    if allowed is not None:
        gold = torch.zeros_like(logits, dtype=torch.bool).scatter_(1, labels.clamp(min=0)[:, None], True)
        logits = logits.masked_fill(~(allowed.flatten(0, 1) | gold), torch.finfo(logits.dtype).min)
    total = cross_entropy(logits, labels, ignore_index=-100, reduction="sum")
    if num_items is None:
        num_items = (labels != -100).sum()
    return total / torch.clamp(torch.as_tensor(num_items, device=total.device), min=1)
