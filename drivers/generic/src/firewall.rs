//! The host's own firewall: opened for the members and the operator where one is active, and closed again exactly.
//!
//! Every rule is written to [`RULES_FILE`](crate::record::RULES_FILE) before it is made; a rule that was there before
//! is not ours and stays. What is ours and wanted no longer goes, which is how a member that left is shut out.

use std::net::IpAddr;

use driver::{DriverError, FirewallRule, Protocol, RuleSource};
use reach::{Command, Session};

use crate::record::{RULES_FILE, unreached};

/// SSH's own port.
const SSH_PORT: u16 = 22;

/// A hole: `protocol port source`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hole(String);

/// What a host must let in: the members' rules from every other member, the operator's from the operator.
pub(crate) fn holes(rules: &[FirewallRule], own: IpAddr, members: &[IpAddr], operator: Option<IpAddr>) -> Vec<Hole> {
    let hole = |protocol: Protocol, port: Option<u16>, source: &str| {
        let protocol = match protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            // It has no ports, and only an encrypted overlay asks for it: the firewalls' own rules let it be.
            Protocol::Esp => return None,
        };
        Some(Hole(format!("{protocol} {} {source}", port?)))
    };
    let mut holes: Vec<Hole> = Vec::new();
    for rule in rules {
        match &rule.source {
            RuleSource::Members => {
                let others = members.iter().filter(|member| **member != own);
                holes.extend(others.filter_map(|other| hole(rule.protocol, rule.port, &other.to_string())));
            }
            // The way in by SSH was open before we came, on whatever port it is.
            RuleSource::Operator if rule.port == Some(SSH_PORT) => {}
            RuleSource::Operator => {
                holes.extend(operator.and_then(|operator| hole(rule.protocol, rule.port, &operator.to_string())));
            }
            RuleSource::Prefix(prefix) => holes.extend(hole(rule.protocol, rule.port, prefix)),
        }
    }
    holes.sort();
    holes.dedup();
    holes
}

/// Makes the host's firewall let in exactly what is wanted, and nothing else of ours.
pub(crate) async fn ensure(session: &dyn Session, holes: &[Hole]) -> Result<(), DriverError> {
    let wanted = holes.iter().map(|hole| hole.0.as_str()).collect::<Vec<_>>().join("\n");
    run(session, "cat", wanted, "open the host's firewall").await
}

/// Takes the rules away that are ours and let these addresses in.
pub(crate) async fn shut_out(session: &dyn Session, left: &[IpAddr]) -> Result<(), DriverError> {
    let left = left.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    // The file without them is what is wanted from now on.
    let source = "awk 'NR == FNR { left[$1]; next } !($4 in left) { print $2, $3, $4 }' - RULES 2>/dev/null || true";
    run(session, source, left, "shut a member that left out of the host's firewall").await
}

/// Takes every rule of ours away.
pub(crate) async fn close(session: &dyn Session) -> Result<(), DriverError> {
    run(session, "true", String::new(), "close the host's firewall").await
}

async fn run(session: &dyn Session, source: &str, stdin: String, action: &str) -> Result<(), DriverError> {
    let script = SCRIPT.replace("WANTED", source).replace("RULES", RULES_FILE);
    let command = Command::shell(script).stdin(stdin).as_root();
    let output = session.run(&command).await.and_then(|output| output.expect_success(session.peer(), &command));
    output.map(|_| ()).map_err(|error| unreached(action, error))
}

/// `WANTED` prints the holes that are wanted. A line of the file is `firewall protocol port source`.
const SCRIPT: &str = r#"set -eu
export LC_ALL=C
wanted=$(WANTED)
active=none
# ufw leaves a lock file where it is only asked, so it is not asked unless it is enabled.
if grep -qi '^ENABLED=yes' /etc/ufw/ufw.conf 2>/dev/null && ufw status 2>/dev/null | grep -q '^Status: active'; then
    active=ufw
elif command -v firewall-cmd >/dev/null 2>&1 && firewall-cmd --state >/dev/null 2>&1; then active=firewalld
fi
added=
if [ "$active" = ufw ] || grep -q '^ufw ' RULES 2>/dev/null; then added=$(ufw show added 2>/dev/null | sed 's/ comment .*//'); fi
family() { case $1 in *:*) echo ipv6 ;; *) echo ipv4 ;; esac; }
rich() { echo "rule family=\"$(family "$3")\" source address=\"$3\" port port=\"$2\" protocol=\"$1\" accept"; }
has() {
    case $1 in
        ufw) echo "$added" | grep -qxF "ufw allow from $4 to any port $3 proto $2" ;;
        firewalld) firewall-cmd --permanent --query-rich-rule="$(rich "$2" "$3" "$4")" >/dev/null 2>&1 ;;
    esac
}
add() {
    case $1 in
        ufw) ufw allow proto "$2" from "$4" to any port "$3" comment swarmup ;;
        firewalld)
            firewall-cmd --permanent --add-rich-rule="$(rich "$2" "$3" "$4")"
            firewall-cmd --add-rich-rule="$(rich "$2" "$3" "$4")" ;;
    esac >/dev/null
}
remove() {
    case $1 in
        ufw) ufw delete allow proto "$2" from "$4" to any port "$3" ;;
        firewalld)
            firewall-cmd --permanent --remove-rich-rule="$(rich "$2" "$3" "$4")"
            firewall-cmd --remove-rich-rule="$(rich "$2" "$3" "$4")" || true ;;
    esac >/dev/null
}
if [ -e RULES ]; then
    while read -r firewall protocol port source; do
        if ! echo "$wanted" | grep -qxF "$protocol $port $source"; then
            if has "$firewall" "$protocol" "$port" "$source"; then remove "$firewall" "$protocol" "$port" "$source"; fi
            grep -vxF "$firewall $protocol $port $source" RULES >RULES.new || true
            mv RULES.new RULES
        fi
    done <<END
$(cat RULES)
END
    if [ ! -s RULES ]; then rm -f RULES; fi
fi
if [ "$active" = none ] || [ -z "$wanted" ]; then exit 0; fi
umask 077
echo "$wanted" | while read -r protocol port source; do
    if has "$active" "$protocol" "$port" "$source"; then continue; fi
    grep -qxF "$active $protocol $port $source" RULES 2>/dev/null || echo "$active $protocol $port $source" >>RULES
    add "$active" "$protocol" "$port" "$source"
done
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_let_each_other_in_and_the_operator_to_the_api_only() {
        let rule = |protocol, port, source| FirewallRule { protocol, port: Some(port), source };
        let rules = [
            rule(Protocol::Udp, 7946, RuleSource::Members),
            rule(Protocol::Tcp, 22, RuleSource::Operator),
            rule(Protocol::Tcp, 2376, RuleSource::Operator),
        ];
        let [own, other] = ["10.0.0.1", "10.0.0.2"].map(|address| address.parse().unwrap());

        let holes = holes(&rules, own, &[own, other], "10.0.0.9".parse().ok());

        assert_eq!(holes, [Hole("tcp 2376 10.0.0.9".into()), Hole("udp 7946 10.0.0.2".into())]);
    }
}
