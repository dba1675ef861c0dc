# Waits until the server is set up, makes a host key beside the one in use, prints its public half.
if [ -z "${HOIST_SANDBOX:-}" ] && command -v cloud-init >/dev/null 2>&1; then
    as_root cloud-init status --wait >/dev/null 2>&1 || :
fi
new=$folder/ssh_host_ed25519_key.hoist
as_root test -s "$new.pub" || {
    as_root rm -f "$new" "$new.pub"
    as_root ssh-keygen -q -t ed25519 -N '' -C '' -f "$new"
}
printf 'hoist-host-key '
as_root cat "$new.pub"
