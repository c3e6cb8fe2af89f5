#!/bin/sh
# Ranks that mpirun starts on two machines, by an agent instead of ssh: `unisono bench` checks its results.
# usage: mpirun.sh INSIDE UNISONO
if ! command -v mpiexec.hydra >/dev/null; then
  echo "skipped: no mpiexec.hydra in PATH (package mpich, or impi-rt of PyPI)"
  exit 77
fi
agent=$(dirname "$(realpath "$0")")/agent.sh
export MASTER_ADDR=10.77.0.1 MASTER_PORT=29500 UNISONO_SECRET="of this test"
exec "$1" mpiexec.hydra -bootstrap rsh -bootstrap-exec "$agent" -iface eth0 -hosts 10.77.0.1,10.77.0.2 -ppn 2 -n 4 \
  "$2" bench all_reduce --min 8 --max 4K
