//! Clients that attach over a WebSocket: a library's own client.

use futures_util::{SinkExt as _, StreamExt as _};
use http::Response;
use tokio::net::UnixStream;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::lab::{Lab, interactive, script, terminal};

type Socket = WebSocketStream<UnixStream>;

async fn open(lab: &Lab, path: &str) -> Result<Socket, Response<Option<Vec<u8>>>> {
    let stream = UnixStream::connect(lab.socket()).await.unwrap();
    match client_async(format!("ws://docker{path}"), stream).await {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Http(refusal)) => Err(*refusal),
        Err(error) => panic!("{path}: {error}"),
    }
}

/// What comes until there is `text` in it.
async fn until(socket: &mut Socket, text: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(text) {
        let message = socket.next().await.expect("the engine sends on").unwrap();
        assert!(message.is_binary(), "{message:?}");
        seen.push_str(message.to_text().unwrap());
    }
    seen
}

/// What comes until the engine closes.
async fn rest(mut socket: Socket) -> String {
    let mut seen = String::new();
    while let Some(message) = socket.next().await {
        let message = message.unwrap();
        assert!(message.is_binary() || message.is_close(), "{message:?}");
        if message.is_binary() {
            seen.push_str(message.to_text().unwrap());
        }
    }
    seen
}

#[tokio::test]
async fn messages_are_input_and_output_comes_in_messages_without_heads() {
    let lab = Lab::start().await;
    lab.create("one", interactive("read a; read b; echo got $a $b; echo oh >&2; read c; exit 3")).await;
    let mut socket = open(&lab, "/v1.41/containers/one/attach/ws?stream=1&stdin=1&stdout=1&stderr=1").await.unwrap();
    lab.engine.containers().start("one").await.unwrap();

    socket.send(Message::text("one\n")).await.unwrap();
    socket.send(Message::Ping("still there".into())).await.unwrap();
    socket.send(Message::binary("two\n")).await.unwrap();
    let pong = socket.next().await.unwrap().unwrap();
    let seen = until(&mut socket, "oh\n").await;
    socket.send(Message::binary("end\n")).await.unwrap();

    assert_eq!(pong, Message::Pong("still there".into()));
    assert_eq!(seen, "got one two\noh\n");
    assert_eq!(rest(socket).await, "");
    assert_eq!(lab.wait("one").await, 3);
}

#[tokio::test]
async fn a_log_comes_first_and_a_client_that_closes_leaves_the_program_alone() {
    let lab = Lab::start().await;
    lab.run("one", terminal("echo before; while read line; do echo got $line; done")).await;
    let path = "/containers/one/attach/ws?logs=1&stream=1&stdin=1&stdout=1";

    let mut first = open(&lab, path).await.unwrap();
    until(&mut first, "before\r\n").await;
    first.send(Message::binary("one\r")).await.unwrap();
    until(&mut first, "got one\r\n").await;
    first.close(None).await.unwrap();
    assert_eq!(rest(first).await, "");
    let mut second = open(&lab, path).await.unwrap();
    second.send(Message::binary("two\r")).await.unwrap();
    let seen = until(&mut second, "got two\r\n").await;

    assert!(seen.starts_with("before\r\n") && seen.contains("got one\r\n"), "{seen:?}");
}

#[tokio::test]
async fn what_cannot_be_is_refused_as_http() {
    let lab = Lab::start().await;
    lab.run("one", script("sleep 1000")).await;

    let unknown = open(&lab, "/containers/nosuch/attach/ws?stream=1&stdout=1").await.unwrap_err();
    let keys = open(&lab, "/containers/one/attach/ws?stream=1&stdout=1&detachKeys=ab").await.unwrap_err();
    let plain = lab.expect("GET", "/containers/one/attach/ws?stream=1&stdout=1", 400).await;

    assert_eq!([unknown.status(), keys.status()], [404, 400]);
    assert!(plain.refusal().1.contains("Sec-WebSocket-Key"), "{plain:?}");
}
