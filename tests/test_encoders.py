"""The BiLSTM and the CNN: models of transformers like any other."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers
from onnxruntime import InferenceSession
from safetensors.torch import load_file
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from transformers import (
    AutoConfig,
    AutoModelForTokenClassification,
    BertForTokenClassification,
    BertTokenizer,
    set_seed,
)
from transformers.pipelines import base as transformers_pipelines

import h2p_hf
from h2p_hf import InputError
from h2p_hf.data import label_monophones, load
from h2p_hf.metrics import pinyin_scores
from h2p_hf.modeling import (
    BiLstmForTokenClassification,
    CnnForTokenClassification,
    fresh_model,
    load_model,
    load_tokenizer,
    token_loss,
)
from h2p_hf.modeling.export import export_onnx
from h2p_hf.onnx import INPUTS, ONNX_FILES
from h2p_hf.pinyin import labels
from h2p_hf.training import (
    ModelArguments,
    PinyinTrainingArguments,
    Splits,
    build_trainer,
    layer_decay_groups,
    load_base,
    make_pipeline,
    save_final,
)

TINY = {
    "bilstm": "embedding_size=16,hidden_size=32,hidden_dropout_prob=0",
    "cnn": "hidden_size=32,intermediate_size=48,hidden_dropout_prob=0",
}
CLASSES = {"bilstm": BiLstmForTokenClassification, "cnn": CnnForTokenClassification}
TEXTS = ["长江", "他在银行门口等了行长三天，行长重新长大了才出来。", "行"]

both = pytest.mark.parametrize("model_type", list(TINY))


def tiny(model_type: str):
    set_seed(0)
    model, tokenizer = load_base(ModelArguments(model_type=model_type, config_overrides=TINY[model_type]))
    return model.eval(), tokenizer


def trainer_for(model, tokenizer, output_dir, train, **kwargs):
    options = {"report_to": "none", "use_cpu": True, "eval_strategy": "no", "save_strategy": "no", "disable_tqdm": True,
               "load_best_model_at_end": False, "per_device_train_batch_size": 8, "warmup_steps": 0}  # fmt: skip
    args = PinyinTrainingArguments(output_dir=str(output_dir), **{**options, **kwargs})
    return build_trainer(model, tokenizer, Splits(train, train, {}), args)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> dict[str, str]:
    """Checkpoints with ONNX files, by model type."""
    found = {}
    for model_type in TINY:
        folder = tmp_path_factory.mktemp(model_type)
        model, tokenizer = tiny(model_type)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        export_onnx(model, tokenizer, folder)
        found[model_type] = str(folder)
    return found


@both
def test_a_saved_model_is_the_same_again(checkpoints, model_type):
    model, tokenizer = tiny(model_type)
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    again = AutoModelForTokenClassification.from_pretrained(checkpoints[model_type]).eval()
    assert type(again) is type(model) is CLASSES[model_type]
    assert type(AutoConfig.from_pretrained(checkpoints[model_type])) is CLASSES[model_type].config_class
    assert again.config.auto_map == {  # what the Hub and trust_remote_code go by
        "AutoConfig": f"encoders.{CLASSES[model_type].config_class.__name__}",
        "AutoModelForTokenClassification": f"encoders.{CLASSES[model_type].__name__}",
    }
    assert again.config.id2label[0] == "O" and again.config.num_labels == len(labels())
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoints[model_type])
    assert isinstance(tokenizer, BertTokenizer) and tokenizer.model_max_length == 256
    assert torch.equal(again(**batch).logits, model(**batch).logits)


@both
def test_padding_changes_nothing(model_type):
    model, tokenizer = tiny(model_type)
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    together = model(**batch).logits
    for text, row, mask in zip(TEXTS, together, batch["attention_mask"], strict=True):
        alone = model(tokenizer(text, return_tensors="pt")["input_ids"]).logits[0]  # no mask is a mask of ones
        torch.testing.assert_close(row[mask.bool()], alone, atol=1e-5, rtol=1e-5)


def test_a_bilstm_layer_is_that_of_pytorch_on_packed_sequences():
    model, tokenizer = tiny("bilstm")
    layer = model.bilstm.layers[0]
    stock = torch.nn.LSTM(16, 16, batch_first=True, bidirectional=True)
    stock.load_state_dict(
        {**layer.rightward.state_dict(), **{f"{k}_reverse": v for k, v in layer.leftward.state_dict().items()}}
    )
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    embedded, mask = model.bilstm.embeddings(batch["input_ids"]), batch["attention_mask"]
    packed = pack_padded_sequence(embedded, mask.sum(1), batch_first=True, enforce_sorted=False)
    wanted = layer.norm(pad_packed_sequence(stock(packed)[0], batch_first=True)[0])
    seen = []
    layer.register_forward_hook(lambda *call: seen.append(call[-1]))
    model(**batch)
    torch.testing.assert_close(seen[0][mask.bool()], wanted[mask.bool()], atol=1e-5, rtol=1e-5)


def changed(model, ids: torch.Tensor, at: int) -> list[int]:
    """Return the places whose scores change if another character stands at one place."""
    model.double()  # far away little is left of a difference
    other = ids.clone()
    other[0, at] += 1
    difference = (model(ids).logits - model(other).logits).abs().amax(-1)[0]
    return (difference > 0).nonzero().flatten().tolist()


def test_how_far_a_character_is_seen():
    ids = torch.arange(1000, 1041)[None]
    places = list(range(41))
    assert changed(tiny("cnn")[0], ids, 20) == list(range(6, 35))  # 2 * (1 + 2 + 4) on either side
    assert changed(tiny("bilstm")[0], ids, 20) == places
    model, _ = load_base(ModelArguments(model_type="cnn", config_overrides="num_hidden_layers=1,kernel_size=5"))
    assert changed(model.eval(), ids, 20) == list(range(18, 23))


@both
def test_loss_is_ours_and_counts_items(model_type):
    model, tokenizer = tiny(model_type)
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    targets = torch.randint(len(labels()), batch["input_ids"].shape).masked_fill(batch["attention_mask"] == 0, -100)
    targets[:, 0] = -100
    output = model(**batch, labels=targets)
    labelled = targets != -100
    by_hand = -output.logits.log_softmax(-1)[labelled].gather(-1, targets[labelled][:, None]).mean()
    assert output.loss.item() == pytest.approx(by_hand.item(), rel=1e-5)
    assert output.loss.item() == pytest.approx(token_loss(output.logits, targets).item(), rel=1e-5)
    halved = model(**batch, labels=targets, num_items_in_batch=2 * labelled.sum()).loss
    assert halved.item() == pytest.approx(by_hand.item() / 2, rel=1e-5)


@both
def test_learns_a_few_rows_with_every_parameter(model_type, tmp_path):
    train = label_monophones(load("bundled").select(range(0, 160, 20)))
    trainer = trainer_for(*tiny(model_type), tmp_path, train, num_train_epochs=40, learning_rate=3e-2, layer_decay=0.9)
    before = {name: parameter.detach().clone() for name, parameter in trainer.model.named_parameters()}
    trainer.train()
    still = [name for name, parameter in trainer.model.named_parameters() if torch.equal(before[name], parameter)]
    assert not still
    read = make_pipeline(trainer.model, trainer.processing_class).readings(train["text"], use_lexicon=False)
    assert pinyin_scores(train["text"], train["pinyin"], read)["hanzi_accuracy"] == 1.0


def test_a_fresh_lstm_remembers():
    model = fresh_model(CLASSES["bilstm"].config_class(embedding_size=6, hidden_size=8))
    for layer in model.bilstm.layers:
        for lstm in (layer.rightward, layer.leftward):
            assert (lstm.bias_ih_l0 + lstm.bias_hh_l0).tolist() == [0] * 4 + [1] * 4 + [0] * 8
            weights = lstm.weight_hh_l0
            torch.testing.assert_close(weights.T @ weights, torch.eye(4), atol=1e-5, rtol=0)


@both
def test_layers_have_their_own_learning_rate(model_type):
    model, _ = tiny(model_type)
    decayed = [name for name, _ in model.named_parameters() if "weight" in name]
    groups = layer_decay_groups(model, 1.0, 0.5, 0.1, decayed)
    rate = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    depth = model.config.num_hidden_layers
    assert len(rate) == len(list(model.parameters()))
    assert rate[id(model.classifier.weight)] == 1
    assert {rate[id(p)] for p in model.base_model.embeddings.parameters()} == {0.5 ** (depth + 1)}
    for number, layer in enumerate(model.base_model.layers):
        assert {rate[id(p)] for p in layer.parameters()} == {0.5 ** (depth - number)}


@pytest.mark.parametrize(
    ("model_type", "size"),
    # embeddings with layer norm, layers, classifier
    [("bilstm", 8286 * 16 + 2 * 16 + 2 * 4 * 16 * (16 + 16 + 2) + 2 * 4 * 16 * (32 + 16 + 2) + 2 * 2 * 32 + 33 * 1596),
     ("cnn", 8286 * 32 + 2 * 32 + 6 * (97 * 48 + 49 * 32 + 2 * 32) + 33 * 1596)],
)  # fmt: skip
def test_number_of_parameters(model_type, size):
    model, _ = tiny(model_type)
    assert model.num_parameters() == size
    embeddings = model.base_model.embeddings.word_embeddings.weight.numel()
    assert model.num_parameters(exclude_embeddings=True) == size - embeddings  # what hardware_use counts


@both
def test_half_precision_weights_in_both_pipelines(model_type, tmp_path, monkeypatch):
    model, tokenizer = tiny(model_type)
    trainer = trainer_for(
        model, tokenizer, tmp_path, load("bundled@test").select(range(8)), half_precision_weights=True
    )
    save_final(trainer)
    assert {tensor.dtype for tensor in load_file(tmp_path / "model.safetensors").values()} == {torch.float16}
    complaints = []
    monkeypatch.setattr(transformers_pipelines.logger, "error", complaints.append)
    plain = transformers.pipeline("token-classification", model=str(tmp_path))
    ours = h2p_hf.pipeline(str(tmp_path))
    assert not complaints  # such as that the model is not supported
    assert plain.model.dtype == ours.model.dtype == torch.float32
    text = TEXTS[1]
    wanted = {item["start"]: item["entity"] for item in plain(text)}
    found = next(ours.readings([text], use_lexicon=False))
    assert {at: reading for at, reading in enumerate(found) if reading} == {
        at: entity for at, entity in wanted.items() if text[at] not in "，。"
    }
    assert len(ours(text * 20)) == 20 * len(ours(text))  # longer than model_max_length


@both
def test_onnx_gives_the_same(checkpoints, model_type):
    model, tokenizer = tiny(model_type)
    sessions = {
        backend: InferenceSession(f"{checkpoints[model_type]}/{name}", providers=["CPUExecutionProvider"])
        for backend, name in ONNX_FILES.items()
    }
    for texts in (["长"], TEXTS, ["长" * 200, "行", "的士", "abc"]):  # other shapes than the example of the export
        batch = tokenizer(texts, padding=True, return_tensors="pt")
        real = batch["attention_mask"].bool()
        with torch.no_grad():
            wanted = model(**batch).logits[real]
        found = {
            backend: torch.from_numpy(session.run(None, {name: batch[name].numpy() for name in INPUTS})[0])[real]
            for backend, session in sessions.items()
        }
        torch.testing.assert_close(found["onnx"], wanted, atol=1e-4, rtol=1e-4)
        assert (found["onnx-int8"] - wanted).abs().mean() < 0.05 * wanted.abs().mean()
    sizes = [Path(checkpoints[model_type], name).stat().st_size for name in ONNX_FILES.values()]
    assert sizes[1] < 0.4 * sizes[0]
    assert h2p_hf.pipeline(checkpoints[model_type])("长江")[1]["pinyin"] == "jiang1"


def test_checkpoints_bring_their_code(checkpoints, tmp_path):
    code = """
import sys
sys.modules["h2p_hf"] = None  # as where it is not installed
import torch
from transformers import AutoModelForTokenClassification, pipeline
for folder in sys.argv[1:]:
    tagger = pipeline("token-classification", model=folder, trust_remote_code=True)
    print(type(tagger.model).__name__, *(item["entity"] for item in tagger("长江")))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, *checkpoints.values()],
        env={**os.environ, "HF_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    wanted = [
        [CLASSES[model_type].__name__, *h2p_hf.pipeline(folder, backend="torch").readings(["长江"], use_lexicon=False)]
        for model_type, folder in checkpoints.items()
    ]
    assert [line.split() for line in done.stdout.splitlines()] == [[name, *row] for name, row in wanted]


def test_incomplete_checkpoints_and_other_heads(checkpoints, tmp_path):
    model, tokenizer = tiny("cnn")
    state = {name: tensor for name, tensor in model.state_dict().items() if "layers.3" not in name}
    model.save_pretrained(tmp_path, state_dict=state)
    with pytest.raises(InputError, match=r"lacks weights \(cnn.layers.3.*incomplete"):
        load_model(str(tmp_path))
    config = CLASSES["cnn"].config_class(hidden_size=32, intermediate_size=48, num_labels=3)
    CLASSES["cnn"](config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert load_model(str(tmp_path)).classifier.out_features == len(labels())  # a base with a fresh head
    with pytest.raises(InputError, match="has no pinyin labels"):
        h2p_hf.pipeline(str(tmp_path))
    assert load_tokenizer(checkpoints["cnn"]).model_max_length == 256


def test_model_types():
    with pytest.raises(InputError, match="no model_type 'rnn': choose from bert, bilstm, cnn"):
        load_base(ModelArguments(model_type="rnn"))
    with pytest.raises(
        InputError, match="model_type cnn starts from fresh weights, model_name_or_path .*: give one of"
    ):
        load_base(ModelArguments(model_type="cnn", model_name_or_path="runs/cnn"))
    for overrides, message in {
        "nonsense=1": "config_overrides: .*nonsense",
        "id2label=1": "config_overrides: You can only update",
        "hidden_size=33": "impossible model config: hidden_size must be even",
    }.items():
        with pytest.raises(InputError, match=message):
            load_base(ModelArguments(model_type="bilstm", config_overrides=overrides))
    for overrides in ("kernel_size=4", "dilation_cycle=0"):
        with pytest.raises(InputError, match=f"impossible model config: {overrides.partition('=')[0]} must be"):
            load_base(ModelArguments(model_type="cnn", config_overrides=overrides))
    small = "hidden_size=16,num_hidden_layers=1,num_attention_heads=2,intermediate_size=16,max_position_embeddings=64"
    model, tokenizer = load_base(ModelArguments(model_type="bert", config_overrides=small))
    assert isinstance(model, BertForTokenClassification) and model.config.vocab_size == len(tokenizer)
    assert tokenizer.model_max_length == 64
