import evaluate
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from h2p_hf.metrics import METRIC_PATH, build_compute_metrics, pinyin_scores, polyphone_scores
from h2p_hf.modeling import character_tokenizer
from h2p_hf.pinyin import id2label, label2id


def test_hand_counted():
    # 长: chang2 right, right, wrong; zhang3 wrong. 行: hang2 right.
    scores = polyphone_scores(
        "长长长长行",
        ["chang2", "chang2", "chang2", "zhang3", "hang2"],
        ["chang2", "chang2", "zhang3", "chang2", "hang2"],
    )
    assert scores["accuracy"] == pytest.approx(3 / 5)
    assert scores["accuracy_by_character"] == pytest.approx((2 / 4 + 1) / 2)
    assert scores["accuracy_by_reading"] == pytest.approx((2 / 3 + 0 + 1) / 3)
    assert scores["recall_macro"] == pytest.approx((2 / 3 + 0 + 1) / 3)
    assert scores["precision_macro"] == pytest.approx((2 / 3 + 0 + 1) / 3)
    assert scores["polyphones"] == 5


def test_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    characters = rng.choice(list("长行了"), 300)
    readings = {"长": ["chang2", "zhang3"], "行": ["xing2", "hang2"], "了": ["le5", "liao3"]}
    gold = [rng.choice(readings[c]) for c in characters]
    guess = [rng.choice(readings[c]) for c in characters]
    classes = [[c + r for c, r in zip(characters, rows, strict=True)] for rows in (gold, guess)]
    scores = polyphone_scores(characters, gold, guess)
    assert scores["accuracy"] == pytest.approx(accuracy_score(*classes))
    for average in ("macro", "micro", "weighted"):
        for name, score in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
            assert scores[f"{name}_{average}"] == pytest.approx(score(*classes, average=average)), (name, average)


def test_rows_in_the_column_layout():
    scores = pinyin_scores(
        ["长江，", "西安", "行", "a"],
        [["chang2", "jiang1", None], [None, "an1"], [None], [None]],
        [["chang2", "jiang4", None], ["xi1", "an1"], ["xing2"], [None]],
    )
    # polyphones: 长 by the lexicon, 安 as the only labelled one of its text
    assert scores["polyphones"] == 2
    assert scores["accuracy"] == 1.0
    assert scores["hanzi"] == 3
    assert scores["hanzi_accuracy"] == pytest.approx(2 / 3)
    assert scores["sentences"] == 2
    assert scores["sentence_accuracy"] == 0.5


def test_nothing_to_score():
    assert set(pinyin_scores(["好a"], [[None, None]], [["hao3", None]]).values()) == {0.0}


def test_missing_prediction_is_wrong():
    assert polyphone_scores("长", ["chang2"], [None])["accuracy"] == 0.0


def test_lengths_that_differ():
    with pytest.raises(ValueError, match="lengths differ: text 2, references 1"):
        pinyin_scores(["长江"], [["chang2"]], [["chang2", None]])


def test_evaluate_module():
    metric = evaluate.load(METRIC_PATH)
    metric.add_batch(predictions=[["hang2", None]], references=[["hang2", None]], texts=["行，"])
    metric.add_batch(predictions=[["chang2", "da4"]], references=[["zhang3", "da4"]], texts=["长大"])
    scores = metric.compute()
    assert scores["accuracy"] == pytest.approx(2 / 3)
    assert scores["sentence_accuracy"] == 0.5


def test_compute_metrics_reads_characters_from_input_ids():
    tokenizer = character_tokenizer()
    labels = label2id()
    inputs = np.array([tokenizer("长江")["input_ids"] + [-100]])
    gold = np.array([[-100, labels["chang2"], labels["jiang1"], -100, -100]])
    guess = np.array([[0, labels["zhang3"], labels["jiang1"], 0, 0]])
    prediction = type("P", (), {"inputs": inputs, "label_ids": gold, "predictions": guess})
    scores = build_compute_metrics(tokenizer, id2label())(prediction)
    assert (scores["polyphones"], scores["accuracy"]) == (1, 0.0)
