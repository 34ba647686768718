#!/usr/bin/env bash
# From nothing, or from a folder of sounds, to a trained model that is measured.
#
#     bash examples/train_from_scratch.sh OUT [options]
#
# Stages: data, codec, tokens, lm, matcher, eval, sounds. Each leaves its mark in OUT/done; stopped
# at any moment, the same command goes on. docs/leaderboard.md has the scores of past runs.
#
# shellcheck disable=SC2329 # `stage` and `run` call functions by their names
set -euo pipefail

usage() {
    cat <<'EOF'
usage: bash examples/train_from_scratch.sh OUT [options]

Train codec, language model and matcher from nothing and measure them. Stopped, the same command
goes on. OUT gets the models, measured/report.md, measured/sheet.png, sounds/, log.txt, row.md.

  --size mini|small|large|smoke
                    small: the reference run, some 35 minutes of two CPU cores (default).
                    mini: 3 minutes. large: one GPU, some hours.
                    smoke: tiny models that learn nothing, to see every stage run.
  --minutes M       Let the trainings take 0.65 x M minutes, whatever the machine; without it
                    they take fixed numbers of steps, and a machine repeats its run. Below 10 the
                    default size is mini.
  --data FOLDER     Your own sounds instead of synthetic ones; captions from names, tags and files
                    beside them. Its ten largest categories are judged.
  --prompts FILE    What is judged: a line a prompt, a tab, its category.
  --classifier FILE Who judges; trained on the train clips if not given.
  --seed N          Of all that is drawn (default 1).
  --device D        auto, cpu or cuda (default auto).
  --print           Print the commands, run nothing.
EOF
}

fail() { # CODE LINE
    printf 'error: %s\n' "$2" >&2
    exit "$1"
}

read_options() {
    out='' size='' minutes='' folder='' prompts='' classifier='' seed=1 device=auto print=''
    while (($#)); do
        case $1 in
        -h | --help)
            usage
            exit
            ;;
        --print) print=yes ;;
        --size | --minutes | --data | --prompts | --classifier | --seed | --device)
            (($# > 1)) || fail 2 "$1: needs a value; see --help"
            case $1 in
            --size) size=$2 ;;
            --minutes) minutes=$2 ;;
            --data) folder=$2 ;;
            --prompts) prompts=$2 ;;
            --classifier) classifier=$2 ;;
            --seed) seed=$2 ;;
            --device) device=$2 ;;
            esac
            shift
            ;;
        -*) fail 2 "unknown option $1; see --help" ;;
        *)
            [[ -z $out ]] || fail 2 "one OUT is enough: $out, $1"
            out=$1
            ;;
        esac
        shift
    done
    [[ -n $out ]] || fail 2 "OUT is missing; see --help"
    [[ $seed =~ ^[0-9]{1,9}$ ]] || fail 2 "--seed $seed: not a whole number from 0 on"
    [[ $device =~ ^(auto|cpu|cuda|mps)$ ]] || fail 2 "--device $device: not auto, cpu, cuda or mps"
    if [[ -n $minutes ]]; then
        [[ $minutes =~ ^[1-9][0-9]{0,4}$ ]] ||
            fail 2 "--minutes $minutes: not a whole number from 1 on"
        ((minutes >= 10)) || size=${size:-mini}
    fi
    size=${size:-small}
    [[ -z $folder || -d $folder ]] || fail 3 "--data $folder: no such folder"
    [[ -z $prompts || -f $prompts ]] || fail 3 "--prompts $prompts: no such file"
    [[ -z $classifier || -f $classifier ]] || fail 3 "--classifier $classifier: no such file"
    [[ ! -e $out || -d $out ]] || fail 5 "$out: is a file"
}

choose_size() {
    # Of ten categories that sound nothing alike.
    kinds=rain,bell,footsteps,owl,dog,engine,explosion,siren,laser,snare
    codec_recipe=small lm_recipe=small n_q=4
    codec=(--set entropy.seconds=0) lm=() matcher=()
    case $size in
    smoke)
        hours=0.03 variants=1 seeds=1
        codec_recipe=tiny lm_recipe=tiny n_q=2
        codec_steps=20 lm_steps=20 matcher_steps=0
        codec+=(--set training.checkpoint_every=10)
        ;;
    mini)
        hours=0.15 variants=1 seeds=3
        codec_steps=60 lm_steps=600 matcher_steps=0
        # Fewer and coarser codes are learnt in fewer steps.
        codec+=(--set codec.codebook_size=256 --set training.batch_size=8
            --set training.component_batches=40 --set optimiser.warmup_steps=10)
        lm=(--set lm.codebook_size=256 --set lm.dim=128 --set lm.num_layers=4
            --set training.text_noise=0.3 --set optimiser.learning_rate=3e-3
            --set optimiser.warmup_steps=40)
        ;;
    small)
        hours=1.5 variants=2 seeds=8
        codec_steps=600 lm_steps=3200 matcher_steps=250
        ;;
    large)
        hours=10 variants=3 seeds=16
        codec_steps=30000 lm_steps=20000 matcher_steps=2000
        # As many segments as ever for the principal components, which are held in memory.
        codec=(--set training.batch_size=64 --set training.component_batches=25
            --set training.kmeans_batches=4)
        lm=(--set lm.dim=512 --set lm.num_layers=12 --set lm.num_heads=8
            --set training.batch_frames=12800 --set optimiser.learning_rate=1e-3)
        ;;
    *) fail 2 "--size $size: not smoke, mini, small or large" ;;
    esac
    codec+=(--set "training.seed=$seed") lm+=(--set "training.seed=$seed")
    matcher+=(--set "training.seed=$seed")
    if [[ -n $minutes ]]; then
        # Of 60 seconds a minute the data, the codes and the eval take what these three leave.
        codec+=(--max-time "$((minutes * 10))s") lm+=(--max-time "$((minutes * 25))s")
        ((minutes >= 10)) || matcher_steps=0
        matcher+=(--max-time "$((minutes * 4))s")
    else
        codec+=(--set "training.steps=$codec_steps") lm+=(--set "training.steps=$lm_steps")
        matcher+=(--set "training.steps=$matcher_steps")
    fi
    model=$out/lm
    ((matcher_steps == 0)) || model=$out/matcher
}

run() {
    if [[ -n $print ]]; then
        printf '%q ' "$@"
        printf '\n'
    else
        "$@"
    fi
}

soundgen() { # with --print as a person would type it
    if [[ -n $print ]]; then
        run soundgen "$@"
    else
        "$python" -m soundgen "$@"
    fi
}

draws() { # whether there is what draws spectrograms; --print says it as if there were
    local look='import importlib.util as i, sys; sys.exit(i.find_spec("matplotlib") is None)'
    [[ -n $print ]] || "$python" -c "$look"
}

begin() { # make OUT, or see that it holds this very run
    "$python" -c 'import soundgen' 2>/dev/null ||
        fail 4 "$python cannot import soundgen: activate its environment, or set PYTHON"
    mkdir -p -- "$out/done" 2>/dev/null || fail 5 "$out: cannot be made"
    local options
    options=$(printf '%s\n' "size $size" "minutes $minutes" "data $folder" "prompts $prompts" \
        "classifier $classifier" "seed $seed" "${codec[*]}" "${lm[*]}" "${matcher[*]}")
    if [[ -s $out/options.txt ]]; then
        [[ $options == "$(<"$out/options.txt")" ]] ||
            fail 5 "$out: holds a run with other options (options.txt); name another folder"
    else
        printf '%s\n' "$options" >"$out/options.txt"
    fi
}

# Run a stage that is not done yet; its times go to OUT/times.tsv.
stage() { # NAME COMMAND...
    local name=$1
    shift
    if [[ -n $print ]]; then
        "$@"
        return
    fi
    [[ ! -e $out/done/$name ]] || return 0
    printf '%s\tbegin\t%s\n' "$name" "$(date +%s)" >>"$out/times.tsv"
    printf '== %s\n' "$name"
    "$@"
    printf '%s\tend\t%s\n' "$name" "$(date +%s)" >>"$out/times.tsv"
    : >"$out/done/$name"
}

train() { # KIND OPTION... : a run that had begun goes on
    local again=(--device "$device")
    [[ ! -e $out/$1/state.pt ]] || again+=(--resume)
    soundgen train "$@" --out "$out/$1" "${again[@]}"
}

make_data() {
    if [[ -z $folder ]]; then
        soundgen dataset synth "$out/data" --hours "$hours" --seed "$seed" --kinds "$kinds"
    else
        soundgen dataset prepare "$folder" "$out/data" --split-s 10
    fi
    if [[ -n $prompts ]]; then
        run cp -- "$prompts" "$out/prompts.txt"
    elif [[ -z $folder ]]; then
        run cp -- "$here/reference-prompts.txt" "$out/prompts.txt"
    else
        run "$python" "$here/reference_run.py" prompts "$out/data" --out "$out/prompts.txt"
    fi
}

measure() {
    local more=(--seeds "$seeds" --device "$device")
    [[ -z $classifier ]] || more+=(--classifier "$classifier")
    [[ $size != smoke ]] || more+=(--duration 0.5)
    draws || more+=(--no-sheet)
    soundgen eval lm --data "$out/data" --prompts "$out/prompts.txt" --model "$model" \
        --out "$out/measured" "${more[@]}"
    run "$python" "$here/reference_run.py" row "$out" --name "$size${minutes:+, $minutes min}"
}

make_sounds() { # the first prompt of each category
    local more=(--seed "$seed" --device "$device")
    [[ $size != smoke ]] || more+=(--duration 0.5)
    ((matcher_steps == 0)) || more+=(--best-of 4)
    ! draws || more+=(--plot)
    [[ -n $print ]] ||
        awk -F '\t' '!seen[$2]++ { print $1 }' "$out/prompts.txt" >"$out/to-hear.txt"
    # 3: one was silent twice and is named; the run is no worse for it.
    local code=0
    soundgen generate --prompts "$out/to-hear.txt" --model "$model" -o "$out/sounds/" \
        "${more[@]}" || code=$?
    ((code == 0 || code == 3)) || return "$code"
}

main() {
    here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
    python=${PYTHON:-python3}
    read_options "$@"
    choose_size
    if [[ -z $print ]]; then
        begin
        # Deaf to Ctrl-C, so that what a stage says last is heard.
        exec > >(
            trap '' INT TERM
            exec tee -a "$out/log.txt"
        ) 2>&1
    fi
    stage data make_data
    stage codec train codec --recipe "$codec_recipe" --data "$out/data" "${codec[@]}"
    stage tokens soundgen dataset tokenize "$out/data" "$out/tokens" --model "$out/codec" \
        --variants "$variants" --n-q "$n_q" --device "$device" --force
    stage lm train lm --recipe "$lm_recipe" --data "$out/tokens" --codec "$out/codec" "${lm[@]}"
    ((matcher_steps == 0)) ||
        stage matcher train matcher --recipe small --data "$out/data" --model "$out/lm" \
            "${matcher[@]}"
    stage eval measure
    stage sounds make_sounds
    [[ -n $print ]] || printf 'model: %s\nreport: %s\nsounds: %s\n' \
        "$model" "$out/measured/report.md" "$out/sounds"
}

# On one line: bash reads scripts as it goes, and this file may change in the half hour of a run.
main "$@"; exit
