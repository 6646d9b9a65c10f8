#!/bin/sh
# QNLI with the published settings: scripts/train_qnli.sh [FLAG …]; train.sh says what can be chosen.
exec "$(dirname "$0")/train.sh" qnli "$@"
