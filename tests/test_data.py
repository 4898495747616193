import functools
import http.server
import threading
from pathlib import Path

import pooch
import pytest
from datasets import Dataset

import h2p_hf.data.cpp
import h2p_hf.data.raw_text
from h2p_hf import InputError
from h2p_hf.baselines import g2pm_probabilities, g2pm_system
from h2p_hf.data import FEATURES, label_monophones, load, load_all
from h2p_hf.data.raw_text import load_raw_text
from h2p_hf.data.silver import silver_labels
from h2p_hf.data.tables import read_hub
from h2p_hf.files import json_line
from h2p_hf.lexicon import readings


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def jsonl(path: Path, *rows) -> str:
    return write(path, "".join(map(json_line, rows)))


# What comes with the package


def test_bundled_sentences():
    for name in ("train", "validation", "test"):
        split = load(f"bundled@{name}")
        assert split.features == FEATURES
        for row in split:
            [at] = [i for i, reading in enumerate(row["pinyin"]) if reading]
            assert row["pinyin"][at] in readings(row["text"][at])


def test_hsk():
    dataset = load("hsk")
    assert len(dataset) > 4000
    row = dataset[0]
    assert (row["text"], row["pinyin"]) == ("老师，您好！", ["lao3", "shi1", None, "nin2", "hao3", None])


# CPP


def cpp_folder(folder: Path, sentences: str, labels: str, name: str = "dev") -> str:
    write(folder / f"{name}.sent", sentences)
    write(folder / f"{name}.lb", labels)
    return str(folder)


def test_cpp_folder(tmp_path, monkeypatch):
    folder = cpp_folder(tmp_path, "在▁长▁江边\n▁绿▁树\n", "chang2\nlu:4\n")
    rows = load(f"{folder}@dev")
    assert rows[0] == {"text": "在长江边", "pinyin": [None, "chang2", None, None]}
    assert rows[1]["pinyin"] == ["lv4", None]
    monkeypatch.setenv("H2P_CPP_DIR", folder)
    assert load("cpp@dev")["text"] == rows["text"]


def test_cpp_dev_is_split_by_sentence(tmp_path):
    lines = [f"第{i}条▁长▁江" for i in range(500)]
    folder = cpp_folder(tmp_path, "\n".join(lines), "\n".join(["chang2"] * 500))
    train, held_out = (set(load(f"{folder}@{split}")["text"]) for split in ("dev_train", "dev_heldout"))
    assert not train & held_out
    assert len(train | held_out) == 500
    assert 70 < len(held_out) < 130


@pytest.mark.parametrize(
    ("sentences", "labels", "message"),
    [
        ("长江\n", "chang2\n", r"dev\.sent, line 1: mark exactly one character like ▁行▁"),
        ("▁长江▁\n", "chang2\n", "line 1: mark exactly one character"),
        ("▁长▁江▁大▁\n", "chang2\n", "line 1: mark exactly one character"),
        ("▁长▁江\n▁长▁大\n", "chang2\nzzz3\n", "line 2: 'zzz3' is not a syllable"),
        ("▁长▁江\n▁长▁大\n", "chang2\n", "must have the same number of lines"),
        ("▁a▁江\n", "chang2\n", "line 1: 'a' is no hanzi but has the reading"),
        ("", "", "no rows"),
    ],
)
def test_bad_cpp(tmp_path, sentences, labels, message):
    with pytest.raises(InputError, match=message):
        load(cpp_folder(tmp_path, sentences, labels) + "@dev")


def test_cpp_missing(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*train\.sent: No such file"):
        load(str(tmp_path))
    with pytest.raises(InputError, match="CPP has no split 'valid': choose from train, dev"):
        load(f"{tmp_path}@valid")


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A real HTTP server with two rows of CPP, and an empty cache."""
    root = tmp_path / "www"
    root.mkdir()
    cpp_folder(root, "在▁长▁江边\n▁绿▁树\n", "chang2\nlu:4\n")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        monkeypatch.setenv("H2P_CPP_URL", f"http://127.0.0.1:{httpd.server_port}/")
        monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache")
        monkeypatch.setitem(h2p_hf.data.cpp.SENTENCES, "dev", 2)
        yield root
        httpd.shutdown()


def test_cpp_download_is_cached_and_checked(server, tmp_path, monkeypatch):
    assert len(load("cpp@dev")) == 2
    (server / "dev.sent").unlink()
    assert len(load("cpp@dev")) == 2  # from the cache
    cached = tmp_path / "cache" / "cpp" / "dev.sent"
    cached.write_text("在▁长▁沙市\n▁绿▁树\n", encoding="utf-8")
    with pytest.raises(InputError, match="cannot get CPP from"):  # the wrong checksum, and the server has it no more
        load("cpp@dev")


def test_cpp_download_that_is_cut_off(server, tmp_path):
    write(server / "dev.sent", "在▁长▁江边\n")
    with pytest.raises(InputError, match="has 1 lines, published are 2"):
        load("cpp@dev")
    assert not (tmp_path / "cache" / "cpp" / "dev.sent").exists()


# Files and the Hub


def test_jsonl(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", {"text": "长江a", "pinyin": ["Cháng", "jiang1", None], "more": 1})
    assert load(path)[0] == {"text": "长江a", "pinyin": ["chang2", "jiang1", None]}


def test_parquet_and_load_dataset(tmp_path):
    rows = Dataset.from_dict({"text": ["长江"], "pinyin": [["chang2", None]]})
    rows.to_parquet(tmp_path / "a.parquet")
    assert load(str(tmp_path / "a.parquet"))[0]["pinyin"] == ["chang2", None]
    assert [row[1:] for row in read_hub(str(tmp_path), "train")] == [("长江", ["chang2", None])]
    rows.rename_column("pinyin", "label").to_parquet(tmp_path / "b.parquet")
    with pytest.raises(InputError, match="b.parquet: no column 'pinyin': it has text, label"):
        load(str(tmp_path / "b.parquet"))
    with pytest.raises(InputError, match="cannot load the dataset nobody/nothing, split train"):
        load("nobody/nothing")


def test_sentence_file(tmp_path):
    path = write(tmp_path / "a.tsv", "reading\tkind\tsentence\nchang2\tformal\t{长}江很长\n")
    assert load(path)[0]["pinyin"] == ["chang2", None, None, None]
    write(tmp_path / "a.tsv", "reading\tkind\tsentence\nchang2\tpoem\t{长}江很长\n")
    with pytest.raises(InputError, match=r"a\.tsv, line 2: unknown kind 'poem'"):
        load(path)
    write(tmp_path / "a.tsv", "chang2\tformal\t{长}江很长\n")
    with pytest.raises(InputError, match=r"a\.tsv: the first line must be reading, kind and sentence"):
        load(path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "长江", "pinyin": ["chang2"]}, "line 2: 'text' has 2 characters but 'pinyin' has 1 entries"),
        ({"text": "长江", "pinyin": "chang2 jiang1"}, "line 2: 'pinyin' must be a list"),
        ({"text": "长江", "pinyin": ["chang2", "jing9"]}, "line 2: 'jing9' is not a syllable"),
        ({"text": "长，", "pinyin": ["chang2", "dou4"]}, "line 2: '，' is no hanzi but has the reading 'dou4'"),
        ({"text": 3, "pinyin": []}, "line 2: 'text' must be a string"),
        ({"text": "长", "pinyin": [["chang2"]]}, "line 2: .*'chang2'.* is not a pinyin syllable"),
        ({"text": "长\ud800", "pinyin": ["chang2", None]}, "line 2: 'text' has a lone surrogate"),
        ({"text": "长江"}, "line 2: each line must be an object with the keys"),
        (["长江"], "line 2: each line must be an object"),
    ],
)
def test_bad_rows_name_file_and_line(tmp_path, row, message):
    path = jsonl(tmp_path / "a.jsonl", {"text": "长", "pinyin": ["chang2"]}, row)
    with pytest.raises(InputError, match=r"a\.jsonl, " + message):
        load(path)


def test_more_bad_files(tmp_path):
    with pytest.raises(InputError, match="line 1: not JSON"):
        load(write(tmp_path / "a.jsonl", "{"))
    with pytest.raises(InputError, match="no rows"):
        load(write(tmp_path / "empty.jsonl", "\n"))
    with pytest.raises(InputError, match="a file has no splits"):
        load(str(tmp_path / "a.jsonl") + "@test")
    with pytest.raises(InputError, match="no dataset 'bundeld': give bundled, cpp"):
        load("bundeld")
    with pytest.raises(InputError, match="cannot read .*none.parquet"):
        load("none.parquet")
    with pytest.raises(InputError, match="cannot read"):
        load(write(tmp_path / "bad.parquet", "no parquet"))


def test_empty_texts_and_names_with_an_at_sign_are_fine(tmp_path):
    path = jsonl(tmp_path / "a@b.jsonl", {"text": "", "pinyin": []}, {"text": "ok", "pinyin": [None, None]})
    assert load(path)["text"] == ["", "ok"]


def test_held_out_sentences_do_not_get_into_training(tmp_path, caplog):
    path = jsonl(
        tmp_path / "a.jsonl",
        {"text": "长江", "pinyin": ["chang2", None]},
        {"text": "长大", "pinyin": ["zhang3", None]},
    )
    with pytest.raises(InputError, match=r"a\.jsonl, line 2: this sentence is also in the validation or test data"):
        load(path, held_out={"长大"})
    assert load(path, held_out={"长大"}, drop_duplicates=True)["text"] == ["长江"]
    assert "a.jsonl: dropped 1 rows" in caplog.text


def test_load_all_and_monophones(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", {"text": "长江行A", "pinyin": ["chang2", None, None, None]})
    rows = label_monophones(load_all([path, path]))
    assert rows["pinyin"][:] == [["chang2", "jiang1", None, None]] * 2


# Raw text


def test_raw_text_mixes_files(tmp_path):
    import lzma

    write(tmp_path / "a.txt", "".join(f"甲{i}\n" for i in range(50)))
    with lzma.open(tmp_path / "b.txt.xz", "wt", encoding="utf-8") as file:
        file.writelines(f"乙{i}\n" for i in range(50))
    texts = [row["text"] for row in load_raw_text([str(tmp_path)])]
    assert {f"甲{i}" for i in range(50)} | {f"乙{i}" for i in range(50)} == set(texts)
    assert {text[0] for text in texts[:20]} == {"甲", "乙"}
    with pytest.raises(InputError, match="no text in .*nothing"):
        load_raw_text([str(tmp_path / "nothing")])


def test_raw_text_from_a_dataset(tmp_path, monkeypatch):
    # load_dataset takes a folder just as it takes a Hub id.
    folder = tmp_path / "somebody" / "texts"
    folder.mkdir(parents=True)
    file = write(tmp_path / "a.txt", "".join(f"乙{i}\n" for i in range(2000)))
    jsonl(folder / "train.jsonl", *({"text": f"甲{i}", "extra": i} for i in range(20)), {"text": None, "extra": 0})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(h2p_hf.data.raw_text, "_is_hub_id", lambda source: source.count("/") == 1)
    assert sorted(row["text"] for row in load_raw_text(["somebody/texts"])) == sorted(f"甲{i}" for i in range(20))
    mixed = [row["text"] for row in load_raw_text(["somebody/texts", file])]
    assert any("甲" in text for text in mixed[:200])  # it states no size, and yet has its share
    jsonl(folder / "train.jsonl", {"content": "甲"})
    with pytest.raises(
        InputError, match="somebody/texts: no column 'text' of strings in its train split: it has content"
    ):
        load_raw_text(["somebody/texts"])


def test_what_is_a_hub_id(tmp_path):
    for source in ("./none", "/none", "~/none", "none.txt", "a/b.txt.xz", str(tmp_path)):
        assert not h2p_hf.data.raw_text._is_hub_id(source)
    with pytest.raises(
        InputError, match="there is no file or folder nobody/nothing, and no such dataset can be loaded"
    ):
        load_raw_text(["nobody/nothing"])


def test_silver_labels():
    probability = 1.0

    def tagger(text):
        return [({"行": "hang2", "长": "chang2", "还": "huan2"}.get(char), probability) for char in text]

    [row] = silver_labels(["银行长江𠮷，校长"], tagger)
    assert row == [
        ("yin2", "phrase"),  # a monophone, of which this tagger knows nothing
        ("hang2", "phrase+tagger"),
        ("chang2", "phrase+tagger"),
        ("jiang1", "phrase"),
        None,
        None,
        ("xiao4", "phrase"),
        ("zhang3", "phrase"),  # though the tagger is sure of chang2
    ]
    [row] = silver_labels(["市长江"], tagger)  # 市长 from the left, 长江 from the right
    assert row[1] == ("chang2", "doubtful phrase+tagger")
    assert row[0] == ("shi4", "monophone")
    [row] = silver_labels(["他还"], tagger)  # pypinyin says hai2
    assert row == [("ta1", "monophone"), ("huan2", "tagger")]
    probability = 0.9
    assert silver_labels(["他还"], tagger)[0][1] is None
    probability = None  # it did not choose
    assert silver_labels(["他还"], tagger)[0][1] is None
    [row] = silver_labels(["他行"], lambda text: [(None, None), ("xing2", 0.5)])
    assert row[1] == ("xing2", "tagger+pypinyin")
    # Two phrases that differ, and the tagger on neither side
    assert silver_labels(["市长江"], lambda text: [(None, None)] * 3)[0][1] is None
    [row] = silver_labels(["墙上"], lambda text: [("qiang2", None), ("shang4", 1.0)])  # shang5, which no tagger says
    assert [label and label.reading for label in row] == ["qiang2", None]


def test_g2pm_probabilities():
    read = g2pm_probabilities()
    found = read("他长大了吗？A")
    assert [reading for reading, _ in found] == g2pm_system()(["他长大了吗？A"])[0]
    assert found[0] == ("ta1", None) and found[-1] == (None, None)
    assert 0.0 < found[1][1] <= 1.0
