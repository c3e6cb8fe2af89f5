#!/bin/sh
# Ranks that mpirun starts on two machines, by an agent instead of ssh: `unisono bench` checks its results, and those of
# LEAVE come to their end one after the other.
# usage: mpirun.sh hydra|openmpi INSIDE UNISONO LEAVE
set -e
launcher=$1 inside=$2 unisono=$3 leave=$4
agent=$(dirname "$(realpath "$0")")/agent.sh
export MASTER_ADDR=10.77.0.1 MASTER_PORT=29500 UNISONO_SECRET="of this test"

if [ "$launcher" = hydra ]; then
  command -v mpiexec.hydra >/dev/null || { echo "skipped: no mpiexec.hydra (package mpich, or impi-rt of PyPI)"; exit 77; }
  start="mpiexec.hydra -bootstrap rsh -bootstrap-exec $agent -iface eth0 -hosts 10.77.0.1,10.77.0.2 -ppn 2 -n 4"
else
  command -v mpirun.openmpi >/dev/null || { echo "skipped: no mpirun.openmpi (package openmpi-bin)"; exit 77; }
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  start="mpirun.openmpi --mca plm_rsh_agent $agent --mca btl_tcp_if_include eth0 --mca oob_tcp_if_include eth0
         --bind-to none --host 10.77.0.1:2,10.77.0.2:2 -x MASTER_ADDR -x MASTER_PORT -x UNISONO_SECRET -n 4"
fi
for operation in all_reduce reduce_scatter broadcast all_to_all; do
  $inside $start "$unisono" bench $operation --min 8 --max 256K --factor 8 --iterations 20
done
$inside $start "$leave"
