//! Images between nodes: who gets which, what becomes of lies, and of a task whose image is nowhere to be had.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;

use image::Credentials;
use model::{BlobRequest, CONTROL_PORT, FindImage, ManagerPeer, Role, TaskId};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::{Code, Status};

use super::swarm::{Lie, Swarm};
use crate::peers::PeerFailure;
use crate::task_image::TaskImage;

#[tokio::test(flavor = "multi_thread")]
async fn an_image_comes_from_the_node_that_has_it_by_name_and_by_digest() {
    let mut swarm = Swarm::start().await;
    let (asking, empty, having) = (swarm.honest().await, swarm.honest().await, swarm.honest().await);
    swarm.introduce(&asking);
    let image = having.make("app:1").await;
    let digest = having.engine.images().store().find("app:1").unwrap().manifest.digest;
    let pinned = format!("app:1@{digest}");

    let by_digest = asking.fetch(&swarm.assign(&asking, 1, &pinned), &pinned).await.unwrap();
    let by_name = asking.fetch(&swarm.assign(&asking, 2, "app:1"), "app:1").await.unwrap();

    assert_eq!((by_digest, by_name), (image, image));
    assert_eq!((asking.has(&pinned), asking.has("app:1"), empty.has("app:1")), (Some(image), Some(image), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_gets_the_image_of_its_own_task_and_nothing_else() {
    let mut swarm = Swarm::start().await;
    let (asking, other, having) = (swarm.honest().await, swarm.honest().await, swarm.honest().await);
    having.make("app:1").await;
    having.make("secret:1").await;
    let store = having.engine.images().store();
    let secret = store.find("secret:1").unwrap().layers[0].digest.to_string();
    let (own, others) = (swarm.assign(&asking, 1, "app:1"), swarm.assign(&other, 2, "secret:1"));
    let nobodys = TaskId::generate(&mut StdRng::seed_from_u64(3));
    let client = asking.client(&having);
    let code = |status: Status| status.code();

    let offered = client.find(FindImage { task_id: own.clone() }).await.unwrap();
    for task_id in [others.clone(), nobodys] {
        assert_eq!(client.find(FindImage { task_id }).await.map_err(code), Err(Code::PermissionDenied));
    }
    for (task_id, digest) in [(own.clone(), secret.clone()), (others, secret), (own, "nonsense".to_owned())] {
        let refused = client.blob(BlobRequest { task_id, digest }).await.map(drop).map_err(code);
        assert_eq!(refused, Err(Code::PermissionDenied));
    }

    assert_eq!(offered.digest, store.find("app:1").unwrap().manifest.digest.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_node_lies_the_next_one_gives_the_image() {
    for lie in [Lie::OtherBytes, Lie::Endless, Lie::TooShort, Lie::Refusal, Lie::OtherImage] {
        let mut swarm = Swarm::start().await;
        let asking = swarm.honest().await;
        let ((lying, liar), having) = (swarm.lying(lie).await, swarm.honest().await);
        swarm.introduce(&asking);
        let image = having.make("app:1").await;
        lying.copy(&having, "app:1").await;
        let pinned = format!("app:1@{}", having.engine.images().store().find("app:1").unwrap().manifest.digest);

        // Which of the two is asked for blobs first depends on the task.
        for number in 1..=32 {
            let task = swarm.assign(&asking, number, &pinned);
            let fetched = asking.fetch(&task, &pinned).await;
            assert_eq!(fetched.ok(), Some(image), "{lie:?}");
            if liar.told.load(Ordering::Relaxed) > 0 {
                break;
            }
            asking.engine.images().remove(&image.to_string(), true, false).await.unwrap();
        }

        assert!(liar.told.load(Ordering::Relaxed) > 0, "{lie:?}: it was never asked");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_all_who_have_it_lie_the_task_waits_and_where_nobody_has_it_it_is_nowhere() {
    let mut swarm = Swarm::start().await;
    let asking = swarm.honest().await;
    let (lying, _) = swarm.lying(Lie::OtherBytes).await;
    swarm.introduce(&asking);
    lying.make("app:1").await;

    let lied = asking.fetch(&swarm.assign(&asking, 1, "app:1"), "app:1").await.unwrap_err();
    let nowhere = asking.fetch(&swarm.assign(&asking, 2, "app:2"), "app:2").await.unwrap_err();
    asking.view.send_modify(|view| view.manager = None);
    let alone = asking.fetch(&swarm.assign(&asking, 3, "app:2"), "app:2").await.unwrap_err();

    assert!(matches!(lied, PeerFailure::Later(_)), "{lied:?}");
    assert!(matches!(nowhere, PeerFailure::Nowhere), "{nowhere:?}");
    assert!(matches!(alone, PeerFailure::Later(_)), "{alone:?}");
    assert_eq!(asking.engine.images().store().list(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_without_a_digest_means_what_it_means_on_the_first_node_that_the_leader_names() {
    let mut swarm = Swarm::start().await;
    let mut asking = Vec::new();
    for _ in 0..3 {
        asking.push(swarm.honest().await);
    }
    let (first, second) = (swarm.honest().await, swarm.honest().await);
    let (meant, other) = (first.make("app:1").await, second.make("app:1").await);

    for (number, peer) in asking.iter().enumerate() {
        swarm.introduce(peer);
        let task = swarm.assign(peer, number as u64, "app:1");
        assert_eq!(peer.fetch(&task, "app:1").await.unwrap(), meant);
    }

    assert_ne!(meant, other);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_gone_is_passed_over() {
    let mut swarm = Swarm::start().await;
    let asking = swarm.honest().await;
    let (gone, _) = swarm.identity(Role::Worker);
    let addr = SocketAddr::new(swarm.addr(200), CONTROL_PORT);
    swarm.members.push(ManagerPeer { node_id: gone.clone(), addr });
    swarm.guide.order.lock().unwrap().insert(0, gone);
    let having = swarm.honest().await;
    swarm.introduce(&asking);
    let image = having.make("app:1").await;

    let fetched = asking.fetch(&swarm.assign(&asking, 1, "app:1"), "app:1").await.unwrap();

    assert_eq!(fetched, image);
}

/// A registry that does not answer is there again another time; one that says no has said so.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_waits_for_a_registry_that_is_down_and_ends_where_its_image_is_nowhere() {
    let mut swarm = Swarm::start().await;
    let (asking, having) = (swarm.honest().await, swarm.honest().await);
    swarm.introduce(&asking);
    let registry = registry_without_images().await;
    let image = having.make("127.0.0.1:9/app:1").await;
    let ensure = async |number: u64, name: &str| {
        let task = swarm.assign(&asking, number, name);
        let images = asking.engine.images();
        let peers = Some(asking.images.clone());
        Box::pin(TaskImage { images, peers, task: &task, name }.ensure(&Credentials::default())).await
    };
    // Nobody listens on the discard port.
    let (there, down, nowhere) =
        ("127.0.0.1:9/app:1".to_owned(), "127.0.0.1:9/app:2".to_owned(), format!("{}/app:3", registry.addr));

    assert_eq!(ensure(1, &there).await, Ok(()));
    assert_eq!(asking.has(&there), Some(image));
    let waits = ensure(2, &down).await.unwrap_err();
    assert!(waits.is_temporary, "{waits}");
    assert!(waits.message.contains("failed to reach the registry 127.0.0.1:9"), "{waits}");
    assert!(waits.message.ends_with("no other node has it"), "{waits}");
    let ends = ensure(3, &nowhere).await.unwrap_err();
    assert!(!ends.is_temporary, "{ends}");
    assert!(ends.message.starts_with(&format!("No such image: {nowhere} (manifest for ")), "{ends}");
}

/// A registry that answers that it has nothing.
struct EmptyRegistry {
    addr: SocketAddr,
    _serving: JoinSet<()>,
}

async fn registry_without_images() -> EmptyRegistry {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 4096];
            // What is no plain HTTP, a handshake of TLS, is cut off.
            let read = stream.read(&mut buffer).await.unwrap_or(0);
            if buffer[..read].starts_with(b"GET ") {
                let body = r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#;
                let (status, body) =
                    if buffer.starts_with(b"GET /v2/ ") { ("200 OK", "{}") } else { ("404 Not Found", body) };
                let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                let _ = stream.write_all((head + body).as_bytes()).await;
            }
        }
    });
    EmptyRegistry { addr, _serving: serving }
}
