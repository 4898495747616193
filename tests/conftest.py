import os
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_XET"] = "1"  # the Hub of the tests has plain uploads only
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="h2p-hf-home-")
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="h2p-hf-cache-")
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["OMP_NUM_THREADS"] = "2"
os.environ.pop("H2P_CPP_DIR", None)

import pytest
import torch
from transformers import BertConfig, BertForTokenClassification, BertModel

from h2p_hf.modeling import character_tokenizer
from h2p_hf.pinyin import id2label, label2id


def tiny_config(**kwargs) -> BertConfig:
    return BertConfig(
        vocab_size=len(character_tokenizer()),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        **kwargs,
    )


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory) -> str:
    """A real checkpoint with our labels, random weights and windows of 64 tokens."""
    folder = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    BertForTokenClassification(tiny_config(id2label=id2label(), label2id=label2id())).save_pretrained(folder)
    character_tokenizer(model_max_length=64).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def bare_encoder(tmp_path_factory) -> str:
    """An encoder without a head, as people find on the Hub."""
    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    BertModel(tiny_config()).save_pretrained(folder)
    character_tokenizer(model_max_length=64).save_pretrained(folder)
    return str(folder)
