"""What comes with the package: the checkpoints, and what the README says of them."""

import re
from pathlib import Path

import pytest
import transformers

import h2p_hf
from h2p_hf.baselines import pypinyin_system
from h2p_hf.cli import main
from h2p_hf.data import load
from h2p_hf.evaluation import evaluate_system, load_system
from h2p_hf.files import bundled_base, bundled_checkpoint
from h2p_hf.modeling import load_model, load_tokenizer
from h2p_hf.onnx import ONNX_FILES
from h2p_hf.pinyin import label2id

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")

# Everyday sentences whose polyphones people complain about.
SENTENCES = {
    "银行行长重新长大了。": "yin2 hang2 hang2 zhang3 chong2 xin1 zhang3 da4 le5",
    "他试着重复那句话。": "ta1 shi4 zhe5 chong2 fu4 na4 ju4 hua4",
    "大家都受不了了。": "da4 jia1 dou1 shou4 bu4 liao3 le5",
    "这笔钱必须还给人家。": "zhe4 bi3 qian2 bi4 xu1 huan2 gei3 ren2 jia5",
    "还有三天就放假了。": "hai2 you3 san1 tian1 jiu4 fang4 jia4 le5",
    "音乐让人快乐。": "yin1 yue4 rang4 ren2 kuai4 le4",
    "长江很长，这条路也很长。": "chang2 jiang1 hen3 chang2 zhe4 tiao2 lu4 ye3 hen3 chang2",
    "我觉得应该睡觉了。": "wo3 jue2 de5 ying1 gai1 shui4 jiao4 le5",
}

# The most frequent two-character words with a polyphone in encyclopedia, newspaper, fiction, talk, reviews and
# microblogs; a slash where 现代汉语词典 has an optional neutral tone or 一 and 不 are read by sandhi in other books.
WORDS = """
我们 wo3 men5|一个 yi1 ge4/ge5|中国 zhong1 guo2|这个 zhe4 ge4/ge5|没有 mei2 you3|房间 fang2 jian1|可以 ke3 yi3|服务 fu2 wu4|
还是 hai2 shi4/shi5|什么 shen2 me5|发展 fa1 zhan3|获得 huo4 de2|国家 guo2 jia1|他们 ta1 men5|还有 hai2 you3|感觉 gan3 jue2|
因为 yin1 wei4/wei5|工作 gong1 zuo4|这样 zhe4 yang4|演员 yan3 yuan2|不过 bu4 guo4|已经 yi3 jing1|经济 jing1 ji4|
影片 ying3 pian4|觉得 jue2 de5|看到 kan4 dao4|成为 cheng2 wei2|这些 zhe4 xie1|一种 yi1 zhong3|这里 zhe4 li3/li5|
主要 zhu3 yao4|时间 shi2 jian1|特别 te4 bie2|大家 da4 jia1|怎么 zen3 me5|方便 fang1 bian4|应该 ying1 gai1|作品 zuo4 pin3|
这么 zhe4 me5|通过 tong1 guo4|价格 jia4 ge2|为了 wei4 le5|母亲 mu3 qin1/qin5|进行 jin4 xing2|重要 zhong4 yao4|地区 di4 qu1|
社会 she4 hui4|只有 zhi3 you3|地方 di4 fang1/fang5|文化 wen2 hua4|可是 ke3 shi4|主角 zhu3 jue2|交通 jiao1 tong1|两个 liang3 ge4/ge5|
一般 yi1 ban1|发现 fa1 xian4|需要 xu1 yao4|提供 ti2 gong1|可能 ke3 neng2|只是 zhi3 shi4|作为 zuo4 wei2|选择 xuan3 ze2
"""


@pytest.fixture(scope="module")
def pipe():
    return h2p_hf.pipeline()


@pytest.mark.parametrize("folder", [bundled_base(), bundled_checkpoint()])
def test_checkpoints_are_small_ordinary_and_ours(folder):
    files = {str(p.relative_to(folder)): p.stat().st_size for p in Path(folder).rglob("*") if p.is_file()}
    more = {ONNX_FILES["onnx-int8"], "metrics.json"} if folder == bundled_checkpoint() else set()
    assert set(files) == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", *more}
    assert max(files.values()) <= 16 * 2**20
    model = load_model(folder, for_inference=True)
    assert type(model) is transformers.BertForTokenClassification
    assert model.config.label2id == label2id()
    assert load_tokenizer(folder).model_max_length == model.config.max_position_embeddings


@pytest.mark.parametrize("text", SENTENCES)
def test_everyday_sentences(pipe, text):
    assert " ".join(item["pinyin"] for item in pipe(text)) == SENTENCES[text]


@pytest.mark.parametrize("entry", "".join(WORDS.split("\n")).split("|"))
def test_the_most_common_words(pipe, entry):
    word, *wanted = entry.split()
    found = [item["pinyin"] for item in pipe(word)]
    assert all(reading in choices.split("/") for reading, choices in zip(found, wanted, strict=True)), found


def test_better_than_pypinyin_on_the_test_split(pipe):
    test = load("bundled@test")
    ours, _ = evaluate_system(lambda texts: list(pipe.readings(texts)), test)
    theirs, _ = evaluate_system(pypinyin_system, test)
    assert ours["accuracy"] > theirs["accuracy"] + 0.05
    in_torch, _ = evaluate_system(load_system("bundled@torch"), test)
    assert abs(ours["accuracy"] - in_torch["accuracy"]) < 0.003


def test_plain_transformers_reads_every_hanzi_and_nothing_else():
    plain = transformers.pipeline("token-classification", model=bundled_checkpoint())
    text = "2022年，我们去了长江边的银行 ATM。"
    found = {item["start"]: item["entity"] for item in plain(text)}
    wanted = {
        at: r for at, r in enumerate(next(h2p_hf.pipeline(backend="torch", use_lexicon=False).readings([text]))) if r
    }
    assert found == wanted


def test_the_readme_shows_what_the_command_prints(capsys):
    [(text, shown)] = re.findall(r'\$ h2p convert "([^"]+)"\n(.+)\n', README)
    assert main(["convert", text]) == 0
    assert capsys.readouterr().out.strip() == shown


def test_readme_python_runs():
    for code in re.findall(r"```python\n(.*?)```", README, re.S):
        exec(code.replace("runs/quickstart", bundled_checkpoint()), {})
