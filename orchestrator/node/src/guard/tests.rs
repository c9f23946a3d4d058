//! The guard of one node against a real kernel, in network namespaces of the tests' own. Who is let through is tested
//! with packets: in `links`, and with whole agents in `swarmd`.

use ::tests::isolated;
use model::{NodeId, RaftId, Role, SessionId, SessionMessage};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::disk::NewNode;

const TABLE: &str = "guard";
const OWN: &str = "192.0.2.1";

fn addresses_of(texts: &[&str]) -> BTreeSet<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn peers(texts: &[&str]) -> Vec<ManagerPeer> {
    let mut rng = StdRng::seed_from_u64(1);
    let peer = |address| ManagerPeer { node_id: NodeId::generate(&mut rng), addr: SocketAddr::new(address, 2377) };
    addresses_of(texts).into_iter().map(peer).collect()
}

/// A node that knows one manager and was told to join at another address.
fn node() -> NodeFile {
    let mut rng = StdRng::seed_from_u64(2);
    NodeFile::from(NewNode {
        node_id: NodeId::generate(&mut rng),
        cluster_id: "0000000000000000000000001".parse().unwrap(),
        roots: Vec::new(),
        listen: SocketAddr::new(OWN.parse().unwrap(), 2377),
        advertise: SocketAddr::new(OWN.parse().unwrap(), 2377),
        data_path: Some("198.51.100.1".parse().unwrap()),
        managers: peers(&["192.0.2.2"]),
        remotes: vec!["192.0.2.3:2377".parse().unwrap()],
        raft_id: None::<RaftId>,
        is_first_key: false,
        nonce: None,
    })
}

fn view(members: &[&str]) -> AgentView {
    let message = SessionMessage {
        session_id: SessionId::generate(&mut StdRng::seed_from_u64(3)),
        node: model::Node {
            id: node().node_id,
            meta: model::Meta::default(),
            spec: model::NodeSpec::default(),
            state: model::NodeState::default(),
        },
        managers: Vec::new(),
        members: peers(members),
        gossip_keys: Vec::new(),
        roots: Vec::new(),
        client_ca: None,
    };
    AgentView {
        manager: None,
        message: Some(Arc::new(message)),
        role: Role::Worker,
        certificate: String::new(),
        roots: Vec::new(),
        error: String::new(),
    }
}

fn table() -> GuardTable {
    GuardTable::new(Some(TABLE.to_owned()))
}

fn stands() -> bool {
    nft::tables().unwrap().iter().any(|(_, name)| name == TABLE)
}

/// Runs a test in namespaces of its own, in paused time.
fn alone(name: &str, test: impl Future<Output = ()>) {
    isolated(&format!("guard::tests::{name}"), || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(test);
    });
}

#[test]
fn the_members_known_are_let_in_at_once() {
    alone("the_members_known_are_let_in_at_once", async {
        let guard = Guard::raise(&table(), &node(), &peers(&[OWN, "192.0.2.8", "192.0.2.9"])).await.unwrap();

        let expected = [OWN, "198.51.100.1", "192.0.2.3", "192.0.2.8", "192.0.2.9"];
        assert_eq!(guard.admitted, addresses_of(&expected));
        assert!(guard.is_in_place && stands());
    });
}

#[test]
fn where_no_members_are_known_the_managers_are_let_in() {
    alone("where_no_members_are_known_the_managers_are_let_in", async {
        let guard = Guard::raise(&table(), &node(), &[]).await.unwrap();

        assert_eq!(guard.admitted, addresses_of(&[OWN, "198.51.100.1", "192.0.2.2", "192.0.2.3"]));
        assert!(guard.is_in_place && stands());
    });
}

#[test]
fn the_table_of_the_process_before_stands_until_the_first_message() {
    alone("the_table_of_the_process_before_stands_until_the_first_message", async {
        Guard::raise(&table(), &node(), &peers(&[OWN, "192.0.2.9"])).await.unwrap();

        let mut guard = Guard::raise(&table(), &node(), &[]).await.unwrap();
        let was_in_place = guard.is_in_place;
        // The same members as it would let in by itself: the kernel has others, so it must be told.
        guard.learn(&peers(&["192.0.2.2", "192.0.2.3"])).await;

        assert!(!was_in_place);
        assert!(guard.is_in_place);
    });
}

#[test]
fn a_list_without_anybody_changes_nothing() {
    alone("a_list_without_anybody_changes_nothing", async {
        let mut guard = Guard::raise(&table(), &node(), &[]).await.unwrap();
        let before = guard.admitted.clone();

        guard.learn(&[]).await;

        assert_eq!(guard.admitted, before);
    });
}

#[test]
fn a_table_that_was_flushed_comes_back() {
    alone("a_table_that_was_flushed_comes_back", async {
        let guard = Guard::raise(&table(), &node(), &[]).await.unwrap();
        let (_sender, view) = watch::channel(view(&[OWN, "192.0.2.2"]));
        let (cancel, mut running) = (CancellationToken::new(), tokio::task::JoinSet::new());

        let running_until = cancel.clone();
        running.spawn(async move { guard.run(view, running_until).await });
        nft::remove(Family::Inet, TABLE).unwrap();
        let comes_back = async {
            while !stands() {
                tokio::time::sleep(LOOK / 4).await;
            }
        };
        let is_back = tokio::time::timeout(LOOK * 2, comes_back).await.is_ok();
        cancel.cancel();
        running.join_all().await;

        assert!(is_back && stands());
    });
}

#[test]
fn lifting_removes_the_table_and_may_be_repeated() {
    alone("lifting_removes_the_table_and_may_be_repeated", async {
        let table = table();
        Guard::raise(&table, &node(), &[]).await.unwrap();

        table.lift().await;
        table.lift().await;

        assert_eq!(nft::tables().unwrap(), []);
    });
}

#[test]
fn a_node_without_a_table_guards_nothing() {
    alone("a_node_without_a_table_guards_nothing", async {
        let table = GuardTable::new(None);

        let guard = Guard::raise(&table, &node(), &[]).await;
        table.lift().await;

        assert!(guard.is_none());
        assert_eq!(nft::tables().unwrap(), []);
    });
}

#[test]
fn a_kernel_that_refuses_is_told_of_once_and_asked_again() {
    alone("a_kernel_that_refuses_is_told_of_once_and_asked_again", async {
        // No kernel takes so long a name.
        let table = GuardTable::new(Some("x".repeat(1000)));

        let mut guard = Guard::raise(&table, &node(), &[]).await.unwrap();
        let was_told = guard.place.is_refusal_told.load(Ordering::Relaxed);
        guard.learn(&peers(&[OWN, "192.0.2.2"])).await;

        assert!(was_told);
        assert!(!guard.is_in_place);
        assert_eq!(nft::tables().unwrap(), []);
    });
}

#[test]
fn a_node_that_finds_no_manager_opens_the_gossip_until_it_has_found_one() {
    alone("a_node_that_finds_no_manager_opens_the_gossip_until_it_has_found_one", async {
        let guard = Guard::raise(&table(), &node(), &[]).await.unwrap();
        let rules =
            || std::process::Command::new("nft").args(["list", "table", "inet", TABLE]).output().unwrap().stdout;
        let guarded = rules();
        let (sender, receiver) = watch::channel(view(&[OWN, "192.0.2.2"]));
        let (cancel, mut running) = (CancellationToken::new(), tokio::task::JoinSet::new());
        let running_until = cancel.clone();
        running.spawn(async move { guard.run(receiver, running_until).await });

        tokio::time::sleep(LOST * 2).await;
        let open = String::from_utf8(rules()).unwrap();
        let manager = agent::Remote { addr: "192.0.2.2:2377".parse().unwrap(), node: None };
        sender.send_modify(|view| view.manager = Some(manager));
        tokio::time::sleep(LOST * 2).await;
        let closed = String::from_utf8(rules()).unwrap();
        cancel.cancel();
        running.join_all().await;

        let guards = |rules: &str, port: &str| rules.contains(&format!("udp dport {port}"));
        assert!(guards(&String::from_utf8(guarded).unwrap(), "7946"));
        assert!(!guards(&open, "7946") && guards(&open, "4789"), "{open}");
        assert!(guards(&closed, "7946") && guards(&closed, "4789"), "{closed}");
    });
}
