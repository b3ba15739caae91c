#!/usr/bin/env bash
# Runs the official clients, LangChain and LlamaIndex against a server with the stand-in behind it, and
# holds its answers against OpenAI's description of its interface. The newest ones are fetched into the
# target folder; where that can't be done the step says so and ends well.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

target=${CARGO_TARGET_DIR:-$PWD/../target}
fetched=$target/clients
description=$PWD/../../shared/wire/openai-openapi.yaml.gz
work=$(mktemp -d)
started=()

finish() {
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap finish EXIT

# Waits for the first line of a file.
first_line() {
    for _ in $(seq 600); do
        if [ -s "$1" ]; then
            head -n 1 "$1"
            return
        fi
        sleep 0.1
    done
    printf 'clients: nothing was said in %s\n' "$1" >&2
    return 1
}

# Fetches into an environment of its own, as what one asks for may keep another from its newest.
fetch_python() {
    local name=$1
    shift
    command -v python3 >/dev/null || return 1
    [ -x "$fetched/$name/bin/pip" ] || python3 -m venv "$fetched/$name" || return 1
    "$fetched/$name/bin/pip" install --quiet --disable-pip-version-check --upgrade \
        --retries 1 --timeout 15 "$@"
}

fetch_node() {
    command -v npm >/dev/null || return 1
    mkdir -p "$fetched/node"
    cp package.json check.mjs "$fetched/node"
    npm install --prefix "$fetched/node" --no-package-lock --no-audit --no-fund \
        --loglevel=error --fetch-retries=1
}

serve() {
    cargo build --locked --quiet --package gateway --package standin --bins
    "$target/debug/standin" --answers answers.jsonl --per-token-ms 2 >"$work/standin" &
    started+=($!)
    local behind
    behind=$(first_line "$work/standin")
    sed "s|STANDIN|${behind%/v1}|" tiergate.toml >"$work/tiergate.toml"
    export TIERGATE_KEY=sk-clients TIERGATE_LOG=warn
    "$target/debug/tiergate" serve --config "$work/tiergate.toml" --listen 127.0.0.1:0 \
        >"$work/tiergate" &
    started+=($!)
    address=$(first_line "$work/tiergate")
    address=${address#listening on }
    for _ in $(seq 600); do
        python3 -c "import urllib.request as u; u.urlopen('$address/readyz')" 2>/dev/null && return
        sleep 0.1
    done
}

python=false frameworks=false validator=false node=false
mkdir -p "$fetched"
fetch_python clients --requirement requirements.txt >"$work/pip" 2>&1 && python=true
$python && fetch_python frameworks --requirement frameworks.txt >"$work/frameworks" 2>&1 && frameworks=true
$python && [ -f "$description" ] && fetch_python validator jsonschema pyyaml >"$work/validator" 2>&1 && validator=true
fetch_node >"$work/npm" 2>&1 && node=true
$python || printf 'skipped: the clients of Python can not be fetched\n'
$frameworks || printf 'skipped: LangChain and LlamaIndex can not be fetched\n'
$validator || printf 'skipped: OpenAI'"'"'s description is not there or can not be read\n'
$node || printf 'skipped: the clients of JavaScript can not be fetched\n'
$python || $node || exit 0
serve
if $python; then "$fetched/clients/bin/python" check.py "$address"; fi
if $frameworks; then "$fetched/frameworks/bin/python" frameworks.py "$address"; fi
if $validator; then "$fetched/validator/bin/python" described.py "$address" "$description"; fi
if $node; then (cd "$fetched/node" && node check.mjs "$address"); fi
