"""The files under launch/: accelerate reads them, and the batch scripts start, stop and requeue what they should."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from warmup_rl.recipe.shipped import shipped

ROOT = Path(__file__).parents[1]
FAKES = {
    "srun": 'while [[ $1 == --* ]]; do echo "srun $1" >> "$CALLS"; shift; done\n'
    'for ((n = 0; n < SLURM_NNODES; n++)); do SLURM_NODEID=$n "$@" & pids+=($!); done\n'
    'echo "${pids[0]}" > "$CALLS.node"; code=0\n'
    'for pid in "${pids[@]}"; do wait "$pid" || code=$?; done; exit $code',
    "scontrol": 'if [[ $1 == show ]]; then tr , "\\n" <<< "$3"; else echo "scontrol $*" >> "$CALLS"; fi',
    "accelerate": 'echo "accelerate $*" >> "$CALLS"\n[[ -z ${SLOW:-} ]] && exit "${CODE:-0}"\n'
    "python3 -c \"import os, signal, sys; calls = os.environ['CALLS']; "
    "signal.signal(signal.SIGUSR1, lambda *_: (open(calls, 'a').write('rank stops\\\\n'), sys.exit(75))); "
    "open(calls + '.ready', 'w'); signal.pause()\" &\n"
    "wait $! || exit 1",
    "vllm": 'echo "vllm $*" >> "$CALLS"; exec sleep 60',
    "curl": 'echo "curl $*" >> "$CALLS"; grep -q "^vllm" "$CALLS"',
    "hf": 'echo "hf $*" >> "$CALLS"',
}


@pytest.fixture
def cluster(tmp_path: Path) -> dict[str, str]:
    """The environment of a job, with commands in PATH that write down how they are called."""
    for name, body in FAKES.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    job = {"SLURM_NNODES": "1", "SLURM_JOB_NODELIST": "n1", "SLURM_JOB_ID": "77", "SLURM_GPUS_ON_NODE": "4"}
    return {**os.environ, **job, "PATH": path, "CALLS": str(tmp_path / "calls"), "POLL_SECONDS": "0.05"}


def start(cluster: dict[str, str], *words: str, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["bash", *words], cwd=ROOT, env={**cluster, **environment}, stderr=subprocess.PIPE)


def calls(cluster: dict[str, str]) -> list[str]:
    return Path(cluster["CALLS"]).read_text().splitlines()


@pytest.mark.parametrize(("task", "arm", "seed"), [("0", "base", "0"), ("1", "base", "7"), ("2", "warmup", "0")])
def test_a_task_of_a_slurm_array_runs_its_arm_and_seed(cluster, task: str, arm: str, seed: str) -> None:
    words = ("launch/slurm.sbatch", "my recipe.yaml", "base warmup", "0 7", "seeds=[0, 7]")
    assert start(cluster, *words, SLURM_ARRAY_TASK_ID=task).wait() == 0
    (line,) = [line for line in calls(cluster) if line.startswith("accelerate")]
    assert line == (
        "accelerate launch --config_file launch/zero3.yaml --num_machines 1 --num_processes 4 --main_process_ip n1 "
        f"--main_process_port 20077 --machine_rank 0 -m warmup_rl.train my recipe.yaml --arm {arm} --seed {seed} "
        "seeds=[0, 7]"
    )


def test_several_nodes_have_their_ranks_and_a_failure_is_not_queued_again(cluster) -> None:
    done = start(cluster, "launch/slurm.sbatch", "r", "base", "0", SLURM_NNODES="2", LAUNCH="ddp", CODE="1")
    assert done.wait() == 1
    lines = [line for line in calls(cluster) if line.startswith("accelerate")]
    assert all("launch/ddp.yaml --num_machines 2 --num_processes 8" in line for line in lines)
    assert {line.partition("--machine_rank ")[2][0] for line in lines} == {"0", "1"}
    assert not any("requeue" in line for line in calls(cluster))


def test_a_task_beyond_the_arms_and_seeds_is_refused(cluster) -> None:
    done = start(cluster, "launch/slurm.sbatch", "r", "base", "0 1", SLURM_ARRAY_TASK_ID="2")
    assert done.wait() == 2 and b"only 1 arms" in done.stderr.read()


def test_before_its_time_is_over_a_job_stops_its_processes_and_is_queued_again(cluster) -> None:
    job = start(cluster, "launch/slurm.sbatch", "r", "base", "0", SLOW="1")
    deadline = time.monotonic() + 60
    while not Path(cluster["CALLS"] + ".ready").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(int(Path(cluster["CALLS"] + ".node").read_text()), signal.SIGUSR1)
    assert job.wait(timeout=60) == 75
    assert "rank stops" in calls(cluster) and "scontrol requeue 77" in calls(cluster)


def test_the_last_node_serves_the_teacher_to_the_others(cluster) -> None:
    words = ("launch/slurm_vllm.sbatch", "Qwen/QwQ-32B", "r", "warmup", "0", "run_name=x")
    done = start(cluster, *words, SLURM_NNODES="1", SLURM_JOB_NODELIST="n1,n2")
    assert done.wait(timeout=60) == 0
    found = calls(cluster)
    assert "srun --nodelist=n2" in found and "vllm serve Qwen/QwQ-32B --port 8000 --tensor-parallel-size 4" in found
    (line,) = [line for line in found if line.startswith("accelerate")]
    assert "--main_process_ip n1" in line and "stages.distill.teacher.base_url=http://n2:8000/v1 run_name=x" in line


def test_a_job_on_the_hub_trains_and_pushes(cluster) -> None:
    words = ("launch/hf_job.sh", "me/image", "qwen_3b", "warmup", "1", "me/model", "seeds=[1, 2]")
    assert start(cluster, *words, GPUS="4", FLAVOR="a100x4").wait() == 0
    (line,) = calls(cluster)
    assert line.startswith(
        "hf jobs run --flavor a100x4 --timeout 24h --secrets HF_TOKEN me/image bash -c warmup-rl train"
    )
    assert "--gpus 4 --arm warmup --seed 1" in line and r"seeds=\[1\,\ 2\]" in line
    assert "&& warmup-rl export /outputs/job/warmup/seed-1 --to /outputs/pushed --push me/model" in line


def test_accelerate_reads_every_launch_file() -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    files = shipped("launch")
    assert {"single", "ddp", "zero1", "zero2", "zero3", "zero3-offload"} == files.keys()
    for name, file in files.items():
        config = load_config_from_file(str(file))
        assert (getattr(config, "deepspeed_config", None) or {}).get("zero_stage") == (
            int(name[4]) if name[:4] == "zero" else None
        )


def test_the_file_of_skypilot_is_sound() -> None:
    task = yaml.safe_load((ROOT / "launch" / "skypilot.yaml").read_text())
    assert {"resources", "setup", "run", "envs", "file_mounts"} <= task.keys()
    for script in (task["setup"], task["run"]):
        assert subprocess.run(["bash", "-n", "-c", script]).returncode == 0
