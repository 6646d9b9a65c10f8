#!/bin/sh
# WNLI with the published settings: scripts/train_wnli.sh [FLAG …]; train.sh says what can be chosen.
exec "$(dirname "$0")/train.sh" wnli "$@"
