# Powers a host on: puts this process in the host's own cgroups, then becomes PID 1 of its own namespaces.
# Arguments: the cgroup's name, the number of the host, the folder of the hosts, the process that holds the network.
set -eu
cgroup=$1 number=$2
shift
enter() {
    for part in "/$cgroup" "/$cgroup/host-$number"; do
        mkdir -p "$1$part"
        for file in cpuset.mems cpuset.cpus; do
            if [ -f "$1$part/$file" ] && [ -z "$(cat "$1$part/$file")" ] && [ -f "$1$part/../$file" ]; then
                cat "$1$part/../$file" >"$1$part/$file" || true
            fi
        done
    done
    echo $$ >"$1/$cgroup/host-$number/cgroup.procs"
}
if [ -f /sys/fs/cgroup/cgroup.procs ]; then
    enter /sys/fs/cgroup
else
    for hierarchy in /sys/fs/cgroup/*; do
        if [ -f "$hierarchy/cgroup.procs" ] && [ ! -L "$hierarchy" ]; then enter "$hierarchy"; fi
    done
fi
exec unshare --net --mount --uts --ipc --pid --cgroup --fork --kill-child --propagation private "$2/init" "$cgroup" "$@"
