# Tells all that is in the folder $1, parents first; only what is right in it where $2 is set. `P`, then for each a line of facts, what a link
# says and the path, both ended by NUL; or `N`, then only the paths.
LC_ALL=C
export LC_ALL
if [ ! -d "$1" ]; then
    echo 'there is no such folder' >&2
    exit 1
fi
cd -P "$1" >/dev/null 2>&1 || { echo 'Permission denied' >&2; exit 1; }
if find . -prune -ignore_readdir_race -printf '' >/dev/null 2>&1; then
    printf P
    exec find . -ignore_readdir_race ${2:+! -name . -prune} -printf '%y %m %U %G %s %T@\n%l\0%p\0'
fi
printf N
if find . -prune -exec true {} + >/dev/null 2>&1; then
    exec find . ${2:+! -name . -prune} -exec printf '%s\0' {} +
fi
exec find . ${2:+! -name . -prune} -exec printf '%s\0' {} \;
