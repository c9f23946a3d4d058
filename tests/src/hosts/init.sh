#!/bin/sh
# PID 1 of a host: its root, its network, its services; then it waits. Killing it is cutting the power.
# Arguments: the cgroup's name, the number of the host, the folder of the hosts, the process that holds the network.
# Says `ready` on standard output once sshd listens. Ends when its standard input does.
set -eu
cgroup=$1 number=$2 folder=$3 network=$4
root=$folder/$number/root

# The network: a cable to the bridge. PID 1 is this process, also for the command that enters the other namespace. The
# kernel takes the cable of a former boot away some time after its last process: a new one does not wait for that.
nsenter --net="/proc/$network/ns/net" ip link delete "host$number" 2>/dev/null || true
nsenter --net="/proc/$network/ns/net" ip link add "host$number" type veth peer name eth0 netns 1
nsenter --net="/proc/$network/ns/net" ip link set "host$number" master br0 up
ip link set lo up
ip address add "10.77.1.$number/24" dev eth0
ip link set eth0 up
if [ -d /proc/sys/net/ipv6 ]; then ip -6 address add "fd77::$number/64" dev eth0 nodad; fi

# The root: the machine's own files below, what the host writes above, kept over reboots.
mkdir -p "$folder/$number/upper" "$folder/$number/work" "$root"
# What the machine itself runs of ours, now or later, is none of the host's: whiteouts hide it.
for path in var/lib/swarmup var/lib/swarmup-host var/lib/swarmd var/log/swarmd usr/local/bin/swarmd \
    etc/init.d/swarmd etc/systemd/system/swarmd.service etc/cron.d/swarmd; do
    if [ ! -e "$folder/$number/booted" ]; then
        mkdir -p "$folder/$number/upper/${path%/*}"
        mknod "$folder/$number/upper/$path" c 0 0
    fi
done
touch "$folder/$number/booted"
mount -t overlay -o "lowerdir=/,upperdir=$folder/$number/upper,workdir=$folder/$number/work" overlay "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
if [ -f /sys/fs/cgroup/cgroup.procs ]; then
    mount --bind "/sys/fs/cgroup/$cgroup/host-$number" "$root/sys/fs/cgroup"
else
    mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
    for hierarchy in /sys/fs/cgroup/*; do
        if [ -d "$hierarchy/$cgroup/host-$number" ] && [ ! -L "$hierarchy" ]; then
            mkdir "$root$hierarchy"
            mount --bind "$hierarchy/$cgroup/host-$number" "$root$hierarchy"
        fi
    done
fi
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s /proc/self/fd "$root/dev/fd"
ln -s pts/ptmx "$root/dev/ptmx"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
seed=$folder/$number/seed
if [ -d "$seed" ]; then
    # An instance of a cloud is given who may log in, its host key and some files; nobody else's key fits.
    cp -r "$seed" "$root/run/seed"
    mv "$root/run/seed/authorized_keys" "$root/run/authorized_keys"
    # A cloud tells its instances about themselves at an address of the link.
    ip route add 169.254.169.254 dev eth0
else
    cp "$folder/authorized_keys" "$root/run/authorized_keys"
fi
cd "$root"
pivot_root . .
umount -l .
cd /
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
hostname "host-$number"

# What a host gets with its first boot.
if [ ! -e /etc/test-host ]; then
    echo "host-$number" >/etc/hostname
    printf '127.0.0.1 localhost\n10.77.1.%s host-%s\n' "$number" "$number" >/etc/hosts
    : >/etc/resolv.conf
    head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n' >/etc/machine-id
    : >/etc/inittab
    rm -f /etc/rc?.d/S* /etc/rc?.d/K* /etc/ssh/ssh_host_*
    ssh-keygen -q -t ed25519 -N '' -C "host-$number" -f /etc/ssh/ssh_host_ed25519_key
    ssh-keygen -q -t ecdsa -N '' -C "host-$number" -f /etc/ssh/ssh_host_ecdsa_key
    printf '%s\n' 'PermitRootLogin prohibit-password' 'PasswordAuthentication no' 'UsePAM no' 'UseDNS no' \
        'PidFile /run/sshd.pid' 'Subsystem sftp internal-sftp' 'MaxStartups 100' 'AcceptEnv LANG' \
        'HostKey /etc/ssh/ssh_host_ed25519_key' 'HostKey /etc/ssh/ssh_host_ecdsa_key' >/etc/ssh/sshd_config
    rm -rf /root/.ssh /root/.bashrc /root/.bash_profile /root/.profile
    install -d -m 700 /root/.ssh
    install -m 600 /run/authorized_keys /root/.ssh/authorized_keys
    # `ops` may use sudo without a password, `asked` only with one.
    user=4100
    for name in ops asked; do
        user=$((user + 1))
        echo "$name:x:$user:$user::/home/$name:/bin/bash" >>/etc/passwd
        echo "$name:x:$user:" >>/etc/group
        echo "$name:*:19000:0:99999:7:::" >>/etc/shadow
        install -d -m 755 -o "$user" -g "$user" "/home/$name" "/home/$name/.ssh"
        install -m 600 -o "$user" -g "$user" /run/authorized_keys "/home/$name/.ssh/authorized_keys"
    done
    if [ -d /run/seed ]; then
        rm -f /etc/ssh/ssh_host_* /root/.ssh/authorized_keys /home/asked/.ssh/authorized_keys
        sed -i '/^HostKey .*ecdsa/d' /etc/ssh/sshd_config
        install -m 600 /run/seed/ssh_host_ed25519_key /etc/ssh/ssh_host_ed25519_key
        install -m 644 /run/seed/ssh_host_ed25519_key.pub /etc/ssh/ssh_host_ed25519_key.pub
        if [ -d /run/seed/files ]; then cp -r /run/seed/files/. /; fi
    fi
    printf 'ops ALL=(ALL) NOPASSWD: ALL\nasked ALL=(ALL) ALL\n' >/etc/sudoers.d/test-host
    chmod 440 /etc/sudoers.d/test-host
    touch /etc/test-host
fi
rm -rf /run/authorized_keys /run/seed

# The services: sshd, then what was installed for runlevel 2.
exec 3>&1 4<&0 >/dev/null 2>&1 </dev/null
trap 'exit 0' TERM
(cat; kill -TERM 1) <&4 >/dev/null 3>&- &
exec 4<&-
mkdir -p /run/sshd
/usr/sbin/sshd -D </dev/null 3>&- &
for service in /etc/rc2.d/S*; do
    if [ -x "$service" ]; then "$service" start </dev/null 3>&- || true; fi
done
tries=0
until [ -s /run/sshd.pid ]; do
    tries=$((tries + 1))
    if [ "$tries" -gt 500 ]; then exit 1; fi
    sleep 0.01
done
echo ready >&3
exec 3>&-
wait
