//! What reaches the services, what is refused on the way, and what comes back.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use ca::JoinToken;
use jiff::Timestamp;
use model::{
    Availability, Caller, ControlRequest, ErrorKind, HeartbeatRequest, IssueRequest, JoinRaftRequest, LogBatch,
    LogMessage, LogOrder, LogRequest, LogSelection, LogSubscriptionId, LogTarget, RaftId, Role, Secret, SessionId,
    SwarmError, TaskLogEnd,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tonic::Code;

use crate::testing::{
    REFUSED, SLOW, TestManager, TestSwarm, channel, echo, log_line, long_message, new_node_id, session_request,
};
use crate::{
    CertificatesClient, Channel, Connector, ControlCall, ControlClient, DispatcherClient, LogCall, LogClient,
    MAX_MESSAGE_SIZE, MembershipClient, PinError, RaftCall, RaftClient, TlsState, fetch_root, from_status, is_answer,
    leader_of,
};

fn heartbeat() -> HeartbeatRequest {
    HeartbeatRequest {
        session_id: SessionId::generate(&mut rand::rng()),
        is_restarting: false,
        is_leaving: false,
        is_stopping: false,
        scheduling_delay_ms: 0,
        gossip_dead: Vec::new(),
        tls: None,
        lease_left_ms: None,
    }
}

fn control_call() -> ControlCall {
    ControlCall {
        caller: Caller::Client { name: "alice".to_owned() },
        request: ControlRequest::RemoveNode { id: new_node_id(), force: false },
    }
}

fn log_batch(subscription: u64) -> LogBatch {
    let line = log_line();
    LogBatch {
        subscription: LogSubscriptionId(subscription),
        listening: 1,
        entries: vec![(line.task.clone(), line.entry)],
        ended: vec![TaskLogEnd { task: line.task, error: Some("gone".to_owned()) }],
    }
}

fn log_call() -> LogCall {
    let selection = LogSelection { follow: true, stdout: true, stderr: true, tail: Some(5), since: None };
    let seen = BTreeMap::from([(log_line().task, Timestamp::UNIX_EPOCH)]);
    let request = LogRequest { target: LogTarget::Task(log_line().task), selection, seen };
    LogCall { caller: Caller::Client { name: "alice".to_owned() }, request }
}

fn issue_request() -> IssueRequest {
    IssueRequest { csr: String::new(), token: None, availability: Availability::Active, addr: None, node: None }
}

fn join_request() -> JoinRaftRequest {
    JoinRaftRequest { raft_id: RaftId(1), addr: SocketAddr::from(([127, 0, 0, 1], 2377)) }
}

/// How every method answers a caller: that it ran, or the code of the refusal before it ran.
async fn answers(channel: &Channel) -> Vec<(&'static str, Option<Code>)> {
    let refusal = |status: Option<tonic::Status>| {
        status.map(|status| status.code()).filter(|code| matches!(code, Code::PermissionDenied | Code::Unauthenticated))
    };
    let control = ControlClient::new(channel.clone());
    let membership = MembershipClient::new(channel.clone());
    let certificates = CertificatesClient::new(channel.clone());
    let dispatcher = DispatcherClient::new(channel.clone());
    vec![
        ("raft", refusal(echo(channel, "hello").await.err())),
        ("execute", refusal(control.execute(control_call()).await.err())),
        ("read point", refusal(control.read_point().await.err())),
        ("join", refusal(membership.join(join_request()).await.err())),
        ("leave", refusal(membership.leave().await.err())),
        ("session", refusal(dispatcher.session(session_request()).await.err())),
        ("heartbeat", refusal(dispatcher.heartbeat(heartbeat()).await.err())),
        ("listen", refusal(LogClient::new(channel.clone()).listen().await.err())),
        ("publish", refusal(LogClient::new(channel.clone()).publish(log_batch(1)).await.err())),
        ("read", refusal(LogClient::new(channel.clone()).read(log_call()).await.err())),
        ("roots", refusal(certificates.roots().await.err())),
        ("issue", refusal(certificates.issue(issue_request()).await.err())),
    ]
}

#[tokio::test]
async fn each_method_is_for_the_role_it_is_meant_for() {
    let swarm = TestSwarm::new();
    let manager = swarm.manager().await;
    let (_, as_manager) = swarm.node(Role::Manager);
    let (_, as_worker) = swarm.node(Role::Worker);
    let as_guest = TlsState::new(None, &swarm.trust()).expect("usable");
    let denied = Some(Code::PermissionDenied);
    let unknown = Some(Code::Unauthenticated);

    let expected = [
        ("raft", [None, denied, unknown]),
        ("execute", [None, denied, unknown]),
        ("read point", [None, denied, unknown]),
        ("join", [None, denied, unknown]),
        ("leave", [None, denied, unknown]),
        ("session", [None, None, unknown]),
        ("heartbeat", [None, None, unknown]),
        ("listen", [None, None, unknown]),
        ("publish", [None, None, unknown]),
        ("read", [None, denied, unknown]),
        ("roots", [None, None, None]),
        ("issue", [None, None, None]),
    ];
    for (index, tls) in [as_manager, as_worker, as_guest].iter().enumerate() {
        let expected: Vec<_> = expected.iter().map(|(method, by_role)| (*method, by_role[index])).collect();
        assert_eq!(answers(&channel(tls, manager.addr)).await, expected, "role {index}");
    }
}

#[tokio::test]
async fn errors_answers_and_the_leader_s_address_cross_the_wire_whole() {
    let swarm = TestSwarm::new();
    let manager = swarm.manager().await;
    let (_, tls) = swarm.node(Role::Manager);
    let channel = channel(&tls, manager.addr);

    let not_leader = ControlClient::new(channel.clone()).execute(control_call()).await.expect_err("not the leader");
    let refused = MembershipClient::new(channel.clone()).leave().await.expect_err("refused");
    let read_point = ControlClient::new(channel.clone()).read_point().await.expect("a read point");

    assert_eq!(leader_of(&not_leader), Some(SocketAddr::from(([10, 0, 0, 9], 2377))));
    assert_eq!(from_status(&not_leader), SwarmError::no_leader());
    assert_eq!(from_status(&refused), SwarmError::precondition("this would result in a loss of quorum"));
    assert!(is_answer(&refused));
    assert_eq!((read_point.index, read_point.unreachable), (42, vec![RaftId(2)]));
}

#[tokio::test]
async fn the_longest_error_crosses_the_wire_too() {
    let swarm = TestSwarm::new();
    let manager = swarm.manager().await;
    let (_, tls) = swarm.node(Role::Manager);

    let refused = RaftClient::new(channel(&tls, manager.addr))
        .call(RaftCall { kind: REFUSED, payload: Bytes::new() })
        .await
        .expect_err("refused");

    assert_eq!(from_status(&refused), SwarmError::new(ErrorKind::Internal, long_message()));
}

#[tokio::test]
async fn the_service_learns_who_calls() {
    let swarm = TestSwarm::new();
    let manager = swarm.manager().await;
    let (_, as_manager) = swarm.node(Role::Manager);
    let as_guest = TlsState::new(None, &swarm.trust()).expect("usable");

    let known = CertificatesClient::new(channel(&as_manager, manager.addr)).issue(issue_request()).await;
    let guest = CertificatesClient::new(channel(&as_guest, manager.addr)).issue(issue_request()).await;

    assert_eq!(known.expect("an answer").role, Role::Manager);
    assert_eq!(guest.expect("an answer").role, Role::Worker);
}

#[tokio::test]
async fn a_message_of_the_largest_size_passes_and_a_larger_one_does_not() {
    let swarm = TestSwarm::new();
    let manager = swarm.manager().await;
    let (_, tls) = swarm.node(Role::Manager);
    let channel = channel(&tls, manager.addr);
    let send = |size: usize| {
        let client = RaftClient::new(channel.clone());
        async move { client.call(RaftCall { kind: 0, payload: Bytes::from(vec![1; size]) }).await }
    };

    let large = send(MAX_MESSAGE_SIZE - 64).await.expect("it fits");
    let too_large = send(MAX_MESSAGE_SIZE).await.expect_err("it does not fit");
    let after = echo(&channel, "still here").await;

    assert_eq!(large.payload.len(), MAX_MESSAGE_SIZE - 64);
    assert!(is_answer(&too_large) && too_large.code() == Code::InvalidArgument, "{too_large}");
    assert!(after.is_ok(), "{after:?}");
}

#[tokio::test]
async fn a_guest_s_message_is_kept_small() {
    let swarm = TestSwarm::new();
    let manager = swarm.manager().await;
    let guest = TlsState::new(None, &swarm.trust()).expect("usable");
    let client = CertificatesClient::new(channel(&guest, manager.addr));
    let request = IssueRequest { csr: "x".repeat(100_000), ..issue_request() };

    assert!(client.issue(request).await.is_err());
    assert!(client.issue(issue_request()).await.is_ok());
}

#[tokio::test]
async fn many_calls_share_one_connection() {
    let swarm = TestSwarm::new();
    let manager = swarm.manager().await;
    let (_, tls) = swarm.node(Role::Manager);
    let connector = Connector::new(tls);
    let mut calls = JoinSet::new();

    let started = Instant::now();
    for _ in 0..100 {
        let client = RaftClient::new(connector.channel(manager.addr, None));
        calls.spawn(async move { client.call(RaftCall { kind: SLOW, payload: Bytes::new() }).await });
    }
    let results = calls.join_all().await;

    assert!(results.iter().all(Result::is_ok));
    assert!(started.elapsed() < Duration::from_secs(10), "they ran one after the other");
}

#[tokio::test]
async fn a_call_under_way_is_finished_when_the_server_ends() {
    let swarm = TestSwarm::new();
    let manager = swarm.manager().await;
    let (_, tls) = swarm.node(Role::Manager);
    let channel = channel(&tls, manager.addr);
    let mut session = DispatcherClient::new(channel.clone()).session(session_request()).await.expect("a session");
    session.message().await.expect("open").expect("the first message");
    let client = RaftClient::new(channel.clone());
    let mut calls = JoinSet::new();
    calls.spawn(async move { client.call(RaftCall { kind: SLOW, payload: Bytes::from_static(b"x") }).await });
    // The answer to this one shows that the slow one, sent before it, has arrived.
    echo(&channel, "hello").await.expect("an answer");

    let stopping = Instant::now();
    manager.stop().await;

    assert!(stopping.elapsed() < Duration::from_secs(2));
    assert!(calls.join_next().await.expect("a call").expect("no panic").is_ok());
    assert!(session.message().await.is_err(), "a session ends with its server");
}

#[tokio::test]
async fn a_channel_finds_a_restarted_server_at_its_next_call() {
    let swarm = TestSwarm::new();
    let manager = swarm.manager().await;
    let (node_id, server_tls, addr) = (manager.node_id.clone(), manager.tls.clone(), manager.addr);
    let (_, tls) = swarm.node(Role::Manager);
    let channel = channel(&tls, addr);
    echo(&channel, "hello").await.expect("an answer");

    manager.stop().await;
    let refused = echo(&channel, "hello").await;
    let listener = tokio::net::TcpListener::bind(addr).await.expect("the port is free");
    let manager = TestManager::start_on(listener, node_id, server_tls, &swarm.root());
    let answered = echo(&channel, "hello").await;

    assert!(refused.is_err());
    assert!(answered.is_ok(), "{answered:?}");
    manager.stop().await;
}

#[tokio::test]
async fn a_joining_node_pins_the_root_that_its_token_names() {
    let swarm = TestSwarm::new();
    let manager = swarm.manager().await;
    let secret = Secret::new("1111111111111111111111111");
    let token = JoinToken::new(&swarm.root(), &secret).expect("a token");
    let of_another = JoinToken::new(&TestSwarm::new().root(), &secret).expect("a token");

    let pinned = fetch_root(manager.addr, &token).await;
    let refused = fetch_root(manager.addr, &of_another).await;

    assert_eq!(pinned.expect("the root"), swarm.root());
    assert!(matches!(refused, Err(PinError::OtherSwarm { .. })), "{refused:?}");
}

#[tokio::test]
async fn guests_are_few_and_do_not_keep_nodes_out() {
    let swarm = TestSwarm::new();
    let manager = swarm.manager().await;
    let guest = TlsState::new(None, &swarm.trust()).expect("usable");
    let (_, member) = swarm.node(Role::Manager);
    let mut guests = Vec::new();

    for _ in 0..64 {
        let channel = channel(&guest, manager.addr);
        CertificatesClient::new(channel.clone()).roots().await.expect("a guest is welcome");
        guests.push(channel);
    }
    let one_too_many = CertificatesClient::new(channel(&guest, manager.addr)).roots().await;
    let node = echo(&channel(&member, manager.addr), "hello").await;

    assert!(one_too_many.is_err());
    assert!(node.is_ok(), "{node:?}");
    drop(guests.pop());
    let freed = async {
        while CertificatesClient::new(channel(&guest, manager.addr)).roots().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(5), freed).await.expect("a place becomes free");
}

#[tokio::test]
async fn orders_batches_and_lines_of_logs_cross_the_wire_whole() {
    let swarm = TestSwarm::new();
    let manager = swarm.manager().await;
    let (node_id, tls) = swarm.node(Role::Manager);
    let client = LogClient::new(channel(&tls, manager.addr));

    let order = client.listen().await.expect("it listens").message().await.expect("an order comes");
    let message = client.read(log_call()).await.expect("it reads").message().await.expect("a message comes");
    let taken = client.publish(log_batch(7)).await;
    let refused = client.publish(log_batch(8)).await.expect_err("nobody reads");

    let Some(LogOrder::Read { tasks, .. }) = order else { panic!("{order:?}") };
    assert_eq!(tasks[0].task.as_str(), node_id.as_str());
    assert_eq!(message, Some(LogMessage::Lines(vec![log_line()])));
    assert!(taken.is_ok(), "{taken:?}");
    assert_eq!(from_status(&refused).kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn logs_that_nobody_takes_hold_up_no_other_connection_to_the_same_manager() {
    let swarm = TestSwarm::new();
    let manager = swarm.manager().await;
    let (_, tls) = swarm.node(Role::Manager);
    let mut unread = Vec::new();
    for _ in 0..8 {
        let client = LogClient::new(Connector::new(tls.clone()).channel(manager.addr, None));
        unread.push(client.read(log_call()).await.expect("it reads"));
    }

    let others = Connector::new(tls).channel(manager.addr, None);
    for _ in 0..20 {
        let answer = timeout(Duration::from_secs(5), echo(&others, "hello")).await.expect("it is not held up");
        assert_eq!(answer.expect("an answer"), "hello");
    }

    // What waits is still whole.
    for messages in &mut unread {
        assert_eq!(messages.message().await.expect("a message"), Some(LogMessage::Lines(vec![log_line()])));
    }
}
