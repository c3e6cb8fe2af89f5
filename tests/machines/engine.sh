#!/bin/sh
# The example's ranks, started by hand on two machines: they have the right sums, by what its engine carried. Afterwards
# the folder that they share is empty.
# usage: engine.sh INSIDE ENGINE
set -e
if [ "$1" != within ]; then
  ENGINE_FOLDER=$(mktemp -d)
  export ENGINE_FOLDER
  trap 'rm -rf "$ENGINE_FOLDER"' EXIT
  said=$("$1" "$(realpath "$0")" within "$2") || { status=$?; echo "$said"; exit $status; }
  echo "$said"
  case $said in
  "3 ranks have the right sums; the engine carried "[1-9]*" bytes") ;;
  *) exit 1 ;;
  esac
  rmdir "$ENGINE_FOLDER"
  exit
fi
export MASTER_ADDR=10.77.0.1 MASTER_PORT=29500 UNISONO_SECRET="of this test" UNISONO_TIMEOUT=30 WORLD_SIZE=3
RANK=0 LOCAL_WORLD_SIZE=2 "$2" &
first=$!
RANK=1 LOCAL_WORLD_SIZE=2 "$2" &
second=$!
RANK=2 LOCAL_WORLD_SIZE=1 "$(dirname "$0")/agent.sh" 10.77.0.2 "$2"
wait $first
wait $second
