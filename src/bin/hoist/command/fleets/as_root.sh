# What the scripts for new servers begin with: where host keys are, and how to be root.
set -eu
folder=${HOIST_SANDBOX:-/etc/ssh}
as_root() { "$@"; }
if [ -z "${HOIST_SANDBOX:-}" ] && [ "$(id -u)" != 0 ]; then
    as_root() { sudo -n "$@"; }
fi
