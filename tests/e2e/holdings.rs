//! All that a guest holds, so that the moment before `create` can be compared with the one after `destroy`.
//!
//! A reboot may lie between the two, so nothing counts that a boot numbers afresh.

use std::collections::BTreeSet;

use tests::Guest;

/// What is looked at, and the shell line that lists it.
const KINDS: [(&str, &str); 10] = [
    // First, because the look itself has systemd mount what it mounts when somebody looks.
    ("setting", "sysctl -a 2>/dev/null"),
    // Without the kernel's threads: 2 and its children.
    ("process", "ps --ppid 2 -p 2 -N -o comm="),
    ("namespace", "lsns -lnro TYPE,COMMAND | cut -d' ' -f1,2"),
    (
        "unit",
        "systemctl list-units --all --plain --no-legend --no-pager --state=running,failed,mounted,listening,waiting \
         | awk '{ print $1, $4 }'",
    ),
    ("link", "ip -brief link; ip -brief address; ip route; ip -6 route; ip rule"),
    ("mount", "findmnt -rno TARGET,FSTYPE"),
    ("cgroup", "find /sys/fs/cgroup -type d"),
    ("packet filter", "nft list ruleset"),
    // Units, what enables them and what marks them are files too.
    ("file", "find /etc /home /opt /root /run /srv /usr/local /var -xdev -printf '%p %y %m\\n'"),
    ("content", "find /etc /root /usr/local -type f -exec sha256sum {} +"),
];
/// What the system itself changes from boot to boot, and while it runs.
const CHURN: [&str; 19] = [
    // udev ends its workers some seconds after a boot.
    "process (udev-worker)",
    "namespace mnt (udev-worker)",
    "file /run/log/journal/",
    "file /run/machine-id ",
    "file /run/systemd/journal/streams/",
    "file /run/systemd/units/invocation:systemd-",
    "file /run/udev/",
    "file /var/lib/systemd/",
    "file /var/tmp/systemd-private-",
    "setting fs.dentry-state ",
    "setting fs.file-nr ",
    "setting fs.inode-",
    "setting fs.quota.",
    "setting kernel.ns_last_pid ",
    "setting kernel.perf_",
    "setting kernel.random.",
    // A processor that is emulated, and has to wait, counts as one that is locked up.
    "setting kernel.tainted ",
    // The kernel reckons these from what memory is free while it boots.
    "setting vm.admin_reserve_kbytes ",
    "setting vm.user_reserve_kbytes ",
];

/// What a guest holds at one moment, one line an item.
#[derive(Debug)]
pub(crate) struct Holdings {
    items: BTreeSet<String>,
}

impl Holdings {
    /// Looks at a guest.
    pub(crate) fn of(guest: &Guest) -> Self {
        let lines = KINDS.map(|(kind, line)| format!("{{ {line}; }} | sed 's/^/{kind} /'"));
        let text = guest.run(&lines.join("\n")).unwrap();
        let is_churn = |item: &&str| CHURN.iter().any(|churn| item.starts_with(churn));
        let items: BTreeSet<String> = text.lines().filter(|item| !is_churn(item)).map(str::to_owned).collect();
        // A line that lists nothing would let everything pass; without packet filters there is nothing to list.
        for (kind, line) in KINDS.iter().filter(|(kind, _)| *kind != "packet filter") {
            assert!(items.iter().any(|item| item.starts_with(&format!("{kind} "))), "`{line}` lists nothing");
        }
        Self { items }
    }

    /// What a later moment has more (`+`) or less (`-`).
    pub(crate) fn changes(&self, later: &Self) -> Vec<String> {
        let more = later.items.difference(&self.items).map(|item| format!("+ {item}"));
        let less = self.items.difference(&later.items).map(|item| format!("- {item}"));
        more.chain(less).collect()
    }
}
