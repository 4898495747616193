import subprocess
import sys
from collections import Counter

import pytest
from datasets import load_dataset

from h2p_hf import InputError
from h2p_hf.data import curate, load
from h2p_hf.data.bundled import FOLDER, KINDS, SPLITS, Sentence, read_sentences


def rows(*lines: str) -> list[Sentence]:
    return [Sentence(f"row {i}", *line.split()) for i, line in enumerate(lines)]


@pytest.fixture(scope="module")
def splits():
    return {name: list(read_sentences(FOLDER / f"{name}.tsv")) for name in SPLITS}


def test_the_bundled_sentences_have_no_problems(splits):
    assert [*curate.problems(splits), *curate.gaps(splits)] == []


def test_the_bundled_sentences_are_many(splits):
    everything = [row for part in splits.values() for row in part]
    assert len(splits["train"]) >= 70_000
    for name in ("validation", "test"):
        # At least as many as when a tenth was held out, before `add`: a point of accuracy is 18 sentences
        assert 1_800 <= len(splits[name]) <= 0.12 * len(everything)
    counts = Counter((row.char, row.reading) for row in everything)
    assert sum(n >= curate.ENOUGH for n in counts.values()) >= 0.97 * len(counts)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("hang4 formal 这家银{行}开了三十多家网点。", "行 has no reading hang4"),
        ("xing2 formal 我{行}。", "3 characters, not 6 to 40"),
        ('xing2 formal 他说"{行}",我就走了。', "has '\"'"),
        ("hang2 formal 这家银{行}今年新开了三十多家网点。", "the same sentence is in row 0"),
        ("hang2 formal 这家银{行}今年新开了三十多家分店。", "nearly the same is in another split, row 0"),
        ("zhang3 trap 这里的市{长}江先生很熟。", "a trap on the same word is in another split, row 1"),
    ],
)
def test_problems_are_found(row, message):
    train = rows("hang2 formal 这家银{行}今年新开了三十多家网点。", "chang2 trap 南京市{长}江大桥的桥面刚修过。")
    assert not any(message in line for line in curate.problems({"train": train, "test": []}))
    assert any(message in line for line in curate.problems({"train": train, "test": rows(row)}))


def test_what_is_missing_is_found():
    splits = {
        "train": rows("hang2 formal 这家银{行}今年新开了三十多家网点。", "shei2 formal 你昨天究竟是跟{谁}去的？"),
        "test": [],
    }
    found = list(curate.problems(splits))
    assert "test: no sentence for 行 hang2" in found
    many = {"train": rows(*["hang2 formal 这家银{行}今年新开了三十多家网点。"] * 100)}
    assert "train: less than a tenth of the sentences are trap" in list(curate.problems(many))
    found = list(curate.gaps(splits))
    assert "no sentence for 行 xing2, and left_out.tsv does not say why" in found
    assert "left_out.tsv lists 谁 shei2, which has sentences" in found


def test_texts_too_short_for_trigrams():
    assert curate.near_duplicates(rows("xing2 formal 我{行}。", "xing2 formal 你{行}。")) == []


def test_split_gives_every_reading_to_every_split_and_keeps_relatives_together(splits):
    chars = set("行长还得朝地")
    everything = [row for part in splits.values() for row in part if row.char in chars]
    parts = curate.split(everything, seed=1)
    assert sorted(row for part in parts.values() for row in part) == sorted(everything)
    assert parts == curate.split(reversed(everything), seed=1) != curate.split(everything, seed=2)
    assert list(curate.problems(parts)) == []


def test_split_keeps_traps_together_when_there_are_many(splits):
    topics = "灯光 轮船 码头 老桥 渔民 候鸟 晚霞 堤坝 泥沙 游客".split()
    traps = rows(*(f"chang2 trap 我记得本市{{长}}江边的{topic}。" for topic in topics))
    others = [row for row in splits["train"] if (row.char, row.reading) == ("长", "chang2") and row.kind != "trap"]
    parts = curate.split([*traps, *others[:6]], share=0.25)
    assert not any("same word" in line for line in curate.problems(parts))


def test_split_refuses_a_reading_with_too_few_sentences():
    few = rows("xing2 formal 他每天步{行}去学校上课。", "xing2 formal 自{行}车停在楼下的车棚里。")
    with pytest.raises(InputError, match="too few different sentences for a train split: write more for 行 xing2"):
        curate.split(few)


def command(*args) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "h2p_hf.data.curate", *map(str, args)], capture_output=True, text=True
    )


def test_command(tmp_path, splits):
    file = tmp_path / "rows.tsv"
    curate.write_sentences(file, [row for part in splits.values() for row in part if row.char in "行长得还"])
    done = command("split", file, tmp_path / "cut")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith("| split | sentences |") and "sentences a reading: min" in done.stdout
    assert {row[1:] for name in SPLITS for row in read_sentences(tmp_path / "cut" / f"{name}.tsv")} == {
        row[1:] for row in read_sentences(file)
    }
    before = (tmp_path / "cut" / "train.tsv").read_bytes()
    done = command("split", file, tmp_path / "cut")
    assert done.returncode == 2 and "is there already" in done.stderr
    assert (tmp_path / "cut" / "train.tsv").read_bytes() == before
    (tmp_path / "cut" / "test.tsv").write_bytes(before)
    done = command("check", tmp_path / "cut")
    assert done.returncode == 2 and "the same sentence is in" in done.stdout
    assert done.stderr.startswith("error: ") and len(done.stderr.splitlines()) == 1
    done = command("check", tmp_path / "nowhere")
    assert done.returncode == 2 and done.stderr.startswith("error: cannot read") and len(done.stderr.splitlines()) == 1
    assert command("check").returncode == 0


def test_what_is_near_to_held_out_sentences_does_not_join_train():
    splits = {
        "train": rows("hang2 formal 这家银{行}今年新开了三十多家网点。"),
        "validation": rows("hang2 colloquial 你去银{行}取钱别忘了带存折。"),
        "test": rows("chang2 trap 南京市{长}江大桥的桥面刚修过。"),
    }
    new = rows(
        "hang2 formal 这家银{行}今年新开了三十多家网点。",  # there already
        "hang2 colloquial 你去银{行}取钱可别忘了带存折。",  # nearly a row of validation
        "zhang3 trap 这里的市{长}江先生很熟。",  # a trap on a word of the test split
        "hang2 formal 各商业银{行}的利率不尽相同。",
        "hang2 formal 各商业银{行}的利率不尽相同。",
        "hang2 colloquial 隔{行}如隔山，这事我真不懂。",
    )
    assert curate.new_for_train(splits, new) == [new[3], new[5]]


def test_command_adds_to_train(tmp_path, splits):
    folder = tmp_path / "cut"
    folder.mkdir()
    for name, part in splits.items():
        curate.write_sentences(folder / f"{name}.tsv", [row for row in part if row.char in "行长"])
    before = (folder / "train.tsv").read_bytes()
    wrong, right = tmp_path / "wrong.tsv", tmp_path / "right.tsv"
    curate.write_sentences(wrong, rows("hang4 formal 各商业银{行}的利率不尽相同。"))
    curate.write_sentences(right, rows("hang2 formal 各商业银{行}的利率在本月不尽相同。"))
    done = command("add", wrong, folder)
    assert done.returncode == 2 and "行 has no reading hang4" in done.stdout
    assert (folder / "train.tsv").read_bytes() == before
    done = command("add", right, folder)
    assert done.returncode == 0 and "1 of 1 sentences go into train" in done.stdout
    added = set(read_sentences(folder / "train.tsv"))
    assert len(added) == sum(row.char in "行长" for row in splits["train"]) + 1
    assert "各商业银行的利率在本月不尽相同。" in {row.text for row in added}


def test_plain_load_dataset_reads_the_folder(tmp_path):
    dataset = load_dataset(str(FOLDER), cache_dir=tmp_path)
    assert set(dataset) == set(SPLITS)
    for name in SPLITS:
        ours = [(row.reading, row.kind, row.sentence) for row in read_sentences(FOLDER / f"{name}.tsv")]
        assert [tuple(row.values()) for row in dataset[name]] == ours
        assert len(ours) == len(load(f"bundled@{name}"))
        assert {kind for _, kind, _ in ours} == set(KINDS)
