# Writes the file $1, from its byte $2 on, the first being 1.
LC_ALL=C
export LC_ALL
if [ -d "$1" ]; then
    echo 'it is a folder' >&2
    exit 1
fi
if [ -e "$1" ] && [ ! -f "$1" ]; then
    echo 'it is neither a file nor a folder' >&2
    exit 1
fi
[ "$2" != 1 ] || exec cat "$1"
exec tail -c "+$2" "$1"
