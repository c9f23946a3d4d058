//! Answers of hosts, read and judged.

use super::*;

const FREE: &str = "Welcome!\nswarmup:connection 10.0.0.9 4242 10.0.0.1 22\nswarmup:system Linux x86_64\n\
                    swarmup:boot 1234\nswarmup:done\n";

fn mine() -> ClusterId {
    ClusterId("mine".into())
}

fn facts(more: &str) -> Facts {
    read(&format!("{more}{FREE}")).unwrap()
}

fn refused(more: &str) -> String {
    objection("root@h:22", &facts(more), &mine()).unwrap().what
}

#[test]
fn a_free_host_is_taken_as_it_is() {
    let facts = facts("");

    assert_eq!(objection("root@h:22", &facts, &mine()), None);
    assert_eq!((facts.operator, facts.reached_at), ("10.0.0.9".parse().ok(), "10.0.0.1".parse().ok()));
}

#[test]
fn a_taken_port_is_told_with_its_holder() {
    assert_eq!(
        refused("swarmup:taken tcp 0949 42 nginx: worker\n"),
        "port 2377/tcp of root@h:22 is taken by `nginx: worker` (pid 42)"
    );
    assert_eq!(
        refused("swarmup:taken udp 12B5 \n"),
        "port 4789/udp of root@h:22 is taken by the kernel, or by a process that cannot be seen"
    );
}

#[test]
fn a_host_of_another_cluster_is_refused_by_name() {
    let record = r#"swarmup:record {"mark":"m2","cluster":"other","name":"other-node-1","address":"10.0.0.1"}"#;
    let agent = r#"swarmup:agent {"mark":"m3","cluster_name":"third","hostname":"node-1","labels":{}}"#;

    assert_eq!(refused(&format!("{record}\n")), "root@h:22 belongs to the cluster `other`");
    assert_eq!(refused(&format!("{agent}\n")), "root@h:22 belongs to the cluster `third`");
}

#[test]
fn a_host_of_ours_may_hold_the_ports() {
    let record = r#"swarmup:record {"mark":"mine","cluster":"lab","name":"lab-node-1","address":"10.0.0.1"}"#;

    let facts = facts(&format!("{record}\nswarmup:taken tcp 0949 42 swarmd\n"));

    assert_eq!(objection("root@h:22", &facts, &mine()), None);
}

#[test]
fn other_systems_and_foreign_state_are_refused() {
    let text = FREE.replace("Linux x86_64", "Linux aarch64");

    let objected = objection("root@h:22", &read(&text).unwrap(), &mine()).unwrap();

    assert_eq!(objected.what, "root@h:22 runs Linux aarch64: Linux x86_64 is needed");
    assert!(refused("swarmup:unmarked\n").contains("no cluster of ours"));
}

#[test]
fn an_answer_cut_short_is_not_believed() {
    assert!(read("swarmup:system Linux x86_64\n").is_err());
    assert!(read(&format!("swarmup:record {{\"mark\":\"m\n{FREE}")).is_err());
}

#[test]
fn routes_are_read_as_ip_shows_them() {
    let check = |line: &str, expected: Option<(&str, &str)>| {
        let expected = expected.map(|(to, from)| (to.parse().unwrap(), from.parse().unwrap()));
        assert_eq!(read_route(line), expected, "{line}");
    };

    check("10.0.0.2 dev eth0 src 10.0.0.1 uid 0 \\    cache ", Some(("10.0.0.2", "10.0.0.1")));
    check("10.9.0.2 via 10.8.0.1 dev eth1 src 10.8.0.7 uid 0 ", Some(("10.9.0.2", "10.8.0.7")));
    check("local 10.0.0.1 dev lo src 10.0.0.1 uid 0 ", Some(("10.0.0.1", "10.0.0.1")));
    check("fd77::2 from :: dev eth0 proto kernel src fd77::1 metric 256 ", Some(("fd77::2", "fd77::1")));
    check("unreachable 10.0.0.3 dev lo uid 0 ", None);
    check("Usage: ip [ OPTIONS ] OBJECT", None);
}

#[test]
fn a_host_says_from_where_it_reaches_the_others() {
    let facts = facts("swarmup:route 10.0.0.2 dev eth0 src 10.0.0.1 uid 0\nswarmup:route nonsense\n");

    assert_eq!(facts.routes, BTreeMap::from([("10.0.0.2".parse().unwrap(), "10.0.0.1".parse().unwrap())]));
}

#[test]
fn the_address_is_the_one_that_reaches_the_others() {
    let facts = facts("swarmup:address fd00::5/64\nswarmup:address 192.0.2.5/24\n");
    let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<BTreeSet<IpAddr>>();
    let choose = |interface, sources: &[&str]| choose_address("root@h:22", &facts, interface, &addresses(sources));

    assert_eq!(choose(None, &["10.0.0.1"]), Ok("10.0.0.1".parse().unwrap()));
    assert!(choose(None, &["10.0.0.1", "10.8.0.7"]).unwrap_err().what.contains("from 10.0.0.1 and from 10.8.0.7"));
    assert_eq!(choose(None, &[]), Ok("10.0.0.1".parse().unwrap()));
    assert_eq!(choose(Some("eth1"), &["10.0.0.1", "10.8.0.7"]), Ok("192.0.2.5".parse().unwrap()));
}
