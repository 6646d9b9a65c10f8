#!/bin/sh
# Fine-tune on one GLUE task with published settings; goes on where it was stopped.
#
#   scripts/train.sh TASK [FLAG …]       or scripts/train_TASK.sh [FLAG …], a link to this script
#
# MODEL     name or folder of the pretrained model (default: YituTech/conv-bert-base)
# PRESET    authors (the paper's settings for the model's size; default) or reference (the first Paddle port's);
#           `python -m glue.run_glue --help` lists both
# DATA_DIR  folder with the official files (default: glue_data)   RUNS  where runs go (default: runs)
# FLAG      any flag of glue.run_glue, such as --device gpu or --seed 1; it wins over the preset
# Relative paths, these defaults too, are taken from where you stand.
set -eu
task=$(basename "$0" .sh)
case $task in
  train) task=${1:?usage: scripts/train.sh TASK [FLAG …]}; shift ;;
  *) task=${task#train_} ;;
esac
clone=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONPATH="$clone${PYTHONPATH:+:$PYTHONPATH}"
exec "${PYTHON:-python}" -m glue.run_glue --task_name "$task" --preset "${PRESET:-authors}" --resume \
  --model_name_or_path "${MODEL:-YituTech/conv-bert-base}" --data_dir "${DATA_DIR:-glue_data}" \
  --output_dir "${RUNS:-runs}/$task" "$@"
