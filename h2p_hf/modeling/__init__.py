"""Tokenizer alignment, candidate-masked loss and checkpoint loading."""

from .loading import (
    load_config,
    load_masked_lm,
    load_model,
    load_tokenizer,
    max_length,
)
from .loss import candidate_mask, token_loss
from .tokenization import character_tokenizer, encode

__all__ = [
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
