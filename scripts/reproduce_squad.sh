#!/bin/sh
# The published SQuAD table: 1.1 and 2.0, then measured scores beside expected ones.
#
#   scripts/reproduce_squad.sh [FLAG …]       any flag of squad.run_squad, such as --device gpu
#
# MODEL     name or folder of the pretrained model (default: YituTech/conv-bert-base)
# PRESET    authors (the paper's settings and head; default) or reference (the first Paddle port's)
# DATA_DIR  folder with the official files (default: squad_data)   RUNS  where runs go
# SIZE      whose published rows to show: base (default), medium-small or small
#
# ESTIMATE, nothing of this was measured on a GPU: 6 hours for the base size at 20 windows of 512 tokens a second
# (one V100-class GPU, float32; 88 000 and 132 000 training windows, 2 epochs), evaluations left out.
set -eu
clone=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONPATH="$clone${PYTHONPATH:+:$PYTHONPATH}"
preset=${PRESET:-authors}
runs=${RUNS:-runs/squad-$preset}
data=${DATA_DIR:-squad_data}
python=${PYTHON:-python}
case $preset in authors) head=joint ;; *) head=linear ;; esac
for version in 1.1 2.0; do
  "$python" -m squad.run_squad --do_train --do_predict --preset "$preset" --qa_head "$head" --resume \
    --model_name_or_path "${MODEL:-YituTech/conv-bert-base}" --train_file "$data/train-v$version.json" \
    --predict_file "$data/dev-v$version.json" --output_dir "$runs/$version" "$@"
  "$python" -m squad.evaluate "$data/dev-v$version.json" "$runs/$version/predictions.json"
done
"$python" -m scripts.reproduction "$runs" --size "${SIZE:-base}"
