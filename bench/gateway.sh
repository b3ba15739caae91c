#!/usr/bin/env bash
# Measures what the gateway adds to a request: a vendor's stand-in asked directly, through a bare
# TCP relay (the floor of one more hop) and through tiergate with its ledger and its policy, in
# turn and in one call. What is measured runs on one core, stand-in and load on another.
#
#     bench/gateway.sh [ROUNDS] > bench/runs/DATE/gateway.jsonl
#
# Each line is JSON: which way, which load, its figures, and of the process in the middle its
# processor time in microseconds and its resident memory in KiB. PROFILE=debug tries the script out.
# PEERS names the folder that bench/peers.sh filled: the gateways there are measured too, with
# fewer requests, as each takes them much longer, and without a ledger.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

rounds=${1:-3}
requests=${REQUESTS:-2000}
peers=${PEERS:+$(cd "$PEERS" && pwd)}
ways=(direct relay tiergate)
for peer in tensorzero portkey litellm; do
    [ -z "$peers" ] || [ ! -d "$peers/$peer" ] || ways+=("$peer")
done
source bench/serving.sh

# Starts a stand-in that needs so long for each token; its address is in `address`.
start_standin() {
    taskset -c 1 "$bin/standin" --answers "$work/answers.jsonl" --per-token-ms "$2" \
        >"$work/standin-$1" &
    started+=($!)
    address=$(first_line "$work/standin-$1")
    address=${address#http://}
    address=${address%/v1}
}

# Starts the relay to an address; `address` and `middle`, the process, are its own then.
start_relay() {
    taskset -c 0 "$bin/load" relay --to "$1" >"$work/relay-$2" &
    middle=$!
    started+=("$middle")
    address=$(first_line "$work/relay-$2")
}

start_tiergate() {
    mkdir -p "$work/$2"
    cat >"$work/$2/tiergate.toml" <<TOML
[server]
requests_max = 2000
[prices.vendor]
input = "0.25"
output = "2.00"
[tiers.vendor]
kind = "frontier"
url = "http://$1/v1"
model = "standin-1"
price = "vendor"
concurrency_max = 2000
[tasks.chat]
kind = "chat"
sensitivity = "public"
tiers = ["vendor"]
budget = { usd = "1000000", per = "day" }
TOML
    (cd "$work/$2" && TIERGATE_LOG=warn exec taskset -c 0 "$bin/tiergate" serve \
        --listen 127.0.0.1:0 >"$work/tiergate-$2") &
    middle=$!
    started+=("$middle")
    address=$(first_line "$work/tiergate-$2")
    address=${address#listening on http://}
    answers GET /readyz
    model=task:chat
}

start_tensorzero() {
    cat >"$work/tensorzero-$2.toml" <<TOML
[models.standin]
routing = ["standin"]
[models.standin.providers.standin]
type = "openai"
model_name = "standin-1"
api_base = "http://$1/v1/"
api_key_location = "none"
TOML
    taskset -c 0 "$peers/tensorzero/bin/python" - "$work/tensorzero-$2.toml" \
        >"$work/tensorzero-$2" 2>/dev/null <<'PY' &
import os
import signal
import sys
from tensorzero.tensorzero import _start_http_gateway

told = os.dup(1)
os.dup2(2, 1)  # its log goes to standard output
gateway = _start_http_gateway(
    config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False
)
os.write(told, f"{gateway.base_url}\n".encode())
signal.pause()
PY
    middle=$!
    started+=("$middle")
    address=$(first_line "$work/tensorzero-$2")
    address=${address#http://}
    address=${address%%/*}
    model=tensorzero::model_name::standin
    how=(--path /openai/v1/chat/completions)
}

start_portkey() {
    taskset -c 0 node "$peers/portkey/node_modules/@portkey-ai/gateway/build/start-server.js" \
        --port=18787 --headless >/dev/null 2>&1 &
    middle=$!
    started+=("$middle")
    address=127.0.0.1:18787
    answers GET /
    how=(--header 'x-portkey-provider: openai' --header "x-portkey-custom-host: http://$1/v1"
        --header 'authorization: Bearer none')
}

start_litellm() {
    cat >"$work/litellm-$2.yaml" <<YAML
model_list:
  - model_name: standin-1
    litellm_params: { model: openai/standin-1, api_base: "http://$1/v1", api_key: none }
YAML
    LITELLM_MASTER_KEY=sk-bench LITELLM_LOCAL_MODEL_COST_MAP=True taskset -c 0 "$peers/litellm/bin/litellm" \
        --config "$work/litellm-$2.yaml" --host 127.0.0.1 --port 18788 >/dev/null 2>&1 &
    middle=$!
    started+=("$middle")
    address=127.0.0.1:18788
    answers GET /health/liveliness
    how=(--header 'authorization: Bearer sk-bench')
}

# Processor time of the process in the middle, in microseconds.
spent_us() {
    [ -n "$middle" ] || { echo 0; return; }
    awk -v hertz="$(getconf CLK_TCK)" '{ print ($14 + $15) * 1000000 / hertz }' "/proc/$middle/stat"
}

resident_kib() {
    [ -n "$middle" ] || { echo 0; return; }
    awk '/VmRSS/ { print $2 }' "/proc/$middle/status"
}

# One load on the way that is open: its name, then the arguments of `load`.
measure() {
    local way=$1 name=$2 before after figures
    shift 2
    before=$(spent_us)
    figures=$(taskset -c 1 "$bin/load" "$@" --address "$address" --model "$model" "${how[@]}") ||
        figures=null
    after=$(spent_us)
    printf '{"way":"%s","load":"%s","spent_us":%s,"resident_kib":%s,"figures":%s}\n' \
        "$way" "$name" "$((${after%.*} - ${before%.*}))" "$(resident_kib)" "$figures"
}

words=$(seq -s ' ' 1 224)
printf '{"text":"short","gold":"Yes."}\n{"text":"long","gold":"%s"}\n' "$words" \
    >"$work/answers.jsonl"
for round in $(seq "$rounds"); do
    for way in "${ways[@]}"; do
        for pace in 0 2; do
            middle=''
            model=standin-1
            how=()
            start_standin "$round-$way-$pace" "$pace"
            [ "$way" = direct ] || "start_$way" "$address" "$round-$pace"
            each=$requests
            case $way in tensorzero | portkey | litellm) each=$((requests / 10)) ;; esac
            if [ "$pace" = 0 ]; then
                measure "$way" one requests --text short --connections 1 --each "$each"
                measure "$way" many requests --text short --connections 64 --each $((each / 8))
            else
                measure "$way" streams streams --text long --connections 100 --each 2
                measure "$way" crowd streams --text long --connections 500 --each 1
            fi
            end_started
        done
    done
done
