"""Load models and tokenizers, with one clear line for whatever can be wrong with a checkpoint."""

import logging
from pathlib import Path

import torch
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoModelForTokenClassification,
    AutoTokenizer,
    BertConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from ..errors import InputError
from ..pinyin import id2label, label2id
from ..reader import has_pinyin_labels, longest_input
from .encoders import BiLstmConfig, CnnConfig

MODEL_TYPES: dict[str, type[PreTrainedConfig]] = {"bert": BertConfig, "bilstm": BiLstmConfig, "cnn": CnnConfig}
"""What `fresh_model` makes over the character tokenizer, by the name that the recipes have for it."""


def load_tokenizer(name_or_path: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """Load a tokenizer, from a folder or the Hub, with a usable `model_max_length`.

    Raises:
        InputError: if there is none, or it cannot give offsets.
    """
    tokenizer = _load(AutoTokenizer.from_pretrained, name_or_path, "tokenizer", revision=revision)
    if not tokenizer.is_fast:
        raise InputError(f"the tokenizer of {name_or_path} gives no offsets: use a checkpoint with a fast tokenizer")
    tokenizer.model_max_length = longest_input(tokenizer.model_max_length, None)
    check_tokenizer(tokenizer)
    return tokenizer


def check_tokenizer(tokenizer: PreTrainedTokenizerBase) -> None:
    """Check that a tokenizer reads Chinese character by character, as the lexicon needs it.

    Raises:
        InputError: for a byte-level or SentencePiece tokenizer, whose tokens are no characters.
    """
    if tokenizer.tokenize("长江") != ["长", "江"]:
        raise InputError(
            f"the tokenizer of {tokenizer.name_or_path or 'this model'} does not split Chinese into characters: "
            "use a BERT-style checkpoint such as google-bert/bert-base-chinese"
        )


def max_length(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the longest input that model and tokenizer both take, in tokens with special tokens."""
    return longest_input(tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", None))


def load_model(
    name_or_path: str,
    revision: str | None = None,
    dtype: torch.dtype = torch.float32,
    for_inference: bool = False,
) -> PreTrainedModel:
    """Load a token-classification model over our label inventory.

    A checkpoint that already has our label map keeps its head; any other encoder gets a fresh head.

    Args:
        name_or_path (`str`): a folder or a Hub id.
        revision (`str`, *optional*): branch, tag or commit on the Hub.
        dtype (`torch.dtype`, *optional*, defaults to `torch.float32`): weights are stored in half precision in our own
            checkpoints, and fine-tuning wants full precision.
        for_inference (`bool`, *optional*, defaults to `False`): demand a trained head with our label map.

    Raises:
        InputError: if the checkpoint is missing or corrupt, or has no label map of ours while `for_inference`.
    """
    config = load_config(name_or_path, revision)
    ours = config.label2id == label2id()
    if for_inference and not has_pinyin_labels(config.label2id):
        raise InputError(
            f"{name_or_path} has no pinyin labels: fine-tune it first with recipes/finetune.py --model_name_or_path"
        )
    labels = {} if ours or for_inference else {"id2label": id2label(), "label2id": label2id()}
    model, info = _load(
        AutoModelForTokenClassification.from_pretrained,
        name_or_path,
        "model",
        revision=revision,
        dtype=dtype,
        ignore_mismatched_sizes=not for_inference,
        output_loading_info=True,
        **labels,
    )
    # What the repository brings for people without this package would keep transformers from taking our pipeline.
    vars(model.config).pop("custom_pipelines", None)
    missing = sorted(set(info["missing_keys"]) | {key for key, *_ in info["mismatched_keys"]})
    if not for_inference:  # there the head may be fresh
        missing = [key for key in missing if key.startswith(model.base_model_prefix + ".")]
    if missing:
        raise InputError(
            f"{name_or_path} lacks weights ({missing[0]} ...): it is incomplete, save or download it again"
        )
    return model


def fresh_model(config: PreTrainedConfig) -> PreTrainedModel:
    """Return a token-classification model over our label inventory, with random weights in full precision.

    Raises:
        InputError: if there can be no model with this config.
    """
    config.id2label, config.label2id = id2label(), label2id()
    vars(config).pop("custom_pipelines", None)  # of a base that was pulled, see `load_model`
    try:
        return AutoModelForTokenClassification.from_config(config, dtype=torch.float32)
    except ValueError as error:
        raise InputError(f"impossible model config: {' '.join(str(error).split())}") from None


def load_config(name_or_path: str, revision: str | None = None) -> PreTrainedConfig:
    """Load the config of a checkpoint.

    Raises:
        InputError: if there is none.
    """
    return _load(AutoConfig.from_pretrained, name_or_path, "config", revision=revision)


def load_masked_lm(name_or_path: str, revision: str | None = None) -> PreTrainedModel:
    """Load a masked language model in full precision.

    Raises:
        InputError: if the checkpoint is missing or corrupt.
    """
    return _load(AutoModelForMaskedLM.from_pretrained, name_or_path, "model", revision=revision, dtype=torch.float32)


def _load(from_pretrained, name_or_path: str, what: str, **kwargs):
    path = Path(name_or_path).expanduser()
    if not path.is_dir() and (path.exists() or path.is_absolute() or name_or_path.startswith(".")):
        raise InputError(f"no checkpoint folder {name_or_path}: give a folder with config.json, or a Hub id")
    # Loading reports every fresh head as a warning table, and every layer as not sharded: no news for a user.
    loggers = [logging.getLogger(f"transformers.{name}") for name in ("modeling_utils", "distributed.tensor_parallel")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    bars = path.is_dir() and transformers_logging.is_progress_bar_enabled()  # downloads keep theirs
    if bars:
        transformers_logging.disable_progress_bar()
    try:
        return from_pretrained(str(path) if path.is_dir() else name_or_path, **kwargs)
    except Exception as error:  # a dozen types: OSError, SafetensorError, JSON, Hub, Unicode ...
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            f"cannot load the {what} of {name_or_path}: {reason}; give a checkpoint folder or a Hub id"
        ) from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if bars:
            transformers_logging.enable_progress_bar()
