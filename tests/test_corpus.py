import bz2
import contextlib
import datetime
import gzip
import json
import lzma
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filelock import FileLock

from h2p_hf import InputError, UserDictionary, corpus
from h2p_hf.corpus import Settings, annotate

TEXTS = ["江水，a", "", "水" * 100, "长江还行", "女"]


def some_texts(count: int) -> list[str]:
    rng = random.Random(0)
    return ["".join(rng.choices("银行长重新大了还有江水都，好", k=rng.randint(1, 40))) for _ in range(count)]


def write_lines(path: Path, texts: list[str]) -> str:
    path.write_text("".join(text + "\n" for text in texts), encoding="utf-8")
    return str(path)


def json_rows(data: bytes) -> list[dict]:
    return [json.loads(line) for line in data.decode().splitlines()]


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def settings(tiny_checkpoint) -> Settings:
    return Settings(model=tiny_checkpoint)


@pytest.fixture
def expected(settings, tmp_path_factory) -> list[dict]:
    """The rows of `TEXTS`, from the plainest way through."""
    folder = tmp_path_factory.mktemp("expected")
    annotate([write_lines(folder / "in.txt", TEXTS)], str(folder / "out"), settings, num_workers=1)
    rows = json_rows((folder / "out").read_bytes())
    assert [row["text"] for row in rows] == TEXTS
    assert [len(row["pinyin"]) for row in rows] == list(map(len, TEXTS))
    assert rows[0]["pinyin"] == ["jiang1", "shui3", None, None]
    return rows


def zstandard(data: bytes) -> bytes:
    half = len(data) // 2  # two frames, as parallel compressors write them
    return b"".join(pa.Codec("zstd").compress(part, asbytes=True) for part in (data[:half], data[half:]))


COMPRESS = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstandard}
DECOMPRESS = {
    "": bytes,
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
    ".zst": lambda data: pa.input_stream(pa.BufferReader(data), compression="zstd").read(),
}


def test_every_format_in(settings, expected, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    lines = "".join(text + "\n" for text in TEXTS).encode()
    rows = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS).encode()
    for suffix, compress in COMPRESS.items():
        (folder / f"a.txt{suffix}").write_bytes(compress(lines))
        (folder / f"a.jsonl{suffix}").write_bytes(compress(rows))
    pq.write_table(pa.table({"text": TEXTS}), folder / "a.parquet")
    (folder / "notes.md").write_text("not for us")
    annotate([str(folder)], str(tmp_path / "out.jsonl"), settings, num_workers=1)
    assert json_rows((tmp_path / "out.jsonl").read_bytes()) == expected * 11
    assert files_in(tmp_path) == {"in", "out.jsonl"}


def test_every_format_out(settings, expected, tmp_path):
    source = write_lines(tmp_path / "in.txt", TEXTS)
    for suffix, decompress in DECOMPRESS.items():
        target = tmp_path / f"out.jsonl{suffix}"
        annotate([source], str(target), settings, num_workers=1)
        assert json_rows(decompress(target.read_bytes())) == expected
    annotate([source], str(tmp_path / "out.parquet"), settings, num_workers=1)
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == expected
    with pytest.raises(InputError, match="compressed inside"):
        annotate([source], str(tmp_path / "out.parquet.gz"), settings)


def test_nothing_in(settings, tmp_path):
    source = write_lines(tmp_path / "in.txt", [])
    for name in ("out.jsonl", "out.jsonl.gz", "out.parquet"):
        assert annotate([source], str(tmp_path / name), settings)[:2] == (0, 0)
    assert (tmp_path / "out.jsonl").read_bytes() == gzip.decompress((tmp_path / "out.jsonl.gz").read_bytes()) == b""
    assert pq.read_table(tmp_path / "out.parquet").column_names == ["text", "pinyin"]


def test_columns_of_tables_stay(settings, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "ROWS", 2)
    table = pa.table(
        {
            "id": pa.array([1, 2, None, 4, 5], pa.int16()),
            "pinyin": ["old"] * 5,
            "text": pa.array(TEXTS).dictionary_encode(),
            "day": [datetime.date(2026, 1, day) for day in range(1, 6)],
            "price": [Decimal("1.50")] * 5,
            "tags": [["a"], [], None, ["b", "c"], []],
        }
    )
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=3)
    annotate([str(tmp_path / "in.parquet")], str(tmp_path / "out.parquet"), settings, num_workers=1)
    found = pq.read_table(tmp_path / "out.parquet")
    readings = [row["pinyin"] for row in expected]
    wanted = table.set_column(1, "pinyin", pa.array(readings, pa.list_(pa.string())))
    assert found.schema == wanted.schema
    assert found.to_pylist() == wanted.to_pylist()

    annotate([str(tmp_path / "in.parquet")], str(tmp_path / "out.jsonl"), settings, num_workers=1)
    first, *_ = json_rows((tmp_path / "out.jsonl").read_bytes())
    assert first == {
        "id": 1,
        "pinyin": readings[0],
        "text": TEXTS[0],
        "day": "2026-01-01",
        "price": "1.50",
        "tags": ["a"],
    }

    pq.write_table(table.append_column("blob", [[b"\xff"] * 5]), tmp_path / "in.parquet")
    with pytest.raises(InputError, match=r"in.parquet, from row 1 on: JSON has no bytes.*to .parquet"):
        annotate([str(tmp_path / "in.parquet")], str(tmp_path / "out.jsonl"), settings, num_workers=1)


def test_rows_become_a_table(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "ROWS", 2)
    rows = [
        {"text": "江", "n": None, "tags": []},
        {"text": "水"},
        {"text": "女", "n": 1, "tags": ["a"]},
        {"text": "a", "n": 1.5, "who": {"name": "b"}},
    ]
    source, target = tmp_path / "in.jsonl", tmp_path / "out.parquet"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    annotate([str(source)], str(target), settings, num_workers=1)
    empty = {"n": None, "tags": None, "who": None}
    pinyin = [["jiang1"], ["shui3"], ["nv3"], [None]]
    wanted = [{**empty, **row, "pinyin": p} for row, p in zip(rows, pinyin, strict=True)]
    assert pq.read_table(target).to_pylist() == wanted

    # What does not fit is told when it comes, not when all is done.
    source.write_text("".join(json.dumps({"text": "江", "n": n}) + "\n" for n in (1, 2, "three", 4)))
    with pytest.raises(InputError, match=r"from row 3 on.*to .jsonl; 2 rows are kept"):
        annotate([str(source)], str(target), settings, num_workers=1)
    source.write_text("".join(json.dumps({"text": "江", "n": n}) + "\n" for n in (1, 2, "three", "four")))
    with pytest.raises(InputError, match=r"rows do not fit one table: .*: write .jsonl instead; 2 rows"):
        annotate([str(source)], str(target), settings, num_workers=1)
    # What parquet itself has no form for comes to light at the end.
    source.write_text(json.dumps({"text": "江", "meta": {}}) + "\n")
    with pytest.raises(InputError, match=r"the rows do not fit one table: .*: write .jsonl instead; 1 rows"):
        annotate([str(source)], str(tmp_path / "other.parquet"), settings, num_workers=1)


def test_rejects(settings, tmp_path):
    lines, text, table = tmp_path / "a.jsonl", tmp_path / "b.txt", tmp_path / "c.parquet"
    lines.write_bytes(
        b'\xef\xbb\xbf{"text": "\xe6\xb1\x9f"}\n\n{"text": \n{"txt": "a"}\n[1]\n{"text": null}\n{"text": "\xff"}\r\n{"te'
    )
    text.write_bytes("江\n".encode() + "银行".encode("gbk") + b"\n\n")
    raw = pa.array(["江".encode(), None, b"\xff\\", "水".encode()], pa.binary())
    unchecked = pa.StringArray.from_buffers(4, *raw.buffers()[1:], raw.buffers()[0], raw.null_count)
    pq.write_table(pa.table({"id": [1, 2, 3, 4], "text": unchecked}), table)
    done = annotate(map(str, (lines, text, table)), str(tmp_path / "out.jsonl"), settings, num_workers=1)
    assert (done.rows, done.rejected) == (5, 9)
    rows = json_rows((tmp_path / "out.jsonl").read_bytes())
    assert [row["text"] for row in rows] == ["江", "江", "", "江", "水"]
    rejects = json_rows((tmp_path / "out.jsonl.rejected.jsonl").read_bytes())
    assert [Path(row["file"]).name for row in rejects] == ["a.jsonl"] * 6 + ["b.txt"] + ["c.parquet"] * 2
    assert [row.get("line") or row["row"] for row in rejects] == [3, 4, 5, 6, 7, 8, 2, 2, 3]
    reasons = [row["reason"] for row in rejects]
    assert reasons[0].startswith("not JSON: Expecting value") and reasons[5].startswith("not JSON: ")
    assert reasons[1:4] == ["not an object with a string 'text'"] * 3
    assert reasons[4] == reasons[8] == "not UTF-8 (invalid start byte)" and reasons[7] == "text is null"
    assert [row["raw"] for row in rejects[:6]] == ['{"text": ', '{"txt": "a"}', "[1]", '{"text": null}', '{"text": "\\xff"}', '{"te']  # fmt: skip
    assert rejects[6]["raw"] == "\\xd2\\xf8\\xd0\\xd0"
    assert [row["raw"] for row in rejects[7:]] == [{"id": 2, "text": None}, {"id": 3, "text": "\\xff\\"}]

    # The next output at the same place has no rejects, and none of an earlier one beside it.
    annotate([write_lines(text, ["江"])], str(tmp_path / "out.jsonl"), settings, num_workers=1)
    assert files_in(tmp_path) == {"a.jsonl", "b.txt", "c.parquet", "out.jsonl"}


def test_a_file_that_was_cut_off(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "ROWS", 50)
    lines = [*some_texts(400), "江"]
    lines[7] = "\ud800"  # written as bytes that are no UTF-8
    whole = gzip.compress("".join(line + "\n" for line in lines).encode(errors="surrogatepass"), mtime=0)
    source, target, parts = tmp_path / "in.txt.gz", tmp_path / "out.jsonl", tmp_path / "out.jsonl.parts"
    source.write_bytes(whole)
    annotate([str(source)], str(tmp_path / "wanted.jsonl"), settings, num_workers=1)

    source.write_bytes(whole[: len(whole) // 2])
    for _ in range(2):  # the second time there is nothing to add
        message = (
            r"cannot read .*in.txt.gz: Compressed file ended before.*; \d+ rows are kept in .*the same command goes on"
        )
        with pytest.raises(InputError, match=message):
            annotate([str(source)], str(target), settings, num_workers=1)
        journal = (parts / "journal").read_bytes()
        assert 2 <= journal.count(b"\n") <= 6 and not target.exists()
    for other, name in (
        ({"style": "tone"}, "style"),
        ({"dictionary": UserDictionary({"江": ("gang1",)})}, "dictionary"),
    ):
        with pytest.raises(InputError, match=f"unfinished run that differs in {name}: go on with the options it had"):
            annotate([str(source)], str(target), Settings(model=settings.model, **other), num_workers=1)
    source.write_bytes(gzip.compress(b"x\n" * 300))
    with pytest.raises(InputError, match=r"the input has changed \(.*in.txt.gz from row 1 on\)"):
        annotate([str(source)], str(target), settings, num_workers=1)
    source.write_bytes(gzip.compress(gzip.decompress(whole)[:500]))
    with pytest.raises(InputError, match="the input has changed"):
        annotate([str(source)], str(target), settings, num_workers=1)
    with FileLock(parts / "lock"), pytest.raises(InputError, match="another run is writing"):
        annotate([str(source)], str(target), settings, num_workers=1)
    assert (parts / "journal").read_bytes() == journal

    # A kill in the middle of a write leaves pieces behind the last note.
    for name in ("rows", "rejected", "journal"):
        with open(parts / name, "ab") as file:
            file.write(b'["half a')
    source.write_bytes(whole)
    done = annotate([str(source)], str(target), settings, num_workers=1)
    assert (done.rows, done.rejected) == (400, 1)
    assert files_in(tmp_path) == {
        "in.txt.gz", "out.jsonl", "out.jsonl.rejected.jsonl", "wanted.jsonl", "wanted.jsonl.rejected.jsonl",
    }  # fmt: skip
    for end in ("", ".rejected.jsonl"):
        wanted = (tmp_path / f"wanted.jsonl{end}").read_bytes()
        assert wanted and (tmp_path / f"out.jsonl{end}").read_bytes() == wanted


@pytest.mark.parametrize("name", ["a.jsonl.bz2", "a.jsonl.xz", "a.jsonl.zst", "a.parquet"])
def test_other_files_that_were_cut_off(name, settings, tmp_path):
    table = pa.table({"text": some_texts(300)})
    if name == "a.parquet":
        pq.write_table(table, tmp_path / name)
    else:
        lines = "".join(json.dumps(row) + "\n" for row in table.to_pylist()).encode()
        (tmp_path / name).write_bytes(COMPRESS[Path(name).suffix](lines))
    whole = (tmp_path / name).read_bytes()
    for data in (whole[:-20], b"no such format" * 9):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=f"cannot read .*{name}: .") as caught:
            annotate([str(tmp_path / name)], str(tmp_path / "out.jsonl"), settings, num_workers=1)
        assert "\n" not in str(caught.value)
        assert files_in(tmp_path) == {name}  # nothing was done, and nothing is left of it


@pytest.mark.parametrize("column", [None, pa.array([1, 2])])
def test_tables_without_texts(column, settings, tmp_path):
    names = {"other": ["a", "b"], **({} if column is None else {"text": column})}
    pq.write_table(pa.table(names), tmp_path / "in.parquet")
    with pytest.raises(InputError, match="no column 'text' among other" if column is None else "is int64, not string"):
        annotate([str(tmp_path / "in.parquet")], str(tmp_path / "out.jsonl"), settings)


def test_input_and_output_are_kept_apart(settings, tmp_path):
    source = write_lines(tmp_path / "in.txt", ["江"])
    with pytest.raises(InputError, match="is in the folder .* that is read"):
        annotate([str(tmp_path)], str(tmp_path / "out.jsonl"), settings)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no .txt, .jsonl, .parquet files in"):
        annotate([str(tmp_path / "empty")], str(tmp_path / "out.jsonl"), settings)
    with pytest.raises(InputError, match="it is there and no ordinary file"):
        annotate([source], str(tmp_path / "empty"), settings)
    assert files_in(tmp_path) == {"in.txt", "empty"}


def test_unknown_engine(settings, tmp_path):
    with pytest.raises(InputError, match="no engine 'Ray': choose from local, ray"):
        annotate([write_lines(tmp_path / "in.txt", TEXTS)], str(tmp_path / "out"), settings, engine="Ray")


def test_a_line_without_end(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "LONGEST_LINE", 1 << 20)
    source = write_lines(tmp_path / "in.txt", ["江", "a" * (1 << 20)])
    with pytest.raises(InputError, match="in.txt, line 2: longer than 1 MiB"):
        annotate([source], str(tmp_path / "out.jsonl"), settings)


def test_chunks_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "BYTES", 100)
    texts = ["a" * 60] * 5 + ["b"] * 1500
    source = write_lines(tmp_path / "in.txt", texts)
    pq.write_table(pa.table({"text": texts}), tmp_path / "in.parquet")
    chunks = list(corpus.read([source]))
    assert [chunk.first for chunk in chunks[:4]] == [1, 3, 5, 26]
    assert b"".join(chunk.data for chunk in chunks) == Path(source).read_bytes()
    assert sum(chunk.size for chunk in chunks) == os.path.getsize(source)
    chunks = list(corpus.read([str(tmp_path / "in.parquet")]))
    assert len(chunks) > 10
    assert [text for chunk in chunks for text in corpus._from_stream(chunk.data)["text"].to_pylist()] == texts


@contextlib.contextmanager
def limited_files(folder: Path):
    """No file may have more than 40 kB."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@contextlib.contextmanager
def small_disk(folder: Path):
    """The folder is a disk of 80 kB, and later one of 8 MB."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=80k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount: {mounted.stderr.decode()}")
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,size=8m", folder], check=True)


@pytest.mark.parametrize("limit, reason", [(limited_files, "File too large"), (small_disk, "No space left on device")])
@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet"])
def test_full_disk(limit, reason, name, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "ROWS", 20)
    source = write_lines(tmp_path / "in.txt", some_texts(800))
    annotate([source], str(tmp_path / name), settings, num_workers=1)
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        with limit(folder), pytest.raises(InputError) as caught:
            annotate([source], str(folder / name), settings, num_workers=1)
        assert f"{name}: {reason}; " in str(caught.value) and "rows are kept in" in str(caught.value)
        assert files_in(folder) == {f"{name}.parts"}
        done = annotate([source], str(folder / name), settings, num_workers=1)
        assert (done.rows, done.rejected) == (800, 0)
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes()
        assert files_in(folder) == {name}
    finally:
        if limit is small_disk:
            subprocess.run(["umount", folder], check=False)


def test_killed_at_the_end(settings, tmp_path, monkeypatch):
    source, target = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_bytes("江\n".encode() + b"\xff\n")
    annotate([str(source)], str(tmp_path / "wanted.jsonl"), settings)

    def no_replace(old, new):
        if new == target:
            raise KeyboardInterrupt
        replace(old, new)

    replace = os.replace
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", no_replace)
        with pytest.raises(KeyboardInterrupt, match="interrupted; 1 rows are kept in .*the same command goes on"):
            annotate([str(source)], str(target), settings)
    monkeypatch.delattr(corpus.Annotator, "__call__")  # all of it is done
    with monkeypatch.context() as patch:
        patch.setattr(corpus._Store, "__exit__", lambda store, *_: store._lock.release())
        annotate([str(source)], str(target), settings)
    assert target.exists() and (tmp_path / "out.jsonl.parts").exists()
    with open(source, "a") as file:
        file.write("b")
    with pytest.raises(InputError, match=r"the input has changed .*in.txt from row 1 on"):
        annotate([str(source)], str(target), settings)
    source.write_bytes("江\n".encode() + b"\xff\n")
    assert annotate([str(source)], str(target), settings)[:2] == (1, 1)
    assert {name for name in files_in(tmp_path) if "wanted" not in name} == {
        "in.txt",
        "out.jsonl",
        "out.jsonl.rejected.jsonl",
    }
    for end in ("", ".rejected.jsonl"):
        assert Path(f"{target}{end}").read_bytes() == (tmp_path / f"wanted.jsonl{end}").read_bytes() != b""


def test_ray_is_an_extra(settings, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    source = write_lines(tmp_path / "in.txt", ["江"])
    with pytest.raises(InputError, match=r"--engine ray needs ray: pip install 'h2p-hf\[ray\]'"):
        annotate([source], str(tmp_path / "out.jsonl"), settings, engine="ray")
    assert files_in(tmp_path) == {"in.txt"}


def test_a_worker_that_dies(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "ROWS", 5)
    source = write_lines(tmp_path / "in.txt", some_texts(2000))
    target, journal = tmp_path / "two.jsonl", tmp_path / "two.jsonl.parts" / "journal"
    killed = []

    def kill_one() -> None:
        while not (journal.exists() and journal.stat().st_size):
            time.sleep(0.01)
        killed.append(multiprocessing.active_children()[0].pid)
        os.kill(killed[0], signal.SIGKILL)

    thread = threading.Thread(target=kill_one, daemon=True)
    thread.start()
    with pytest.raises(
        InputError, match="a worker process died; .* rows are kept in .*, and the same command goes on"
    ):
        annotate([source], str(target), settings, num_workers=2)
    thread.join()
    assert killed and not target.exists()
    # It goes on, and two workers give what one gives.
    annotate([source], str(target), settings, num_workers=2)
    annotate([source], str(tmp_path / "one.jsonl"), settings, num_workers=1)
    assert target.read_bytes() == (tmp_path / "one.jsonl").read_bytes()
    assert files_in(tmp_path) == {"in.txt", "one.jsonl", "two.jsonl"}
    assert not multiprocessing.active_children()
