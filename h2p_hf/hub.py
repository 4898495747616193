"""Checkpoints on the Hugging Face Hub: the model card, made from measured metrics, push and pull."""

import gzip
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from itertools import starmap
from pathlib import Path
from typing import TypeVar

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    EvalResult,
    HfApi,
    ModelCard,
    ModelCardData,
    is_offline_mode,
    metadata_load,
    snapshot_download,
)
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from jinja2 import UndefinedError
from pypinyin.constants import PINYIN_DICT

from .data import SOURCES
from .errors import InputError
from .evaluation import table
from .files import RESOURCES, atomic_write, bundled_checkpoint, read_lines
from .lexicon import common_readings, phrase_table, readings
from .phrases import LEXICON
from .reader import TASK, has_pinyin_labels

TEMPLATE = RESOURCES / "model_card.md"
"""The model card, in Jinja: what a checkpoint is, how to use it, its numbers and errors, how it was trained."""

GENERATED = "<!-- h2p_hf writes this from metrics.json; what stands below the line on notes stays. -->"
"""Stands in each card that `model_card` writes: one without it is somebody's own, and stays as it is."""

NOTES = "<!-- notes -->"
"""Stands before the notes at the end of a card."""

FILES = (
    "config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "metrics.json",
    "onnx/*.onnx",
    "*.py",
)
"""What of a checkpoint folder is published, code of the model too; not logs, optimizers and options, which may name folders of this machine."""

OUTDATED = ("*.safetensors", "*.safetensors.index.json", "onnx/*", "pytorch_model*.bin")
"""What of an earlier version would go with other weights, if the new one lacks it."""

CODE = ("remote", "text", "phrases")
"""Modules that are published beside a checkpoint, as they are: its pipeline for those who do not install h2p_hf."""

ATTEMPTS = 3
"""How often the Hub is asked for one thing."""

Result = TypeVar("Result")

HTTPError = HfHubHTTPError.__bases__[0]
"""Of httpx, or of whatever huggingface_hub uses in its place."""


def model_card(
    folder: str | Path,
    name: str | None = None,
    notes: str | Path | None = None,
    license: str | None = None,
    repo_id: str | None = None,
) -> str:
    """Return the model card of a checkpoint, filled in from its metrics.json.

    Args:
        folder (`str` or `Path`): written by a recipe; or ``bundled``.
        name (`str`, *optional*): of the model; defaults to the name of the repository or the folder.
        notes (`str` or `Path`, *optional*): a file with Markdown to put at the end; defaults to what stands below `NOTES` in
            the README.md of the folder.
        license (`str`, *optional*): for the header, an identifier of the Hub such as ``apache-2.0``; defaults to that in
            the README.md of the folder.
        repo_id (`str`, *optional*): where it will be: the examples load it from there.

    Raises:
        InputError: if the folder has no checkpoint or no metrics.json.
    """
    folder = _folder(folder)
    config = _config(folder)
    metrics = _json(folder / "metrics.json", "train or evaluate it with the recipes, which write it")
    tagger = _is_tagger(config)
    before = folder / "README.md"
    kept = _text(notes)
    if before.is_file() and not _by_hand(before):
        license = license or (metadata_load(before) or {}).get("license")
        kept = kept or _text(before).partition(NOTES)[2]
    name = name or (repo_id or folder.resolve().name).rpartition("/")[2]
    results = metrics.get("results", {})
    trained_on = [SOURCES[kind] for kind in dict.fromkeys(map(_kind, metrics.get("datasets", ()))) if kind in SOURCES]
    try:
        data = ModelCardData(
            language=["zh"],
            license=license,
            library_name="transformers",
            pipeline_tag="token-classification" if tagger else "fill-mask",
            tags=["pinyin", "polyphone", "grapheme-to-phoneme", "hanzi-to-pinyin"] if tagger else ["pinyin"],
            base_model=metrics.get("base_model"),
            datasets=[found for found in metrics.get("datasets", ()) if _is_hub_id(found)] or None,
            metrics=["accuracy", "precision", "recall", "f1"] if tagger else ["perplexity"],
            model_name=name,
            eval_results=_eval_results(metrics) or None,
        )
        card = ModelCard.from_template(
            data,
            template_str=TEMPLATE.read_text("utf-8"),
            generated=GENERATED,
            name=name,
            repo_id=repo_id or name,
            tagger=tagger,
            config=config,
            metrics=metrics,
            trained_on=trained_on,
            table=table(
                {(data, system): scores for data, found in results.items() for system, scores in found.items()}
            ),
            onnx=any((folder / "onnx").glob("*.onnx")),
            notes=f"{NOTES}\n\n{kept.strip()}",
        )
    except (UndefinedError, KeyError, TypeError) as error:
        raise InputError(f"{folder / 'metrics.json'} is not what the recipes write: {error}; evaluate again") from None
    return str(card).rstrip() + "\n"


def _eval_results(metrics: Mapping) -> list[EvalResult]:
    """Return what the model itself reached, for the model-index of the card, in per cent."""
    system = metrics.get("system")
    names = {
        "accuracy": ("accuracy", "accuracy on polyphones"),
        "accuracy_by_character": ("accuracy", "mean accuracy by character"),
        "accuracy_by_reading": ("accuracy", "mean accuracy by reading"),
        "precision_macro": ("precision", "macro precision"),
        "recall_macro": ("recall", "macro recall"),
        "f1_macro": ("f1", "macro F1"),
    }
    found = [
        EvalResult(
            task_type="token-classification",
            task_name="hanzi to pinyin",
            dataset_type=_kind(data) if _kind(data) in SOURCES else "other",
            dataset_name=data,
            dataset_split=data.partition("@")[2] or None,
            metric_type=kind,
            metric_name=metric,
            metric_value=round(100 * scores[system][key], 2),
        )
        for data, scores in metrics.get("results", {}).items()
        if system in scores
        for key, (kind, metric) in names.items()
    ]
    if "perplexity" in metrics:
        found.append(
            EvalResult(
                task_type="fill-mask",
                dataset_type="other",
                dataset_name="held-out passages",
                metric_type="perplexity",
                metric_value=round(metrics["perplexity"], 2),
            )
        )
    return found


def _kind(dataset: str) -> str:
    return dataset.partition("@")[0]


def _is_hub_id(name: str) -> bool:
    kind = _kind(name)
    return kind not in SOURCES and kind.count("/") == 1 and not kind.startswith((".", "/")) and not Path(kind).exists()


def write_card(folder: str | Path) -> None:
    """Write the model card of a checkpoint as its README.md, unless somebody wrote one by hand; see `model_card`."""
    path = Path(folder) / "README.md"
    if not _by_hand(path):
        card = model_card(folder)
        with atomic_write(path) as file:
            file.write(card)


def _by_hand(path: Path) -> bool:
    return path.is_file() and GENERATED not in path.read_text("utf-8", errors="replace")


def push(
    folder: str | Path,
    repo_id: str,
    revision: str | None = None,
    private: bool | None = None,
    message: str = "Upload checkpoint",
    notes: str | Path | None = None,
    license: str | None = None,
    token: str | None = None,
) -> str:
    """Publish a checkpoint: weights, tokenizer, exported models, metrics, model card, and what its pipeline needs where h2p_hf is
    not installed. All of it is one commit, so that nothing is seen by half; a server that fails is asked again.

    Args:
        folder (`str` or `Path`): the checkpoint, or ``bundled`` for the one of the package. A README.md that somebody wrote is
            published as it is, instead of `model_card`.
        repo_id (`str`): ``user/name`` on the Hub; made if it is not there.
        revision (`str`, *optional*): a branch, made if it is not there; defaults to the main one.
        private (`bool`, *optional*): for you only; of a new repository defaults to the setting of the organisation.
        message (`str`, *optional*): of the commit.
        notes (`str` or `Path`, *optional*), license (`str`, *optional*): see `model_card`; pictures that the notes show go with
            them.
        token (`str`, *optional*): defaults to HF_TOKEN or what ``hf auth login`` has kept.

    Returns:
        `str`: the address of the commit.

    Raises:
        InputError: if the checkpoint is incomplete or the Hub refuses: then nothing has changed there.
    """
    folder = _folder(folder)
    # What is incomplete is found out before anything happens there.
    contents = _contents(folder, repo_id, notes, license)
    if (full_id := claim(repo_id, private, token)) != repo_id:
        repo_id, contents = full_id, _contents(folder, full_id, notes, license)
    operations: list = list(starmap(CommitOperationAdd, contents.items()))
    api = HfApi(token=token)
    with _errors(repo_id, "publish"):
        if revision:
            _again(lambda: api.create_branch(repo_id, branch=revision, exist_ok=True))
        there = api.list_repo_files(repo_id, revision=revision)
        operations += [
            CommitOperationDelete(path)
            for path in there
            if path not in contents and any(Path(path).match(pattern) for pattern in OUTDATED)
        ]
        return _again(
            lambda: api.create_commit(repo_id, operations, commit_message=message, revision=revision)
        ).commit_url


def claim(repo_id: str, private: bool | None = None, token: str | None = None) -> str:
    """Make a repository if it is not there, and return its full id.

    Raises:
        InputError: if the Hub refuses, or the repository should be private and is there already and public.
    """
    api = HfApi(token=token)
    with _errors(repo_id, "publish"):
        repo_id = _again(lambda: api.create_repo(repo_id, private=private, exist_ok=True)).repo_id
        if private and not _again(lambda: api.model_info(repo_id)).private:
            raise InputError(
                f"{repo_id} is there already and public: change that on the Hub, or do not ask for private"
            )
        return repo_id


def pull(repo_id: str, folder: str | Path, revision: str | None = None) -> None:
    """Download a checkpoint into a folder of its own, which is there when all of it is.

    Args:
        repo_id (`str`): on the Hub.
        folder (`str` or `Path`): new, or empty.
        revision (`str`, *optional*): branch, tag or commit.

    Raises:
        InputError: if the folder holds something, the Hub refuses, or what comes is no checkpoint.
    """
    folder = Path(folder).expanduser()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is there already: give a new folder")
    with _errors(repo_id, "download"):
        if is_offline_mode():
            raise OfflineModeIsEnabled
        commit = _again(lambda: HfApi().model_info(repo_id, revision=revision)).sha
        # What is there of an interrupted download of the same commit is not asked for again.
        partial = folder.with_name(f".{folder.name}.{commit[:12]}.part")
        _again(lambda: snapshot_download(repo_id, revision=commit, local_dir=partial))
        shutil.rmtree(partial / ".cache", ignore_errors=True)
        try:
            _config(partial)
        except InputError:
            shutil.rmtree(partial)
            raise InputError(f"{repo_id} holds no checkpoint: config.json or weights are missing") from None
        if folder.is_dir():
            folder.rmdir()
        partial.rename(folder)


def _contents(folder: Path, repo_id: str, notes: str | Path | None, license: str | None) -> dict[str, Path | bytes]:
    """Return the files of a repository: their paths there, and where they are or what is in them."""
    config = _config(folder)
    if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.txt")):
        raise InputError(f"{folder} has no tokenizer: save it beside the model")
    found: dict[str, Path | bytes] = {
        path.relative_to(folder).as_posix(): path for pattern in FILES for path in sorted(folder.glob(pattern))
    }
    card = folder / "README.md"
    found["README.md"] = (
        card if _by_hand(card) else model_card(folder, notes=notes, license=license, repo_id=repo_id).encode()
    )
    for picture in re.findall(r"!\[[^\]]*\]\(([\w.-]+)\)", _text(notes)):
        found[picture] = Path(notes).with_name(picture)
        if not found[picture].is_file():
            raise InputError(f"{notes} shows {picture}, which is not beside it")
    if _is_tagger(config):
        config["custom_pipelines"] = {
            TASK: {
                "impl": f"{CODE[0]}.HanziToPinyinPipeline",
                "pt": ["AutoModelForTokenClassification"],
                "type": "text",
            }
        }
        found["config.json"] = json.dumps(config, indent=2).encode() + b"\n"
        found[LEXICON] = lexicon_file()
        found |= {f"{module}.py": Path(__file__).with_name(f"{module}.py") for module in CODE}
    return found


@cache
def lexicon_file() -> bytes:
    """Return what `remote` needs of the lexicon: JSON, compressed.

    `readings` and `rare` have the readings of each character (all, and those that `lexicon.common_readings` leaves out),
    `phrases` those of each phrase; the readings are separated by spaces.
    """
    known = {char: found for char in map(chr, sorted(PINYIN_DICT)) if (found := readings(char))}
    rare = {char: [one for one in found if one not in common_readings(char)] for char, found in known.items()}
    table = phrase_table()
    content = {
        "readings": {char: " ".join(found) for char, found in known.items()},
        "rare": {char: " ".join(found) for char, found in rare.items() if found},
        "phrases": {
            phrase: " ".join(reading or "-" for reading in table.readings(phrase).values()) for phrase in table
        },
    }
    raw = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return gzip.compress(raw, mtime=0)  # the same lexicon gives the same bytes


def _folder(name: str | Path) -> Path:
    return Path(bundled_checkpoint() if name == "bundled" else name).expanduser()


def _config(folder: Path) -> dict:
    """Return the config of a checkpoint.

    Raises:
        InputError: if the folder has no complete one.
    """
    if not folder.is_dir():
        raise InputError(f"no checkpoint folder {folder}: give one that a recipe has written")
    config = _json(folder / "config.json", "give the folder of a checkpoint")
    if not any(folder.glob("*.safetensors")):
        raise InputError(f"{folder} has no weights (model.safetensors): save the model there")
    return config


def _text(path: str | Path | None) -> str:
    return "\n".join(line for _, line in read_lines(path)) if path else ""


def _is_tagger(config: Mapping) -> bool:
    """Return whether a config is of a fine-tuned model; a masked language model may have kept the labels of its base."""
    classes = config.get("architectures") or []
    return has_pinyin_labels(config.get("label2id", {})) and any("TokenClassification" in name for name in classes)


def _json(path: Path, what_to_do: str) -> dict:
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(f"there is no {path}: {what_to_do}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {' '.join(str(error).split())}") from None


def _again(request: Callable[[], Result]) -> Result:
    """Ask the Hub, and once more while it fails or cannot be reached. huggingface_hub does that for downloads and the files of
    an upload, not for the rest. A commit that was taken though its answer was lost is not made twice: its files are
    there.
    """
    for attempt in range(1, ATTEMPTS):
        try:
            return request()
        except HfHubHTTPError as error:
            if error.response is None or error.response.status_code < 500:
                raise
        except HTTPError:  # no connection, or it broke
            pass
        time.sleep(2**attempt)
    return request()


@contextmanager
def _errors(repo_id: str, what: str) -> Iterator[None]:
    """Turn what the Hub, the network and the disk have to say into one line."""
    try:
        yield
    except InputError:
        raise
    except OfflineModeIsEnabled:
        raise InputError(f"cannot {what} {repo_id}: HF_HUB_OFFLINE is set: unset it") from None
    except HFValidationError:
        raise InputError(f"{repo_id!r} is no id of a repository: write user/name") from None
    except RevisionNotFoundError:
        raise InputError(f"{repo_id} has no such revision: give a branch, a tag or a commit of it") from None
    except (RepositoryNotFoundError, LocalTokenNotFoundError):
        raise InputError(
            f"cannot {what} {repo_id}: there is none, or it is not for you to see: check the name, and log in with `hf auth "
            "login` or HF_TOKEN"
        ) from None
    except Exception as error:  # of the Hub, of the network, of the disk, and ValueErrors of the client
        if not isinstance(error, HfHubHTTPError) and isinstance(error.__cause__, HfHubHTTPError):
            error = error.__cause__  # of an upload the client says only which file it was
        if isinstance(error, HfHubHTTPError) and error.response is not None:
            status = error.response.status_code
            advice = "check the rights of your token" if status in (401, 403) else "try again later"
            reason = " ".join(str(error.server_message or error).split())[:200]
            raise InputError(f"cannot {what} {repo_id}: the Hub says {reason} ({status}); {advice}") from None
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"cannot {what} {repo_id}: {reason}; try again") from None
