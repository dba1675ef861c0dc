# Tells what is at each path. The paths are lines on stdin; the answers are lines, in order: `s` and
# what `stat` says, `l` and what `ls` says, `n` for nothing, `!` where that can't be known. `L` and
# what a link says, ended by NUL, come before the line of a link.
LC_ALL=C
export LC_ALL
set -f
if stat -c %f / >/dev/null 2>&1; then
    how=-c form='s %f %u %g %s %Y'
elif stat -f %Xp / >/dev/null 2>&1; then
    how=-f form='s %Xp %u %g %z %m'
else
    how= form=
fi
one() {
    if [ -n "$how" ] && stat "$how" "$form" "$1" 2>/dev/null; then return; fi
    ls -ldn "$1" 2>/dev/null | {
        if IFS=' ' read -r m x u g s x; then echo "l $m $u $g $s"; else echo n; fi
    }
}
all() {
    [ $# -gt 0 ] || return 0
    if [ -n "$how" ] && lines=$(stat "$how" "$form" "$@" 2>/dev/null); then
        printf '%s\n' "$lines"
    else
        for f do one "$f"; done
    fi
}
# Nothing is there, or a folder on the way can't be searched.
absent() {
    d=$1
    while :; do
        d=${d%/*}
        [ -n "$d" ] || d=/
        if [ -d "$d" ]; then
            if [ -x "$d" ]; then echo n; else echo '!'; fi
            return
        fi
        case $d in
        */?*) ;;
        *) echo n; return ;;
        esac
    done
}
set --
while IFS= read -r v; do
    case $v in
    *\\*) v=$(printf '%b.' "$v"); v=${v%.} ;;
    esac
    if [ -h "$v" ]; then
        all "$@"
        set --
        echo L
        readlink "$v" 2>/dev/null
        printf '\0'
        one "$v"
    elif [ -e "$v" ]; then
        set -- "$@" "$v"
        if [ $# -ge 200 ]; then all "$@"; set --; fi
    else
        all "$@"
        set --
        absent "$v"
    fi
done
all "$@"
exit 0
