#!/bin/sh
# RTE with the published settings: scripts/train_rte.sh [FLAG …]; train.sh says what can be chosen.
exec "$(dirname "$0")/train.sh" rte "$@"
