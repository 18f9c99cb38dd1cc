#!/bin/sh
# A systemd user manager of its own: a cgroup below which it has the say, and a /run that says that systemd runs.
# Run as root in a mount namespace of its own: manager.sh UID HOME XDG_RUNTIME_DIR. Ends, with all it started, at the
# end of its stdin.
set -eu
mount -t tmpfs none /run
mkdir -p /run/systemd/system
mount -t cgroup2 none /sys/fs/cgroup
group=/sys/fs/cgroup/claviger-test-$$
mkdir -p "$group/user"
chown -R "$1" "$group/user"
end() {
    echo 1 >"$group/cgroup.kill"
    while grep -q 'populated 1' "$group/cgroup.events"; do :; done
    find "$group" -depth -type d -exec rmdir {} +
}
trap end EXIT
(
    sh -c 'echo $PPID' >"$group/user/cgroup.procs"
    exec env -i HOME="$2" XDG_RUNTIME_DIR="$3" PATH=/usr/bin:/bin \
        setpriv --reuid "$1" --regid "$1" --clear-groups --inh-caps=-all --bounding-set=-all \
        /lib/systemd/systemd --user --log-target=console
) >"$2/manager.log" 2>&1 </dev/null &
while ! [ -S "$3/systemd/private" ]; do
    kill -0 $! || { cat "$2/manager.log"; exit 1; }
done
echo ready
cat >/dev/null
