"""Tokenizer alignment, candidate-masked loss and checkpoint loading."""

from .loading import (
    bundled_base,
    bundled_checkpoint,
    load_config,
    load_masked_lm,
    load_model,
    load_tokenizer,
    max_length,
)
from .loss import candidate_ids, candidate_mask, token_loss
from .tokenization import align, character_tokenizer, encode

__all__ = [
    "align",
    "bundled_base",
    "bundled_checkpoint",
    "candidate_ids",
    "candidate_mask",
    "character_tokenizer",
    "encode",
    "load_config",
    "load_masked_lm",
    "load_model",
    "load_tokenizer",
    "max_length",
    "token_loss",
]
