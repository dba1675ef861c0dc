#!/bin/sh
# An executable inventory: hoist runs it with --list, as Ansible does.
[ "$1" = --list ] && [ $# -eq 1 ] || { echo "usage: $0 --list" >&2; exit 2; }
exec cat "$(dirname "$0")/dynamic.json"
