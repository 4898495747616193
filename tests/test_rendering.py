import heapq
from xml.etree import ElementTree

import pytest

import h2p_hf
from h2p_hf import InputError, cli, rendering
from h2p_hf.pinyin import STYLES, to_style, with_erhua

DICTIONARY = {"银行": "yin2 hang2", "一点儿": "yi1 dian3 r5", "老师": "lao3 shi1", "月亮": "yue4 liang5", "还": "hai2"}


@pytest.fixture(scope="module")
def pipe(tiny_checkpoint):
    return h2p_hf.pipeline(tiny_checkpoint, dictionary=DICTIONARY)


def test_plain_and_after_words(pipe):
    text = "银行，OK一点儿"
    items = pipe(text, style="tone")
    assert rendering.plain(text, items) == "yín háng，OK yī diǎn r"
    assert rendering.after_words(text, items) == "银行(yín háng)，OK一点儿(yī diǎn r)"
    items = pipe(text, style="tone", sandhi=True, merge_erhua=True)
    assert rendering.plain(text, items) == "yín háng，OK yì diǎnr"
    assert rendering.after_words("", []) == rendering.plain("", []) == rendering.ruby("", []) == ""


def test_erhua_items(pipe):
    text = "一点儿"
    items = pipe(text, merge_erhua=True)
    assert [(i["char"], i["pinyin"], i["start"], i["end"]) for i in items] == [
        ("一", "yi1", 0, 1),
        ("点儿", "dianr3", 1, 3),
    ]
    assert items[1]["candidates"] == [{"pinyin": "dianr3", "score": 1.0}]
    alone = pipe("儿", dictionary={"儿": "r5"}, merge_erhua=True)
    assert [i["pinyin"] for i in alone] == ["r5"]
    written = {style: to_style(with_erhua("dian3"), style) for style in STYLES}
    assert written["tone"] == "diǎnr" and written["bopomofo"] == "ㄉㄧㄢˇㄦ" and written["initials"] == "d"


def test_ruby(pipe):
    text = "银行 <b>&\n月亮\0"
    html = rendering.ruby(text, pipe(text, style="tone"))
    root = ElementTree.fromstring(f"<p>{html}</p>")
    assert [element.tag for element in root] == ["ruby", "ruby"]
    assert "".join(root[0].itertext()) == "银(yín)行(háng)"
    assert [rt.text for rt in root.iter("rt")] == ["yín", "háng", "yuè", "liang"]
    for element in [*root.iter("rt"), *root.iter("rp")]:
        element.text = ""
    assert "".join(root.itertext()) == "银行 <b>&\n月亮\ufffd"


@pytest.mark.parametrize(
    ("engine", "alphabet", "bank", "moon"),
    [
        ("azure", "sapi", "yin 2 - hang 2", "yue 4 - liang 5"),
        ("google", "pinyin", "yin2 hang2", "yue4 liang5"),
        ("polly", "x-amazon-pinyin", "yin2 hang2", "yue4 liang0"),
        ("aliyun", "py", "yin2 hang2", "yue4 liang5"),
    ],
)
def test_ssml(pipe, engine, alphabet, bank, moon):
    text = "银行&月亮，江\ud800"
    root = ElementTree.fromstring(rendering.ssml(text, pipe(text), engine, every_word=True))
    phonemes = [element for element in root.iter() if element.tag.endswith("phoneme")]
    assert [(p.get("alphabet"), p.get("ph"), p.text) for p in phonemes[:2]] == [
        (alphabet, bank, "银行"),
        (alphabet, moon, "月亮"),
    ]
    assert "".join(root.itertext()) == "银行&月亮，江\ufffd"
    # 月亮 and 江 have no polyphone
    few = ElementTree.fromstring(rendering.ssml(text, pipe(text), engine))
    assert [element.text for element in few.iter() if element.tag.endswith("phoneme")] == ["银行"]


def test_ssml_with_sandhi_erhua_and_doubt(pipe):
    text = "一点儿还"
    body = rendering.ssml(text, pipe(text, sandhi=True, merge_erhua=True), "aliyun", every_word=True)
    assert '<phoneme alphabet="py" ph="yi4 dianr3">一点儿</phoneme>' in body
    unsure = [{**item, "pinyin": None} for item in pipe("还")]
    assert rendering.ssml("还", unsure, "aliyun") == "<speak>还</speak>"


def test_ssml_bad_input(pipe):
    with pytest.raises(InputError, match="no engine 'siri': choose from azure"):
        rendering.ssml("江", pipe("江"), "siri")
    with pytest.raises(InputError, match="style='tone3'"):
        rendering.ssml("银行", pipe("银行", style="tone"))


def test_pieces_of_traditional_text(pipe):
    text = "銀行裡"
    assert [piece for piece, _ in rendering.pieces(text, pipe(text))] == ["銀行", "裡"]


def test_review_lists_the_least_certain(pipe):
    texts = ["长江", "行", "江"]
    found = heapq.nsmallest(5, rendering.doubts(zip(texts, pipe(texts), strict=True)))
    assert {(doubt.line, doubt.start) for doubt in found} == {(1, 0), (2, 0)}
    assert found[0].score <= found[1].score
    line = next(str(doubt) for doubt in found if doubt.line == 1)
    number, start, score, context, candidates = line.split("\t")
    assert (number, start, context) == ("1", "0", "【长】江")
    assert candidates.split()[0] in ("chang2", "zhang3")


def test_min_score(pipe):
    [item] = pipe("行", min_score=1.0)
    assert item["pinyin"] is None and len(item["candidates"]) > 1
    assert next(pipe.readings(["行江"], min_score=1.0)) == [None, "jiang1"]
    assert pipe("还", min_score=1.0)[0]["pinyin"] == "hai2"  # the dictionary is sure
    with pytest.raises(InputError, match="min_score must be from 0 to 1, got 2"):
        pipe("行", min_score=2)


def test_neutral_tone_off(pipe):
    for text in ("衣服", "好吧的"):
        before, after = pipe(text, dictionary={}), pipe(text, neutral_tone=False, dictionary={})
        assert [i["char"] for i in before] == [i["char"] for i in after]
        for old, new in zip(before, after, strict=True):
            assert sum(c["score"] for c in new["candidates"]) == pytest.approx(
                sum(c["score"] for c in old["candidates"])
            )
    assert "fu5" not in {c["pinyin"] for c in pipe("衣服", neutral_tone=False, dictionary={})[1]["candidates"]}
    assert pipe("的", neutral_tone=False, dictionary={"的": "de5"})[0]["pinyin"] == "de5"


def test_rare_readings(pipe):
    every = pipe("说", rare_readings=True)[0]["candidates"]
    usual = pipe("说")[0]["candidates"]
    assert {c["pinyin"] for c in every} == {"shuo1", "shui4", "yue4"}
    assert usual == [c for c in every if c["pinyin"] != "yue4" or c == every[0]]


def test_the_command_offers_what_there_is():
    assert tuple(rendering.ENGINES) == cli.ENGINES
