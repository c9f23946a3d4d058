# The namespace of the operator: a bridge that the hosts are plugged into, and the disks of the hosts.
# Arguments: the folder of the hosts. Lives until its standard input ends.
set -eu
folder=$1
mount -t tmpfs -o size=8g,mode=755 tmpfs "$folder"
ip link set lo up
# With an address of its own: one that takes a port's would take another when a host goes, and the hosts that are left
# would answer to the former one until they have forgotten it.
ip link add br0 address 02:00:00:00:00:fe type bridge
ip address add 10.77.1.254/24 dev br0
ip link set br0 up
if [ -d /proc/sys/net/ipv6 ]; then ip -6 address add fd77::fe/64 dev br0 nodad; fi
# Nobody has this address, and nobody says so: what is sent there is lost.
ip neighbour add 10.77.1.253 lladdr 02:00:00:00:00:fd dev br0 nud permanent
echo ready
exec cat >/dev/null
