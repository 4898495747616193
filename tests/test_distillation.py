import math

import pytest
import torch
from transformers import set_seed

from h2p_hf import InputError
from h2p_hf.data import FEATURES
from h2p_hf.data.records import build
from h2p_hf.distillation import DistillationArguments, DistillationTrainer, add_soft_labels, load_teacher, soft_loss
from h2p_hf.training import ModelArguments, Splits, build_trainer, load_base, make_pipeline


def dataset(*rows):
    return build([("a row", text, pinyin) for text, pinyin in rows], "rows")


def probabilities(row: list[dict]) -> dict[str, float]:
    return {one["reading"]: pytest.approx(one["probability"], abs=1e-5) for one in row}


def test_soft_loss():
    logits = torch.log(torch.tensor([[[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]]))
    ids = torch.tensor([[[0, 1], [-100, -100]]])
    teacher = torch.tensor([[[0.5, 0.5], [0.0, 0.0]]])
    wanted = 0.5 * math.log(0.5 / 0.7) + 0.5 * math.log(0.5 / 0.2)
    assert soft_loss(logits, ids, teacher, 1.0).item() == pytest.approx(wanted)
    roots = [math.sqrt(p) for p in (0.7, 0.2, 0.1)]
    student = [root / sum(roots) for root in roots]
    wanted = 4 * sum(0.5 * math.log(0.5 / p) for p in student[:2])
    assert soft_loss(logits, ids, teacher, 2.0).item() == pytest.approx(wanted)
    assert soft_loss(logits, torch.full_like(ids, -100), teacher * 0, 1.0).item() == 0.0


def test_mean_of_teachers_at_a_temperature():
    rows = dataset(("长。", ["chang2", None]))
    one = lambda texts: ([{"chang2": 0.9, "zhang3": 0.1}, {}] for _ in texts)  # noqa: E731
    two = lambda texts: ([{"chang2": 0.5, "zhang3": 0.5}, {}] for _ in texts)  # noqa: E731
    unsure = lambda texts: ([{}, {}] for _ in texts)  # noqa: E731
    [row] = add_soft_labels(rows, [one, two, unsure])
    assert probabilities(row["soft"][0]) == {"chang2": 0.7, "zhang3": 0.3}
    assert row["soft"][1] == []
    assert (row["text"], row["pinyin"]) == ("长。", ["chang2", None])
    [row] = add_soft_labels(rows, [one, two, unsure], weights=[3, 1, 7])
    assert probabilities(row["soft"][0]) == {"chang2": 0.8, "zhang3": 0.2}
    [soft] = add_soft_labels(rows, [one], temperature=2.0)
    assert probabilities(soft["soft"][0]) == {"chang2": 0.75, "zhang3": 0.25}


def test_checkpoints_and_g2pm_as_teachers(tiny_checkpoint):
    text = "银行长大A\U00030001"
    [row] = load_teacher(tiny_checkpoint, device="cpu", dictionary={"银": "yin2"})([text])
    assert row[0] == {"yin2": 1.0} and set(row[2]) == {"chang2", "zhang3"}
    assert sum(row[2].values()) == pytest.approx(1) and row[4:] == [{}, {}]
    [row] = load_teacher("g2pM")([text])
    assert max(row[1], key=row[1].get) == "hang2" and sum(row[1].values()) == pytest.approx(1)
    assert row[4:] == [{}, {}]
    with pytest.raises(InputError, match="no checkpoint folder ./none"):
        load_teacher("./none")


@pytest.mark.parametrize(("soft_weight", "learns"), [(1.0, True), (0.0, False)])
def test_a_student_learns_what_no_label_says(tiny_checkpoint, tmp_path, soft_weight, learns):
    args = DistillationArguments(
        output_dir=str(tmp_path), use_cpu=True, report_to="none", eval_strategy="no", save_strategy="no",
        load_best_model_at_end=False, num_train_epochs=15, learning_rate=3e-3, per_device_train_batch_size=4,
        warmup_steps=0, disable_tqdm=True, soft_weight=soft_weight, temperature=2.0,
    )  # fmt: skip
    set_seed(0)
    model, tokenizer = load_base(ModelArguments(model_name_or_path=tiny_checkpoint))
    before = next(make_pipeline(model, tokenizer).readings(["长大"]))[0]
    wanted = {"chang2": "zhang3", "zhang3": "chang2"}[before]
    rows = dataset(*[("长大", [None, "da4"]), ("长大了。", [None, "da4", "le5", None])] * 4)
    teacher = lambda texts: ([{wanted: 0.9, before: 0.1}, *([{}] * (len(t) - 1))] for t in texts)  # noqa: E731
    train = add_soft_labels(rows, [teacher], args.temperature)
    trainer = build_trainer(model, tokenizer, Splits(train, rows, {}), args, trainer_class=DistillationTrainer)
    trainer.train()
    assert (next(make_pipeline(model, tokenizer).readings(["长大"]))[0] == wanted) is learns
    assert trainer.evaluate()["eval_loss"] >= 0  # rows without soft labels


def test_bad_arguments(tmp_path):
    for key, value, message in [
        ("temperature", 0.0, "temperature must be above 0"),
        ("soft_weight", 2.0, "0 to 1"),
        ("teacher_weights", [1.0, 2.0], "one for each of the 1 teachers"),
        ("teacher_weights", [0.0], "above 0"),
    ]:
        with pytest.raises(InputError, match=message):
            DistillationArguments(output_dir=str(tmp_path), use_cpu=True, **{key: value})
    assert set(FEATURES) == {"text", "pinyin"}
