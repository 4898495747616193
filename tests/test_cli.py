import json
import os
import subprocess
import sys

import pytest

from h2p_hf.cli import main


def h2p(*args: str, stdin: str | bytes = b"") -> subprocess.CompletedProcess:
    """Run the real command in a process of its own."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    return subprocess.run([sys.executable, "-m", "h2p_hf.cli", *args], input=data, capture_output=True, timeout=120)


def lines(captured: str) -> list[str]:
    return captured.splitlines()


def test_convert(tiny_checkpoint, capsys):
    assert main(["convert", "江水，OK", "--model", tiny_checkpoint]) == 0
    assert capsys.readouterr().out == "jiāng shuǐ，OK\n"
    assert main(["convert", "江", "女", "--style", "tone3", "--model", tiny_checkpoint]) == 0
    assert lines(capsys.readouterr().out) == ["jiang1", "nv3"]


def test_convert_json_with_dictionary(tiny_checkpoint, capsys, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("长江\tzhǎng jiāng\n", encoding="utf-8")
    assert main(["convert", "在长江", "--format", "json", "--model", tiny_checkpoint, "--dictionary", str(words)]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["text"] == "在长江"
    assert [(i["char"], i["start"]) for i in row["pinyin"]] == [("在", 0), ("长", 1), ("江", 2)]
    assert row["pinyin"][1]["pinyin"] == "zhǎng"


def test_formats_and_options(tiny_checkpoint, capsys, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("你好\tni3 hao3\n一点儿\tyi1 dian3 r5\n老师\tlao3 shi1\n", encoding="utf-8")
    common = ["--model", tiny_checkpoint, "--dictionary", str(words)]
    for argv, wanted in [
        (["你好，江", "--format", "words"], "你好(nǐ hǎo)，江(jiāng)"),
        (["你好", "--sandhi"], "ní hǎo"),
        (["一点儿", "--merge_erhua"], "yī diǎnr"),
        (["长[cháng]江[1]", "--inline"], "cháng jiāng[1]"),
        (["長[zhang3]江", "--inline", "--format", "words"], "長江(zhǎng jiāng)"),
        (["单老师", "--names", "--format", "words"], "单(shàn)老师(lǎo shī)"),
        (["行江", "--min_score", "1"], "行 jiāng"),
        (["a<江", "--format", "ruby"], "a&lt;<ruby>江<rp>(</rp><rt>jiāng</rt><rp>)</rp></ruby>"),
        (["你好", "--format", "ssml", "--engine", "polly"], '<speak><phoneme alphabet="x-amazon-pinyin" ph="ni3 hao3">你好</phoneme></speak>'),
    ]:  # fmt: skip
        assert main(["convert", *argv, *common]) == 0
        assert capsys.readouterr().out == wanted + "\n", argv
    assert main(["convert", "你好", "--sandhi", "--format", "json", *common]) == 0
    first = json.loads(capsys.readouterr().out)["pinyin"][0]
    assert (first["pinyin"], first["sandhi"]) == ("nǐ", "ní")


def test_inline_offsets_are_those_of_the_line(tiny_checkpoint, capsys):
    line = "重[chang2]新长[zhang3]大"
    assert main(["convert", line, "--inline", "--format", "json", "--model", tiny_checkpoint]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["text"] == line
    assert [line[i["start"] : i["end"]] for i in row["pinyin"]] == ["重", "新", "长", "大"]
    assert main(["convert", line + "，都", "--inline", "--review", "1", "--model", tiny_checkpoint]) == 0
    number = int(capsys.readouterr().out.split("\t")[1])
    assert (line + "，都")[number] in "大都"


def test_review(tiny_checkpoint):
    done = h2p("convert", "--review", "3", "--model", tiny_checkpoint, stdin="江\n长江还行\n银行\n")
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.decode().splitlines()]
    assert len(rows) == 3 and {row[0] for row in rows} <= {"2", "3"}
    assert [row[2] for row in rows] == sorted(row[2] for row in rows)
    assert all("【" in row[3] and len(row[4].split()) >= 4 for row in rows)


def test_annotate_with_sandhi(tiny_checkpoint, tmp_path):
    source, target, words = tmp_path / "in.txt", tmp_path / "out.jsonl", tmp_path / "words.txt"
    source.write_text("你好，a\n", encoding="utf-8")
    words.write_text("你好\tni3 hao3\n", encoding="utf-8")
    options = ["--sandhi", "--style", "tone", "--dictionary", str(words), "--model", tiny_checkpoint]
    assert main(["annotate", str(source), str(target), *options]) == 0
    row = json.loads(target.read_text("utf-8"))
    assert (row["pinyin"], row["sandhi"]) == (["nǐ", "hǎo", None, None], ["ní", "hǎo", None, None])


def test_standard_input_line_by_line(tiny_checkpoint):
    done = h2p("convert", "--model", tiny_checkpoint, stdin="江\n\nabc\n水")
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode() == "jiāng\n\nabc\nshuǐ\n"
    assert done.stderr == b""


def test_annotate_jsonl_keeps_rows(tiny_checkpoint, tmp_path):
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    rows = [{"id": i, "text": text} for i, text in enumerate(["江水，a", "", "水" * 200, "no"])]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert main(["annotate", str(source), str(target), "--model", tiny_checkpoint, "--batch_size", "2"]) == 0
    result = [json.loads(line) for line in target.read_text("utf-8").splitlines()]
    assert [{k: v for k, v in row.items() if k != "pinyin"} for row in result] == rows
    assert result[0]["pinyin"] == ["jiang1", "shui3", None, None]
    assert [len(row["pinyin"]) for row in result] == [4, 0, 200, 2]


def test_annotate_text_lines(tiny_checkpoint, tmp_path):
    source, target = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("江\n\n水\n", encoding="utf-8")
    assert main(["annotate", str(source), str(target), "--model", tiny_checkpoint]) == 0
    assert [json.loads(line)["pinyin"] for line in target.read_text("utf-8").splitlines()] == [
        ["jiang1"],
        [],
        ["shui3"],
    ]


def test_annotate_keeps_malformed_rows_aside(tiny_checkpoint, tmp_path, capsys):
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"text": "江"}\n{"txt": "江"}\n')
    assert main(["annotate", str(source), str(target), "--model", tiny_checkpoint]) == 0
    rejects = tmp_path / "out.jsonl.rejected.jsonl"
    assert capsys.readouterr().err == f"h2p: 1 rows written to {target}, 1 rejected, see {rejects}\n"
    assert json.loads(target.read_text("utf-8"))["pinyin"] == ["jiang1"]
    [row] = [json.loads(line) for line in rejects.read_text("utf-8").splitlines()]
    assert (row["line"], row["raw"]) == (2, '{"txt": "江"}')


def bad_input_cases(tmp_path, checkpoint, bare):
    gbk, words = tmp_path / "gbk.txt", tmp_path / "words.txt"
    gbk.write_bytes("好\thǎo\n".encode() + "银行\n".encode("gbk"))
    words.write_text("长江\tchang2\n", encoding="utf-8")
    out, model = str(tmp_path / "out.jsonl"), ["--model", checkpoint]
    return {
        "no such file": (["annotate", "none.txt", out, *model], "cannot read none.txt: No such file"),
        "dictionary not UTF-8": (["convert", "好", *model, "--dictionary", str(gbk)], "gbk.txt, line 2: not UTF-8"),
        "same file": (["annotate", str(gbk), str(gbk), *model], "input and output are the same file"),
        "no such folder": (["annotate", str(words), "none/out.jsonl", *model], "cannot write none/out.jsonl"),
        "batch size": (["annotate", str(words), out, "--batch_size", "0", *model], "--batch_size must be at least 1"),
        "workers": (["annotate", str(words), out, "--num_workers", "0", *model], "--num_workers must be at least 1"),
        "address": (
            ["annotate", str(words), out, "--ray_address", "a:1", *model],
            "--ray_address is for --engine ray",
        ),
        "no such model to annotate": (
            ["annotate", str(words), out, "--model", "./none"],
            "no checkpoint folder ./none",
        ),
        "no such model": (["convert", "好", "--model", "./none"], "no checkpoint folder ./none"),
        "no labels": (["convert", "好", "--model", bare], "has no pinyin labels: fine-tune it first"),
        "min_score": (["convert", "好", "--min_score", "7", *model], "min_score must be from 0 to 1, got 7"),
        "review": (["convert", "好", "--review", "0", *model], "--review must be at least 1, got 0"),
        "ssml": (
            ["convert", "好", "--format", "ssml", "--style", "tone", *model],
            "know tone3 only: leave out --style",
        ),
        "dictionary": (["convert", "好", *model, "--dictionary", str(words)], "长江 has 2 characters but 1 readings"),
    }


def test_bad_input_is_one_line_and_2(tmp_path, tiny_checkpoint, bare_encoder, capsys):
    cases = bad_input_cases(tmp_path, tiny_checkpoint, bare_encoder)
    before = sorted(os.listdir(tmp_path))
    for name, (argv, message) in cases.items():
        assert main(argv) == 2, name
        captured = capsys.readouterr()
        [line] = lines(captured.err)
        assert line.startswith("h2p: error: ") and message in line, name
        assert captured.out == "", name
        assert sorted(os.listdir(tmp_path)) == before, name


def test_bad_input_in_a_real_process(tiny_checkpoint):
    done = h2p("convert", "--model", tiny_checkpoint, stdin=b"\xff\xfe")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().startswith("h2p: error: standard input, line 1: not UTF-8")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("argv", [[], ["convert", "--style", "roman"], ["translate"]])
def test_usage_errors(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    assert "usage: h2p" in capsys.readouterr().err


def test_reader_that_goes_away(tiny_checkpoint):
    command = f"yes 江 | {sys.executable} -m h2p_hf.cli convert --model {tiny_checkpoint} | head -n 2"
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=120)
    assert done.stdout.decode() == "jiāng\njiāng\n"
    assert b"Traceback" not in done.stderr
