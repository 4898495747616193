"""`h2p annotate` killed for real, and on a real Ray cluster."""

import gzip
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from h2p_hf import InputError, corpus
from h2p_hf.corpus import Settings, annotate


def lines(count: int) -> bytes:
    """Lines of text, some of them no UTF-8."""
    rng = random.Random(0)
    texts = ["".join(rng.choices("银行长重新大了还有江水都，好", k=rng.randint(1, 40))).encode() for _ in range(count)]
    texts[::97] = [b"\xff"] * len(texts[::97])
    return b"".join(text + b"\n" for text in texts)


def same(a: Path, b: Path) -> bool:
    return a.read_bytes() == b.read_bytes() and same_rejects(a, b)


def same_rejects(a: Path, b: Path) -> bool:
    first, second = (Path(f"{path}.rejected.jsonl").read_bytes() for path in (a, b))
    return first == second and first != b""


def test_killed_and_resumed(tiny_checkpoint, tmp_path, monkeypatch):
    source, target, wanted = tmp_path / "in.txt", tmp_path / "out.jsonl", tmp_path / "wanted.jsonl"
    journal = tmp_path / "out.jsonl.parts" / "journal"
    source.write_bytes(lines(3000))
    script = "import sys; from h2p_hf import corpus, cli; corpus.ROWS = 10; sys.exit(cli.main())"
    command = [sys.executable, "-c", script, "annotate", str(source), str(target), "--model", tiny_checkpoint]

    done = 0
    for workers in (1, 2):
        run = subprocess.Popen([*command, "--num_workers", str(workers)], stderr=subprocess.PIPE)
        while run.poll() is None and not (journal.exists() and journal.read_bytes().count(b"\n") > done + 2):
            time.sleep(0.005)
        children = psutil.Process(run.pid).children(recursive=True)
        run.send_signal(signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL, run.stderr.read()
        assert workers == 1 or len(children) >= 2
        _, alive = psutil.wait_procs(children, timeout=60)
        assert not alive  # a worker must not stay behind
        assert not target.exists()
        done = journal.read_bytes().count(b"\n")
        assert done < 300

    monkeypatch.setattr(corpus, "ROWS", 10)
    settings = Settings(model=tiny_checkpoint)
    result = annotate([str(source)], str(target), settings, num_workers=1)
    assert (result.rows, result.rejected) == (2969, 31)
    assert not journal.parent.exists()
    annotate([str(source)], str(wanted), settings, num_workers=1)
    assert same(target, wanted)


@pytest.mark.slow
def test_ray_cluster_of_two_nodes(tiny_checkpoint, tmp_path):
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    source, target, wanted = tmp_path / "in.txt.gz", tmp_path / "out.jsonl", tmp_path / "wanted.jsonl"
    whole, settings = gzip.compress(lines(8000)), Settings(model=tiny_checkpoint)
    source.write_bytes(whole)
    annotate([str(source)], str(wanted), settings, num_workers=1)
    node = {"num_cpus": 1, "object_store_memory": 100 << 20}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    try:
        cluster.add_node(**node)

        def on_ray(settings: Settings) -> corpus.Summary:
            return annotate([str(source)], str(target), settings, engine="ray", ray_address=cluster.address)

        with pytest.raises(InputError, match=r"^no checkpoint folder ./none"):
            on_ray(Settings(model="./none"))
        assert os.listdir(tmp_path).count("out.jsonl.parts") == 0
        source.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(InputError, match=r"cannot read .*in.txt.gz: .*; [\d,]+ rows are kept in .*parts"):
            on_ray(settings)
        source.write_bytes(whole)
        assert on_ray(settings)[:2] == (7917, 83)
        assert same(target, wanted)
        ray.init(cluster.address)
        used = {actor["Address"]["NodeID"] for actor in ray._private.state.actors().values()}
        assert used == {node["NodeID"] for node in ray.nodes()} and len(used) == 2
    finally:
        ray.shutdown()
        cluster.shutdown()
