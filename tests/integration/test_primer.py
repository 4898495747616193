"""The scripts of the primer, each run as a learner runs it."""

import json
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from h2p_hf import pipeline

PRIMER = Path(__file__).parents[2] / "recipes" / "primer"


def primer(script: str, output: Path, *options: str) -> dict[str, dict[str, float]]:
    """Run a script and return the scores that it ends with."""
    command = [sys.executable, str(PRIMER / script), "--output_dir", str(output), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((output / "metrics.json").read_text("utf-8"))
    last = done.stdout.strip().splitlines()[-1]
    name, scores = list(found.items())[-1]
    assert last.startswith(name) and f"{scores['accuracy']:.4f}" in last  # what is printed is what is written
    assert all({"accuracy", "precision", "recall", "f1"} <= set(row) for row in found.values())
    return found


@pytest.mark.parametrize("script", ["digits_cnn.py", "lstm_language_model.py", "pinyin_bert.py"])
def test_a_script_is_short(script):
    assert len((PRIMER / script).read_text("utf-8").splitlines()) < 100


def test_digits(tmp_path):
    found = primer("digits_cnn.py", tmp_path / "run")
    assert found["CNN"]["accuracy"] >= 0.97 and found["CNN"]["f1"] >= 0.97
    assert found["CNN moved"]["accuracy"] > found["PCA and 3 neighbours moved"]["accuracy"] + 0.2
    assert (tmp_path / "run" / "pca.png").stat().st_size > 5000
    command = [sys.executable, str(PRIMER / "digits_cnn.py"), "--dropout", "2", "--output_dir", str(tmp_path / "bad")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "error: dropout must be" in done.stderr and not (tmp_path / "bad").exists()


def test_language_model(tmp_path):
    found = primer("lstm_language_model.py", tmp_path / "run", "--sweep_part", "30", "--num_train_epochs", "1")
    assert found["trained"]["perplexity"] < 0.75 * found["frequencies"]["perplexity"]
    assert found["untrained"]["perplexity"] > 2000  # of some 3,300 characters: it knows nothing
    assert found["trained"]["accuracy"] > found["frequencies"]["accuracy"] + 0.05
    tried = json.loads((tmp_path / "run" / "sweep.json").read_text("utf-8"))
    rates, sizes = ({one[key] for one in tried} for key in ("learning_rate", "per_device_train_batch_size"))
    seen = {(one["learning_rate"], one["per_device_train_batch_size"]) for one in tried}
    assert len(rates) == 3 and len(sizes) == 2 and seen == set(product(rates, sizes))
    assert (tmp_path / "run" / "sweep.png").stat().st_size > 5000


def test_pinyin(tmp_path):
    output = tmp_path / "run"
    options = ("--max_train_samples", "7500", "--pretraining_epochs", "0.5", "--num_train_epochs", "2")
    found = primer("pinyin_bert.py", output, *options)
    stages = ["pretrained", "fine-tuned", "adapted", "the bundled base", "the bundled base, adapted"]
    assert list(found) == stages
    accuracy = [found[stage]["accuracy"] for stage in stages]
    assert accuracy == sorted(accuracy) and accuracy[-1] > accuracy[-2] + 0.01
    assert found["pretrained"]["general"] < 0.05 and found["fine-tuned"]["general"] > 0.7
    assert found["the bundled base, adapted"]["f1"] > found["the bundled base"]["f1"]
    assert pipeline(str(output))("长江")[0]["pinyin"] == "chang2"
