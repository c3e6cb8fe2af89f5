#!/bin/sh
# Ranks that torchrun starts on two machines, each by a torchrun of its own: `unisono bench` checks its results, or
# across.py those of the Python package.
# usage: torchrun.sh INSIDE UNISONO|PROGRAM.py
set -e
case $1 in
rank)
  case $2 in
  *.py) exec python "$2" ;;
  *) exec "$2" bench all_reduce --min 8 --max 256K --factor 8 --iterations 20 ;;
  esac
  ;;
within) ;;
*)
  command -v torchrun >/dev/null || { echo "skipped: no torchrun (package torch of PyPI)"; exit 77; }
  case $2 in
  *.py) python -c 'import unisono.torch' || { echo "skipped: no Python package unisono here (make python)"; exit 77; } ;;
  esac
  exec "$1" "$(realpath "$0")" within "$2"
  ;;
esac
export UNISONO_SECRET="of this test" OMP_NUM_THREADS=1
node() { # NUMBER
  echo "torchrun --nnodes 2 --node-rank $1 --nproc-per-node 2 --master-addr 10.77.0.1 --master-port 29500 --no-python $0 rank $2"
}
"$(dirname "$0")/agent.sh" 10.77.0.2 "$(node 1 "$2")" &
other=$!
$(node 0 "$2")
wait $other
