"""Encoders, tokenizer alignment, candidate-masked loss and checkpoint loading."""

from .encoders import BiLstmConfig, BiLstmForTokenClassification, CnnConfig, CnnForTokenClassification
from .loading import (
    MODEL_TYPES,
    fresh_model,
    load_config,
    load_masked_lm,
    load_model,
    load_tokenizer,
    max_length,
)
from .loss import candidate_mask, token_loss
from .tokenization import character_tokenizer, encode

__all__ = [
    "MODEL_TYPES",
    "BiLstmConfig",
    "BiLstmForTokenClassification",
    "CnnConfig",
    "CnnForTokenClassification",
    "candidate_mask",
    "character_tokenizer",
    "encode",
    "fresh_model",
    "load_config",
    "load_masked_lm",
    "load_model",
    "load_tokenizer",
    "max_length",
    "token_loss",
]
