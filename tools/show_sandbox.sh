#!/usr/bin/env bash
# Starts the throwaway server, shows the main job by doing it, and stays until Ctrl-C: tools/show_sandbox.sh PROGRAM [--once] [--port-base N] [--dir DIR]
set -euo pipefail
program=$1
shift
once=""
base=10000
directory=""
options=()
while [ $# -gt 0 ]; do
    case $1 in
    --once) once=yes ;;
    --port-base)
        base=${2:?--port-base needs a number}
        options+=(--port-base "$2")
        shift
        ;;
    --dir)
        directory=${2:?--dir needs a directory}
        shift
        ;;
    *)
        echo "dev run: unknown option '$1'; there are --once, --port-base N and --dir DIR" >&2
        exit 64
        ;;
    esac
    shift
done
work=$(mktemp -d)
# The server, which is another user when root starts it, has to come through to its data.
chmod 711 "$work"
[ -n "$directory" ] || directory=$work/server
options+=(--dir "$directory" --rules)
server=""

end() {
    [ -z "$server" ] || kill -TERM "$server" 2>/dev/null || true
    [ -z "$server" ] || wait "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap end EXIT

heading() { printf '\n== %s\n' "$*"; }
fail() {
    printf 'dev run: %s\n' "$*" >&2
    exit 1
}

mkfifo "$work/ready"
exec 9<>"$work/ready"
"$program" sandbox "${options[@]}" --ready-fd 9 &
server=$!
# Either the server says that it is ready, or it is gone.
until read -r -t 1 -u 9 _; do
    kill -0 "$server" 2>/dev/null || {
        wait "$server" && status=0 || status=$?
        server=""
        [[ $status != 69 || $directory != "$work/server" ]] || echo "dev run: with --port-base N it listens elsewhere: on N + 25, N + 110 and so on" >&2
        exit "$status"
    }
done

smtp=127.0.0.1:$((base + 25))
subject="It works ($(date +%H:%M:%S))"

heading "1. A friend sends a letter to alice, over SMTP on port $((base + 25))"
swaks --server "$smtp" --from dora@friends.example --to alice@example.test --tls --header "Subject: $subject" \
    --body "Written by ./dev run, stored before the 250." --suppress-data >"$work/accepted" 2>&1 || {
    cat "$work/accepted"
    fail "the letter was not accepted"
}
grep -E '^ ?(<|~>|<~)' "$work/accepted" | tail -n 6

heading "2. alice reads it, over POP3S on port $((base + 995))"
count=$(curl -sSk --max-time 20 -u alice@example.test:sandbox "pop3s://127.0.0.1:$((base + 995))/" | wc -l)
curl -sSk --max-time 20 -u alice@example.test:sandbox "pop3s://127.0.0.1:$((base + 995))/$count" >"$work/letter" || fail "the letter could not be read"
cat "$work/letter"
grep -qF "Subject: $subject" "$work/letter" || fail "this is not the letter that was sent"

heading "3. A stranger tries to relay through us, and one writes to nobody"
for to in someone@elsewhere.test nobody@example.test; do
    if swaks --server "$smtp" --from stranger@elsewhere.test --to "$to" --quit-after RCPT >"$work/refused" 2>&1; then
        fail "$to should have been refused"
    fi
    grep -E '^<(~|\*\*)? +5[0-9][0-9] ' "$work/refused" || fail "no refusal with a reason for $to: $(tail -n 3 "$work/refused")"
done

ostiary() { "$program" "$@" --config "$directory/ostiary.conf"; }

heading "4. alice writes to another site: her letter waits, as this server lets no mail out (ostiary queue list)"
swaks --server "127.0.0.1:$((base + 587))" -tls --auth-user alice@example.test --auth-password sandbox --from alice@example.test \
    --to someone@example.org --header "Subject: to another site" --suppress-data >"$work/submitted" 2>&1 || {
    cat "$work/submitted"
    fail "the letter was not accepted"
}
for _ in {1..100}; do
    ostiary queue list '@example.org' >"$work/queue" || fail "the queue could not be listed"
    ! grep -q ' 1 attempt' "$work/queue" || break
    sleep 0.1
done
cat "$work/queue"
grep -q 'someone@example.org .* 1 attempt' "$work/queue" || fail "the letter is not in the queue"

heading "5. Who is connected, and what was refused (ostiary watch)"
exec 8<>"/dev/tcp/127.0.0.1/$((base + 110))"
read -r -t 20 -u 8 _ || fail "no greeting over POP3"
ostiary watch --once
exec 8>&-

heading "6. One letter to three people, each with rules of their own: three answers (ostiary rules show)"
ostiary rules show alice@example.test
swaks --server "$smtp" --from stranger@elsewhere.test --to alice@example.test,bob@example.test,carol@example.test \
    --header "Subject: buy this" --suppress-data >"$work/three" 2>&1 || true
grep -A 1 -E '^ -> RCPT' "$work/three" || fail "nobody was named: $(tail -n 3 "$work/three")"
grep -A 1 'RCPT TO:<alice@' "$work/three" | grep -qE '550 5\.7\.1 ' || fail "alice took it"
for who in bob carol; do
    grep -A 1 "RCPT TO:<$who@" "$work/three" | grep -qE ' 250 ' || fail "$who did not take it"
done
grep -E '^<(~|-)* +250 2\.0\.0 ' "$work/three" || fail "the letter was not accepted for bob and carol: $(tail -n 3 "$work/three")"
for _ in {1..100}; do
    ostiary ledger --sender stranger@elsewhere.test --since 5m --limit 3 >"$work/rows" || fail "the ledger could not be read"
    ! grep -q '^3 rows' "$work/rows" || grep -q 'nobody@' "$work/rows" || break
    sleep 0.1
done
echo "The one Stored stands for bob and carol. Who got it, and where it lies (ostiary ledger):"
cat "$work/rows"
for row in 'refused .* -> alice@' 'filed .* -> bob@.*in the folder Junk' 'accepted .* -> carol@'; do
    grep -q "$row" "$work/rows" || fail "the ledger does not say: $row"
done

heading "7. Why alice did not get it, and how she would (ostiary explain, ostiary rules test, ostiary ledger)"
reference=$(sed -nE 's/.*Reference ([0-9A-Z]{4}-[0-9A-Z]{4}).*/\1/p' "$work/three" | head -n 1)
for _ in {1..100}; do
    ! ostiary explain "$reference" >"$work/why" 2>&1 || break
    sleep 0.1
done
cat "$work/why"
grep -q "ostiary allow $reference" "$work/why" || fail "the refusal $reference is not explained"
ostiary rules test --from stranger@elsewhere.test --to bob@example.test

if [ -n "$once" ]; then
    heading "All of it worked"
    kill -TERM "$server"
    wait "$server" && status=0 || status=$?
    server=""
    [ "$status" = 0 ] || fail "the server ended with status $status"
    exit 0
fi

heading "The server stays until Ctrl-C; its log follows. A line to try:"
echo "   swaks --server $smtp --from you@elsewhere.test --to bob@example.test"
echo "   $program queue list --config $directory/ostiary.conf"
echo
trap 'exit 0' INT TERM
wait "$server" || true
server=""
