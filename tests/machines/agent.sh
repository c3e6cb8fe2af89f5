#!/bin/sh
# In place of ssh: agent.sh [OPTIONS] ADDRESS COMMAND... runs it on that machine (see inside.c).
while [ "${1#-}" != "$1" ]; do
  [ "$1" = -l ] && shift
  shift
done
address=$1
shift
for machine in $MACHINES; do
  [ "${machine%=*}" = "$address" ] && exec nsenter --all --target "${machine#*=}" -- sh -c "$*"
done
echo "agent.sh: $address is not one of $MACHINES" >&2
exit 1
