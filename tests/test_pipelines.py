import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

import h2p_hf
from h2p_hf import InputError
from h2p_hf.lexicon import readings
from h2p_hf.modeling import load_model, load_tokenizer
from h2p_hf.pipelines import HanziToPinyinPipeline
from h2p_hf.text import is_hanzi


@pytest.fixture(scope="module")
def pipe(tiny_checkpoint):
    return h2p_hf.pipeline(tiny_checkpoint)


def test_items(pipe):
    items = pipe("在A长🙂江。")
    assert [(i["char"], i["start"], i["end"]) for i in items] == [("在", 0, 1), ("长", 2, 3), ("江", 4, 5)]
    long = items[1]
    assert {c["pinyin"] for c in long["candidates"]} == {"chang2", "zhang3"}
    assert sum(c["score"] for c in long["candidates"]) == pytest.approx(1)
    assert long["candidates"][0] == {"pinyin": long["pinyin"], "score": long["score"]}
    assert long["candidates"][0]["score"] >= long["candidates"][1]["score"]
    assert items[2]["candidates"] == [{"pinyin": "jiang1", "score": 1.0}]


def test_no_hanzi(pipe):
    assert pipe("") == pipe("abc 123，🙂\n") == []
    assert pipe(["", "a"]) == [[], []]
    assert list(pipe.readings(["", "ab"])) == [[], [None, None]]


def test_kinds_of_input(pipe):
    texts = ["长江", "", "他长大了，还要还钱。", "a"] * 20
    one_by_one = [pipe(text) for text in texts]
    for batched in (pipe(texts, batch_size=7), list(pipe(iter(texts))), pipe(tuple(texts))):
        assert [[i["pinyin"] for i in items] for items in batched] == [
            [i["pinyin"] for i in items] for items in one_by_one
        ]
    scores = [i["score"] for items in pipe(texts) for i in items]
    assert scores == pytest.approx([i["score"] for items in one_by_one for i in items], abs=1e-5)
    with pytest.raises(InputError, match="give text"):
        pipe([None])


def test_long_text_is_read_in_windows(pipe):
    sentence = "他长大了，还要还钱。"
    text = sentence * 40
    items = pipe(text)
    assert [i["start"] for i in items] == [i for i, char in enumerate(text) if is_hanzi(char)]
    # Windows hold whole sentences: six of ten characters in 62 places.
    assert [i["score"] for i in items[:48]] == pytest.approx([i["score"] for i in pipe(sentence * 6)], abs=1e-5)
    endless = "长大了" * 200
    assert len(pipe(endless)) == len(endless)


def test_unknown_hanzi_fall_back_to_the_lexicon(pipe):
    for char in "銀\u4e57\U00020bb7":
        [item] = pipe(char)
        assert item["pinyin"] == (readings(char) or (None,))[0]
    assert pipe("銀")[0]["candidates"] == [{"pinyin": "yin2", "score": 1.0}]
    assert pipe("\U00030001")[0] == {  # nobody knows how to read it
        "char": "\U00030001",
        "pinyin": None,
        "score": 0.0,
        "start": 0,
        "end": 1,
        "candidates": [],
    }


def test_user_dictionary_overrules_the_model(pipe, tmp_path):
    text = "银行行长长大了"
    for wanted in ("chang2 chang2", "zhang3 zhang3"):
        items = pipe(text, dictionary={"长长": wanted})
        assert [i["pinyin"] for i in items[3:5]] == wanted.split()
        assert items[3]["score"] == 1.0
    path = tmp_path / "words.txt"
    path.write_text("长长\tcháng zhǎng\n行长长\txíng zhǎng cháng\n", encoding="utf-8")
    assert [i["pinyin"] for i in pipe(text, dictionary=str(path))[2:5]] == ["xing2", "zhang3", "chang2"]


def test_dictionary_entries_win_whatever_the_words_are(pipe):
    # 长大 and 大了 are words; entries that cut across them count all the same, the longest one at each place.
    text = "银行长大了不起"
    for entries, wanted in [
        ({"行长": "xing2 chang2"}, {1: "xing2", 2: "chang2"}),
        ({"大了不": "dai4 liao3 bu4"}, {3: "dai4", 4: "liao3"}),
        ({"长": "chang2", "长大": "zhang3 dai4", "大了": "da4 le5"}, {2: "zhang3", 3: "dai4"}),
        ({"行": "heng2", "行长": "? chang2"}, {2: "chang2"}),
    ]:
        found = {i["start"]: i["pinyin"] for i in pipe(text, dictionary=entries)}
        assert {at: found[at] for at in wanted} == wanted


def test_large_dictionary(pipe, tmp_path):
    path = tmp_path / "words.tsv"
    rows = [f"{chr(0x4E00 + i)}{chr(0x4E00 + j)}\ta1 a1\n" for i in range(300) for j in range(100)]
    path.write_text("".join(rows) + "银行\theng2 xing2\n", encoding="utf-8")
    dictionary = h2p_hf.UserDictionary.load(path)
    assert len(dictionary.entries) == 30_001
    assert [i["pinyin"] for i in pipe("银行一丁", dictionary=dictionary)] == ["heng2", "xing2", "a1", "a1"]


def test_phrase_bonus(pipe):
    assert pipe("银行", phrase_bonus=1000.0)[1]["pinyin"] == "hang2"
    assert pipe("银行", phrase_bonus=-1000.0)[1]["pinyin"] != "hang2"
    # 市长 from the left and 长江 from the right: the votes on 长 outweigh each other, that on 江 does not
    plain, voted = (pipe("市长江", phrase_bonus=bonus)[1]["candidates"] for bonus in (0.0, 1000.0))
    assert [round(c["score"], 4) for c in plain] == [round(c["score"], 4) for c in voted]


def test_cache_and_what_skips_the_model(tiny_checkpoint, monkeypatch):
    pipe = h2p_hf.pipeline(tiny_checkpoint, cache_size=4)
    read, run = [], pipe._run
    monkeypatch.setattr(
        pipe, "_run", lambda contents, use_lexicon: read.extend(contents) or run(contents, use_lexicon)
    )
    first = pipe(["长江", "银行", "长江", "江水三千", "abc"])
    assert sorted(read) == ["银行", "长江"]  # nothing to choose in the others, and one twice
    assert pipe(["银行", "长江"]) == [first[1], first[0]]
    assert pipe("长江", phrase_bonus=1000.0)[0]["pinyin"] == "chang2"  # what is kept is before decoding
    assert len(read) == 2
    pipe(["行走", "还钱", "重新"])  # the oldest make place
    pipe("长江")
    assert read[2:] == ["行走", "还钱", "重新", "长江"]
    pipe(["银行", "银行"], cache_size=0, use_lexicon=False)
    pipe("江水", use_lexicon=False)
    assert sorted(read[6:]) == ["江水", "银行", "银行"]
    for number in range(20):
        pipe("长" * (number + 2))
    assert len(pipe._cache) == 4
    rows = pipe(iter(["行走", "还钱", "重新", "都行"]))
    next(rows)
    pipe(["银行", "长江", "长大", "好奇", "首都"])  # while the other goes on
    assert len(list(rows)) == 3
    with pytest.raises(InputError, match="cache_size must be at least 0"):
        pipe("江", cache_size=-1)


def test_surrogates_do_not_shift_readings(pipe):
    assert [i["pinyin"] for i in pipe("\ud842\udfb7江水")] == ["jiang1", "shui3"]


def test_bad_parameters(tiny_checkpoint, pipe):
    with pytest.raises(InputError, match="no device 'tpu:7' here: .*; try cpu"):
        h2p_hf.pipeline(tiny_checkpoint, device="tpu:7")
    with pytest.raises(InputError, match="batch_size must be at least 1"):
        pipe("江", batch_size=0)


def test_style(pipe):
    assert [i["pinyin"] for i in pipe("女江", style="tone")] == ["nǚ", "jiāng"]
    assert next(pipe.readings(["江"], style="bopomofo")) == ["ㄐㄧㄤ"]
    with pytest.raises(ValueError, match="unknown style 'x'"):
        pipe("江", style="x")


def test_transformers_finds_the_task(tiny_checkpoint, pipe):
    ours = transformers.pipeline("hanzi-to-pinyin", model=tiny_checkpoint, dictionary={"长": "chang2"})
    assert isinstance(ours, HanziToPinyinPipeline)
    assert ours("长江")[0]["pinyin"] == "chang2"
    assert ours("他还在") == pipe("他还在")


def test_plain_token_classification_gives_each_hanzi_its_syllable(tiny_checkpoint, pipe):
    plain = transformers.pipeline("token-classification", model=tiny_checkpoint, ignore_labels=[])
    for text in ("他长大了，还要还钱。", "iPhone 2022年，妈妈！"):
        found = {item["start"]: item["entity"] for item in plain(text)}
        wanted = next(pipe.readings([text], use_lexicon=False))
        assert {at: found[at] for at, reading in enumerate(wanted) if reading} == {
            at: reading for at, reading in enumerate(wanted) if reading
        }
        # Merged neighbours of one label are told apart by their offsets.
        merged = {
            at: group["entity_group"]
            for group in transformers.pipeline(
                "token-classification", model=tiny_checkpoint, aggregation_strategy="simple", ignore_labels=[]
            )(text)
            for at in range(group["start"], group["end"])
        }
        assert {at: merged[at] for at, reading in enumerate(wanted) if reading} == {
            at: reading for at, reading in enumerate(wanted) if reading
        }


def test_model_without_our_labels(bare_encoder):
    model = transformers.AutoModelForTokenClassification.from_pretrained(bare_encoder)
    with pytest.raises(InputError, match="no pinyin labels"):
        HanziToPinyinPipeline(model=model, tokenizer=load_tokenizer(bare_encoder), task="hanzi-to-pinyin")


def test_fresh_head_can_be_read(bare_encoder):
    pipe = HanziToPinyinPipeline(
        model=load_model(bare_encoder), tokenizer=load_tokenizer(bare_encoder), task="hanzi-to-pinyin"
    )
    assert len(pipe("长江")) == 2


@settings(max_examples=150, deadline=None)
@given(
    text=st.text(
        alphabet=st.one_of(st.characters(), st.sampled_from("长大了银行行，。\ud800\udfff\0🙂e\u0301")), max_size=150
    )
)
def test_any_text_stays_aligned(pipe, text):
    items = pipe(text)
    assert [i["start"] for i in items] == [at for at, char in enumerate(text) if is_hanzi(char)]
    assert all(text[i["start"] : i["end"]] == i["char"] for i in items)
    [column] = pipe.readings([text])
    assert len(column) == len(text)
    assert [column[i["start"]] for i in items] == [i["pinyin"] for i in items]
