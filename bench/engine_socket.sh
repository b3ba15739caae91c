#!/bin/sh
# What the socket between the program and its engine adds to each token: the same texts written by
# an engine inside the program and by one in its own process, in turn, with the starter model.
# usage: bench/engine_socket.sh [RUNS]
set -eu
for _ in $(seq "${1:-5}"); do
    echo "# $(uptime | sed 's/.*load/load/')"
    target/release/tiergate engine-measure
done
