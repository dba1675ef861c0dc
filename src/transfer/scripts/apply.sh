# Makes changes. stdin is a tar archive of a control file and of contents named by numbers; the
# control file holds lines for the parts of this script, each marked by its first letter:
#   f  what a content is to be: size, mode as `ls` shows it and in digits, user, group, name
#   d  what is to be done: operation, number, mode, time, path, what a link says
#   u  how that is undone, in the other order: operation, number, mode, owner, path
#   c, t  a word of the check, and of the command after it
# Arguments: name of the staging folder, its place, how tar is called, how many contents there are,
# length of the control file, name and length of the first content, the owner, what is kept (k: old
# files until the end, b: a backup, c: there is a check, t: there is a command after it).
# The answer comes when all is over and nothing is left behind: a line of five words, then output.
R=$1 A=$2 X=$3 F=$4 C=$5 N=$6 L=$7 O=$8 K=$9
had=${LC_ALL+x} lc=${LC_ALL-} U=$(umask)
LC_ALL=C
export LC_ALL
umask 077
set -f
exec 3<&0 </dev/null
stopped= child= dog= beside= S= e= T=

signal() {
    kill "-$1" -- "-$child" 2>/dev/null || kill "-$1" "-$child" 2>/dev/null ||
        kill "-$1" "$child" 2>/dev/null
}
halt() {
    stopped=1
    [ -n "$child" ] || return 0
    signal TERM
    [ -z "$dog" ] || return 0
    sh -c 'sleep 5
        kill -KILL -- "-$1" || kill -KILL "-$1" || kill -KILL "$1"' \
        sh "$child" </dev/null >/dev/null 2>&1 3<&- &
    dog=$!
}
trap halt TERM
trap : HUP INT PIPE

# Waits for the process in the background. Its status is $r.
await() {
    [ -z "$stopped" ] || halt
    while :; do
        wait "$child"
        r=$?
        kill -0 "$child" 2>/dev/null || break
    done
    child=
    [ -z "$dog" ] || kill "$dog" 2>/dev/null
    dog=
}
decode() {
    case $1 in
    *\\*) v=$(printf '%b.' "$1"); v=${v%.} ;;
    *) v=$1 ;;
    esac
}
# Executes a tool and keeps its words.
x() { e=$("$@" 2>&1); }
there() { [ -e "$1" ] || [ -h "$1" ]; }
mark() {
    case $K in
    *k*) { echo >"$S/$n.$1"; } 2>/dev/null || { e='no room in the staging folder'; return 1; } ;;
    esac
}
# Where a rename into the folder $d can start from: staging, or else beside.
place() {
    [ "$d" != "$last" ] || return 0
    last=$d
    if ln "$S/link" "$d$R-" 2>/dev/null; then
        rm -f "$d$R-"
        W=$S/
    else
        W=$d$R- beside=1
    fi
}
# Makes $1 be what $p is.
hold() {
    if [ -h "$p" ]; then
        x cp -pRP "$p" "$1" && return
    else
        ln "$p" "$1" 2>/dev/null && return
        x cp -p "$p" "$1" && return
    fi
    rm -f "$1"
    return 1
}
# Keeps what is at $p in $1, and as a backup.
keep() {
    there "$p" || return 0
    case $K in
    *k*) hold "$1" || return 1 ;;
    esac
    case $K in
    *b*)
        if there "$p.$stamp~"; then
            e='a backup of this second is there already'
            return 1
        fi
        mark b && hold "$p.$stamp~"
        ;;
    esac
}
# Nothing but a file or a link may be replaced.
replaceable() {
    [ ! -h "$p" ] || return 0
    if [ -d "$p" ]; then e='it is a folder by now'; return 1; fi
    [ ! -e "$p" ] || [ -f "$p" ] || { e='it is neither a file nor a link'; return 1; }
}
# Renames $1 to $p. Without an option of its own, mv would take a link to a folder for the folder.
over() {
    if [ -z "$T" ] && [ -h "$p" ] && [ -d "$p" ]; then x rm -f "$p" || return 1; fi
    x mv ${T:--f} "$1" "$p"
}
own() { [ -z "$O" ] || x chown -h "$O" "$1"; }
touched() {
    case $2 in
    -) ;;
    now) x touch "$1" ;;
    *) x env TZ=UTC0 touch -m -t "$2" "$1" ;;
    esac
}
change() {
    decode "$p"
    p=$v d=${p%/*}/
    case $op in
    f)
        replaceable && place && keep "$W$n.o" || return 1
        new=$S/n/$n
        [ "$time" != now ] && [ -n "$unpacked" ] || touched "$new" "$time" || return 1
        if [ "$W" != "$S/" ]; then
            x cp -p "$new" "$W$n.n" || return 1
            rm -f "$new"
            new=$W$n.n
        fi
        mark d && over "$new"
        ;;
    l)
        decode "$arg"
        arg=$v
        replaceable && place && keep "$W$n.o" && x ln -s -- "$arg" "$W$n.n" &&
            own "$W$n.n" && mark d && over "$W$n.n"
        ;;
    m)
        mark d || return 1
        if ! x mkdir -m "$mode" "$p"; then
            rm -f "$S/$n.d"
            # Somebody else has made it meanwhile, perhaps another host with the same disk.
            [ -d "$p" ] && [ ! -h "$p" ]
            return
        fi
        own "$p"
        ;;
    s)
        mark d || return 1
        case $K in
        *k*) [ "$time" = - ] || x touch -r "$p" "$S/$n.d" || return 1 ;;
        esac
        own "$p" || return 1
        [ "$mode" = - ] || x chmod "$mode" "$p" || return 1
        touched "$p" "$time"
        ;;
    a)
        x chmod "$mode" "$p" && touched "$p" "$time"
        ;;
    r)
        keep "$S/$n.o" && mark d && x rm -f "$p"
        ;;
    R)
        mark d || return 1
        x rmdir "$p" && return
        # Backups keep their folder.
        case $K in
        *b*) ;;
        *) return 1 ;;
        esac
        ;;
    *)
        e='hoist asked for something unknown'
        return 1
        ;;
    esac
}
# Undoes one change, as far as it was made.
back() {
    case $op in
    f | l | r)
        old=
        for o in "$S/$n.o" "$d$R-$n.o"; do
            there "$o" || continue
            old=1
            if [ -e "$S/$n.d" ]; then over "$o" || return 1; fi
        done
        if [ -z "$old" ] && [ -e "$S/$n.d" ] && [ "$op" != r ]; then x rm -f "$p" || return 1; fi
        if [ -e "$S/$n.b" ]; then rm -f "$p.$stamp~"; fi
        ;;
    m)
        [ ! -e "$S/$n.d" ] || x rmdir "$p" || [ ! -e "$p" ]
        ;;
    R)
        [ -e "$S/$n.d" ] && [ ! -d "$p" ] || return 0
        x mkdir -m "$mode" "$p" || return 1
        [ "$me" != 0 ] || [ "$owner" = - ] || x chown "$owner" "$p"
        ;;
    s | S)
        [ -e "$S/$n.d" ] || return 0
        [ -z "$O" ] || [ "$owner" = - ] || x chown -h "$owner" "$p" || return 1
        [ "$mode" = - ] || x chmod "$mode" "$p" || return 1
        [ "$op" = s ] || x touch -m -r "$S/$n.d" "$p"
        ;;
    esac
}
# Undoes all up to number $at. $state tells how that went.
undo() {
    state='back -'
    while IFS=' ' read -r op n mode owner p <&4; do
        [ "$n" -le "$at" ] || continue
        decode "$p"
        p=$v d=${p%/*}/
        back || state="lost $n"
    done 4<"$S/u"
}
# Executes the words of the file $1. Its status is $r.
run() {
    k=$1
    set --
    while IFS= read -r v <&4; do
        decode "$v"
        set -- "$@" "$v"
    done 4<"$S/$k"
    (
        umask "$U"
        if [ -n "$had" ]; then LC_ALL=$lc; else unset LC_ALL; fi
        if command -v setsid >/dev/null 2>&1; then exec setsid "$@"; fi
        exec "$@"
    ) </dev/null >>"$S/out" 2>&1 3<&- &
    child=$!
    await
}
clean() {
    trap - 0
    [ -n "$S" ] || return 0
    if [ -n "$beside" ]; then
        while IFS=' ' read -r op n mode time p arg <&4; do
            case $op in
            f | l)
                decode "$p"
                d=${v%/*}/
                for o in "$d$R-$n.n" "$d$R-$n.o"; do
                    if there "$o"; then rm -f "$o"; fi
                done
                ;;
            esac
        done 4<"$S/d"
    fi
    rm -rf "$S"
}
answer() {
    clean
    printf '%s\n%s' "$1" "$2"
    exit 0
}
output() {
    said=$(tail -c 65536 "$S/out" 2>/dev/null; echo .)
    said=${said%.}
}

# A folder of its own, that nobody else can look into.
if ! x mkdir "$A$R"; then
    words=$e
    [ "$F" = 0 ] && x mkdir "/tmp/$R" || answer 'staging - - - -' "$words"
    A=/tmp/
fi
S=$A$R
trap clean 0
x mkdir "$S/n" || answer 'staging - - - -' "$e"

unpacked=
if command -v tar >/dev/null 2>&1; then
    # Room for its words, should the disk be full by then.
    printf '%2000s' '' >"$S/words"
    (cd "$S/n" && exec tar "$X" -) <&3 3<&- >/dev/null 2<>"$S/words" &
    child=$!
    await
    [ "$r" = 0 ] || answer "tar $r - - -" "$(head -n 1 "$S/words")"
    unpacked=1
elif [ "$F" -gt 1 ]; then
    answer 'no-tar - - - -' ''
else
    # The archive's parts have known places. Byte by byte, so that nothing is read ahead.
    skip() { dd bs=1 count="$1" <&3 >/dev/null 2>&1; }
    skip 512
    dd bs=1 count="$C" <&3 2>/dev/null >"$S/n/1000000"
    skip $(((512 - C % 512) % 512))
    if [ "$F" = 1 ]; then
        skip 512
        cat <&3 >"$S/all" 2>"$S/words" && head -c "$L" "$S/all" 2>"$S/words" >"$S/n/$N" ||
            answer 'write - - - -' "$(tail -n 1 "$S/words")"
        rm -f "$S/all"
    fi
fi
exec 3<&-
[ -z "$stopped" ] || answer 'stopped - - - -' ''

# What did not arrive whole is not looked at any further.
P=$S/n/1000000
[ "$(tail -n 1 "$P" 2>/dev/null)" = end ] || answer 'short - - - -' ''
for k in f d u c t; do
    sed -n "s/^$k //p" "$P" 2>"$S/words" >"$S/$k" ||
        answer 'staging - - - -' "$(tail -n 1 "$S/words")"
done
me=$(id -u)
if [ -n "$O" ] && [ "$F" -gt 0 ]; then
    given() {
        [ $# -eq 0 ] || x chown -h "$O" "$@" || answer 'owner - - - -' "$e"
    }
    set --
    while IFS=' ' read -r size str mode u g name <&4; do
        set -- "$@" "$S/n/$name"
        if [ $# -ge 200 ]; then given "$@"; set --; fi
    done 4<"$S/f"
    given "$@"
fi
# Compares with what `ls` says, and mends modes and owners that tar did not set.
verify() {
    read -r l && read -r l || return 1
    while IFS=' ' read -r size str mode u g name <&4; do
        IFS=' ' read -r m l lu lg ls l || return 1
        [ "$ls" = "$size" ] && [ "${l##* }" = "$name" ] || return 1
        fix=
        if [ "$me" = 0 ] && [ "$u" != - ] && [ "$u:$g" != "$lu:$lg" ]; then
            fix=1
            x chown "$u:$g" "$S/n/$name" || { printf "%s\n" "$e"; return 2; }
        fi
        case $m in
        "$str"*) ;;
        *) fix=1 ;;
        esac
        [ -z "$fix" ] || x chmod "$mode" "$S/n/$name" || { printf "%s\n" "$e"; return 2; }
    done 4<"$S/f"
}
words=$(ls -ln "$S/n" | verify)
case $? in
0) ;;
1) answer 'short - - - -' '' ;;
*) answer 'mode - - - -' "$words" ;;
esac

for t in -fT -fh; do
    rm -f "$S/b"
    ln -s n "$S/b"
    if echo >"$S/a" && mv $t "$S/a" "$S/b" 2>/dev/null && [ ! -h "$S/b" ]; then T=$t; break; fi
done
echo >"$S/link" || answer 'staging - - - -' ''
last=$A W=$S/ at=1000000 failed=
stamp=$(date -u +%Y%m%dT%H%M%SZ)
while IFS=' ' read -r op n mode time p arg <&4; do
    [ -z "$stopped" ] || break
    at=$n
    change || { failed=$n; break; }
done 4<"$S/d"

state='- -'
if [ -n "$failed$stopped" ]; then
    words=$e
    case $K in
    *k*) undo ;;
    esac
    [ -z "$failed" ] || answer "failed $failed - $state" "$words"
    answer "stopped - - $state" ''
fi
case $K in
*c*)
    run c
    if [ "$r" != 0 ] || [ -n "$stopped" ]; then
        first=$r words=$stopped
        undo
        output
        [ -z "$words" ] || answer "stopped - - $state" "$said"
        answer "check $first - $state" "$said"
    fi
    ;;
esac
case $K in
*t*)
    run t
    if [ "$r" != 0 ] || [ -n "$stopped" ]; then
        first=$r
        # What follows is the way back, which is not left again.
        [ -z "$stopped" ] || trap : TERM
        stopped=
        undo
        run t
        output
        answer "then $first $r $state" "$said"
    fi
    ;;
esac
answer 'ok - - - -' ''
