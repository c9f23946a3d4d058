//! Frozen, silent and slow peers, in real time.

use std::net::Ipv4Addr;
use std::time::Duration;

use model::Role;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::DispatcherClient;
use crate::testing::{Relay, TestSwarm, channel, echo, session_request};

#[tokio::test]
async fn the_channel_to_a_frozen_peer_breaks_within_two_seconds() {
    let swarm = TestSwarm::new();
    let manager = swarm.manager().await;
    let relay = Relay::start(manager.addr, Duration::ZERO).await;
    let (_, tls) = swarm.node(Role::Manager);
    let channel = channel(&tls, relay.addr);
    let mut session = DispatcherClient::new(channel.clone()).session(session_request()).await.expect("a session");
    session.message().await.expect("open").expect("the first message");

    relay.frozen.send_replace(true);
    let frozen = Instant::now();
    let (call, ended) = tokio::join!(echo(&channel, "hello"), session.message());

    assert!(call.is_err());
    assert!(ended.is_err());
    assert!(frozen.elapsed() > Duration::from_millis(1400), "{:?} is no time to answer", frozen.elapsed());
    assert!(frozen.elapsed() < Duration::from_millis(2600), "{:?} is too long", frozen.elapsed());

    relay.frozen.send_replace(false);
    let thawed = timeout(Duration::from_secs(5), echo(&channel, "hello")).await.expect("an answer");
    assert!(thawed.is_ok(), "{thawed:?}");
}

#[tokio::test]
async fn a_peer_that_answers_late_keeps_its_channel() {
    let swarm = TestSwarm::new();
    let manager = swarm.manager().await;
    let relay = Relay::start(manager.addr, Duration::from_millis(400)).await;
    let (_, tls) = swarm.node(Role::Manager);
    let channel = channel(&tls, relay.addr);
    let mut session = DispatcherClient::new(channel.clone()).session(session_request()).await.expect("a session");
    session.message().await.expect("open").expect("the first message");

    assert!(timeout(Duration::from_secs(5), session.message()).await.is_err(), "the session goes on");
    assert!(echo(&channel, "hello").await.is_ok());
}

#[tokio::test]
async fn all_who_wait_for_a_peer_that_never_answers_are_told_together() {
    let swarm = TestSwarm::new();
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let (_, tls) = swarm.node(Role::Manager);
    let channel = channel(&tls, silent.local_addr().expect("bound"));
    let mut calls = JoinSet::new();

    let started = Instant::now();
    for _ in 0..20 {
        let channel = channel.clone();
        calls.spawn(async move { echo(&channel, "hello").await });
    }
    let results = calls.join_all().await;

    assert!(results.iter().all(|result| result.as_ref().is_err_and(|status| status.message().contains("in time"))));
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_caller_that_gives_up_leaves_the_attempt_to_the_others() {
    let swarm = TestSwarm::new();
    let manager = swarm.manager().await;
    let relay = Relay::start(manager.addr, Duration::from_millis(200)).await;
    let (_, tls) = swarm.node(Role::Manager);
    let channel = channel(&tls, relay.addr);

    let mut impatient = 0;
    while timeout(Duration::from_millis(100), channel.ready()).await.is_err() {
        impatient += 1;
        assert!(impatient < 50, "the connection never comes about");
    }

    assert!(impatient > 1, "the relay is slower than one caller's patience");
    assert!(echo(&channel, "hello").await.is_ok());
}

#[tokio::test]
async fn who_does_not_shake_hands_is_sent_away() {
    let swarm = TestSwarm::new();
    let manager = swarm.manager().await;
    let mut silent = TcpStream::connect(manager.addr).await.expect("a connection");

    let started = Instant::now();
    let read = timeout(Duration::from_secs(8), silent.read(&mut [0; 16])).await.expect("the server hangs up");

    assert!(read.is_err() || read.is_ok_and(|length| length == 0));
    assert!(started.elapsed() > Duration::from_secs(4));
}
