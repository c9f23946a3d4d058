//! Bytes that are no request of HTTP: the connection ends, with a refusal where there was something to refuse.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::drawing::{CASES, Drawing};
use super::scene::Scene;
use crate::served::PATIENCE;

/// Requests whose head or body nobody can read.
const BROKEN: [&str; 13] = [
    "\r\n\r\n\r\n",
    "GET\r\n\r\n",
    "GET /info\r\n\r\n",
    "GET /info HTTP/9.9\r\nHost: docker\r\n\r\n",
    "GET /in fo HTTP/1.1\r\nHost: docker\r\n\r\n",
    "GET info HTTP/1.1\r\nHost: docker\r\n\r\n",
    "G\0T /info HTTP/1.1\r\nHost: docker\r\n\r\n",
    "GET /info HTTP/1.1\r\nHost docker\r\n\r\n",
    "GET /info HTTP/1.1\r\nHo\0st: docker\r\n\r\n",
    "POST /volumes/create HTTP/1.1\r\nHost: docker\r\nContent-Length: -1\r\n\r\n",
    "POST /volumes/create HTTP/1.1\r\nHost: docker\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    "POST /volumes/create HTTP/1.1\r\nHost: docker\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n",
    "POST /volumes/create HTTP/1.1\r\nHost: docker\r\nContent-Length: 99\r\n\r\n{\"Name\":\"cut\"}",
];

/// Sends bytes and no more, and reads what comes of it to the end.
async fn answer(scene: &Scene, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(scene.socket()).await.unwrap();
    let mut answer = Vec::new();
    let talk = async {
        // Who has heard enough may have closed already.
        drop(stream.write_all(bytes).await);
        drop(stream.shutdown().await);
        drop(stream.read_to_end(&mut answer).await);
    };
    tokio::time::timeout(PATIENCE, talk)
        .await
        .unwrap_or_else(|_| panic!("it hangs: {:?}", &bytes[..bytes.len().min(99)]));
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn what_is_no_request_ends_its_connection_and_changes_nothing() {
    let (scene, mut drawing) = (Scene::start().await, Drawing::default());
    let before = scene.state().await;
    let mut all: Vec<Vec<u8>> = BROKEN.iter().map(|text| text.as_bytes().to_vec()).collect();
    all.extend((0..CASES).map(|_| drawing.bytes()));
    all.push(format!("GET /{} HTTP/1.1\r\nHost: docker\r\n\r\n", "x".repeat(1 << 20)).into_bytes());
    all.push(format!("GET /info HTTP/1.1\r\nHost: docker\r\nX: {}\r\n\r\n", "x".repeat(1 << 20)).into_bytes());
    all.push(format!("GET /info HTTP/1.1\r\nHost: docker\r\n{}\r\n", "X: y\r\n".repeat(10_000)).into_bytes());

    for bytes in all {
        let answer = answer(&scene, &bytes).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}: {:?}", &bytes[..bytes.len().min(99)]);
    }

    assert_eq!(scene.send("GET", "/_ping").await.body, "OK");
    assert_eq!(scene.state().await, before);
}
