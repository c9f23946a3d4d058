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
fn the_address_is_the_one_that_reaches_the_others() {
    let one = read_sources("swarmup:route 10.0.0.2 dev eth0 src 10.0.0.1 uid 0 \\    cache \n");
    let two = read_sources(
        "swarmup:route 10.0.0.2 dev eth0 src 10.0.0.1\nswarmup:route 10.9.0.2 via 10.8.0.1 dev eth1 src 10.8.0.7\n",
    );
    let facts = facts("swarmup:address fd00::5/64\nswarmup:address 192.0.2.5/24\n");
    let none = BTreeSet::new();
    let choose = |interface, sources| choose_address("root@h:22", &facts, interface, sources);

    assert_eq!(choose(None, &one), Ok("10.0.0.1".parse().unwrap()));
    assert!(
        choose(None, &two).unwrap_err().what.contains("from 10.0.0.1 and from 10.8.0.7") || choose(None, &two).is_err()
    );
    assert_eq!(choose(None, &none), Ok("10.0.0.1".parse().unwrap()));
    assert_eq!(choose(Some("eth1"), &two), Ok("192.0.2.5".parse().unwrap()));
}
