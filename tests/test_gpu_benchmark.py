"""The benchmark for one card runs on a CPU with a tiny shape."""

import json

from benchmarks.gpu import SHAPES, flops_a_token, main


def test_it_measures_both_trainings_and_says_on_what(tmp_path, capsys):
    assert (
        main(["--shapes", "tiny", "--lengths", "512", "--budget", "12", "--out", str(tmp_path), "--peak", "0.1"]) == 0
    )
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert {"card", "versions", "tflops"} <= found.keys()
    sft, rlvr = found["rows"][:2]
    assert 400 * 4 < sft["tokens"] <= 512 * 4 and sft["step"] > 0 and sft["mfu"] > 0 and sft["planned"] > 0
    assert 0 < rlvr["tokens"] <= 64 * 12 and {"rollouts", "passes"} <= rlvr["seconds"].keys() and rlvr["mfu"] is None
    assert "tokens/s" in capsys.readouterr().out


def test_flops_count_weights_and_causal_attention():
    shape = SHAPES["0.5B"]
    assert flops_a_token(shape, 494_000_000, 0) == 6 * 494e6
    assert flops_a_token(shape, 494_000_000, 4_096) / (6 * 494e6) - 1 < 0.2
