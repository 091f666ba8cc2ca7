#!/usr/bin/env bash
# The command line as its users meet it: every kind of bad input is refused with the right exit status and message
# and leaves no file behind; what is written is the same on every run, and the same by `run` as by `compile | simulate`.
set -u

if [ "${1:-}" = --help ] || [ $# -ne 1 ]; then
  echo "usage: $0 LLAMASIM   (the program to test); exits 0 if all is well, 1 if not"
  [ "${1:-}" = --help ] && exit 0
  exit 2
fi

bin=$(realpath "$1")
source_dir=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/llamasim-cli-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
mkdir box tmp
export TMPDIR="$work/tmp"
unset LLAMASIM_DATA
# In a build with sanitizers: SimGrid keeps what it allocates to the end, and its actors' stacks draw this warning.
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=0}"
asan_noise='/^==[0-9]*==WARNING: ASan is ignoring requested/,/^For details see/d'
checks=0
failures=0
outputs=(--report box/r.json --trace box/t.json.gz --csv box/c.csv)

fail() {
  failures=$((failures + 1))
  echo "FAIL: $1" >&2
}

# Nothing but the named files may lie in box; no temporary file anywhere.
box_holds() {
  local is
  is=$(find box -mindepth 1 -printf '%f\n' | sort | tr '\n' ' ')
  [ "$is" = "${*:+$* }" ] || fail "$what: box holds '$is', not '$*'"
  [ -z "$(find tmp -mindepth 1)" ] || fail "$what: left in TMPDIR: $(find tmp -mindepth 1)"
}

# says STATUS TEXT ARGUMENT...: the program ends with that status and says TEXT ('' = nothing to be said) on standard error
says() {
  local status=$1 text=$2 got
  shift 2
  checks=$((checks + 1))
  what="llamasim $*"
  "$bin" "$@" >stdout 2>stderr </dev/null
  got=$?
  sed -i "$asan_noise" stderr
  [ $got -eq "$status" ] || fail "$what: exit status $got, not $status: $(cat stderr)"
  if [ -n "$text" ]; then
    grep -qF -- "$text" stderr || fail "$what: does not say '$text' but: $(cat stderr)"
    [ "$(grep -c '^llamasim: ' stderr)" -eq 1 ] || fail "$what: not one message: $(cat stderr)"
  else
    [ ! -s stderr ] || fail "$what: says: $(cat stderr)"
  fi
}

# The same, where result files are asked for and none may come to be.
refuses() {
  local status=$1 text=$2 command=$3
  shift 3
  says "$status" "$text" "$command" "${outputs[@]}" "$@"
  box_holds
}

# The default platform, changed by sed
platform() {
  sed -e "$1" "$source_dir/platforms/npu4.xml" >platform.xml
  cmp -s platform.xml "$source_dir/platforms/npu4.xml" && fail "sed changed nothing: $1"
}

# A small model, changed by sed, as config.json
config() {
  sed -e "$1" "$source_dir/workloads/models/stories15m.json" >config.json
  cmp -s config.json "$source_dir/workloads/models/stories15m.json" && fail "sed changed nothing: $1"
}

dag() {
  sed -e "$1" "$source_dir/tests/corpus/dag/linear.json" >dag.json
  cmp -s dag.json "$source_dir/tests/corpus/dag/linear.json" && fail "sed changed nothing: $1"
}

small=(--model stories15m)

# ---- usage ----
says 2 'no command; there are: run compile simulate verify sweep inspect compare models schedulers ops help'
says 2 "unknown command 'simulte' (did you mean 'simulate'?)" simulte
says 2 "unknown command 'generate'; there are: run" generate
says 2 "unknown command '--quiet'" --quiet
refuses 2 "unknown option '--modle' of 'run' (did you mean '--model'?)" run --modle x
refuses 2 "unknown option '-x' of 'run'" run -x
refuses 2 '--explain prints to standard output, where a result goes already' run --explain --timeline -
says 2 '--model is no option of '\''simulate'\''' simulate d.json --model x
says 2 '--report is no option of '\''compile'\''' compile --report r
says 2 "'simulate' needs a DAG.json" simulate
says 2 "'inspect' needs a MODEL|PLATFORM.xml" inspect
says 2 "'run' takes options only, but got 'model'" run model
says 2 "'simulate' takes one DAG.json, but got 'a' and 'b'" simulate a b
says 2 "--past needs a value: --past N" run --past
says 2 "--report needs a value: --report F" run --report --quiet
says 2 '--past stands there twice' run --past 1 --past=2
says 2 "--quiet takes no value, but got 'yes'" run --quiet=yes
says 2 "--report: its value F is empty" run --report=
for o in past tokens batch layers layer prefetch seed; do
  refuses 2 "--$o: '-1' is no whole number" run --$o -1
  refuses 2 "--$o: '1e3' is no whole number" run --$o=1e3
  refuses 2 "--$o: " run --$o=99999999999999999999
done
refuses 2 '--batch: ' run --batch 0
refuses 2 "--phase: 'prefil' is none of its values: decode|prefill" run --phase prefil
refuses 2 'layers all begins at layer 0' run --layers all --layer 1
refuses 2 '--tile-bytes' run --tile-bytes 3parsecs
refuses 2 '--tile-bytes is 0' run --tile-bytes 0
refuses 2 'starts with an empty cache' run --phase hybrid --past 3
refuses 2 'this platform has scratchpads' run --resident all --steps 2 --platform npu4-pads
refuses 2 'leave --tokens at 1' run --steps 2 --tokens 2 --layers all --model stories15m
refuses 2 'steps is 2 in phase prefill' run --steps 2 --phase prefill
says 2 "--format: 'yaml' is none of its values: json|dot|chakra" compile --format yaml
refuses 2 "--scheduler: unknown scheduler 'hft' (did you mean 'heft'?); there are:" run --scheduler hft
refuses 2 "--dtype: unknown dtype 'fp8'" run --dtype fp8
refuses 2 "--kv-dtype: unknown dtype 'w8a8'" run --kv-dtype w8a8
refuses 2 "layers 5..6 asked for, but model 'stories15m' has layers 0..5" run "${small[@]}" --layer 5 --layers 2
refuses 2 'past' run --phase prefill --past 3
says 2 "unknown command 'foo'" help foo
for c in run compile simulate verify sweep inspect compare models schedulers ops; do
  says 0 '' help $c
  grep -E '^  --.{23}[^ ]' stdout | grep -vE '^  --[^ ]+ [^ ]+$' >bad && fail "help $c: no column of texts: $(cat bad)"
  grep -q "^Usage: llamasim $c" stdout || fail "help $c: $(head -3 stdout)"
  grep -q '^Exit status: ' stdout || fail "help $c does not say its exit status"
  cp stdout help
  says 0 '' $c --help
  cmp -s stdout help || fail "$c --help is not help $c"
done
says 0 '' --help
says 0 '' --version
grep -qE '^llamasim [0-9]+\.[0-9]+\.[0-9]+$' stdout || fail "--version: $(cat stdout)"

# ---- schedules as files ----
mkdir schedules
for s in serial eager lws prio dmda heft peft; do
  for more in '' '--split op --past 300 --set sram.capacity=1MiB'; do
    # shellcheck disable=SC2086  # several words
    says 0 '' run $more --scheduler $s --save-schedule schedules/s.json --report schedules/r1 --trace schedules/t1 --timeline schedules/l1 --csv schedules/c1
    # shellcheck disable=SC2086
    says 0 '' run $more --scheduler file:schedules/s.json --save-schedule schedules/s2.json --report schedules/r2 --trace schedules/t2 --timeline schedules/l2 --csv schedules/c2
    for pair in 's.json s2.json' 'r1 r2' 't1 t2' 'l1 l2' 'c1 c2'; do
      read -r x y <<<"$pair"
      cmp -s "schedules/$x" "schedules/$y" || fail "$s $more: replayed from its file, $y is not $x"
    done
    rm schedules/*
  done
done
says 0 '' compile --out schedules/d.json
says 0 '' simulate schedules/d.json --save-schedule schedules/s.json --scheduler lws --report schedules/r1
says 0 '' run --scheduler file:schedules/s.json --report schedules/r2
cmp -s schedules/r1 schedules/r2 || fail 'a schedule saved by simulate is not that of run'
says 0 '' run --scheduler heft --save-schedule schedules/s.json
# two tasks swapped: the first of the list is what many need
awk '/"id": 2,/ {held = $0; next} {print} held != "" && /"id"/ {print held; held = ""}' schedules/s.json >schedules/swapped.json
cmp -s schedules/s.json schedules/swapped.json && fail 'nothing was swapped'
refuses 2 "violated dependency: task 68 'MatMul L0.k_proj 1/4 piece 1/2' stands at place 0, before task 2 'RMSNorm L0.attn_norm' at place 1" \
  run --scheduler file:schedules/swapped.json
refuses 2 'is for a DAG of' run --scheduler file:schedules/s.json --past 300 --set sram.capacity=1MiB
refuses 2 "has no engine 'engine2'; its engines are 'engine0' to 'engine1'" simulate schedules/d.json --set engines=2 --scheduler file:schedules/s.json
refuses 2 'schedules/none.json: ' run --scheduler file:schedules/none.json
refuses 2 'write file:F' run --scheduler file:
says 2 'a schedule from a file is for a single `run`' compile --scheduler file:schedules/s.json --out box/d.json
says 2 'a schedule from a file is for a single `run`' sweep --vary past=1 --scheduler file:schedules/s.json --out box/s.csv
refuses 2 "--search-budget goes with --scheduler search; 'heft' makes no use of it" run --search-budget 3
refuses 2 'would overwrite the input' run --scheduler file:schedules/s.json --save-schedule schedules/s.json
for i in 1 2; do says 0 '' run --split op --scheduler search --search-budget 30 --seed 5 --quiet --report schedules/r$i; done
cmp -s schedules/r1 schedules/r2 || fail 'search differs from run to run'
says 0 'search: ' run --split op --scheduler search --search-budget 30
says 0 'exact: optimal without contention: 3.8648e-05 s' simulate "$source_dir/docs/example-dag.json" --scheduler exact
rm -r schedules

# ---- lists ----
says 0 '' models
grep -q '^llama-3.2-1b ' stdout || fail 'models lacks llama-3.2-1b'
says 0 '' schedulers
for s in serial random eager lws prio dmda heads heft cpop peft fit search exact; do
  grep -q "^$s  *[a-z].*" stdout || fail "schedulers lacks $s, or a line on it"
done
says 0 '' ops
grep -q '^MatMul ' stdout || fail 'ops lacks MatMul'
says 0 '' inspect npu4
cp stdout inspected
says 0 '' inspect platforms/npu4.xml
cmp -s stdout inspected || fail 'inspect npu4 is not inspect platforms/npu4.xml'
says 0 '' inspect npu4 --set engines=8
says 0 '' inspect llama-3.2-1b --dtype int8
says 2 '--set is for platforms' inspect llama-3.2-1b --set engines=8
says 2 '--dtype is for models' inspect npu4 --dtype int8
says 2 'no-such-thing' inspect no-such-thing
says 0 '' inspect llama-3.2-1b --kv --past 1023
grep -q '^  *512  *1  *532480  *589248$' stdout || fail 'inspect --kv has no shift-pointer row'
says 0 '' inspect llama-3.2-1b --kv --past 1023 --kv-dtype int4 --batch 2
says 2 '--kv is for models' inspect npu4 --kv
says 2 '--past says how long a KV cache is; it goes with --kv' inspect llama-3.2-1b --past 7
says 2 'beyond the 131072 positions' inspect llama-3.2-1b --kv --past 131072
says 0 '' run --kv-update shift-pointer --report kv.json
grep -q '"kv_update": "shift-pointer"' kv.json || fail 'the report does not say shift-pointer'

# ---- platforms ----
refuses 2 'no-such.xml' run --platform no-such.xml
refuses 2 'box' run --platform box
printf '<platform version="4.1"><zone id="z" routing="Full">' >platform.xml
refuses 2 'platform.xml:1' run --platform platform.xml
printf 'not XML at all' >platform.xml
refuses 2 'platform.xml:1' run --platform platform.xml
: >platform.xml
refuses 2 'platform.xml' run --platform platform.xml
cat >platform.xml <<'XML'
<?xml version="1.0"?>
<!DOCTYPE platform [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;">
<!ENTITY e "&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;"><!ENTITY f "&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;">]>
<platform version="4.1"><zone id="&f;" routing="Full"/></platform>
XML
refuses 2 'platform.xml:' run --platform platform.xml
platform 's/<zone id/<cluster id/; s/<\/zone>/<\/cluster>/'
refuses 2 'cluster' run --platform platform.xml
platform 's/<host id="engine0" speed="4Tf">/<host id="engine0" speed="4Tf" colour="red">/'
refuses 2 'colour' run --platform platform.xml
platform '0,/value="engine"/s//value="gpu"/'
refuses 2 'gpu' run --platform platform.xml
platform 's/51.2GBps/-5Bps/'
refuses 2 'must be greater than 0' run --platform platform.xml
platform 's/51.2GBps/0Bps/'
refuses 2 'must be greater than 0' run --platform platform.xml
platform '0,/speed="4Tf"/s//speed="0f"/'
refuses 2 'must be greater than 0' run --platform platform.xml
platform '0,/speed="4Tf"/s//speed="-4Tf"/'
refuses 2 'must be greater than 0' run --platform platform.xml
platform 's/51.2GBps/51.2/'
refuses 2 'dram_bus' run --platform platform.xml
platform '/<route src="dram"/d'
refuses 2 'route' run --platform platform.xml
platform '/<route src="sram" dst="engine2"/d'
refuses 2 'engine2' run --platform platform.xml
platform 's/value="engine"/value="dma"/'
refuses 2 'engine' run --platform platform.xml
for s in engines=0 engines=-1 engines=many dram.bandwidth=-1GBps dram.bandwidth=0 sram.capacity=0 \
  engine.speed=fast dma.channels=0 dram_bus.latency=-1ns nonsense.key=1 nonsense engines=; do
  refuses 2 "${s%%=*}" run --set $s
done

# ---- scratchpads ----
says 0 '' compile --platform npu4-pads --out pads.json
for split in none op head tile; do
  for scheduler in serial eager prio heft; do
    says 0 '' run --platform npu4-pads --split $split --scheduler $scheduler --report pads-run.json
    grep -q '"move": [1-9]' pads-run.json || fail "$what: moves nothing"
    # decode is bound by DRAM: heft comes within 2% of that
    [ $scheduler != heft ] || awk -F'[:,]' '/"gap":/ {exit !($2 < 0.02)}' pads-run.json || fail "$what: not within 2%"
  done
done
says 0 '' simulate pads.json --platform npu4-pads --report simulated.json
says 0 '' run --platform npu4-pads --report pads-run.json
cmp -s simulated.json pads-run.json || fail 'npu4-pads: simulate is not run'
says 0 '' run --platform npu4-pads --set engines=6 --report pads-run.json
# what runs on npu4 runs with scratchpads, moves the linear layers' weights once, or not at all past the bus
for options in '--phase prefill' '--phase prefill --split tile --attention flash' '--phase hybrid --tokens 32 --steps 2' \
  '--split none --past 64 --tokens 16 --batch 2'; do
  moved=121634816
  case $options in *hybrid*) moved=$((3 * moved)) ;; esac
  # shellcheck disable=SC2086
  says 0 '' run --platform npu4-pads $options --report pads-run.json
  grep -q "\"move\": $moved," pads-run.json || fail "$what: does not move $moved B"
  grep -q 'MB moved between SRAMs' stdout || fail "$what: the summary does not tell of moves"
  # shellcheck disable=SC2086
  says 0 '' run --platform npu4-pads-direct $options --report pads-run.json
  grep -q '"move": 0}' pads-run.json || fail "$what: moves something"
  ! grep -q 'moved' stdout || fail "$what: the summary tells of moves"
done
refuses 1 'is in sram1, but platform' simulate pads.json
refuses 1 'is in sram4, but platform' simulate pads.json --platform npu4-pads --set engines=3

# ---- models ----
refuses 2 'no-such-model' run --model no-such-model
refuses 2 'llama-3.2-1b' run --model no-such-model
config '/"hidden_size"/d'
refuses 2 'hidden_size' run --model config.json
config 's/"hidden_size": *[0-9]*/"hidden_size": -64/'
refuses 2 'hidden_size: is -64' run --model config.json
config 's/"num_hidden_layers": *[0-9]*/"num_hidden_layers": 1e30/'
refuses 2 'num_hidden_layers: is 1e+30' run --model config.json
config 's/"num_key_value_heads": *[0-9]*/"num_key_value_heads": 5/'
refuses 2 'num_key_value_heads' run --model config.json
config 's/"vocab_size": *[0-9]*/"vocab_size": "many"/'
refuses 2 'vocab_size' run --model config.json
printf '{"hidden_size": 64' >config.json
refuses 2 'config.json:1' run --model config.json
printf '{}' >config.json
refuses 2 'config.json' run --model config.json
head -c 100000 /dev/zero | tr '\0' '[' >config.json
refuses 2 'config.json' run --model config.json

# ---- checkpoints ----
fixtures=$source_dir/tests/fixtures
says 0 '' inspect "$fixtures/tiny-hd32.q4_0.gguf"
grep -q '^format  *gguf, 1 file, 121696 bytes$' stdout || fail 'inspect names no format'
grep -q '^blk.1.attn_q.weight  *(128, 96)  *q4_0  *12288  *6912$' stdout || fail 'inspect prints no stored tensors'
says 0 '' inspect "$fixtures/tiny-hd32.q4_0.gguf" --dtype int8
grep -q '^lm_head.weight  *is model.embed_tokens.weight (tied)$' stdout || fail 'inspect --dtype is not of the model'
says 0 '' inspect "$fixtures/tiny-gqa-plain-bf16"
grep -q '^shard 0, model.safetensors, 273144 bytes$' stdout || fail 'inspect names no shard'
for m in tiny-hd32.q4_0.gguf tiny-gqa-plain.v2q80.bin tiny-gqa-plain-bf16 tiny-gqa-plain-bf16/model.safetensors; do
  says 0 '' run --model "$fixtures/$m" --layers all
done
head -c 5000 "$fixtures/tiny-hd32.q4_0.gguf" >cut.gguf
refuses 2 'cut.gguf: the file ends inside key' run --model cut.gguf
says 2 'cut.gguf: the file ends inside key' inspect cut.gguf
head -c 5000 "$fixtures/tiny-gqa-plain-bf16/model.safetensors" >cut.safetensors
says 2 'is it cut short?' inspect cut.safetensors
head -c 5000 /dev/zero >zeros.bin
refuses 2 'zeros.bin: is none of the formats known' run --model zeros.bin

refuses 1 "in 'sram'" run --set sram.capacity=1KiB
refuses 1 'short' run --set sram.capacity=1KiB

# ---- task DAGs ----
refuses 2 'no-such.json' simulate no-such.json
dag 's/"deps": \[0, 1\]/"deps": [4]/'
refuses 2 "dag.json: task 3 'right': its dependencies form a cycle: 3 waits for 4 waits for 3" simulate dag.json
dag 's/"deps": \[2, 3\]/"deps": [2, 77]/'
refuses 2 "dag.json: task 4 'y': it depends on a task that does not exist: 77" simulate dag.json
dag '0,/MatMul/s//Conv2D/'
refuses 2 "task 2 'left'.op: is \"Conv2D\"" simulate dag.json
dag 's/{"tensor": "x"}/{"tensor": "z"}/'
refuses 2 "task 0 'x'.reads[0].tensor: is \"z\"" simulate dag.json
dag 's/"id": 3, "name": "right"/"id": 2, "name": "right"/'
refuses 2 'task id 2 stands there twice' simulate dag.json
dag '1s/dag/report/'
refuses 2 '.format: is "llamasim-report"' simulate dag.json
dag '/"id": 4, "name": "y", "op"/d'
refuses 2 'dag.json:' simulate dag.json
refuses 2 'standard input: is empty' simulate -
cp "$source_dir/tests/corpus/dag/linear.json" dag.json
says 0 '' simulate dag.json --report box/r.json
box_holds r.json
rm box/*

# ---- verify: numbers ----
tiny=(--model "$source_dir/tests/fixtures/tiny-gqa-plain-bf16")
variants=$source_dir/tests/golden/tiny-gqa-plain/logits_variants
prompt=1,276,171,140,183,300,174,122,144,240,93,20
says 0 '' verify "${tiny[@]}" --ids $prompt --steps 8 --golden "$variants:hf-bf16" --dump box/a
box_holds a.bin a.json
grep -q '^greedy  *135,123,11,237,165,267,246,256,138$' stdout || fail "$what: $(grep ^greedy stdout)"
[ "$(grep -cE '^(L[01]\.[a-z0-9_]+|embedding|final_norm|logits) +\([0-9,]+\) .* PASS' stdout)" -eq 44 ] || fail "$what: $(cat stdout)"
grep -q 'FAIL\|not computed' stdout && fail "$what: $(cat stdout)"
cp stdout box/table
says 0 '' verify "${tiny[@]}" --ids $prompt --steps 8 --golden "$variants:hf-bf16" --dump box/b
cmp -s stdout box/table || fail "$what: prints something else the second time"
says 0 '' verify "${tiny[@]}" --ids $prompt --steps 8 --golden box/b --scheduler eager --prefetch 0 --dump box/c
for x in b c; do cmp -s box/a.json box/$x.json && cmp -s box/a.bin box/$x.bin || fail "$what: $x.bin is not a.bin"; done
tr , '\n' <<<$prompt >ids.txt
says 0 '' verify "${tiny[@]}" --ids-file ids.txt --phase decode --steps 8 --golden box/b --attention flash --kv-update shift-pointer
[ "$(grep -c 'not computed by this DAG' stdout)" -eq 20 ] || fail "$what: $(cat stdout)"
rm -f box/*
says 1 'is the first point that differs from the reference: at [' verify "${tiny[@]}" --tolerance 1e-9 --dump box/a
box_holds a.bin a.json
rm -f box/*
says 0 '' verify "${tiny[@]}" --ids "5,6,7,8,9,10,11,12,13,14,15,16;$prompt" --steps 8 --golden "$variants:hf-bf16" --dump box/a
box_holds a.b0.bin a.b0.json a.b1.bin a.b1.json
grep -q '^  *135,123,11,237,165,267,246,256,138$' stdout || fail "$what: $(grep -A 1 ^greedy stdout)"
[ "$(grep '^against' stdout | sed 's:/.*/::' | tr '\n' ' ')" = 'against the reference, sequence 0: against the reference, sequence 1: against logits_variants:hf-bf16, sequence 1: ' ] ||
  fail "$what: $(grep ^against stdout)"
says 0 '' verify "${tiny[@]}" --batch 2 --tokens 4 --layers 1 --phase decode
grep -q ', past 0, 4 ids, 4 positions, batch 2,' stdout || fail "$what: $(grep workload stdout)"
[ "$(grep -c '^against the ref' stdout)" -eq 2 ] || fail "$what: $(cat stdout)"
rm -f box/*
what='verify --progress'
checks=$((checks + 1))
"$bin" verify --model "$source_dir/tests/golden/tiny-gqa-l32/config.json" --seed 3 --layers 2 --layer 1 --phase decode --progress >stdout 2>stderr ||
  fail "$what: $(cat stderr)"
grep -q '^llamasim: executed [0-9]* of [0-9]* tasks$' stderr || fail "$what: says $(cat stderr)"
says 0 '' verify "${tiny[@]}" --dtype w8a16 --kv-dtype int8 --split tile --platform npu4-pads
refused() { says 2 "$1" verify "${tiny[@]}" --dump box/a "${@:2}"; box_holds; }
refused '--search-budget goes with --scheduler search' --search-budget 3
for budget in 20 400; do
  says 0 '' verify --model stories15m --layers 1 --tokens 4 --scheduler search --search-budget $budget --quiet
  grep '^simulation  *search' stdout >box/$budget || fail "$what: $(cat stdout)"
done
cmp -s box/20 box/400 && fail "verify --search-budget: 20 simulations find what 400 do: $(cat box/20)"
rm -f box/*
says 0 '' run --model stories15m --fuse none --dtype f32 --phase hybrid --tokens 4 --scheduler random --seed 5 --save-schedule box/v.json
says 0 '' verify --model stories15m --layers 1 --tokens 4 --scheduler file:box/v.json
grep -q '^simulation  *random on npu4: [0-9][0-9]* tasks executed' stdout || fail "$what: $(grep ^simulation stdout)"
says 0 '' run --scheduler search --quiet --report box/search.json
says 0 '' run --report box/heft.json
says 1 'the runs differ' compare box/search.json box/heft.json --trace box/both.json
rm -f box/*
refused "--ids: 'x' is no token id" --ids 1,x
refused "--ids: '-1' is no token id" --ids -1
refused "--ids: there is no token id" --ids ,
refused "--ids: '4294967296' is no token id" --ids 4294967296
refused 'token 1: id is 320; the vocabulary of' --ids 1,320
refused '--ids and --ids-file both' --ids 1 --ids-file ids.txt
refused 'no.txt: cannot read it' --ids-file no.txt
refused '--past 3: that many of the 3 ids are in the cache' --phase decode --past 3 --ids 1,2,3
refused '--tokens is 4, but 3 ids are to run' --tokens 4 --ids 1,2,3
refused "--tolerance is 'a bit'" --tolerance 'a bit'
refused "--tolerance is '-1'" --tolerance -1
refused 'no.json: cannot read it' --golden no
refused 'is of other token ids, from the first on' --ids 5 --golden "$variants:hf-bf16"
refused 'no array there is a point of this run; there are: hf-bf16 hf-f16' --ids $prompt --golden "$variants"
refused 'sequence 2 has 1 ids, the first has 2' --ids '1,2;3'
refused 'has the ids of 2 sequences, but --batch is 3' --ids '1,2;3,4' --batch 3
refused "--ids: there is no token id" --ids ';1'
says 2 'box/no/a.bin: cannot write it' verify "${tiny[@]}" --dump box/no/a
cp "$source_dir/tests/golden/tiny-gqa-plain/config.json" box/config.json
says 2 "--dump would overwrite the input 'box/config.json'" verify --model box/config.json --dump box/config
rm -f box/*

# ---- outputs that would overwrite inputs ----
cp -r "$source_dir/tests/fixtures/tiny-gqa-plain-bf16" folder
cp "$source_dir/platforms/npu1.xml" chip.xml
find folder chip.xml -type f -exec sha256sum {} + >sums
for f in folder/config.json folder/model.safetensors ./folder/../folder/config.json; do
  says 2 "--report would overwrite the input 'folder/" run --model folder --report $f
  says 2 "--out would overwrite the input 'folder/" compile --model folder --out $f
done
says 2 "--dump would overwrite the input 'folder/config.json'" verify --model folder --dump folder/config
says 2 "--out would overwrite the input 'chip.xml'" compile --platform chip.xml --out chip.xml
says 2 "--trace would overwrite the input 'chip.xml'" run --platform chip.xml --trace "$PWD/chip.xml"
mkdir -p data/platforms
cp chip.xml data/platforms/mine.xml
export LLAMASIM_DATA=$PWD/data
says 2 "would overwrite the input '$PWD/data/platforms/mine.xml'" run --platform mine --report data/platforms/mine.xml
unset LLAMASIM_DATA
find folder chip.xml -type f -exec sha256sum {} + | cmp -s - sums || fail 'an input was overwritten'
for i in 1 2; do says 0 '' compile --model folder --out folder/dag.json; done # a file of its own may lie there

# ---- outputs that cannot be written ----
says 2 'box/no/r.json' run --report box/no/r.json --trace box/t.json
box_holds
says 2 'box' run --report box/t.json --trace box
box_holds
mkdir box/locked
if chmod 500 box/locked && ! touch box/locked/x 2>/dev/null; then # root may write anywhere
  says 2 'box/locked/r.json' run --report box/locked/r.json
fi
rm -rf box/locked
says 2 "--report and --trace both write 'box/../box/r'" run --report box/r --trace box/../box/r
says 2 "--report and --csv both write '/dev/stdout'" run --report - --csv /dev/stdout
cp config.json box/config.json
says 2 "--trace would overwrite the input 'box/config.json'" run --model box/config.json --trace box/config.json
rm box/config.json
says 2 '--csv: ' run --csv box/c.csv.gz
says 2 '/dev/full: cannot write it' run "${small[@]}" --report box/r.json --trace /dev/full
box_holds
says 2 'box/no/d.json' compile --out box/no/d.json
box_holds
for command in run 'run --report box/r.json' compile 'run --report -' 'run --csv -' 'inspect npu4' models schedulers ops help --version; do
  what="$command > /dev/full"
  checks=$((checks + 1))
  # shellcheck disable=SC2086
  "$bin" $command >/dev/full 2>stderr
  [ $? -eq 2 ] || fail "$what: exit status is not 2"
  grep -qF 'standard output: cannot write it' stderr || fail "$what: says $(cat stderr)"
  # shellcheck disable=SC2086
  "$bin" $command >&- 2>stderr
  [ $? -eq 2 ] || fail "$what: exit status with standard output closed is not 2"
  box_holds
done
what='file size limit'
checks=$((checks + 1))
echo old >box/t.json
(ulimit -f 64 && "$bin" run "${small[@]}" --report box/r.json --trace box/t.json) >stdout 2>stderr
[ $? -eq 2 ] || fail "$what: exit status is not 2: $(cat stderr)"
grep -qF 'box/t.json: cannot write it' stderr || fail "$what: says $(cat stderr)"
[ "$(cat box/t.json)" = old ] || fail "$what: the old trace is gone"
rm -f box/*
what='reader gone'
checks=$((checks + 1))
"$bin" compile 2>stderr | true
[ "${PIPESTATUS[0]}" -eq 2 ] || fail "$what: exit status is not 2"

# ---- stopped from outside ----
for signal in INT:130 TERM:143 HUP:129; do
  what="stopped by ${signal%:*}"
  checks=$((checks + 1))
  # the DAG never comes: the program has opened its outputs and waits
  mkfifo fifo
  sleep 60 >fifo &
  feeder=$!
  timeout --preserve-status -s "${signal%:*}" 1 "$bin" simulate fifo "${outputs[@]}" >stdout 2>stderr
  got=$?
  kill $feeder
  wait $feeder 2>/dev/null
  rm fifo
  [ $got -eq "${signal#*:}" ] || fail "$what: exit status $got"
  box_holds
done

# ---- results ----
says 0 '' run "${small[@]}" --quiet
grep -q '^workload  *stories15m' stdout || fail 'run prints no summary'
says 0 '' run "${small[@]}" --report - --quiet
[ "$(head -c 1 stdout)" = '{' ] || fail 'run --report - prints something beside the report'
for o in '' --progress '--progress --quiet'; do
  what="run $o"
  checks=$((checks + 1))
  # shellcheck disable=SC2086
  "$bin" run "${small[@]}" $o >stdout 2>stderr || fail "$what: $(cat stderr)"
  sed -i "$asan_noise" stderr
  if [ "$o" = --progress ]; then
    grep -q '^llamasim: simulating [0-9]* tasks' stderr || fail "$what: no progress: $(cat stderr)"
  else
    [ ! -s stderr ] || fail "$what: says $(cat stderr)"
  fi
done

# same FILE FILE: the bytes are the same
same() {
  checks=$((checks + 1))
  cmp -s "$1" "$2" || fail "$what: $1 and $2 differ"
}

mkdir a b
for split in none op head; do
  for more in '' '--phase prefill --tokens 16 --batch 2 --layers 2' '--dtype w8a8 --layer 3' '--scheduler serial' \
    '--scheduler eager --prefetch 0 --seed 7 --set engines=3'; do
    what="run --split $split $more"
    run_options=()
    compile_options=()
    # shellcheck disable=SC2206
    words=($more)
    for ((i = 0; i < ${#words[@]}; i += 2)); do
      pair=("${words[@]:i:2}")
      case ${pair[0]} in
      --scheduler | --prefetch | --seed) run_options+=("${pair[@]}") ;;
      --set) run_options+=("${pair[@]}") compile_options+=("${pair[@]}") ;;
      *) compile_options+=("${pair[@]}") ;;
      esac
    done
    for d in a b; do
      # shellcheck disable=SC2086
      says 0 '' run "${small[@]}" --split $split $more --report $d/r.json --trace $d/t.json --csv $d/$split.csv
      # shellcheck disable=SC2086
      says 0 '' run "${small[@]}" --split $split $more --trace $d/t.json.gz
      says 0 '' compile "${small[@]}" --split $split "${compile_options[@]}" -o $d/d.json
      rm -f $d/$split.csv
    done
    for f in r.json t.json t.json.gz d.json; do same a/$f b/$f; done
    gzip -dc a/t.json.gz | cmp -s - a/t.json || fail "$what: t.json.gz is not t.json compressed"
    says 0 '' simulate a/d.json "${run_options[@]}" --report b/r.json --trace b/t.json
    for f in r.json t.json; do same a/$f b/$f; done
  done
done

# the whole of the contract's example, and the default model
what='default run'
says 0 '' run --report a/r.json
grep -q '"weights": 121643008' a/r.json || fail "$what: bytes.weights is not 121643008"
grep -q '"matrix": 121675776' a/r.json || fail "$what: matrix FLOPs are not 121675776"

# ---- other forms of the DAG ----
for f in json dot chakra; do
  says 0 '' compile "${small[@]}" --format $f --out box/d.$f
  says 0 '' compile "${small[@]}" --format=$f
  cmp -s stdout box/d.$f || fail "$what: --out writes other bytes"
  grep -q "^  $f: " <("$bin" help compile) || fail "help compile does not say what $f is"
done
grep -q '^digraph dag {$' box/d.dot || fail 'compile --format dot writes no digraph'
tasks=$(grep -c '"op": ' box/d.json)
[ "$(grep -c '"type": ' box/d.chakra)" -eq "$tasks" ] || fail "compile --format chakra: not $tasks nodes"
if command -v dot >/dev/null; then
  dot -Tcanon box/d.dot 2>&1 >/dev/null | cmp -s - /dev/null || fail "dot refuses it: $(dot -Tcanon box/d.dot 2>&1 >/dev/null | head -3)"
fi
says 2 'box/d.chakra: .format: is missing' simulate box/d.chakra
rm box/d.json box/d.dot box/d.chakra

# ---- the example of docs/dag-format.md: one thing at a time, so that times add up ----
# npu4: a transfer of n bytes takes 200 ns + 100 ns + n/51.2 GB/s; a task 500 ns and the longer of its arithmetic (4 TFLOP/s;
# vectors 128 GFLOP/s) and its operands' way through the 64 GB/s port.
example=$source_dir/docs/example-dag.json
says 0 '' simulate "$example" --platform npu4 --scheduler serial --report a/r.json
awk -F'[:,]' '
  function transfer(bytes) { return 300e-9 + bytes / 51.2e9 }
  function task(arithmetic, bytes) { return 500e-9 + (arithmetic > bytes / 64e9 ? arithmetic : bytes / 64e9) }
  /"makespan_s"/ {
    x = 2 * 512; w = 2 * 1024 * 512; y = 2 * 1024 # bytes
    want = transfer(x) + 2 * transfer(w) + 2 * task(2 * 1024 * 512 / 4e12, x + w + y) + task(5 * 1024 / 128e9, 3 * y) + transfer(y)
    off = $2 / want - 1
    if (off > 1e-9 || off < -1e-9) { printf "%.17g s, not %.17g s\n", $2, want; exit 1 }
    seen = 1
  }
  END { if (!seen) exit 1 }' a/r.json >said || fail "$what: makespan $(cat said)"

# what docs/dag-format.md says of faults in it: damaged FAULT SED
damaged() {
  sed -e "$2" "$example" >ffn.json
  cmp -s ffn.json "$example" && fail "sed changed nothing: $2"
  says 2 "$1" simulate ffn.json
  grep -qF -- "$1" "$source_dir/docs/dag-format.md" || fail "docs/dag-format.md does not show: $1"
}
damaged "ffn.json: task 5 'h'.op: is \"SwiGLU\"; it must be one of RMSNorm MatMul MatMulAcc MatMulSiLU " 's/SiLUMul/SwiGLU/'
damaged "ffn.json: task 2 'up' (LoadWeight): reads[0] has shape (2048, 512) and writes[0] (1024, 512); a copy keeps the shape" \
  's/, "lo": \[1024, 0\]//'
damaged "ffn.json: task 4 'up' (MatMul): it reads elements of 'up_w' in sram that no earlier task writes" '/"id": 2, "name": "up"/d'
damaged "ffn.json: task 4 'up' (MatMul): it writes elements of 'gate' that task 3 'gate' writes, too" \
  's/"writes": \[{"tensor": "up"}\]/"writes": [{"tensor": "gate"}]/'
damaged "ffn.json: task 4 'up' (MatMul): reads[0] 'x' is in dram; a compute task reads and writes sram only" \
  's/{"tensor": "x_sram"}, {"tensor": "up_w"}/{"tensor": "x"}, {"tensor": "up_w"}/'
damaged "ffn.json: task 0 'x': its dependencies form a cycle: 0 waits for 6 waits for 5 waits for 3 waits for 0" \
  's/"op": "LoadAct"/"op": "LoadAct", "deps": [6]/'
damaged "ffn.json:17:45: this is not JSON: expected a key in double quotes, got ','" \
  's/"name": "gate", "op": "MatMul"/"name": "gate", "op": "MatMul", /'
says 1 "infeasible: task 4 'MatMul up' needs 1.005 MiB in 'sram'" simulate "$example" --set sram.capacity=1MiB

# ---- --explain: as re-running by hand, the same on one core ----
for options in '' '--platform npu4-hbm --split tile' '--platform npu4-pads --prefetch 0 --scheduler prio'; do
  # shellcheck disable=SC2206
  words=($options)
  says 0 '' run --model stories110m "${words[@]}" --report a/r.json
  cp stdout summary
  says 0 '' run --model stories110m "${words[@]}" --explain
  cp stdout explained
  head -n "$(wc -l <summary)" explained | cmp -s - summary || fail "$what: does not begin with the summary"
  taskset -c "$(taskset -cp $$ | sed 's/.*: //; s/[-,].*//')" "$bin" run --model stories110m "${words[@]}" --explain >stdout
  cmp -s stdout explained || fail "$what: on one core it says something else"
  grep -qE '^[ !] [a-z_.]+ \+10%: ' explained || fail "$what: no sensitivity"
  grep -qE ' free: -[0-9.]+%' explained || fail "$what: no free op"
  span() { sed -n 's/.*"makespan_s": \([-+.0-9e]*\).*/\1/p' "$1"; }
  base=$(span a/r.json)
  sed -n 's/^[ !] \([a-z_.]*\) +\(1\|10%\): \([-+.0-9]*\)%, .* --set \([^ ]*\)$/\1 \3 \4/p' explained >points
  while read -r knob says_percent set; do
    says 0 '' run --model stories110m "${words[@]}" --set "$set" --report b/r.json
    awk -v x="$(span b/r.json)" -v b="$base" -v p="$says_percent" 'BEGIN { d = 100 * (x / b - 1) - p; exit !(d < 0.0501 && d > -0.0501) }' ||
      fail "$what: $knob changes the makespan from $base to $(span b/r.json), --explain says $says_percent%"
  done <points
  [ "$(wc -l <points)" -ge 2 ] || fail "$what: only $(wc -l <points) points to re-run by hand"
done
says 0 '' simulate "$example" --explain
grep -q '^where the makespan goes ' stdout || fail "$what: does not explain"

# ---- compare ----
for s in serial prio heft; do
  says 0 '' run "${small[@]}" --scheduler $s --report a/$s.json --trace a/$s.trace.json.gz --quiet
done
says 0 '' run "${small[@]}" --scheduler heft --split op --past 9 --report a/op.json
says 2 "'compare' needs a A.json B.json" compare
says 2 "'compare' needs two files or more" compare a/heft.json
says 2 'a/none.json: cannot read it' compare a/heft.json a/none.json
says 2 'compare reads reports (llamasim-report) and traces' compare a/heft.json "$example"
says 2 "--trace would overwrite the input 'a/heft.json'" compare a/heft.json a/prio.json --trace a/../a/heft.json
says 0 '' compare a/heft.json a/heft.json
says 0 '' compare a/heft.json a/heft.trace.json.gz
says 1 'the runs differ' compare a/heft.json a/prio.json
grep -qE '^scheduler +heft +prio$' stdout || fail "$what: does not name the schedulers"
grep -qE '^makespan_s .*[+-][0-9.]+%$' stdout || fail "$what: does not compare makespans"
grep -q '^where the makespan moved, by op ' stdout || fail "$what: does not say where"
says 1 'the runs differ' compare a/heft.json a/op.json
grep -q '^Workloads differ: ' stdout || fail "$what: does not say that workloads differ"
says 1 'the runs differ' compare a/serial.trace.json.gz a/heft.trace.json.gz
grep -qE '^tasks of A and B: [1-9][0-9]* match by id and name' stdout || fail "$what: matches no tasks"
# from reports, whose runs are simulated again, as from traces
says 1 'the runs differ' compare a/serial.trace.json.gz a/prio.trace.json.gz a/heft.trace.json.gz --trace box/t.json
cp stdout said
says 1 'the runs differ' compare a/serial.json a/prio.json a/heft.json --trace box/r.json.gz
sed -e 's/\.trace\.json\.gz:/.json:/' said | cmp -s - stdout || fail "$what: says something else than from traces"
gzip -dc box/r.json.gz | cmp -s - box/t.json || fail "$what: writes something else than from traces"
[ "$(grep -c '"process_name"' box/t.json)" -eq 3 ] || fail "$what: not three processes"
says 0 '' compare a/serial.json a/prio.trace.json.gz a/heft.json --trace -
cmp -s stdout box/t.json || fail "$what: writes something else to standard output"
box_holds r.json.gz t.json
rm box/*
says 0 '' run "${small[@]}" --layer 2 --layers 3 --dtype w8a16 --resident all --report a/more.json --trace a/more.trace.json
says 0 '' compare a/more.trace.json a/more.json --trace box/t.json
grep -q '^tasks of A and B: [1-9][0-9]* match by id and name, 0 of them at other times; 0 only in A, 0 only in B$' stdout ||
  fail "$what: made another run from the report"
rm box/t.json
sed -e 's/"past": 4/"past": 5/' a/heft.json >a/false.json
says 2 "a/false.json: this report's timeline cannot be made again" compare a/heft.json a/false.json --trace box/t.json
box_holds
says 1 'the runs differ' compare a/heft.json a/false.json

# ---- CSV ----
what='csv'
says 0 '' run "${small[@]}" --csv box/c.csv
says 0 '' run "${small[@]}" --csv box/c.csv --past 9
[ "$(wc -l <box/c.csv)" -eq 3 ] || fail "$what: not a header and two rows"
cp box/c.csv c.csv
says 2 'box/c.csv: its header is another one' run "${small[@]}" --csv box/c.csv --set engines=2
same box/c.csv c.csv
box_holds c.csv
printf '%s' "$(cat c.csv)" >box/c.csv
says 0 '' run "${small[@]}" --csv box/c.csv
[ "$(wc -l <box/c.csv)" -eq 4 ] || fail "$what: a last line without end swallowed the new row"
head -c -40 c.csv >box/c.csv
cp box/c.csv cut.csv
says 2 'box/c.csv: its last row is cut short' run "${small[@]}" --csv box/c.csv
same box/c.csv cut.csv
says 0 '' run "${small[@]}" --csv -
head -1 stdout >header
head -1 c.csv | cmp -s - header || fail "$what: the header on standard output differs"
rm box/c.csv

# ---- stopped while it simulates: unless it is done already, nothing is left ----
for stop in INT:130:0.5 INT:130:0.8 INT:130:1.1 TERM:143:0.8; do
  IFS=: read -r signal status after <<<"$stop"
  what="simulation stopped by $signal after $after s"
  checks=$((checks + 1))
  timeout --preserve-status -s "$signal" "$after" "$bin" run --model llama-3.1-70b --layers 80 "${outputs[@]}" \
    >stdout 2>stderr
  got=$?
  [ $got -eq 0 ] || [ $got -eq "$status" ] || fail "$what: exit status $got: $(cat stderr)"
  if [ $got -eq 0 ]; then rm box/*; fi
  box_holds
done

echo "$checks checks, $failures failures"
[ $failures -eq 0 ]
