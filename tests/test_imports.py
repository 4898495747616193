import ast
import subprocess
import sys
from pathlib import Path

import h2p_hf
from h2p_hf import auto, cli, corpus

PACKAGE = Path(h2p_hf.__file__).parent
# Each may import what stands before it.
ORDER = ["text", "phrases", "words", "errors", "parallel", "files", "pinyin", "lexicon", "inline", "traditional", "names", "sandhi", "reader", "onnx", "baselines",
         "data", "modeling", "metrics", "pipelines", "auto", "rendering", "pypinyin", "evaluation",
         "hub", "remote", "training", "distillation", "corpus", "demo", "cli"]  # fmt: skip


def test_modules_import_only_downwards():
    found = set()
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts == ("__init__",):
            continue
        found.add(parts[0])
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                package = ["h2p_hf", *parts[:-1]][: len(parts) - node.level + 1]
                target = [*package[1:], *(node.module or "").split(".")]
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("h2p_hf."):
                target = node.module.split(".")[1:]
            else:
                continue
            if target[0]:
                assert ORDER.index(target[0]) <= ORDER.index(parts[0]), f"{path.name} imports {target}"
    assert found == set(ORDER)


def test_choices_of_the_command_are_those_of_the_modules():
    assert (cli.BACKENDS, cli.WORKERS) == (auto.BACKENDS, corpus.ENGINES)


def test_importing_the_package_does_not_import_torch():
    code = "import sys, h2p_hf.cli; h2p_hf.cli.build_parser(); print('torch' in sys.modules, 'transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_reading_a_text_does_not_import_torch():
    code = "import sys, h2p_hf.cli; h2p_hf.cli.main(['convert', '长江']); print('torch' in sys.modules, 'transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["cháng jiāng", "False False"]


def test_task_is_registered_whichever_is_imported_first():
    for order in ("import h2p_hf; import transformers", "import transformers.pipelines; import h2p_hf"):
        code = f"{order}; print('hanzi-to-pinyin' in transformers.pipelines.PIPELINE_REGISTRY.get_supported_tasks())"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "True", order
