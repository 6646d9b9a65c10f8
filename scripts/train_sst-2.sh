#!/bin/sh
# SST-2 with the published settings: scripts/train_sst-2.sh [FLAG …]; train.sh says what can be chosen.
exec "$(dirname "$0")/train.sh" sst-2 "$@"
