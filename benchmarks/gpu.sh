#!/usr/bin/env bash
# All that needs a GPU, without the network: benchmarks/gpu.sh OUTDIR [STEP..]
#
# It sets gpuinit up for PYTHON (python3), and takes these steps, or those that are named, in this order:
#   kernels    compiles every kernel               doctor   golden vectors, bandwidth          tests    tests/gpu
#   timings    benchmarks/gpu_bench.py             sanitizer   compute-sanitizer's four tools on every kernel
#   frameworks tests/gpu/test_frameworks.py        verify   `gpuinit verify` on the GPU
#   scale      2^36 elements beside the CPU's      profile  Nsight Compute's counters of the dense kernels
# Each is passed, failed or skipped with its reason; a failure stops no other, and the exit status is then 1. A run of all, in
# GPUINIT_SECONDS (520), skips the last ones where no time is left: name them in a second run. OUTDIR gets summary.json and
# machine.txt, and of each step its files: doctor.json, tests.xml, tests.log, gpu.json, gpu.png, bench.log, verify.json,
# verify.html, profile.csv, profile.txt. GPUINIT_BENCH=--quick takes tiny sizes, which says only that it runs;
# GPUINIT_REHEARSE=1 takes the tests without a GPU, over what stands for one.
set -uo pipefail

ALL=(kernels doctor tests timings sanitizer frameworks verify scale profile)
[ $# -ge 1 ] || { echo "usage: $0 OUTDIR [STEP..], the steps being ${ALL[*]}" >&2; exit 2; }
for name in "${@:2}"; do
    [[ " ${ALL[*]} " == *" $name "* ]] || { echo "$name is no step: they are ${ALL[*]}" >&2; exit 2; }
done
WANTED=("${@:2}")
[ $# -gt 1 ] || WANTED=("${ALL[@]}")
mkdir -p -- "$1" && out=$(cd -- "$1" && pwd) || exit 2
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
PYTHON=${PYTHON:-python3}
found=$(command -v -- "$PYTHON") || { echo "PYTHON=$PYTHON is not there: set it to a Python's name or path" >&2; exit 2; }
PYTHON=$found
case $PYTHON in */*) PYTHON=$(cd -- "$(dirname -- "$PYTHON")" && pwd)/$(basename -- "$PYTHON") ;; esac
work=$(mktemp -d) && cd "$work" || exit 2
trap 'cd /; rm -rf -- "$work"' EXIT

SECONDS_IN_ALL=${GPUINIT_SECONDS:-520}
RESERVED=0 # of it, for the timings, when the tests run before them
[[ " ${WANTED[*]} " != *" timings "* ]] || RESERVED=150
export PYTHONUNBUFFERED=1 XLA_PYTHON_CLIENT_PREALLOCATE=false PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 PYTHONPATH="$root"
rm -f -- "$out"/{summary.json,machine.txt,doctor.json,tests.xml,tests.log,gpu.json,gpu.png,bench.log,verify.json,verify.html,profile.csv,profile.txt}
failed=0

python() { "$PYTHON" -P "$@"; }

# note NAME STATUS SECONDS REASON
note() {
    printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$(tr -s '\t\n' '  ' <<<"$4" | cut -c 1-300)" >>steps
    printf '%-10s %-8s %4s s  %s\n' "$1" "$2" "$3" "$(tr -s '\t\n' '  ' <<<"$4" | cut -c 1-100)"
    [ "$2" != failed ] || failed=1
}

# step NAME LIMIT LOG COMMAND..: exit status 77 means skipped, the last line says why; a limit of at most what is left
step() {
    local name=$1 limit=$2 log=$3 left=$((SECONDS_IN_ALL - SECONDS)) start=$SECONDS status
    shift 3
    [ "$limit" -le "$left" ] || limit=$left
    if [ "$limit" -lt 5 ]; then note "$name" skipped 0 "no time is left"; return; fi
    echo "== $name" >>"$log"
    timeout --signal=INT --kill-after=15 "$limit" "$@" >>"$log" 2>&1
    status=$?
    case $status in
        0) note "$name" passed $((SECONDS - start)) "$(said "$name")" ;;
        77) note "$name" skipped $((SECONDS - start)) "$(tail -n 1 "$log" | sed 's/^skipped: //')" ;;
        124 | 137) note "$name" failed $((SECONDS - start)) "ran past $limit s. $(said "$name")" ;;
        *) note "$name" failed $((SECONDS - start)) "exit status $status. $(said "$name"): $(grep -v '^ *$' "$log" | tail -n 1)" ;;
    esac
}

# what a step has left in a file of its name
said() { [ ! -f "said-$1" ] || cat "said-$1"; }

here() { # whether Python finds this tree's gpuinit, and its kernels
    python -c 'import sys, gpuinit.kernels as k; sys.exit(not any(p.startswith(sys.argv[1]) for p in k.__path__))' \
        "$(cd "$root/kernels" && pwd -P)"
}

setup() {
    here && { echo "gpuinit is there" >said-setup; return; }
    if "$PYTHON" -m pip install --quiet --no-deps --no-build-isolation --no-index -e "$root" && here; then
        echo "installed by pip, editable" >said-setup
        return
    fi
    "$PYTHON" -c 'import setuptools, wheel' || echo "setuptools or wheel is missing, and pip cannot install without them"
    mkdir -p site/gpuinit && ln -s "$root"/gpuinit/* "$root/kernels" site/gpuinit/ && here_linked || return 1
    echo "pip could not install it (machine.txt says why); run from links to the sources" >said-setup
}

here_linked() { PYTHONPATH="$work/site:$root" python -c 'import gpuinit.kernels.cuda_source as s; s.source()'; }

machine() {
    uname -a
    nproc
    "$PYTHON" --version
    git -C "$root" rev-parse HEAD || echo "commit: unknown"
    "$PYTHON" -m pip list 2>/dev/null | grep -iE '^(numpy|numba|numba-cuda|cupy|torch|jax|jaxlib|ml.dtypes|scipy|pytest|matplotlib|setuptools|wheel|cuda|nvidia)'
    command -v nvidia-smi >/dev/null || { echo "skipped: there is no nvidia-smi"; return 77; }
    nvidia-smi && nvidia-smi -q -d CLOCK,MEMORY,ECC
    nvidia-smi --query-gpu=name,driver_version --format=csv,noheader | head -n 1 >said-machine
}

doctor() {
    python -m gpuinit --help | grep -q doctor || { echo "skipped: this gpuinit has no doctor"; return 77; }
    python -m gpuinit doctor --json >"$out/doctor.json"
    local status=$?
    python -c 'import json, sys; print(json.load(open(sys.argv[1]))["summary"])' "$out/doctor.json" >said-doctor
    return $status
}

# pytests XML FILE..: 77 if every test was skipped
pytests() {
    local xml=$1 said=$2 status
    shift 2
    (cd "$root" && python -m pytest "$@" -m gpu -c "$root/pyproject.toml" --rootdir "$root" -o addopts= -o filterwarnings=default \
        -p no:cacheprovider -q -ra --durations=12 --junitxml "$xml")
    status=$?
    python - "$xml" "said-$said" <<'PY' || { [ $? -eq 77 ] && [ $status -eq 0 ] && status=77; }
import sys, xml.etree.ElementTree as tree
suite = tree.parse(sys.argv[1]).getroot().find("testsuite")
count = {name: int(suite.get(name)) for name in ("tests", "failures", "errors", "skipped")}
passed = count["tests"] - count["failures"] - count["errors"] - count["skipped"]
text = f"{passed} passed, {count['skipped']} skipped, {count['failures'] + count['errors']} failed"
open(sys.argv[2], "w").write(text)
if count["tests"] and count["tests"] == count["skipped"]:
    reasons = {each.get("message") for each in suite.iter("skipped")}
    print(f"skipped: all {count['tests']} tests: {min(reasons)}")
    sys.exit(77)
PY
    return $status
}

tests() {
    local each files=()
    for each in golden parts structures table orthogonal chunks device foreign large memory; do files+=("tests/gpu/test_$each.py"); done
    pytests "$out/tests.xml" tests "${files[@]}"
}

frameworks() { pytests "$work/frameworks.xml" frameworks tests/gpu/test_frameworks.py; }

scale() { pytests "$work/scale.xml" scale tests/gpu/test_scale.py; }

verify() {
    local device
    device=$(python -c 'import gpuinit; print(gpuinit.default_device())') || return 1
    [ "$device" != cpu ] || { echo "skipped: no GPU that can be used"; return 77; }
    python -m gpuinit verify --device cuda:0 --json --html "$out/verify.html" >"$out/verify.json"
    local status=$?
    python -c 'import json, sys; f = json.load(open(sys.argv[1])); print(len(f["outcomes"]), "results,", len(f["wrong"]), "wrong")' \
        "$out/verify.json" >said-verify
    return $status
}

profile() {
    local ncu status each
    ncu=$(command -v ncu || ls -d /opt/nvidia/nsight-compute/*/ncu /usr/local/cuda*/bin/ncu 2>/dev/null | tail -n 1)
    [ -n "$ncu" ] || { echo "skipped: Nsight Compute's ncu is neither on PATH nor under /usr/local/cuda*/bin"; return 77; }
    python -m benchmarks.gpu_profile ${GPUINIT_BENCH:-}
    status=$?
    [ $status -eq 0 ] || return $status
    "$ncu" --profile-from-start off --clock-control none --set full --force-overwrite --export "$work/profile" \
        "$PYTHON" -P -m benchmarks.gpu_profile ${GPUINIT_BENCH:-} || { echo "ncu could not profile here"; return 1; }
    "$ncu" --import "$work/profile.ncu-rep" --csv --page raw >"$out/profile.csv"
    "$ncu" --import "$work/profile.ncu-rep" --page details >"$out/profile.txt"
    status=$?
    [ $status -ne 0 ] || echo "$(grep -c 'Context' "$out/profile.txt") kernels profiled" >said-profile
    return $status
}

sanitizer() {
    GPUINIT_SANITIZER_SECONDS=$(((SECONDS_IN_ALL - SECONDS) / 2)) pytests "$work/sanitizer.xml" sanitizer tests/gpu/test_sanitizer.py
}

timings() {
    local status
    python -m benchmarks.gpu_bench ${GPUINIT_BENCH:-} --json "$out/gpu.json" --picture "$out/gpu.png"
    status=$?
    [ ! -f "$out/gpu.json" ] || tail -n 4 "$out/bench.log" | grep '^the promise' >said-timings
    return $status
}

kernels() { python -m benchmarks.gpu_prepare; local status=$?; tail -n 30 "$out/machine.txt" | grep "kernels for" >said-kernels; return $status; }

# A step runs in a shell of its own, so that `timeout` can end it.
export PYTHON SECONDS_IN_ALL root out work
export -f python said here here_linked setup machine doctor pytests "${ALL[@]}"
inside() { step "$1" "$2" "$3" bash -c "SECONDS=$SECONDS; $1"; }
wanted() { [[ " ${WANTED[*]} " != *" $1 "* ]] || inside "$@"; }

inside setup 60 "$out/machine.txt"
[ ! -d site ] || export PYTHONPATH="$work/site:$root"
inside machine 20 "$out/machine.txt"
if here || here_linked; then
    wanted kernels 130 "$out/machine.txt"
    wanted doctor 60 "$out/machine.txt"
    wanted tests $((SECONDS_IN_ALL - SECONDS - RESERVED)) "$out/tests.log"
    wanted timings 150 "$out/bench.log"
    wanted sanitizer 400 "$out/tests.log"
    wanted frameworks 200 "$out/tests.log"
    wanted verify 120 "$out/tests.log"
    wanted scale 400 "$out/tests.log"
    wanted profile 200 "$out/tests.log"
else
    for name in "${WANTED[@]}"; do note "$name" skipped 0 "gpuinit cannot be imported"; done
fi

"$PYTHON" - steps "$out/summary.json" $SECONDS <<'PY' || failed=1
import datetime, json, sys
steps = [dict(zip(("name", "status", "seconds", "reason"), line.rstrip("\n").split("\t"))) for line in open(sys.argv[1])]
for step in steps:
    step["seconds"] = int(step["seconds"])
date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
ok = all(step["status"] != "failed" for step in steps)
json.dump({"date": date, "ok": ok, "seconds": int(sys.argv[3]), "steps": steps}, open(sys.argv[2], "w"), indent=1)
PY
echo
[ ! -f "$out/bench.log" ] || grep -v '^== ' "$out/bench.log" | cut -c 1-160 | tail -n 60
echo
while IFS=$'\t' read -r name status seconds reason; do
    printf '%-10s %-8s %4s s  %s\n' "$name" "$status" "$seconds" "${reason:0:100}"
done <steps
exit $failed
