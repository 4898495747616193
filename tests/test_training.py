import json
from pathlib import Path

import pytest
import torch
import transformers
from transformers import set_seed

from h2p_hf import InputError
from h2p_hf.data import label_monophones, load
from h2p_hf.metrics import pinyin_scores
from h2p_hf.training import (
    DataArguments,
    ModelArguments,
    PinyinTrainingArguments,
    Splits,
    build_trainer,
    check_same_run,
    last_complete_checkpoint,
    layer_decay_groups,
    load_base,
    load_splits,
    make_pipeline,
    parse_args,
    save_final,
    tune_phrase_bonus,
)

TYPES = (ModelArguments, DataArguments, PinyinTrainingArguments)


def rows(path: Path, *rows: tuple[str, list]) -> str:
    path.write_text("".join(json.dumps({"text": t, "pinyin": p}) + "\n" for t, p in rows))
    return str(path)


def trainer_for(checkpoint, output_dir, train, **kwargs):
    """A trainer on a fresh copy of a checkpoint, one step an epoch unless told otherwise."""
    options = {"report_to": "none", "use_cpu": True, "eval_strategy": "no", "save_strategy": "no", "logging_steps": 1,
               "load_best_model_at_end": False, "per_device_train_batch_size": 8, "warmup_steps": 0, "seed": 1,
               "learning_rate": 1e-3, "disable_tqdm": True}  # fmt: skip
    args = PinyinTrainingArguments(output_dir=str(output_dir), **{**options, **kwargs})
    set_seed(args.seed)
    model, tokenizer = load_base(ModelArguments(model_name_or_path=checkpoint))
    return build_trainer(model, tokenizer, Splits(train, train, {}), args)


# Arguments


def test_yaml_values_have_types_and_flags_override_them(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("learning_rate: 5e-5\nbf16: false\ntrain_datasets: [bundled, hsk]\noutput_dir: a\nreplay: 0.5\n")
    _, data, training = parse_args(TYPES, [str(path), "--output_dir", "b", "--test_datasets", "cpp@dev"])
    assert training.learning_rate == 5e-5
    assert training.output_dir == "b"
    assert (data.train_datasets, data.test_datasets, data.replay) == (["bundled", "hsk"], ["cpp@dev"], 0.5)
    assert training.metric_for_best_model == "eval_f1_macro" and training.load_best_model_at_end


@pytest.mark.parametrize("supported", [True, False])
def test_bf16_only_where_the_cpu_has_it(tmp_path, monkeypatch, caplog, supported):
    monkeypatch.setattr("h2p_hf.training._cpu_has_bf16", lambda: supported)
    flags = ["--output_dir", str(tmp_path), "--use_cpu", "true", "--bf16", "true"]
    *_, training = parse_args(TYPES, flags)
    assert training.bf16 == (training.mixed_precision == "bf16") == supported
    assert ("training in float32" in caplog.text) != supported


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rat: 1", "unknown key 'learning_rat'"),
        ("- a\n- b", "write one 'key: value' a line"),
        ("a: [", "is not valid YAML"),
        ("layer_decay: 2", "layer_decay must be above 0 and at most 1"),
        ("mask_probability: 1", "mask_probability must be at least 0 and below 1"),
        ("eval_strategy: never", "never"),
    ],
)
def test_bad_yaml(tmp_path, text, message):
    path = tmp_path / "run.yaml"
    path.write_text(text + "\n")
    with pytest.raises(InputError, match=message):
        parse_args(TYPES, [str(path), "--output_dir", "a"])


def test_bad_flags_exit_with_2(tmp_path, capsys):
    for argv in (["--learning_rate", "fast"], ["--no_such_flag", "1"]):
        with pytest.raises((SystemExit, InputError)) as error:
            parse_args(TYPES, ["--output_dir", "a", *argv])
        assert isinstance(error.value, InputError) or error.value.code == 2
    with pytest.raises(InputError, match="cannot read none.yaml"):
        parse_args(TYPES, ["none.yaml"])


# Data


def test_splits_hold_test_sentences_out(tmp_path):
    test = rows(tmp_path / "test.jsonl", ("长江", ["chang2", None]))
    train = rows(tmp_path / "train.jsonl", *((f"长大{c}", ["zhang3", None, None]) for c in "一二三四五六七八九十"))
    general = rows(tmp_path / "general.jsonl", *((f"行走{c}", ["xing2", None, None]) for c in "一二三四五六七八九十"))
    arguments = {"test_datasets": [test], "validation_datasets": ["bundled@validation"]}
    splits = load_splits(DataArguments(train_datasets=[train], **arguments), seed=0)
    assert len(splits.train) == 10
    assert splits.train[0]["pinyin"] == ["zhang3", None, "yi1"]
    with pytest.raises(InputError, match=r"test\.jsonl, line 1: this sentence is also in"):
        load_splits(DataArguments(train_datasets=[test], **arguments), seed=0)
    splits = load_splits(
        DataArguments(train_datasets=[train], replay_datasets=[general], replay=0.5, test_fraction=0.2, **arguments), 0
    )
    texts = splits.train["text"]
    assert sum("长大" in t for t in texts) == 6
    assert sum("行走" in t for t in texts) == 3
    held_out = splits.tests["train_datasets (held out)"]
    domain = [t for t in splits.validation["text"] if t.startswith("长大")]
    assert len(held_out) == len(domain) == 2
    assert len({*held_out["text"], *domain, *texts}) == 2 + 2 + 9
    for fraction in (2, 0.01, 0.5):
        with pytest.raises(InputError, match="leaves no test or no training rows of 10 sentences"):
            load_splits(DataArguments(train_datasets=[train], test_fraction=fraction, **arguments), 0)


# Model


def test_fresh_config(bare_encoder):
    model, _ = load_base(ModelArguments(bare_encoder, config_overrides="num_hidden_layers=1,hidden_size=16"))
    assert (model.config.num_hidden_layers, model.classifier.in_features) == (1, 16)
    with pytest.raises(InputError, match="config_overrides: .*nonsense"):
        load_base(ModelArguments(bare_encoder, config_overrides="nonsense=1"))
    with pytest.raises(InputError, match="impossible model config: .*33"):
        load_base(ModelArguments(bare_encoder, config_overrides="hidden_size=33"))
    with pytest.raises(InputError, match="no checkpoint folder ./none|cannot load"):
        load_base(ModelArguments("./none", config_overrides="hidden_size=16"))
    _, tokenizer = load_base(ModelArguments(bare_encoder, config_overrides="max_position_embeddings=32"))
    assert tokenizer.model_max_length == 32


def test_options_that_do_not_fit(tiny_checkpoint, tmp_path):
    train = load("bundled@test").select(range(2))
    model, tokenizer = load_base(ModelArguments(tiny_checkpoint))
    args = PinyinTrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="none")
    with pytest.raises(InputError, match="max_length must be at least 8 tokens, got 2"):
        build_trainer(model, tokenizer, Splits(train, train, {}), args, longest=2)
    blank = train.map(lambda row: {"pinyin": [None] * len(row["text"]), "text": "好" * len(row["text"])})
    with pytest.raises(InputError, match="the training data has no labelled character"):
        build_trainer(model, tokenizer, Splits(blank, train, {}), args)


def test_a_run_is_not_resumed_as_another(tmp_path):
    def check(**kwargs):
        args = PinyinTrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="none", **kwargs)
        check_same_run(tmp_path, ModelArguments(), DataArguments(), args)

    check(seed=1)
    check(seed=1)
    with pytest.raises(InputError, match="belongs to a run with seed=1, now 2: give another --output_dir"):
        check(seed=2)


def test_layer_decay(tiny_checkpoint):
    model, _ = load_base(ModelArguments(tiny_checkpoint))
    decayed = [name for name, _ in model.named_parameters() if name.endswith("weight") and "Norm" not in name]
    groups = layer_decay_groups(model, 1.0, 0.5, 0.1, decayed)
    rate = {id(p): (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert len(rate) == len(list(model.parameters()))
    layers = model.bert.encoder.layer
    assert rate[id(model.classifier.weight)] == (1.0, 0.1)
    assert rate[id(model.classifier.bias)] == (1.0, 0.0)
    assert rate[id(layers[1].output.dense.weight)] == (0.5, 0.1)
    assert rate[id(layers[0].output.LayerNorm.weight)] == (0.25, 0.0)
    assert rate[id(model.bert.embeddings.word_embeddings.weight)] == (0.125, 0.1)


# Training


def test_accumulation_does_not_change_loss_or_gradients(tiny_checkpoint, tmp_path):
    train = label_monophones(load("bundled").select(range(8)))
    seen = []
    for batch, steps in ((8, 1), (4, 2), (1, 8)):
        trainer = trainer_for(
            tiny_checkpoint,
            tmp_path,
            train,
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=steps,
            max_steps=1,
        )
        trainer.train()
        log = trainer.state.log_history[0]
        seen.append((float(log["loss"]), float(log["grad_norm"])))
    assert seen[1] == pytest.approx(seen[0], rel=1e-4)
    assert seen[2] == pytest.approx(seen[0], rel=1e-4)


@pytest.mark.parametrize("candidate_loss", [False, True])
def test_overfits_a_few_rows(tiny_checkpoint, tmp_path, candidate_loss):
    train = label_monophones(load("bundled").select(range(0, 320, 20)))
    trainer = trainer_for(
        tiny_checkpoint,
        tmp_path,
        train,
        num_train_epochs=60,
        learning_rate=1e-2,
        candidate_loss=candidate_loss,
        layer_decay=0.9,
    )
    before = [p.detach().clone() for p in trainer.model.parameters()]
    trainer.train()
    moved = [not torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True)]
    assert sum(moved) >= len(moved) - 1  # the key bias of attention has no gradient
    pipe = make_pipeline(trainer.model, trainer.processing_class)
    scores = pinyin_scores(train["text"], train["pinyin"], pipe.readings(train["text"], use_lexicon=candidate_loss))
    assert scores["accuracy"] == 1.0
    assert 0 <= tune_phrase_bonus(pipe, train) <= 6
    assert trainer.model.config.phrase_bonus == 0.0  # nothing to gain: the smallest of the best


def test_masking_hides_labelled_tokens_in_training_only(tiny_checkpoint, tmp_path):
    train = label_monophones(load("bundled").select(range(8)))
    trainer = trainer_for(tiny_checkpoint, tmp_path, train, mask_probability=0.5)
    seen = []
    trainer.model.register_forward_pre_hook(lambda _, args, kwargs: seen.append(kwargs["input_ids"]), with_kwargs=True)
    batch = next(iter(trainer.get_eval_dataloader()))
    mask = trainer.processing_class.mask_token_id
    trainer.model.eval()
    trainer.compute_loss(trainer.model, dict(batch))
    trainer.model.train()
    trainer.compute_loss(trainer.model, dict(batch))
    assert not (seen[0] == mask).any()
    hidden = seen[1] == mask
    assert 0.35 < hidden.sum() / (batch["labels"] != -100).sum() < 0.65
    assert (batch["labels"][hidden] != -100).all()
    assert torch.equal(seen[1][~hidden], batch["input_ids"][~hidden])


def test_evaluation_restricted_to_labelled_polyphones(tiny_checkpoint, tmp_path):
    train = load("bundled@test")
    trainer = trainer_for(tiny_checkpoint, tmp_path, train)
    metrics = trainer.evaluate()
    assert metrics["eval_polyphones"] == len(train)
    assert {"eval_f1_macro", "eval_accuracy_by_reading", "eval_precision_weighted"} <= set(metrics)


def test_half_precision_weights_are_read_as_float32(tiny_checkpoint, tmp_path):
    train = load("bundled@test").select(range(8))
    sizes = []
    for half in (False, True):
        output = tmp_path / str(half)
        trainer = trainer_for(tiny_checkpoint, output, train, half_precision_weights=half)
        save_final(trainer)
        sizes.append((output / "model.safetensors").stat().st_size)
    assert sizes[1] < 0.51 * sizes[0]
    plain = transformers.pipeline("token-classification", model=str(output))
    assert plain.model.dtype == torch.float32
    assert torch.equal(plain.model.classifier.weight, trainer.model.classifier.weight.half().float())


def test_last_complete_checkpoint(tmp_path):
    assert last_complete_checkpoint(tmp_path / "none") is None
    for step, state in ((5, "{}"), (10, "{}"), (20, None), (30, "{")):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        if state:
            (folder / "trainer_state.json").write_text(state)
    assert last_complete_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")
