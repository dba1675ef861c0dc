# Tells the path of $1 with no link in it: `=`, the path and a line break. `n`: nothing is there.
# `!`: a folder can't be entered.
LC_ALL=C
export LC_ALL
set -f
p=$1
i=0
while [ -h "$p" ] && [ ! -d "$p" ] && [ $i -lt 40 ]; do
    t=$(readlink "$p" && echo .) || break
    t=${t%.}
    t=${t%?}
    case $t in
    /*) p=$t ;;
    *) p=${p%/*}/$t ;;
    esac
    i=$((i + 1))
done
if [ -d "$p" ]; then
    d=$p n=
elif [ -e "$p" ]; then
    d=${p%/*}/ n=/${p##*/}
else
    d=$p
    while [ -n "$d" ] && [ ! -d "$d" ]; do
        case $d in
        */*) d=${d%/*} ;;
        *) d= ;;
        esac
    done
    if [ -x "${d:-/}" ]; then echo n; else echo '!'; fi
    exit 0
fi
cd -P "$d" >/dev/null 2>&1 && d=$(pwd -P && echo .) || { echo '!'; exit 0; }
d=${d%.}
d=${d%?}
[ -z "$n" ] || d=${d%/}
printf '=%s\n' "$d$n"
