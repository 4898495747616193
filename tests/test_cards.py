"""The cards of what we ship, and the README, say what was measured."""

import json
import re
from pathlib import Path

import pytest

from h2p_hf import hub
from h2p_hf.data import load
from h2p_hf.evaluation import COLUMNS
from h2p_hf.files import bundled_checkpoint

ROOT = Path(__file__).parent.parent
CARDS = ROOT / "model_cards"
RESULTS = json.loads((CARDS / "h2p-small.json").read_text("utf-8"))["results"]


def tables(path: Path) -> list[list[dict[str, str]]]:
    """Return the Markdown tables of a file, each as its rows by heading."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", path.read_text("utf-8"), re.M):
        lines = [[cell.strip(" *") for cell in line.strip("|\n ").split("|")] for line in block.splitlines()]
        found.append([dict(zip(lines[0], cells, strict=False)) for cells in lines[2:]])
    return found


def scores(path: Path) -> list[tuple[str, str, dict[str, str]]]:
    """Return the rows with scores: dataset, system and the cells with a number."""
    return [
        (row.get("data", "bundled@test"), row["system"], {key: row[key] for key in COLUMNS.values() if key in row})
        for rows in tables(path)
        for row in rows
        if {"system", "sample", "reading"} <= set(row)
    ]


def test_the_metrics_beside_the_card_are_those_of_the_checkpoint():
    assert (CARDS / "h2p-small.json").read_bytes() == (Path(bundled_checkpoint()) / "metrics.json").read_bytes()
    assert (CARDS / "template.md").read_bytes() == hub.TEMPLATE.read_bytes()


def test_the_card_is_what_the_command_prints():
    card = hub.model_card("bundled", "h2p-small", CARDS / "h2p-small.notes.md", "apache-2.0")
    assert (CARDS / "h2p-small.md").read_text("utf-8") == card


@pytest.mark.parametrize(
    "name, systems", [("README.md", 12), ("model_cards/h2p-small.md", 14), ("model_cards/sentences.md", 4)]
)
def test_scores_are_the_measured_ones(name, systems):
    found = [(data, system, row) for data, system, row in scores(ROOT / name) if system in RESULTS.get(data, ())]
    assert len(found) >= systems
    for data, system, row in found:
        measured = {heading: f"{100 * RESULTS[data][system][key]:.2f}" for key, heading in COLUMNS.items()}
        assert row == {heading: measured[heading] for heading in row}, (data, system)


def test_a_wrong_number_would_be_seen(tmp_path):
    card = (CARDS / "h2p-small.md").read_text("utf-8")
    right = f"{100 * RESULTS['bundled@test']['bundled']['accuracy']:.2f}"
    (tmp_path / "card.md").write_text(card.replace(right, "99.99"), "utf-8")
    assert any(row["sample"] == "99.99" for *_, row in scores(tmp_path / "card.md"))


def test_the_card_of_the_sentences_counts_them():
    [rows] = [rows for rows in tables(CARDS / "sentences.md") if "sentences" in rows[0]]
    for row in rows[:3]:
        assert row["sentences"] == f"{len(load('bundled@' + row['split'])):,}"
