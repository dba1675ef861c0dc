# Waits until the server is set up, makes a host key beside the one in use, prints its public half.
set -eu
if [ -n "${HOIST_SANDBOX:-}" ]; then
    folder=$HOIST_SANDBOX
    as_root() { "$@"; }
else
    folder=/etc/ssh
    if [ "$(id -u)" = 0 ]; then
        as_root() { "$@"; }
    else
        as_root() { sudo -n "$@"; }
    fi
    if command -v cloud-init >/dev/null 2>&1; then
        as_root cloud-init status --wait >/dev/null 2>&1 || :
    fi
fi
new=$folder/ssh_host_ed25519_key.hoist
as_root test -s "$new.pub" || {
    as_root rm -f "$new" "$new.pub"
    as_root ssh-keygen -q -t ed25519 -N '' -C '' -f "$new"
}
printf 'hoist-host-key '
as_root cat "$new.pub"
