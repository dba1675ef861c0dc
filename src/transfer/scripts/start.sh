# Starts the script $1 where a KILL of this process's group doesn't reach it, with the arguments that
# follow, hands TERM on to it, and ends when it has.
exec 3<&0
child= stopped=
trap 'stopped=1; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null' TERM
trap : HUP INT
s=$1
shift
if command -v setsid >/dev/null 2>&1; then
    setsid sh -c "$s" sh "$@" <&3 3<&- &
else
    sh -c "$s" sh "$@" <&3 3<&- &
fi
child=$!
exec 3<&- </dev/null
[ -z "$stopped" ] || kill -TERM "$child" 2>/dev/null
while :; do
    wait "$child"
    r=$?
    kill -0 "$child" 2>/dev/null || break
done
exit "$r"
