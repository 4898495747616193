"""Exported models: the same answers, and clear errors."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from onnxruntime import InferenceSession

import h2p_hf
from h2p_hf.data import load
from h2p_hf.errors import InputError
from h2p_hf.files import bundled_checkpoint
from h2p_hf.modeling import load_model, load_tokenizer
from h2p_hf.modeling.export import export_onnx
from h2p_hf.onnx import INPUTS, ONNX_FILES, OnnxPinyinReader

TEXTS = ["银行行长重新长大了。", "", "他还没还钱，都怪他。" * 30, "abc", "𠮷長江"]
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("exported") / "checkpoint"
    shutil.copytree(bundled_checkpoint(), folder)
    shutil.rmtree(folder / "onnx", ignore_errors=True)
    model = load_model(str(folder), for_inference=True)
    before = model.config._attn_implementation
    assert set(export_onnx(model, load_tokenizer(str(folder)), folder)) == set(ONNX_FILES)
    assert model.config._attn_implementation == before and not model.training
    return str(folder)


def test_float32_logits_are_those_of_torch_whatever_the_padding(exported):
    model, tokenizer = load_model(exported).eval(), load_tokenizer(exported)
    twin = InferenceSession(f"{exported}/{ONNX_FILES['onnx']}", providers=["CPUExecutionProvider"])
    for texts in (["长"], ["银行行长", "他还没还钱"], ["长" * 200, "行", "的士"]):
        batch = tokenizer(texts, padding=True, return_tensors="pt")
        with torch.no_grad():
            wanted = model(**batch).logits
        found = torch.from_numpy(twin.run(None, {name: batch[name].numpy() for name in INPUTS})[0])
        real = batch["attention_mask"].bool()
        torch.testing.assert_close(found[real], wanted[real], atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("backend", ["onnx", "onnx-int8"])
def test_backends_answer_like_torch(exported, backend):
    texts = [*TEXTS, *load("bundled@validation").select(range(200))["text"]]
    wanted, found = (
        [i for row in h2p_hf.pipeline(exported, backend=b)(texts) for i in row] for b in ("torch", backend)
    )
    assert [(i["char"], i["start"], i["end"]) for i in found] == [(i["char"], i["start"], i["end"]) for i in wanted]
    same = np.mean([a["pinyin"] == b["pinyin"] for a, b in zip(found, wanted, strict=True)])
    apart = np.mean([abs(a["score"] - b["score"]) for a, b in zip(found, wanted, strict=True)])
    assert (same == 1 and apart < 1e-4) if backend == "onnx" else (0.99 < same and apart < 0.02)


def test_batches_in_parallel_give_the_same(exported, monkeypatch):
    texts = TEXTS * 20
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    wanted = h2p_hf.pipeline(exported, batch_size=8)(texts)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert h2p_hf.pipeline(exported, batch_size=8)(texts) == wanted


def test_int8_is_taken_by_itself_and_is_small(exported):
    assert isinstance(h2p_hf.pipeline(exported), OnnxPinyinReader)
    assert not isinstance(h2p_hf.pipeline(exported, device="cpu"), OnnxPinyinReader)
    sizes = {backend: (Path(exported) / name).stat().st_size for backend, name in ONNX_FILES.items()}
    assert sizes["onnx-int8"] < 0.3 * sizes["onnx"]


def test_a_checkpoint_without_onnx_runs_in_torch(tiny_checkpoint):
    assert not isinstance(h2p_hf.pipeline(tiny_checkpoint), OnnxPinyinReader)
    with pytest.raises(InputError, match=r"has no onnx/model.onnx .*: write it with recipes/export.py"):
        h2p_hf.pipeline(tiny_checkpoint, backend="onnx")


def test_bad_requests_say_what_to_do(exported, tmp_path):
    with pytest.raises(InputError, match="no backend 'tensorrt': choose from torch, onnx, onnx-int8"):
        h2p_hf.pipeline(exported, backend="tensorrt")
    with pytest.raises(InputError, match="runs on the CPU"):
        h2p_hf.pipeline(exported, backend="onnx", device="meta")
    broken = tmp_path / "broken"
    shutil.copytree(exported, broken)
    (broken / ONNX_FILES["onnx-int8"]).write_bytes((broken / ONNX_FILES["onnx-int8"]).read_bytes()[:1000])
    with pytest.raises(InputError, match="export it again"):
        h2p_hf.pipeline(str(broken))
    (tmp_path / "other").mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(Path(exported) / name, tmp_path / "other")
    shutil.copytree(Path(exported) / "onnx", tmp_path / "other" / "onnx")
    (tmp_path / "other" / "config.json").write_text("{}")
    with pytest.raises(InputError, match="no pinyin labels"):
        h2p_hf.pipeline(str(tmp_path / "other"))
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match="cannot write the ONNX files"):
        export_onnx(load_model(exported), load_tokenizer(exported), tmp_path / "file")


def test_the_recipe_exports_and_reports_agreement(tiny_checkpoint, tmp_path):
    data = tmp_path / "data.tsv"
    data.write_text("reading\tkind\tsentence\nhang2\tformal\t银{行}\nzhang3\tformal\t校{长}\n", encoding="utf-8")

    def run(*args):
        command = [sys.executable, "recipes/export.py", *args]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "LANG": "C.UTF-8"})

    done = run("--model", tiny_checkpoint, "--output", str(tmp_path / "out"), "--data", str(data))
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines()[2:]]
    assert [row[1] for row in rows] == ["torch", "onnx", "onnx-int8"]
    assert rows[0][4] == rows[1][4] == "100.00% |"
    assert (tmp_path / "out" / "model.safetensors").exists() and (tmp_path / "out" / ONNX_FILES["onnx"]).exists()
    done = run("--model", "someone/checkpoint")
    assert done.returncode == 2 and "say where to write with --output" in done.stderr
