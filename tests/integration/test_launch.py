"""The recipes as people run them: `accelerate launch` in a process of its own."""

import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import h2p_hf
from h2p_hf.data import load
from h2p_hf.evaluation import evaluate_system, load_system
from h2p_hf.modeling import character_tokenizer, load_masked_lm, load_model, load_tokenizer
from h2p_hf.onnx import ONNX_FILES

ROOT = Path(__file__).parents[2]
LAUNCH = [
    sys.executable,
    "-m",
    "accelerate.commands.accelerate_cli",
    "launch",
    "--config_file",
    "accelerate_config.yaml",
]


def launch(
    recipe: str, *args: str, processes: int = 1, expect: int | None = 0, timeout: int = 400
) -> subprocess.CompletedProcess:
    command = [
        *LAUNCH,
        *(("--multi_gpu", "--gpu_ids", "all", "--num_processes", str(processes)) if processes > 1 else ()),
        f"recipes/{recipe}",
    ]
    done = subprocess.run(
        [*command, *args],
        cwd=ROOT,
        env={**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert expect is None or done.returncode == expect, done.stdout[-2000:] + done.stderr[-4000:]
    return done


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> dict[str, str]:
    """A few rows of the bundled sentences as files: quick to train on."""
    folder = tmp_path_factory.mktemp("rows")
    files = {}
    for name, count in (("train", 64), ("validation", 32), ("test", 32)):
        files[name] = str(folder / f"{name}.jsonl")
        load(f"bundled@{name}").select(range(count)).to_json(files[name], force_ascii=False)
    return files


def options(checkpoint: str | None, rows: dict[str, str], output: Path, **more) -> list[str]:
    values = {
        "model_name_or_path": checkpoint, "train_datasets": rows["train"], "validation_datasets": rows["validation"],
        "test_datasets": rows["test"], "output_dir": str(output), "per_device_train_batch_size": 8,
        "num_train_epochs": 2, "learning_rate": 1e-3, "report_to": "none", "logging_steps": 1, **more,
    }  # fmt: skip
    return [word for key, value in values.items() if value is not None for word in (f"--{key}", str(value))]


def metrics(output: Path) -> dict:
    return json.loads((output / "metrics.json").read_text("utf-8"))


def test_distill(tiny_checkpoint, rows, tmp_path):
    student = tmp_path / "student"
    more = {"teachers": tiny_checkpoint, "temperature": 2, "soft_weight": 0.9, "num_train_epochs": 1}
    done = launch("distill.py", *options(tiny_checkpoint, rows, student, **more))
    report = metrics(student)["results"][rows["test"]]
    assert set(report) == {"before", "after", "after, argmax"} and "| system" in done.stdout
    arguments = json.loads((student / "arguments.json").read_text("utf-8"))
    assert (arguments["soft_weight"], arguments["teachers"]) == (0.9, [tiny_checkpoint])
    done = launch("distill.py", *options(tiny_checkpoint, rows, tmp_path / "x", teachers="./none"), expect=None)
    assert done.returncode and "error: no checkpoint folder ./none" in done.stderr
    assert not (tmp_path / "x").exists()


def test_finetune_evaluate_convert(tiny_checkpoint, rows, tmp_path):
    output = tmp_path / "run"
    done = launch(
        "finetune.py", *options(tiny_checkpoint, rows, output, report_to="tensorboard", baselines="pypinyin")
    )
    assert "| system" in done.stdout and "yín háng" in done.stdout
    found = metrics(output)
    assert found["world_size"] == 1
    assert set(found["results"][rows["test"]]) == {"pypinyin", "before", "after, argmax", "after"}
    assert found["results"][rows["test"]]["after"]["polyphones"] == 32
    assert list(output.glob("runs/*/events*"))
    [report] = (output / "evaluation").iterdir()
    assert {p.name for p in report.iterdir()} == {
        "metrics.json",
        "per_character.csv",
        "errors.jsonl",
        "confusions.png",
    }
    # The result is an ordinary checkpoint: the evaluation recipe gives the same numbers again.
    done = subprocess.run(
        [sys.executable, "recipes/evaluate.py", "--system", str(output), "--compare", "pypinyin", "majority",
         "--data", rows["test"], "--output", str(tmp_path / "evaluation")],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    again = [json.loads(p.read_text()) for p in (tmp_path / "evaluation").glob("*/*/metrics.json")]
    assert found["results"][rows["test"]]["after"] in again
    assert found["results"][rows["test"]]["pypinyin"] in again
    assert len(again) == 3


@pytest.mark.parametrize(
    ("config", "overrides"),
    [
        ("bilstm", "embedding_size=32,hidden_size=32"),
        ("cnn", "hidden_size=32,intermediate_size=32"),
    ],
)
def test_architectures_from_fresh_weights(config, overrides, rows, tmp_path):
    output = tmp_path / config
    path = f"recipes/configs/{config}.yaml"
    more = {"config_overrides": overrides, "learning_rate": 1e-2, "label_monophones": "false", "num_train_epochs": 6}
    done = launch("finetune.py", path, *options(None, rows, output, **more))
    assert "yín háng" in done.stdout
    log = json.loads((output / "trainer_state.json").read_text())["log_history"]
    losses = [entry["loss"] for entry in log if "loss" in entry]
    assert losses[-1] < losses[0] - 1
    # The same system for everything that reads a checkpoint.
    found = metrics(output)["results"][rows["test"]]
    test = load(rows["test"])
    assert evaluate_system(load_system(str(output)), test)[0] == found["after"]
    assert evaluate_system(load_system(f"{output}@argmax"), test)[0] == found["after, argmax"]
    assert h2p_hf.pipeline(str(output))("银行")[0]["pinyin"] == "yin2"
    # And a row of the comparison.
    (output / "onnx").mkdir()
    (output / ONNX_FILES["onnx-int8"]).write_bytes(bytes(2**20))
    speeds = {f"{output}@torch": 1000.0, f"{output}@onnx-int8": 25000.4}
    speed = {
        "machine": "x86_64",
        "threads": 2,
        "systems": {k: {"characters_per_second": v} for k, v in speeds.items()},
    }
    code = runpy.run_path(str(ROOT / "recipes" / "compare_architectures.py"))
    header, _, row, *_ = code["table"]({config: output}, [rows["test"]], speed).splitlines()
    cells = dict(zip(header.strip("| ").split(" | "), row.strip("| ").split(" | ")[1:], strict=True))
    assert cells["parameters"] == f"{load_model(str(output)).num_parameters():,}"
    assert (cells["int8, MiB"], cells["characters/s, onnx-int8"]) == ("1.0", "25,000")
    assert cells[rows["test"]].split(" / ")[0] == f"{100 * found['after']['accuracy']:.2f}"


def test_two_processes_train_the_same_model(tiny_checkpoint, rows, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    launch("finetune.py", *options(tiny_checkpoint, rows, one, per_device_train_batch_size=16, num_train_epochs=3))
    # Trainer with gloo sometimes aborts at exit, after all is written: the result file tells.
    for _ in range(2):
        launch("finetune.py", *options(tiny_checkpoint, rows, two, num_train_epochs=3), processes=2, expect=None)
        if (two / "metrics.json").exists():
            break
        shutil.rmtree(two, ignore_errors=True)
    assert metrics(two)["world_size"] == 2
    weights = [load_file(folder / "model.safetensors") for folder in (one, two)]
    assert weights[0].keys() == weights[1].keys()
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, atol=1e-3, rtol=0)
    losses = [json.loads((folder / "train_results.json").read_text())["train_loss"] for folder in (one, two)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    for system in ("after", "after, argmax"):
        scores = [metrics(folder)["results"][rows["test"]][system]["accuracy"] for folder in (one, two)]
        assert scores[1] == pytest.approx(scores[0], abs=0.04)  # one of 32 rows


def test_goes_on_after_a_kill(tiny_checkpoint, rows, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    more = {
        "num_train_epochs": 6,
        "save_strategy": "steps",
        "save_steps": 8,
        "eval_strategy": "steps",
        "eval_steps": 8,
    }
    launch("finetune.py", *options(tiny_checkpoint, rows, whole, **more))
    process = subprocess.Popen(
        [sys.executable, "recipes/finetune.py", *options(tiny_checkpoint, rows, killed, **more)],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not (killed / "checkpoint-16" / "trainer_state.json").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "metrics.json").exists()
    done = launch("finetune.py", *options(tiny_checkpoint, rows, killed, **more))
    assert "going on from" in done.stdout
    weights = [load_file(folder / "model.safetensors") for folder in (whole, killed)]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, atol=1e-6, rtol=1e-5)


def test_domain_adaptation_with_replay(tiny_checkpoint, rows, tmp_path):
    domain = tmp_path / "domain.jsonl"
    domain.write_text("".join(
        json.dumps({"text": f"{n}号来会诊的行家", "pinyin": [None] * 6 + ["hang2", None]}) + "\n" for n in "一二三四五六七八九十甲乙丙丁戊己庚辛壬癸"
    ), encoding="utf-8")  # fmt: skip
    output = tmp_path / "run"
    done = launch("finetune.py", *options(
        tiny_checkpoint, rows, output, train_datasets=str(domain), replay_datasets=rows["train"], replay=0.5, test_fraction=0.2
    ))  # fmt: skip
    found = metrics(output)
    for name in ("train_datasets (held out)", rows["test"]):
        assert {"before", "after"} <= set(found["results"][name])
        assert name in done.stdout


def test_bad_input_is_one_line_and_2(tiny_checkpoint, rows, tmp_path):
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"text": "长", "pinyin": ["chang"]}\n{"text": "长江", "pinyin": ["chang2"]}\n', encoding="utf-8")
    cases = {
        "finetune.py": (options(tiny_checkpoint, rows, tmp_path / "a", train_datasets=str(bad)), "bad.jsonl, line"),
        "evaluate.py": (["--system", "./none"], "no checkpoint folder ./none"),
        "pretrain.py": (["--train_files", "none.txt", "--output_dir", str(tmp_path / "b")], "no text in none.txt"),
        "benchmark.py": (["--files", "none.txt"], "no text in none.txt"),
        "silver.py": (["--files", "none.txt", "--output", str(tmp_path / "c")], "no text in none.txt"),
    }
    for recipe, (args, message) in cases.items():
        done = subprocess.run([sys.executable, f"recipes/{recipe}", *args], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 2, (recipe, done.stderr)
        assert "Traceback" not in done.stderr
        assert done.stderr.splitlines()[-1].startswith("error: ") and message in done.stderr, recipe
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.jsonl"]


@pytest.mark.parametrize("whole_word_mask", ["false", "true"])
def test_pretraining_learns_and_gives_a_base(whole_word_mask, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("".join(f"他在银行门口等了{n}天，行长才出来。\n" for n in range(4000)), encoding="utf-8")
    base = tmp_path / "base"
    launch(
        "pretrain.py", "--train_files", str(text), "--output_dir", str(base), "--hidden_size", "32", "--num_hidden_layers",
        "1", "--block_size", "64", "--max_steps", "12", "--per_device_train_batch_size", "4", "--validation_blocks", "8",
        "--learning_rate", "0.01", "--report_to", "none", "--logging_steps", "1", "--whole_word_mask", whole_word_mask,
    )  # fmt: skip
    trained = json.loads((base / "train_results.json").read_text())
    assert trained["train_tokens_per_second"] > 0
    assert 0 < trained["train_hardware_use"] < 1
    log = json.loads((base / "trainer_state.json").read_text())["log_history"]
    losses = [entry["loss"] for entry in log if "loss" in entry]
    assert losses[-1] < losses[0] - 1
    assert json.loads((base / "eval_results.json").read_text())["eval_perplexity"] > 1
    assert load_model(str(base)).config.num_hidden_layers == 1
    assert load_tokenizer(str(base)).model_max_length == 64


def test_silver_labels_have_a_measured_confidence(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("银行行长重新上任。\n他还没来。\n今天天气好。\n", encoding="utf-8")
    check = tmp_path / "check.tsv"
    check.write_text(
        "reading\tkind\tsentence\nhang2\tformal\t银{行}\nhang2\tformal\t{行}走\nzhang3\tformal\t校{长}\n",
        encoding="utf-8",
    )
    output = tmp_path / "silver.jsonl"

    def silver(*args):
        command = [sys.executable, "recipes/silver.py", "--files", str(text), "--output", str(output), *args]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    done = silver("--check", str(check))
    assert done.returncode == 0, done.stderr
    assert "66.67% right" in done.stdout
    rows = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    assert {row["text"] for row in rows} == {"银行行长重新上任。", "他还没来。", "今天天气好。"}
    assert all(len(row["pinyin"]) == len(row["text"]) and 0 <= row["confidence"] <= 1 for row in rows)
    assert len(load(str(output))) == 3
    before = output.read_bytes()
    plain = tmp_path / "plain.jsonl"
    plain.write_text(
        '{"text": "他", "pinyin": ["ta1"]}\n{"text": "天天", "pinyin": ["tian1", null]}\n', encoding="utf-8"
    )
    done = silver("--check", str(check), "--min_confidence", "2")
    assert done.returncode == 2 and "from 0 to 1" in done.stderr
    done = silver("--check", str(plain))
    assert done.returncode == 2 and "no labelled polyphone to measure on" in done.stderr
    done = silver("--check", str(check), "--min_confidence", "1")
    assert done.returncode == 2 and "has a confidence of 1.0" in done.stderr
    assert output.read_bytes() == before


def test_silver_text_is_balanced_over_readings():
    balanced = runpy.run_path(str(ROOT / "recipes" / "silver.py"))["balanced"]
    texts = ("银行", "行走", "我银行", "行走", "他银行", "江山", "银行", "他行走", "女行走")
    rows = [{"text": text} for text in texts]
    # 行 as hang2 and as xing2; 江山 has no polyphone, and what was there is left out
    assert list(balanced(rows, 2)) == ["银行", "行走", "我银行", "他行走"]
    assert list(balanced(rows, 1)) == ["银行", "行走"]


def test_masked_lm_loss_is_that_of_the_stock_model(tiny_checkpoint):
    code = runpy.run_path(str(ROOT / "recipes" / "pretrain.py"))
    model, tokenizer = load_masked_lm(tiny_checkpoint), load_tokenizer(tiny_checkpoint)
    inputs = tokenizer(["他在银行门口", "校长来了"], padding=True, return_tensors="pt")
    labels = inputs["input_ids"].masked_fill(torch.rand(inputs["input_ids"].shape) < 0.5, -100)
    model.eval()
    stock = model(**inputs, labels=labels).loss
    trainer = code["MaskedLMTrainer"](model=model, processing_class=tokenizer)
    assert trainer.compute_loss(model, {**inputs, "labels": labels}).item() == pytest.approx(stock.item(), rel=1e-5)


def test_whole_words_touch_and_others_do_not():
    code = runpy.run_path(str(ROOT / "recipes" / "pretrain.py"))
    text = "在银行hello行"
    tokenizer = character_tokenizer()
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    moved = code["word_offsets"](text, offsets)
    words = "".join("|" * (i > 0 and moved[i - 1][1] != start) + text[offsets[i][0] : offsets[i][1]]
                    for i, (start, _) in enumerate(moved))  # fmt: skip
    assert words == "在|银行|hello|行"


def test_benchmark(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("银行行长重新上任。\n他还没来。\n" * 50, encoding="utf-8")
    output = tmp_path / "speed.json"
    command = [sys.executable, "recipes/benchmark.py", "--files", str(text), "--output", str(output), "--rounds", "2",
               "--characters", "200", "--systems", "bundled", "pypinyin", "g2pW-style"]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    report = json.loads(output.read_text("utf-8"))
    assert 200 <= report["characters"] < 210
    ours, theirs, slow = (report["systems"][name] for name in ("bundled", "pypinyin", "g2pW-style"))
    assert all(len(row["seconds"]) == 2 and 0 < row["p50_ms"] <= row["p95_ms"] for row in (ours, theirs, slow))
    assert slow["p50_ms"] > 5 * ours["p50_ms"]  # hundreds of times: a big model, and one pass a polyphone
    assert (
        theirs["first_result_seconds"] < ours["first_result_seconds"]
        and 10 < theirs["memory_mib"] < ours["memory_mib"]
    )
    assert "first_result_seconds" not in slow
    assert set(report["scaling"]) == {"length", "batch_size"}
    assert f"| g2pW-style | {slow['characters_per_second']:,.0f} | {slow['p50_ms']:.2f} |" in done.stdout
    assert output.with_suffix(".png").read_bytes()[1:4] == b"PNG"


def test_plot_of_training(tmp_path):
    log = [{"loss": 1.0, "step": 1}, {"eval_accuracy": 0.5, "num_input_tokens_seen": 1000, "step": 2}]
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": log}))

    def plot(folder, output):
        command = [sys.executable, "recipes/plot_training.py", "--runs", str(folder), "--output", str(output)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert plot(tmp_path, tmp_path / "a.png").returncode == 0
    assert (tmp_path / "a.png").read_bytes()[1:4] == b"PNG"
    done = plot(tmp_path / "none", tmp_path / "b.png")
    assert done.returncode == 2 and "no finished run in" in done.stderr
    done = plot(tmp_path, tmp_path / "b.words")
    assert done.returncode == 2 and "cannot write" in done.stderr and not (tmp_path / "b.words").exists()


@pytest.mark.parametrize("config", sorted((ROOT / "recipes" / "configs").glob("*.yaml")), ids=lambda p: p.name)
def test_every_config_parses(config, tmp_path):
    # All keys and values are good if the run gets as far as an input that is not there.
    if config.name.startswith("pretrain"):
        recipe, args, message = "pretrain.py", ["--train_files", "none.txt"], "no text in none.txt"
    else:
        datasets = ["--train_datasets", "bundled", "--test_datasets", "bundled@test"]
        recipe = "distill.py" if "distill" in config.name else "finetune.py"
        args = [*datasets, "--model_name_or_path", "./none"]
        fresh = "model_type:" in config.read_text("utf-8")
        message = "model_name_or_path ./none" if fresh else "no checkpoint folder ./none"
    command = [sys.executable, f"recipes/{recipe}", str(config), *args, "--output_dir", str(tmp_path / "run")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert message in done.stderr


@pytest.mark.slow
def test_the_quickstart_beats_the_dictionaries(tmp_path):
    done = launch(
        "finetune.py", "recipes/configs/quickstart.yaml", "--output_dir", str(tmp_path / "run"), timeout=1800
    )
    scores = metrics(tmp_path / "run")["results"]["bundled@test"]
    assert scores["after"]["accuracy"] > max(scores[name]["accuracy"] for name in ("before", "pypinyin", "g2pM"))
    assert "yín háng háng zhǎng" in done.stdout
