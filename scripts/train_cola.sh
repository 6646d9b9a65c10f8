#!/bin/sh
# CoLA with the published settings: scripts/train_cola.sh [FLAG …]; train.sh says what can be chosen.
exec "$(dirname "$0")/train.sh" cola "$@"
