import math
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertTokenizer, ElectraConfig, ElectraModel, PreTrainedTokenizerFast

from h2p_hf import InputError
from h2p_hf.modeling import (
    candidate_mask,
    character_tokenizer,
    encode,
    load_model,
    load_tokenizer,
    max_length,
    token_loss,
)
from h2p_hf.modeling.tokenization import tokenize
from h2p_hf.pinyin import label2id, labels
from h2p_hf.text import align


@pytest.fixture(scope="module")
def tokenizer():
    return character_tokenizer(model_max_length=64)


@pytest.mark.parametrize(
    "text",
    [
        "长江",
        "长 江\n长\u3000江\t",
        "ＡＢＣ１２３，长。",
        "iPhone15长，café大",
        "长🙂江👨‍👩‍👧大",
        "\U00020bb7长\U00020bb7\U00020bb8大",
        "长\u200b江\ufe0f大\u0301",
        "\ud83d长\udc00",
        "\ud842\udfb7长江\udfb7\ud842大",
        "\0长\x07江",
        "한글长カナ",
        "𝒳长",
        "",
    ],
)
def test_every_hanzi_of_the_vocabulary_is_aligned_with_its_own_token(tokenizer, text):
    encoded = tokenize(tokenizer, [text], 64)
    ids = encoded["input_ids"][0]
    aligned = align(text, encoded["offset_mapping"][0], ids, tokenizer.unk_token_id)
    vocabulary = tokenizer.get_vocab()
    assert [at for at in aligned if at >= 0] == [i for i, char in enumerate(text) if char in "长江大"]
    for at, token in zip(aligned, ids, strict=True):
        if at >= 0:
            assert vocabulary[text[at]] == token


def test_vocabulary_has_no_unknown_latin_or_digits(tokenizer):
    assert tokenizer.tokenize("Ab 2022长") == ["a", "##b", "2", "##0", "##2", "##2", "长"]
    assert tokenizer.unk_token_id not in tokenizer("《长江》：“100％”——naïve、e-mail@x.cn")["input_ids"]


def test_encode_literally(tokenizer):
    ids = label2id()
    batch = {"text": ["长江A\U00020bb7，大"], "pinyin": [["chang2", None, None, "ji2", None, "da4"]]}
    encoded = encode(batch, tokenizer, ids, max_length=64)
    #            [CLS] 长             江    a  [UNK] ，  大          [SEP]
    expected = [-100, ids["chang2"], -100, 0, -100, 0, ids["da4"], -100]
    assert encoded["labels"] == [expected]
    assert len(encoded["input_ids"][0]) == len(encoded["attention_mask"][0]) == len(expected)


def test_long_rows_become_several_without_losing_a_label(tokenizer):
    ids = label2id()
    batch = {"text": ["长" * 30, "江"], "pinyin": [["chang2"] * 30, ["jiang1"]]}
    rows = encode(batch, tokenizer, ids, max_length=10)["labels"]
    assert max(map(len, rows)) == 10
    assert sum(row.count(ids["chang2"]) for row in rows) == 30
    assert rows[-1] == [-100, ids["jiang1"], -100]


def test_other_tokenizers_align_too():
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "长", "2022", "年", "word", "##s"]
    tokenizer = BertTokenizer(vocab={token: i for i, token in enumerate(vocabulary)})
    text = "2022年words长𠮷"
    encoded = tokenize(tokenizer, [text], 64)
    aligned = align(text, encoded["offset_mapping"][0], encoded["input_ids"][0], tokenizer.unk_token_id)
    assert [text[at] for at in aligned if at >= 0] == ["年", "长"]


def test_loss_by_hand():
    logits = torch.tensor([[[0.0, 0.0, math.log(2)], [5.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    targets = torch.tensor([[2, -100, 0]])
    assert token_loss(logits, targets).item() == pytest.approx((math.log(2) + math.log(3)) / 2)
    assert token_loss(logits, targets, num_items=4).item() == pytest.approx((math.log(2) + math.log(3)) / 4)
    assert token_loss(logits, torch.full((1, 3), -100)).item() == 0.0
    allowed = torch.tensor([[[False, True, True], [True] * 3, [False, True, False]]])
    # first token: 2 of (1, 2); third token: gold 0 lies outside and counts as allowed beside 1
    expected = (math.log(3 / 2) + math.log(2)) / 2
    assert token_loss(logits, targets, allowed=allowed).item() == pytest.approx(expected)


def test_candidate_mask(tokenizer):
    mask = candidate_mask(tokenizer, label2id())
    row = mask[tokenizer.get_vocab()["长"]]
    assert [labels()[i] for i in row.nonzero().flatten()] == ["chang2", "zhang3"]
    assert mask[tokenizer.get_vocab()["a"]].all()


def test_bare_encoder_gets_a_fresh_head(bare_encoder):
    model = load_model(bare_encoder)
    assert model.config.label2id == label2id()
    assert model.config.id2label[0] == "O"
    assert model.classifier.weight.shape == (len(labels()), 32)


def test_our_checkpoint_keeps_its_head_in_full_precision(tiny_checkpoint, tmp_path):
    model = load_model(tiny_checkpoint)
    model.half().save_pretrained(tmp_path)
    again = load_model(str(tmp_path))
    assert again.dtype == torch.float32
    assert torch.equal(again.classifier.weight, model.classifier.weight.float())


def test_electra(tmp_path, tokenizer):
    config = ElectraConfig(
        vocab_size=len(tokenizer),
        embedding_size=16,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    ElectraModel(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model = load_model(str(tmp_path))
    inputs = load_tokenizer(str(tmp_path))("长江", return_tensors="pt")
    assert model(**inputs).logits.shape == (1, 4, len(labels()))


def test_tokenizer_without_a_limit_gets_one(tmp_path, bare_encoder):
    shutil.copytree(bare_encoder, tmp_path, dirs_exist_ok=True)
    character_tokenizer(model_max_length=int(1e30)).save_pretrained(tmp_path)
    assert load_tokenizer(str(tmp_path)).model_max_length == 256


def test_tokenizer_that_does_not_read_characters(tmp_path):
    byte_level = Tokenizer(
        models.BPE(vocab={c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, merges=[])
    )
    byte_level.pre_tokenizer = pre_tokenizers.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=byte_level).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="does not split Chinese into characters: use a BERT-style checkpoint"):
        load_tokenizer(str(tmp_path))


def test_base_that_lacks_encoder_weights(bare_encoder, tmp_path):
    shutil.copytree(bare_encoder, tmp_path, dirs_exist_ok=True)
    weights = load_file(tmp_path / "model.safetensors")
    save_file(
        {k: v for k, v in weights.items() if "layer.1." not in k}, tmp_path / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(InputError, match=r"lacks weights \(bert.encoder.layer.1.*incomplete"):
        load_model(str(tmp_path))


def test_longest_input_is_what_model_and_tokenizer_both_take(bare_encoder):
    model, tokenizer = load_model(bare_encoder), load_tokenizer(bare_encoder)
    tokenizer.model_max_length = 512
    assert max_length(model, tokenizer) == 64


def test_bad_checkpoints(bare_encoder, tiny_checkpoint, tmp_path):
    with pytest.raises(InputError, match="no checkpoint folder ./nothing: give a folder with config.json"):
        load_model("./nothing")
    with pytest.raises(InputError, match="cannot load the config of nobody/nothing"):
        load_model("nobody/nothing")
    with pytest.raises(InputError, match="has no pinyin labels: fine-tune it first"):
        load_model(bare_encoder, for_inference=True)
    with pytest.raises(InputError, match="cannot load the tokenizer"):
        load_tokenizer(str(tmp_path))
    shutil.copytree(tiny_checkpoint, tmp_path, dirs_exist_ok=True)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot load the model of") as error:
        load_model(str(tmp_path), for_inference=True)
    assert "\n" not in str(error.value)
