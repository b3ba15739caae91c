# Sourced by the measurements of a server: builds what they run, in release or as PROFILE says, into
# `bin`, makes the folder `work`, and ends at the exit every process that `started` names.

profile=${PROFILE:-release}
flags=()
[ "$profile" = debug ] || flags=(--release)
cargo build --locked --quiet "${flags[@]}" --package gateway --package standin --bins >&2
bin=$(cd "${CARGO_TARGET_DIR:-target}/$profile" && pwd)
work=$(mktemp -d)
started=()

end_started() {
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
    started=()
}

finish() {
    end_started
    rm -rf "$work"
}
trap finish EXIT

# Waits for the first line of a file.
first_line() {
    while [ ! -s "$1" ]; do sleep 0.05; done
    head -n 1 "$1"
}

# Waits until what runs as `middle` answers a path on `address` with 200.
answers() {
    until bash -c "exec 3<>/dev/tcp/${address/://} && printf '$1 $2 HTTP/1.0\r\nhost: localhost\r\n\r\n' >&3 &&
        grep -q '200 OK' <&3" 2>/dev/null; do
        kill -0 "$middle" || { echo "bench: what listens on $address did not start" >&2; exit 1; }
        sleep 0.1
    done
}
