//! What a host is like: asked in one command, read without guessing, judged by pure functions.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use driver::{ClusterId, DriverError};
use model::{API_PORT, CONTROL_PORT, DATA_PATH_PORT, GOSSIP_PORT};
use reach::{Command, Session, quote};
use serde::Deserialize;

use crate::record::{self, HostRecord, unreached};

/// The ports that an agent needs.
const NEEDED_PORTS: [(&str, u16); 5] =
    [("tcp", CONTROL_PORT), ("tcp", GOSSIP_PORT), ("udp", GOSSIP_PORT), ("udp", DATA_PATH_PORT), ("tcp", API_PORT)];
/// What stands before an answer of the script: login scripts may print too.
const SENTINEL: &str = "swarmup:";

/// What a host is like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// `Linux x86_64`.
    pub(crate) system: String,
    /// The kernel's own name for this boot.
    pub(crate) boot_id: String,
    /// Whose the host is, where it was claimed.
    pub(crate) record: Option<HostRecord>,
    /// The mark of an agent that is installed, and its cluster's name.
    pub(crate) agent: Option<(ClusterId, String)>,
    /// Whether there is state of an agent that carries no mark.
    pub(crate) has_unmarked_state: bool,
    /// The ports that are taken, and by whom.
    pub(crate) taken: Vec<Taken>,
    /// The operator's address, as the host sees it.
    pub(crate) operator: Option<IpAddr>,
    /// The host's address that the operator reached.
    pub(crate) reached_at: Option<IpAddr>,
    /// The addresses of the interface that the user named.
    pub(crate) of_interface: Vec<IpAddr>,
    /// The address from which the host reaches each of the others that it was asked for and has a route to.
    pub(crate) routes: BTreeMap<IpAddr, IpAddr>,
    /// Whether a firewall may be active, or rules of ours are left: only then there is anything to open or to close.
    pub(crate) has_firewall: bool,
}

/// A port that is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) protocol: String,
    pub(crate) port: u16,
    /// The process's name and number; absent where none can be seen.
    pub(crate) holder: Option<(String, u32)>,
}

/// What an agent says of its installation.
#[derive(Debug, Deserialize)]
struct Installation {
    mark: ClusterId,
    cluster_name: String,
}

/// Asks a host what it is like, and from which address it reaches the others; changes nothing there.
pub(crate) async fn probe(
    session: &dyn Session,
    interface: Option<&str>,
    others: &[IpAddr],
) -> Result<Facts, DriverError> {
    let failed = |error| unreached("look at the host", error);
    let look = Command::shell(script(interface, others)).as_root();
    let output = session.run(&look).await.map_err(failed)?;
    let output = output.expect_success(session.peer(), &Command::shell("look at the host")).map_err(failed)?;
    read(&output.text())
        .map_err(|source| DriverError::provider(format!("understand what {} says of itself", session.peer()), source))
}

/// The script. Every process that it starts is paid by every host, so the shell does what it can by itself. Sockets
/// come from `/proc`, so that nothing need be installed: a listening TCP socket is in state 0A. `ip` may be one that
/// takes no batch: then it says nothing of routes, and is asked for each.
fn script(interface: Option<&str>, others: &[IpAddr]) -> String {
    let ports = |wanted: &str| {
        let of_kind = NEEDED_PORTS.iter().filter(|(protocol, _)| *protocol == wanted);
        of_kind.map(|(_, port)| format!("{port:04X}")).collect::<Vec<_>>().join(" ")
    };
    let addresses = interface.map_or_else(String::new, |name| {
        format!(
            "ip -o address show dev {} scope global 2>/dev/null | awk '{{print \"swarmup:address \" $4}}'",
            quote(name)
        )
    });
    let routes = if others.is_empty() || interface.is_some() {
        String::new()
    } else {
        let asks: Vec<_> = others.iter().map(|other| format!("route get {other}")).collect();
        let asks = asks.join("\n");
        format!(
            "ip -o -force -batch - 2>/dev/null <<END | while read -r route; do echo \"swarmup:route $route\"; done\n{asks}\nEND"
        )
    };
    format!(
        r#"holder() {{
    pid=$(ls -ln /proc/[0-9]*/fd 2>/dev/null | awk -v socket="socket:[$1]" '
        /^\/proc\// {{ split($1, path, "/"); pid = path[3] }}
        $NF == socket {{ print pid; exit }}')
    if [ -n "$pid" ]; then echo "$pid $(cat "/proc/$pid/comm")"; fi
}}
echo "swarmup:connection $SSH_CONNECTION"
echo "swarmup:system $(uname -sm)"
read -r boot </proc/sys/kernel/random/boot_id; echo "swarmup:boot $boot"
if [ -e {record} ]; then echo "swarmup:record $(cat {record})"; fi
if [ -e /var/lib/swarmd/installation.json ]; then
    echo "swarmup:agent $(tr -d '\n' </var/lib/swarmd/installation.json)"
elif [ -d /var/lib/swarmd ] && [ -n "$(ls -A /var/lib/swarmd 2>/dev/null)" ]; then
    echo "swarmup:unmarked"
fi
if [ -e {rules} ] || command -v firewall-cmd >/dev/null 2>&1 ||
    {{ [ -e /etc/ufw/ufw.conf ] && grep -qi '^ENABLED=yes' /etc/ufw/ufw.conf; }}; then
    echo "swarmup:firewall"
fi
{addresses}
{routes}
set --
for table in /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6; do
    if [ -r "$table" ]; then set -- "$@" "$table"; fi
done
taken=$(awk -v tcp=" {tcp} " -v udp=" {udp} " '
    {{ protocol = FILENAME ~ /udp/ ? "udp" : "tcp"; count = split($2, local, ":"); port = toupper(local[count]) }}
    (protocol == "udp" || $4 == "0A") && index(protocol == "udp" ? udp : tcp, " " port " ") {{
        if (!told[protocol, port, $10]++) print protocol, port, $10
    }}' "$@")
if [ -n "$taken" ]; then
    echo "$taken" | while read -r protocol port inode; do
        echo "swarmup:taken $protocol $port $(if [ "$inode" != 0 ]; then holder "$inode"; fi)"
    done
fi
echo "swarmup:done"
"#,
        record = record::FILE,
        rules = record::RULES_FILE,
        tcp = ports("tcp"),
        udp = ports("udp"),
    )
}

/// An answer that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("`{line}` makes no sense")]
pub(crate) struct BadLine {
    line: String,
}

fn read(text: &str) -> Result<Facts, BadLine> {
    let mut facts = Facts::default();
    let mut is_complete = false;
    for line in text.lines().filter_map(|line| line.strip_prefix(SENTINEL)) {
        let bad = || BadLine { line: line.to_owned() };
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "system" => rest.clone_into(&mut facts.system),
            "boot" => rest.clone_into(&mut facts.boot_id),
            "record" => facts.record = Some(serde_json::from_str(rest).map_err(|_| bad())?),
            "agent" => {
                let agent: Installation = serde_json::from_str(rest).map_err(|_| bad())?;
                facts.agent = Some((agent.mark, agent.cluster_name));
            }
            "unmarked" => facts.has_unmarked_state = true,
            "firewall" => facts.has_firewall = true,
            "route" => facts.routes.extend(read_route(rest)),
            "address" => {
                let address = rest.split('/').next().unwrap_or_default();
                facts.of_interface.push(address.parse().map_err(|_| bad())?);
            }
            "taken" => facts.taken.push(read_taken(rest).ok_or_else(bad)?),
            "connection" => {
                let mut words = rest.split_whitespace();
                facts.operator = words.next().and_then(parse_address);
                facts.reached_at = words.nth(1).and_then(parse_address);
            }
            "done" => is_complete = true,
            _ => return Err(bad()),
        }
    }
    if is_complete { Ok(facts) } else { Err(BadLine { line: text.chars().take(200).collect() }) }
}

/// `protocol HEXPORT [pid name]`.
fn read_taken(text: &str) -> Option<Taken> {
    let mut words = text.splitn(4, ' ');
    let protocol = words.next()?.to_owned();
    let port = u16::from_str_radix(words.next()?, 16).ok()?;
    let pid = words.next().and_then(|pid| pid.parse().ok());
    let holder = pid.and_then(|pid| Some((words.next()?.to_owned(), pid)));
    Some(Taken { protocol, port, holder })
}

/// sshd shows IPv4 that came by an IPv6 socket as `::ffff:a.b.c.d`.
fn parse_address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// Why a host cannot be used, and what the user can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Objection {
    pub(crate) what: String,
    pub(crate) hint: String,
}

/// What speaks against a host; `None` where it is free or this cluster's already.
pub(crate) fn objection(peer: &str, facts: &Facts, cluster: &ClusterId) -> Option<Objection> {
    let object = |what: String, hint: &str| Some(Objection { what, hint: hint.to_owned() });
    if facts.system != "Linux x86_64" {
        return object(format!("{peer} runs {}: Linux x86_64 is needed", facts.system), "leave this host out");
    }
    let owner = facts.record.as_ref().map(|record| (&record.mark, &record.cluster));
    let owners = [owner, facts.agent.as_ref().map(|(mark, name)| (mark, name))];
    if let Some((_, name)) = owners.iter().flatten().find(|(mark, _)| *mark != cluster) {
        let hint = format!("destroy `{name}` first, or leave this host out");
        return object(format!("{peer} belongs to the cluster `{name}`"), &hint);
    }
    if owners.iter().any(Option::is_some) {
        // Ours: what it runs is ours too.
        return None;
    }
    if facts.has_unmarked_state {
        return object(
            format!("{peer} holds the state of an agent that no cluster of ours installed"),
            "let that node leave its swarm and remove /var/lib/swarmd, or leave this host out",
        );
    }
    let taken = facts.taken.first()?;
    let port = format!("port {}/{} of {peer} is taken", taken.port, taken.protocol);
    match &taken.holder {
        Some((name, pid)) => object(
            format!("{port} by `{name}` (pid {pid})"),
            "stop it, or leave this host out: a node needs 2377, 7946, 4789 and 2376",
        ),
        None => object(
            format!("{port} by the kernel, or by a process that cannot be seen"),
            "a VXLAN link holds 4789, for one: remove it, or leave this host out",
        ),
    }
}

/// The address that the other members use for a host: of the interface named, else the one from which it reaches them.
pub(crate) fn choose_address(
    peer: &str,
    facts: &Facts,
    interface: Option<&str>,
    sources: &BTreeSet<IpAddr>,
) -> Result<IpAddr, Objection> {
    if let Some(name) = interface {
        let v4 = facts.of_interface.iter().find(|address| address.is_ipv4());
        return v4.or(facts.of_interface.first()).copied().ok_or_else(|| Objection {
            what: format!("{peer} has no interface `{name}` with an address"),
            hint: "see `ip address` on the host".to_owned(),
        });
    }
    let mut sources = sources.iter();
    match (sources.next(), sources.next()) {
        (Some(address), None) => Ok(*address),
        (None, _) => facts.reached_at.ok_or_else(|| Objection {
            what: format!("the address of {peer} cannot be told"),
            hint: "name the interface with --address-interface".to_owned(),
        }),
        (Some(one), Some(other)) => Err(Objection {
            what: format!("{peer} reaches the other hosts from {one} and from {other}"),
            hint: "name the interface that the members shall use with --address-interface".to_owned(),
        }),
    }
}

/// The addresses from which a host reaches others; it is asked where it has not said so already.
pub(crate) async fn sources(
    session: &dyn Session,
    facts: &Facts,
    others: &[IpAddr],
) -> Result<BTreeSet<IpAddr>, DriverError> {
    let known: Option<BTreeSet<_>> = others.iter().map(|other| facts.routes.get(other).copied()).collect();
    if let Some(sources) = known {
        return Ok(sources);
    }
    let asks =
        others.iter().map(|other| format!("route=$(ip -o route get {other}) || exit 1; echo \"swarmup:route $route\""));
    let command = Command::shell(asks.collect::<Vec<_>>().join("; "));
    let failed = |error| unreached("find the host's route to the others", error);
    let output = session.run(&command).await.map_err(failed)?;
    let output = output.expect_success(session.peer(), &command).map_err(failed)?;
    let text = output.text();
    let routes = text.lines().filter_map(|line| line.strip_prefix("swarmup:route "));
    Ok(routes.filter_map(read_route).map(|(_, source)| source).collect())
}

/// The destination and the source of a route as `ip -o route get` shows it.
fn read_route(text: &str) -> Option<(IpAddr, IpAddr)> {
    let mut words = text.split_whitespace();
    // A host's own address is shown as `local ADDRESS`.
    let destination = words.by_ref().find_map(parse_address)?;
    let source = words.find(|word| *word == "src").and_then(|_| words.next()).and_then(parse_address)?;
    Some((destination, source))
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
