"""What comes with the package: the checkpoints, and what the README says of them."""

import re
from pathlib import Path

import pytest
import transformers

import h2p_hf
from h2p_hf.baselines import pypinyin_system
from h2p_hf.cli import main
from h2p_hf.data import load
from h2p_hf.evaluation import evaluate_system
from h2p_hf.modeling import bundled_base, bundled_checkpoint, load_model, load_tokenizer
from h2p_hf.pinyin import label2id

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")

# Everyday sentences whose polyphones people complain about.
SENTENCES = {
    "银行行长重新长大了。": "yin2 hang2 hang2 zhang3 chong2 xin1 zhang3 da4 le5",
    "他试着重复那句话。": "ta1 shi4 zhe5 chong2 fu4 na4 ju4 hua4",
    "大家都受不了了。": "da4 jia1 dou1 shou4 bu4 liao3 le5",
    "这笔钱必须还给人家。": "zhe4 bi3 qian2 bi4 xu1 huan2 gei3 ren2 jia1",
    "还有三天就放假了。": "hai2 you3 san1 tian1 jiu4 fang4 jia4 le5",
    "音乐让人快乐。": "yin1 yue4 rang4 ren2 kuai4 le4",
    "我觉得应该睡觉了。": "wo3 jue2 de5 ying1 gai1 shui4 jiao4 le5",
}


@pytest.fixture(scope="module")
def pipe():
    return h2p_hf.pipeline()


@pytest.mark.parametrize("folder", [bundled_base(), bundled_checkpoint()])
def test_checkpoints_are_small_ordinary_and_ours(folder):
    files = {path.name: path.stat().st_size for path in Path(folder).iterdir()}
    assert set(files) == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert max(files.values()) <= 16 * 2**20
    model = load_model(folder, for_inference=True)
    assert type(model) is transformers.BertForTokenClassification
    assert model.config.label2id == label2id()
    assert load_tokenizer(folder).model_max_length == model.config.max_position_embeddings


@pytest.mark.parametrize("text", SENTENCES)
def test_everyday_sentences(pipe, text):
    assert " ".join(item["pinyin"] for item in pipe(text)) == SENTENCES[text]


def test_better_than_pypinyin_on_the_test_split(pipe):
    test = load("bundled@test")
    ours, _ = evaluate_system(lambda texts: list(pipe.readings(texts)), test)
    theirs, _ = evaluate_system(pypinyin_system, test)
    assert ours["accuracy"] > theirs["accuracy"] + 0.05


def test_plain_transformers_reads_every_hanzi_and_nothing_else():
    plain = transformers.pipeline("token-classification", model=bundled_checkpoint())
    text = "2022年，我们去了长江边的银行 ATM。"
    found = {item["start"]: item["entity"] for item in plain(text)}
    wanted = {at: r for at, r in enumerate(next(h2p_hf.pipeline().readings([text]))) if r}
    assert found == wanted


def test_the_readme_shows_what_the_command_prints(capsys):
    [(text, shown)] = re.findall(r'\$ h2p convert "([^"]+)"\n(.+)\n', README)
    assert main(["convert", text]) == 0
    assert capsys.readouterr().out.strip() == shown


def test_readme_python_runs():
    for code in re.findall(r"```python\n(.*?)```", README, re.S):
        exec(code.replace("runs/quickstart", bundled_checkpoint()), {})
