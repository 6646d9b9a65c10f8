#!/bin/sh
# The published GLUE table: all nine tasks, then measured scores beside expected ones, and a checked zip.
#
#   scripts/reproduce_glue.sh [FLAG …]        such as --device gpu; MODEL, PRESET, DATA_DIR, RUNS: see train.sh
#   SIZE  whose published rows to show: base (default), medium-small or small
#
# ESTIMATE, nothing of this was measured on a GPU: 8 hours for the base size with either preset, at 100 rows a
# second (one V100-class GPU, float32, length 128), evaluations left out.
# Expect to lie about a point off: the published dev scores are the best of many evaluations of one seed.
set -eu
clone=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONPATH="$clone${PYTHONPATH:+:$PYTHONPATH}"
export RUNS="${RUNS:-runs/glue-${PRESET:-authors}}" DATA_DIR="${DATA_DIR:-glue_data}"
python=${PYTHON:-python}
device=cpu previous=
for word in "$@"; do
  case "$previous $word" in "--device "*) device=$word ;; *" --device="*) device=${word#--device=} ;; esac
  previous=$word
done
for task in cola sst-2 mrpc sts-b qqp mnli qnli rte wnli; do
  "$clone/scripts/train_$task.sh" "$@"
  "$python" -m glue.run_predict --task_name "$task" --ckpt_path "$RUNS/$task/best" --data_dir "$DATA_DIR" \
    --output_dir "$RUNS/predictions" --device "$device"
done
"$python" -m submission.pack --predictions "$RUNS/predictions" --output "$RUNS/submission.zip"
"$python" -m scripts.reproduction "$RUNS" --size "${SIZE:-base}"
