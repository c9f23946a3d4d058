//! Bad input gets one clear error and changes nothing.

use crate::sandbox::{Sandbox, assert_run};

/// Runs a command that must be refused, and shows that nothing was made or changed.
macro_rules! refused {
    ($test:ident, $arguments:literal, $code:literal) => {
        #[test]
        fn $test() {
            let sandbox = Sandbox::new();

            let run = sandbox.run($arguments).ended($code);

            assert_eq!(sandbox.files(), [], "{run}");
            assert_eq!(sandbox.provider_holds(), 0);
            assert_run!(stringify!($test), sandbox, run);
        }
    };
}

refused!(an_even_number_of_managers_is_refused, "create lab --provider fake --managers 4", 2);
refused!(zero_managers_are_refused, "create lab --provider fake --managers 0", 2);
refused!(a_negative_number_is_refused, "create lab --provider fake --workers -1", 2);
refused!(too_many_machines_are_refused, "create lab --provider fake --workers 4294967295", 2);
refused!(a_bad_name_is_refused, "create Lab_1 --provider fake", 2);
refused!(a_name_that_leaves_the_home_is_refused, "create ../lab --provider fake", 2);
refused!(a_name_that_leaves_the_home_is_not_destroyed, "destroy ../lab --yes", 2);
refused!(an_unknown_provider_is_refused_with_the_list, "create lab --provider clowd", 2);
refused!(a_flag_of_another_provider_is_refused, "create lab --provider local --fault find=fail", 2);
refused!(a_file_that_is_not_there_is_refused, "create lab --file /nowhere/swarmup.yaml", 1);
refused!(a_cluster_that_is_not_there_is_not_destroyed, "destroy lab --yes", 1);
refused!(a_cluster_that_is_not_there_has_no_status, "status lab", 1);
refused!(an_end_that_no_provider_sees_to_is_refused, "create lab --provider local --ttl 3h", 2);
refused!(an_end_that_is_no_time_is_refused, "create lab --provider fake --ttl soon", 2);
refused!(ports_without_a_firewall_are_refused, "create lab --provider fake --open 80,443", 2);
refused!(ports_of_the_swarm_are_not_opened, "create lab --provider fake --open 80,2377", 2);
refused!(a_prefix_that_is_none_is_refused, "create lab --provider fake --ssh-from 10.0.0.1/8", 2);
refused!(an_agent_that_is_not_there_is_refused, "create lab --provider local --agent /nowhere/swarmd", 1);

#[test]
fn a_truncated_journal_is_refused_and_stays_as_it_is() {
    let sandbox = Sandbox::new();
    sandbox.run("create lab --provider fake").ended(0);
    let path = sandbox.journal_path("lab");
    let whole = std::fs::read_to_string(&path).unwrap();
    // Always in the same word: what comes before it is of no fixed length.
    let (kept, _) = whole.split_once(r#"eady","#).unwrap();
    std::fs::write(&path, kept).unwrap();
    let before = sandbox.files();

    for command in ["status lab", "create lab --provider fake", "destroy lab --yes", "scale lab --workers 3"] {
        sandbox.run(command).ended(1);
        assert!(sandbox.files() == before, "`{command}` changed a file");
    }
    assert_run!("a_truncated_journal_is_refused", sandbox, sandbox.run("status lab"));
    assert_run!("a_truncated_journal_hides_no_other_cluster", sandbox, sandbox.run("ls"));
}

#[test]
fn what_a_damaged_journal_told_of_can_be_destroyed_by_its_mark() {
    let sandbox = Sandbox::new();
    sandbox.run("create lab --provider fake").ended(0);
    std::fs::write(sandbox.journal_path("lab"), "{").unwrap();

    sandbox.run("destroy lab --provider fake --yes").ended(0);

    assert_eq!(sandbox.provider_holds(), 0);
    assert_eq!(sandbox.files(), []);
}

#[test]
fn a_wrong_key_in_the_cluster_file_is_refused_with_the_keys() {
    let sandbox = Sandbox::new();
    let file = sandbox.home().join("swarmup.yaml");
    std::fs::write(&file, "name: lab\nprovider: fake\nnodes: {}\n").unwrap();

    let run = sandbox.run(&format!("create --file {}", file.display())).ended(2);

    assert_run!("a_wrong_key_in_the_cluster_file", sandbox, run);
    assert_eq!(sandbox.files(), []);
}

#[test]
fn several_clusters_need_a_name() {
    let sandbox = Sandbox::new();
    sandbox.run("create lab --provider fake").ended(0);
    sandbox.run("create class --provider fake --managers 1 --workers 0").ended(0);

    assert_run!("several_clusters_need_a_name", sandbox, sandbox.run("status").ended(2));
    sandbox.run("status --cluster lab").ended(0);
}

#[test]
fn destroying_asks_and_where_nobody_can_be_asked_refuses() {
    let sandbox = Sandbox::new();
    sandbox.run("create lab --provider fake").ended(0);

    assert_run!("destroying_needs_a_yes", sandbox, sandbox.run("destroy lab").ended(2));
    sandbox.run("status lab").ended(0);
}
