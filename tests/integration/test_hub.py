"""Push and pull, with the real client of huggingface_hub, against a Hub on this machine."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import huggingface_hub
import pytest
import torch
from hub_server import HubServer
from huggingface_hub import metadata_load
from safetensors.torch import load_file

import h2p_hf
from h2p_hf import hub
from h2p_hf.data import load
from h2p_hf.errors import InputError
from h2p_hf.evaluation import evaluate_system, pipeline_system, write_summary
from h2p_hf.files import bundled_checkpoint
from h2p_hf.modeling import BiLstmConfig, character_tokenizer, fresh_model
from h2p_hf.onnx import ONNX_FILES

ROOT = Path(__file__).parents[2]
PUBLISHED = {
    ".gitattributes", "README.md", "config.json", "lexicon.json.gz", "metrics.json", "model.safetensors", "phrases.py",
    "remote.py", "text.py", "tokenizer.json", "tokenizer_config.json",
}  # fmt: skip


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A Hub of our own; the client in this process and in those started from here talks to it."""
    with HubServer() as found:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", found.url)
        template = found.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(time, "sleep", lambda _: None)  # between attempts
        for name, value in {"HF_ENDPOINT": found.url, "HF_HUB_OFFLINE": "0", "HF_TOKEN": "hf_mine"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        yield found
        found.shutdown()


@pytest.fixture(scope="module")
def measured(tiny_checkpoint, tmp_path_factory) -> Path:
    """The tiny checkpoint with its metrics, as a recipe leaves it, and with things that are not for others."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    shutil.copytree(tiny_checkpoint, folder)
    dataset = load("bundled@test").select(range(20))
    scores, _ = evaluate_system(pipeline_system(h2p_hf.pipeline(str(folder))), dataset)
    errors = [{"text": "行|不行", "start": 0, "char": "行", "pinyin": "hang2", "predicted": "xing2"}]
    write_summary(folder / "metrics.json", {("bundled@test", "after"): scores}, "after", errors)
    (folder / "training_args.bin").write_bytes(b"secret")
    (folder / "checkpoint-7").mkdir()
    (folder / "checkpoint-7" / "model.safetensors").write_bytes(b"secret")
    return folder


def h2p(*words: str, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "h2p_hf.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=300)


def files(server: HubServer, repo_id: str = "me/mine", revision: str = "main") -> dict[str, bytes]:
    repo = server.repos[repo_id]
    return {path: file.content for path, file in repo.commits[repo.resolve(revision)].items()}


def test_push_pull_and_read_by_commands(server, measured, tmp_path):
    notes = tmp_path / "notes.md"
    notes.write_text("## More\n\n![speed](speed.png)\n", "utf-8")
    (tmp_path / "speed.png").write_bytes(b"\x89PNG\0")
    options = ("--private", "--license", "apache-2.0", "--notes", str(notes))
    done = h2p("push", str(measured), "me/mine", *options)
    assert done.returncode == 0, done.stderr
    repo = server.repos["me/mine"]
    assert done.stdout.strip() == f"{server.url}/me/mine/commit/{repo.branches['main']}"
    assert repo.private and len(repo.commits) == 2  # the first one, and all of ours at once
    assert set(files(server)) == PUBLISHED | {"speed.png"}
    lfs = {path for path, file in repo.commits[repo.branches["main"]].items() if file.lfs}
    assert {"model.safetensors", "lexicon.json.gz"} <= lfs and "README.md" not in lfs

    pulled = tmp_path / "pulled"
    done = h2p("pull", "me/mine", str(pulled))
    assert done.returncode == 0, done.stderr
    assert {path.name for path in pulled.iterdir()} == PUBLISHED | {"speed.png"}
    before, after = (load_file(folder / "model.safetensors") for folder in (measured, pulled))
    assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)

    card = metadata_load(pulled / "README.md")
    assert (card["license"], card["pipeline_tag"], card["language"]) == ("apache-2.0", "token-classification", ["zh"])
    [found] = card["model-index"]
    accuracy = json.loads((measured / "metrics.json").read_text())["results"]["bundled@test"]["after"]["accuracy"]
    assert found["name"] == "mine" and found["results"][0]["metrics"][0]["value"] == round(100 * accuracy, 2)
    text = (pulled / "README.md").read_text("utf-8")
    assert text.endswith("## More\n\n![speed](speed.png)\n")
    assert 'pipeline("hanzi-to-pinyin", model="me/mine", trust_remote_code=True)' in text
    assert "| 行\\|不行 | 行 | hang2 | xing2 |" in text

    # From the Hub, from its cache without a network, and from the folder: the same readings
    read = [h2p("convert", "--model", "me/mine", "银行行长重新长大了"),
            h2p("convert", "--model", "me/mine", "银行行长重新长大了", HF_HUB_OFFLINE="1"),
            h2p("convert", "--model", str(pulled), "银行行长重新长大了")]  # fmt: skip
    assert [done.returncode for done in read] == [0, 0, 0], read[0].stderr
    assert len(read[0].stdout.split()) == 9 and len({done.stdout for done in read}) == 1


def test_pipeline_without_our_package_reads_the_same(server, tmp_path):
    folder = tmp_path / "checkpoint"
    shutil.copytree(bundled_checkpoint(), folder)
    write_summary(folder / "metrics.json", {}, "bundled", [])
    hub.push(folder, "me/small")
    texts = [
        *load("bundled@test")["text"][:300],
        "",
        "OK, 123!",
        "行不行？😀 𠮷野家的长𪚥，〇。\n" + "他还有很多钱没有还给银行行长，" * 40,
        "\ud800长",
    ]
    code = """
import json, sys
sys.modules["h2p_hf"] = None  # as if it were not installed
from transformers import pipeline
pipe = pipeline("hanzi-to-pinyin", model="me/small", trust_remote_code=True)
texts = json.load(sys.stdin)
single, batched = [pipe(text) for text in texts], pipe(texts, batch_size=4)
assert [[i["pinyin"] for i in row] for row in single] == [[i["pinyin"] for i in row] for row in batched]
print(json.dumps([single, pipe("行", phrase_bonus=0.0)]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(texts), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found, _ = json.loads(done.stdout)
    wanted = h2p_hf.pipeline(backend="torch")(texts)
    for text, one, other in zip(texts, found, wanted, strict=True):
        assert [{**i, "score": None, "candidates": None} for i in one] == [
            {**i, "score": None, "candidates": None} for i in other
        ], text
        for i, j in zip(one, other, strict=True):
            assert i["score"] == pytest.approx(j["score"], abs=1e-4)
            assert {c["pinyin"]: c["score"] for c in i["candidates"]} == pytest.approx(
                {c["pinyin"]: c["score"] for c in j["candidates"]}, abs=1e-4
            )
    # Who has our package needs no code of the repository, and training leaves it behind.
    assert h2p_hf.pipeline("me/small")("长大")[0]["pinyin"] == "zhang3"
    h2p_hf.pipeline("me/small", backend="torch").model.save_pretrained(tmp_path / "again")
    assert "custom_pipelines" not in json.loads((tmp_path / "again" / "config.json").read_text())


def test_an_encoder_of_ours_brings_its_code(server, tmp_path):
    folder = tmp_path / "lstm"
    torch.manual_seed(0)
    fresh_model(BiLstmConfig(embedding_size=16, hidden_size=16)).save_pretrained(folder)
    character_tokenizer(model_max_length=64).save_pretrained(folder)
    write_summary(folder / "metrics.json", {}, "after", [])
    hub.push(folder, "me/lstm")
    code = """
import json, sys
sys.modules["h2p_hf"] = None  # as if it were not installed
from transformers import pipeline
pipe = pipeline("hanzi-to-pinyin", model="me/lstm", trust_remote_code=True)
print(json.dumps([[item["pinyin"], item["score"]] for item in pipe("银行行长长大了")]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    wanted = h2p_hf.pipeline("me/lstm")("银行行长长大了")
    assert [pinyin for pinyin, _ in json.loads(done.stdout)] == [item["pinyin"] for item in wanted]
    assert [score for _, score in json.loads(done.stdout)] == pytest.approx(
        [item["score"] for item in wanted], abs=1e-4
    )


def test_revisions_and_stale_files(server, measured, tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(measured, folder)
    for name in ONNX_FILES.values():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"exported before")
    hub.push(folder, "me/mine")
    first = server.repos["me/mine"].branches["main"]
    shutil.rmtree(folder / "onnx")
    (folder / "README.md").write_text("---\nlanguage: zh\n---\nby hand\n")
    hub.push(folder, "me/mine", revision="v2")
    assert set(ONNX_FILES.values()) <= set(files(server)) and files(server)["README.md"] != b"by hand\n"
    assert not set(ONNX_FILES.values()) & set(files(server, revision="v2"))  # they belong to other weights
    assert files(server, revision="v2")["README.md"].endswith(b"by hand\n")
    hub.pull("me/mine", tmp_path / "v2", revision="v2")
    hub.pull("me/mine", tmp_path / "first", revision=first)
    assert (tmp_path / "first" / "onnx").exists() and not (tmp_path / "v2" / "onnx").exists()
    assert h2p_hf.pipeline("me/mine", revision="v2")("长") == h2p_hf.pipeline(str(folder))("长")
    # A card of ours keeps licence and notes when it is written again
    (tmp_path / "notes.md").write_text("Mine.\n")
    hub.push(measured, "me/other", license="mit", notes=tmp_path / "notes.md")
    hub.pull("me/other", tmp_path / "other")
    hub.push(tmp_path / "other", "me/third")
    card = files(server, "me/third")["README.md"].decode()
    assert "license: mit" in card and card.endswith(f"{hub.NOTES}\n\nMine.\n") and "me/other" not in card
    # The same again changes nothing
    count = len(server.repos["me/mine"].commits)
    hub.push(folder, "me/mine", revision="v2")
    assert len(server.repos["me/mine"].commits) == count


@pytest.mark.parametrize(
    "token, asked, message",
    [
        ("hf_wrong", {}, "rights of your token"),
        ("hf_other", {}, "not for you to see"),
        ("", {}, "hf auth login"),
        ("hf_mine", {"revision": "v9"}, "no such revision"),
        ("hf_mine", {"repo_id": "me/nothing"}, "not for you to see"),
        ("hf_mine", {"repo_id": "a/b/c"}, "no id of a repository"),
    ],
)
def test_pull_of_what_is_not_there(server, measured, tmp_path, monkeypatch, token, asked, message):
    hub.push(measured, "me/mine", private=True)
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(InputError, match=message) as caught:
        hub.pull(**{"repo_id": "me/mine", "folder": tmp_path / "new", **asked})
    assert "\n" not in str(caught.value) and not (tmp_path / "new").exists()


def test_pull_into_a_folder_that_is_there_and_of_no_checkpoint(server, measured, tmp_path, monkeypatch):
    hub.push(measured, "me/mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="is there already"):
        hub.pull("me/mine", tmp_path / "full")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.txt"]
    hub.claim("me/empty")
    with pytest.raises(InputError, match="holds no checkpoint"):
        hub.pull("me/empty", tmp_path / "new")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="HF_HUB_OFFLINE"):
        hub.pull("me/mine", tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "token, repo_id, message",
    [
        ("hf_wrong", "me/mine", "rights of your token"),
        ("hf_mine", "somebody/mine", "rights of your token"),
        ("hf_mine", "a/b/c", "no id of a repository"),
    ],
)
def test_push_that_is_refused(server, measured, monkeypatch, token, repo_id, message):
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(InputError, match=message) as caught:
        hub.push(measured, repo_id)
    assert "\n" not in str(caught.value) and not server.repos and not server.objects


def test_a_public_repository_does_not_become_private_silently(server, measured):
    hub.push(measured, "mine")  # of the user whose token it is
    assert b'"me/mine"' in files(server)["README.md"] and not server.repos["me/mine"].private
    with pytest.raises(InputError, match="me/mine is there already and public"):
        hub.push(measured, "me/mine", private=True)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "metrics.json"])
def test_push_of_half_a_checkpoint(server, measured, tmp_path, name):
    folder = tmp_path / "half"
    shutil.copytree(measured, folder)
    (folder / name).unlink()
    with pytest.raises(InputError, match="metrics.json|config.json|weights|tokenizer"):
        hub.push(folder, "me/half")
    assert not server.repos


@pytest.mark.parametrize("status", [503, None])
def test_a_server_that_fails_for_a_while_is_asked_again(server, measured, tmp_path, status):
    server.failures += [
        ["POST", "/repos/create", status, 1],
        ["PUT", "/lfs/", status, 2],
        ["POST", "/commit/", status, 1],
    ]
    hub.push(measured, "me/mine")
    assert set(files(server)) == PUBLISHED and len(server.repos["me/mine"].commits) == 2
    server.failures += [["GET", "/resolve/", status, 2]]
    hub.pull("me/mine", tmp_path / "new")
    assert (tmp_path / "new" / "model.safetensors").read_bytes() == files(server)["model.safetensors"]
    assert not any(times for *_, times in server.failures)  # all of it happened


@pytest.mark.parametrize("where", [("PUT", "/lfs/"), ("POST", "/commit/")])
def test_a_server_that_stays_down_shows_nothing_by_half(server, measured, where):
    hub.push(measured, "me/mine")
    before = files(server)
    shutil.copy(measured / "metrics.json", measured / "kept.json")
    try:
        (measured / "metrics.json").write_text("{}" + " " * 200_000)
        server.failures.append([*where, 500, 1000])
        with pytest.raises(InputError, match="cannot publish me/mine: the Hub says .*try again later") as caught:
            hub.push(measured, "me/mine")
        assert "\n" not in str(caught.value) and files(server) == before
        server.failures.clear()
        hub.push(measured, "me/mine")
        assert len(files(server)["metrics.json"]) == 200_002
    finally:
        (measured / "kept.json").replace(measured / "metrics.json")


def test_recipes_publish_once_at_the_end(server, tiny_checkpoint, tmp_path):
    rows = tmp_path / "rows.jsonl"
    load("bundled@train").select(range(24)).to_json(str(rows), force_ascii=False)
    test = tmp_path / "test.jsonl"
    load("bundled@test").select(range(8)).to_json(str(test), force_ascii=False)
    validation = tmp_path / "validation.jsonl"
    load("bundled@validation").select(range(8)).to_json(str(validation), force_ascii=False)
    output = tmp_path / "run"
    command = [
        sys.executable, "recipes/finetune.py", "--model_name_or_path", tiny_checkpoint, "--train_datasets", str(rows),
        "--validation_datasets", str(validation), "--test_datasets", str(test),
        "--output_dir", str(output), "--num_train_epochs", "2", "--report_to", "none", "--push_to_hub", "true",
        "--hub_model_id", "me/tuned", "--hub_private_repo", "true",
    ]  # fmt: skip

    def start(command: list[str], token: str) -> subprocess.CompletedProcess:
        environment = {**os.environ, "HF_TOKEN": token}
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)

    refused = start(command, "hf_wrong")
    assert refused.returncode == 2 and "error: cannot publish me/tuned" in refused.stderr
    assert not output.exists()  # found out before the training
    done = start([*command, "--hub_token", "hf_mine"], "")
    assert done.returncode == 0, done.stderr[-3000:]
    assert server.repos["me/tuned"].private and len(server.repos["me/tuned"].commits) == 2
    found = files(server, "me/tuned")
    assert set(found) == PUBLISHED and f"published: {server.url}/me/tuned/commit/" in done.stdout
    card = found["README.md"].decode()
    assert "--num_train_epochs 2" in card and "hf_mine" not in card and "| after " in card

    text = tmp_path / "text.txt"
    text.write_text("".join(f"今天第{i}次去银行，行长很高兴。\n" for i in range(3000)), "utf-8")
    command = [
        sys.executable, "recipes/pretrain.py", "--train_files", str(text), "--model_name_or_path", tiny_checkpoint,
        "--block_size", "32", "--max_steps", "2", "--output_dir", str(tmp_path / "mlm"), "--report_to", "none",
        "--push_to_hub", "true", "--hub_model_id", "me/mlm", "--save_steps", "1",
    ]  # fmt: skip
    done = start(command, "hf_mine")
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(server.repos["me/mlm"].commits) == 2 and "remote.py" not in files(server, "me/mlm")
    (tmp_path / "README.md").write_bytes(files(server, "me/mlm")["README.md"])
    card = metadata_load(tmp_path / "README.md")
    assert card["pipeline_tag"] == "fill-mask"
    assert card["model-index"][0]["results"][0]["metrics"][0]["type"] == "perplexity"
