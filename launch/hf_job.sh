#!/bin/bash
# A recipe as a job on Hugging Face's machines; its last model is pushed, since the machine and its disk are gone afterwards.
#   launch/hf_job.sh IMAGE RECIPE ARM SEED OWNER/NAME [KEY=VALUE ...]
#   FLAVOR=a100x4 GPUS=4 launch/hf_job.sh ...                 # IMAGE: built from launch/Dockerfile and pushed by you
set -euo pipefail

image=${1:?image} recipe=${2:?recipe} arm=${3:?arm} seed=${4:?seed} name=${5:?OWNER/NAME} && shift 5
printf -v train '%q ' warmup-rl train "$recipe" --gpus "${GPUS:-1}" --arm "$arm" --seed "$seed" output_dir=/outputs run_name=job "$@"
printf -v push '%q ' warmup-rl export "/outputs/job/$arm/seed-$seed" --to /outputs/pushed --push "$name"
exec hf jobs run --flavor "${FLAVOR:-a100-large}" --timeout "${TIMEOUT:-24h}" --secrets HF_TOKEN "$image" bash -c "$train&& $push"
