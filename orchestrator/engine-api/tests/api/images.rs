//! Images over raw HTTP: what Docker's clients send, and what nobody should.

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::memory::MemoryNode;
use crate::served::{Answer, Served, open, request};
use crate::test_image::{TestImage, archive};

async fn served() -> Served {
    Served::start(MemoryNode::inactive()).await
}

/// Sends an archive.
pub(crate) async fn load(served: &Served, archive: Vec<u8>) -> Answer {
    served.request(request("POST", "/images/load?quiet=1", Body::from(archive))).await
}

/// Three images of different age; the second and third share a layer.
async fn three(served: &Served) -> [String; 3] {
    let images = [
        (TestImage::new("first", 1, &[("a", b"1")]), vec!["first:1", "host:5000/team/first:2"]),
        (TestImage::new("second", 2, &[("base", b"12345"), ("b", b"2")]), vec!["second"]),
        (TestImage::new("third", 3, &[("base", b"12345"), ("c", b"3")]), vec![]),
    ];
    for (image, tags) in &images {
        let answer = load(served, image.archive(tags)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    }
    images.map(|(image, _)| image.id())
}

/// The lines of an answer that tells how far the work is.
pub(crate) fn lines(answer: &Answer) -> Vec<Value> {
    answer.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What has happened to images: action, id and name.
fn happened(served: &Served) -> Vec<(String, String, String)> {
    let (past, _) = served.engine.events().subscribe();
    let told = past.iter().map(|event| {
        let name = event.actor.attributes.get("name").cloned().unwrap_or_default();
        (event.action.clone(), event.actor.id.clone(), name)
    });
    told.collect()
}

#[tokio::test]
async fn what_is_loaded_is_listed_inspected_and_has_a_history() {
    let served = served().await;
    let image = TestImage::new("app", 1, &[("one", b"1"), ("two", b"22")]);

    let loaded = load(&served, image.archive(&["team/app:1"])).await;
    let listed = served.send("GET", "/images/json").await.json();
    let inspected = served.send("GET", "/images/team/app:1/json").await.json();
    let by_id = served.send("GET", &format!("/images/{}/json", &image.id()[7..19])).await.json();
    let history = served.send("GET", "/images/team%2Fapp:1/history").await.json();

    assert_eq!(loaded.body, "{\"stream\":\"Loaded image: team/app:1\\n\"}\r\n");
    assert_eq!(loaded.headers["content-type"], "application/json");
    let digest = listed[0]["Descriptor"]["digest"].clone();
    assert_eq!(
        listed,
        json!([{"Containers": -1, "Created": 1_704_067_201, "Id": image.id(), "Labels": {"name": "app"}, "ParentId": "",
            "Descriptor": {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest,
                "size": listed[0]["Descriptor"]["size"]},
            "RepoDigests": [], "RepoTags": ["team/app:1"], "SharedSize": -1, "Size": 3}])
    );
    assert_eq!(inspected, by_id);
    assert_eq!(inspected["Created"], "2024-01-01T00:00:01Z");
    assert_eq!(
        (&inspected["Os"], &inspected["Author"], &inspected["Size"]),
        (&json!("linux"), &json!("somebody"), &json!(3))
    );
    assert_eq!(inspected["Config"]["Cmd"], json!(["/bin/true"]));
    assert_eq!(inspected["Config"]["User"], "");
    assert_eq!(inspected["RootFS"]["Layers"].as_array().unwrap().len(), 2);
    assert_eq!(inspected["GraphDriver"], json!({"Data": null, "Name": "overlayfs"}));
    assert!(inspected["Metadata"]["LastTagTime"].as_str().unwrap().starts_with("20"));
    assert_eq!(
        history[0],
        json!({"Comment": "c", "Created": 1_704_067_201, "CreatedBy": "COPY app", "Id": image.id(), "Size": 2,
            "Tags": ["team/app:1"]})
    );
    assert_eq!((&history[1]["Id"], &history[1]["Tags"]), (&json!("<missing>"), &json!(null)));
    assert_eq!(served.send("GET", "/info").await.json()["Images"], 1);
}

#[tokio::test]
async fn lists_are_filtered_as_docker_filters_them() {
    let served = served().await;
    let [first, second, third] = three(&served).await;
    let ids = async |query: &str| -> Vec<String> {
        let listed = served.send("GET", &format!("/images/json?{query}")).await.json();
        listed.as_array().unwrap().iter().map(|image| image["Id"].as_str().unwrap().to_owned()).collect()
    };
    let check = async |filters: Value, expected: &[&String]| {
        let query = format!("filters={}", utf8_percent_encode(&filters.to_string(), NON_ALPHANUMERIC));
        assert_eq!(ids(&query).await.iter().collect::<Vec<_>>(), expected, "{filters}");
    };

    check(json!({}), &[&third, &second, &first]).await;
    check(json!({"dangling": ["true"]}), &[&third]).await;
    check(json!({"dangling": ["false"]}), &[&second, &first]).await;
    check(json!({"label": ["name=second"]}), &[&second]).await;
    check(json!({"before": ["second"]}), &[&first]).await;
    check(json!({"since": ["first:1"]}), &[&third, &second]).await;
    check(json!({"until": ["2024-01-01T00:00:02Z"]}), &[&first]).await;
    check(json!({"reference": ["f*"]}), &[&first]).await;
    check(json!({"reference": ["*:5000/*/*", "sec*:latest"]}), &[&second, &first]).await;
    check(json!({"reference": ["nothing"]}), &[]).await;
    assert_eq!(ids("").await.len(), 3);

    let named = served.send("GET", "/images/json?filters=%7B%22reference%22:[%22first%22]%7D").await.json();
    assert_eq!(named[0]["RepoTags"], json!(["first:1"]));
    let old = served.send("GET", "/v1.40/images/json?filter=second&shared-size=1").await.json();
    assert_eq!(
        (&old[0]["VirtualSize"], &old[0]["SharedSize"], &old[0]["Descriptor"]),
        (&json!(6), &json!(5), &Value::Null)
    );
    let dangling = served.send("GET", "/v1.41/images/json?filters=%7B%22dangling%22:%7B%22true%22:true%7D%7D").await;
    assert_eq!(dangling.json()[0]["RepoTags"], json!(["<none>:<none>"]));
}

#[tokio::test]
async fn names_come_and_go_and_the_last_one_takes_the_image_along() {
    let served = served().await;
    let [first, ..] = three(&served).await;

    let tagged = served.send("POST", "/images/first:1/tag?repo=host:5000/new&tag=v").await;
    let one = served.send("DELETE", "/images/host:5000/new:v").await.json();
    let by_id = served.send("DELETE", &format!("/images/{first}")).await.refusal();
    let two = served.send("DELETE", "/images/first:1").await.json();
    let three = served.send("DELETE", "/images/host:5000/team/first:2").await.json();
    let gone = served.send("DELETE", "/images/first:1").await.refusal();

    assert_eq!((tagged.status, tagged.body.as_str()), (StatusCode::CREATED, ""));
    assert_eq!(one, json!([{"Untagged": "host:5000/new:v"}]));
    let short = &first[7..19];
    let message =
        format!("conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories");
    assert_eq!(by_id, (409, message));
    assert_eq!(two, json!([{"Untagged": "first:1"}]));
    assert_eq!((&three[0], &three[1]), (&json!({"Untagged": "host:5000/team/first:2"}), &json!({"Deleted": first})));
    assert_eq!(gone, (404, "No such image: first:1".to_owned()));
    let told = happened(&served);
    let told: Vec<_> =
        told[3..].iter().map(|(action, id, name)| (action.as_str(), id.as_str(), name.as_str())).collect();
    let first = first.as_str();
    assert_eq!(
        told,
        [
            ("tag", first, "host:5000/new:v"),
            ("untag", first, first),
            ("untag", first, first),
            ("untag", first, first),
            ("delete", first, first),
        ]
    );
}

#[tokio::test]
async fn a_prune_takes_what_has_no_name_and_at_will_what_nobody_uses() {
    let served = served().await;
    let [_, _, third] = three(&served).await;

    let kept = served.send("POST", "/images/prune?filters=%7B%22label%22:[%22name=x%22]%7D").await.json();
    let dangling = served.send("POST", "/images/prune").await.json();
    let all = served.send("POST", "/images/prune?filters=%7B%22dangling%22:%7B%22false%22:true%7D%7D").await.json();

    assert_eq!(kept, json!({"ImagesDeleted": null, "SpaceReclaimed": 0}));
    assert_eq!(dangling["ImagesDeleted"][0], json!({ "Deleted": third }));
    assert!(dangling["SpaceReclaimed"].as_u64().unwrap() > 0);
    assert!(all["ImagesDeleted"].as_array().unwrap().contains(&json!({"Untagged": "second:latest"})));
    assert_eq!(served.send("GET", "/images/json").await.json(), json!([]));
    let told = happened(&served);
    assert_eq!(told.iter().filter(|(action, ..)| action == "prune").count(), 3);
    assert_eq!(told.iter().filter(|(action, ..)| action == "delete").count(), 3);
}

#[tokio::test]
async fn what_is_saved_is_loaded_again_as_it_was() {
    let served = served().await;
    three(&served).await;
    let before = served.send("GET", "/images/json").await.json();

    let (answer, _connection) =
        open(&served.socket(), request("GET", "/images/get?names=first&names=second", Body::empty())).await;
    let kind = answer.headers()["content-type"].clone();
    let archive = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
    served.send("POST", "/images/prune?filters=%7B%22dangling%22:[%22false%22]%7D").await;
    let loaded = load(&served, archive.to_vec()).await;

    assert_eq!(kind, "application/x-tar");
    assert_eq!(lines(&loaded).len(), 2);
    let after = served.send("GET", "/images/json").await.json();
    let kept = |listed: &Value| listed.as_array().unwrap().iter().map(|image| image["Id"].clone()).collect::<Vec<_>>();
    assert_eq!(kept(&after), kept(&before)[1..]);
    assert_eq!(
        served.send("GET", "/images/nothing/get").await.refusal(),
        (404, "No such image: nothing:latest".to_owned())
    );
    assert_eq!(served.send("GET", "/images/get").await.status, 400);
    assert_eq!(happened(&served).iter().filter(|(action, ..)| action == "save").count(), 2);
}

#[tokio::test]
async fn files_become_an_image_with_the_settings_that_are_asked_for() {
    let served = served().await;
    let changes = "changes=CMD+%5B%22/app%22%5D&changes=ENV+A%3D1";
    let path = format!("/images/create?fromSrc=-&repo=made&tag=1&message=by+hand&{changes}");

    let answer = served.request(request("POST", &path, Body::from(archive([("app", &b"x"[..])])))).await;
    let image = served.send("GET", "/images/made:1/json").await.json();

    assert_eq!((answer.status, &lines(&answer)[0]["status"]), (StatusCode::OK, &image["Id"]));
    assert_eq!((&image["Config"]["Cmd"], &image["Config"]["Env"]), (&json!(["/app"]), &json!(["A=1"])));
    assert_eq!(image["Comment"], "by hand");
    let actions: Vec<_> = happened(&served).into_iter().map(|(action, ..)| action).collect();
    assert_eq!(actions, ["tag", "import"]);
}

#[tokio::test]
async fn a_large_archive_is_told_of_while_it_comes() {
    let served = served().await;
    let noise: Vec<u8> =
        (0..3_000_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let image = TestImage::new("large", 1, &[("noise", &noise)]);

    let answer = served.request(request("POST", "/images/load?quiet=0", Body::from(image.archive(&["large"])))).await;

    let lines = lines(&answer);
    assert!(
        lines.iter().any(|line| line["status"] == "Loading" && line["progressDetail"]["current"].as_u64() > Some(0))
    );
    assert_eq!(lines.last().unwrap()["stream"], "Loaded image: large:latest\n");
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing_behind() {
    let served = served().await;
    let image = TestImage::new("half", 1, &[("a", b"1")]).archive(&["half"]);
    let (sender, receiver) = mpsc::channel::<Bytes>(1);
    let body = stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) });
    let body = Body::from_stream(body.map(Ok::<_, std::convert::Infallible>));
    let (socket, work) = (served.socket(), served.folder.path().join("engine/images/work"));
    let begun = || std::fs::read_dir(&work).unwrap().next().is_some();

    let mut client = tokio::task::JoinSet::new();
    client.spawn(async move { drop(open(&socket, request("POST", "/images/load", body)).await) });
    sender.send(Bytes::copy_from_slice(&image[..1024])).await.unwrap();
    while !begun() {
        tokio::task::yield_now().await;
    }
    client.shutdown().await;
    drop(sender);

    let ended = async {
        while begun() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::served::PATIENCE, ended).await.expect("the work goes on");
    assert_eq!(served.send("GET", "/images/json").await.json(), json!([]));
    assert_eq!(std::fs::read_dir(served.folder.path().join("engine/images/blobs/sha256")).unwrap().count(), 0);
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused_with_a_message() {
    let served = served().await;
    three(&served).await;
    let check = async |method: &str, path: &str, status: u16, message: &str| {
        let refusal = served.send(method, path).await.refusal();
        assert!(refusal.0 == status && refusal.1.contains(message), "{method} {path}: {refusal:?}");
    };

    check("GET", "/images/nothing/json", 404, "No such image: nothing:latest").await;
    check("GET", "/images/UPPER/json", 400, "must be lowercase").await;
    check("GET", "/images/a%20b/json", 400, "invalid reference format").await;
    check("GET", "/images/%FF/json", 400, "invalid reference format").await;
    check("GET", "/images//json", 404, "page not found").await;
    check("PUT", "/images/json", 404, "page not found").await;
    check("GET", "/images/first:1/json?platform=linux/riscv64", 404, "does not match the specified platform").await;
    check("GET", "/images/first:1/json?platform=%7B", 400, "failed to parse platform").await;
    check("GET", "/images/search?term=x", 501, "searches no registries").await;
    check("GET", "/images/json?filters=x", 400, "invalid filter").await;
    check("GET", "/images/json?filters=%7B%22color%22:[%22x%22]%7D", 400, "invalid filter 'color'").await;
    check("GET", "/images/json?filters=%7B%22dangling%22:[%22x%22]%7D", 400, "invalid filter 'dangling=[x]'").await;
    check("GET", "/images/json?filters=%7B%22before%22:[%22none%22]%7D", 404, "No such image: none:latest").await;
    check("GET", "/images/json?filters=%7B%22reference%22:[%22[%22]%7D", 400, "syntax error in pattern").await;
    check("POST", "/images/first:1/tag?repo=UPPER", 400, "must be lowercase").await;
    check("POST", "/images/first:1/tag?repo=a&tag=.b", 400, "invalid reference format").await;
    check("POST", "/images/first:1/tag", 400, "invalid reference format").await;
    check("POST", "/images/nothing/tag?repo=a", 404, "No such image: nothing:latest").await;
    check("POST", "/images/prune?filters=%7B%22until%22:[%22a%22]%7D", 400, "failed to parse value").await;
    check("POST", "/images/create", 400, "neither fromImage nor fromSrc").await;
    check("POST", "/images/create?fromImage=a", 501, "one tag at a time").await;
    check("POST", "/images/create?fromSrc=http://x/y.tar", 501, "nothing from an address").await;
    check("POST", "/images/create?fromSrc=-&changes=RUN+x", 400, "run is not a valid change command").await;
    check("POST", "/images/create?fromImage=a&tag=b%20c", 400, "invalid reference format").await;
    check("POST", "/images/load?platform=linux/riscv64", 501, "not for linux/riscv64").await;
    check("POST", "/images/load", 400, "failed to read the archive").await;
    check("POST", "/images/a@sha256:12/push", 400, "invalid reference format").await;
    check("GET", "/distribution/UPPER/json", 400, "must be lowercase").await;
    check("GET", "/distribution//json", 404, "page not found").await;
}

#[tokio::test]
async fn archives_that_are_none_are_refused_with_a_message() {
    let served = served().await;
    let whole = TestImage::new("x", 1, &[("a", b"1")]).archive(&["x"]);
    let bodies: [(&str, Vec<u8>); 6] = [
        ("text", b"this is no archive".to_vec()),
        ("cut", whole[..whole.len() / 2].to_vec()),
        ("empty list", archive([("manifest.json", &b"{}"[..])])),
        ("missing parts", archive([("manifest.json", &br#"[{"Config":"c","Layers":[]}]"#[..])])),
        ("no images", archive([("readme", &b"x"[..])])),
        ("wrong name", TestImage::new("x", 1, &[]).archive(&["UPPER CASE"])),
    ];

    for (what, body) in bodies {
        let answer = load(&served, body).await;
        assert_eq!(answer.refusal().0, 400, "{what}: {}", answer.body);
    }
    let import = served.request(request("POST", "/images/create?fromSrc=-", Body::from("no archive"))).await;
    assert_eq!(import.refusal().0, 400, "{}", import.body);
    assert_eq!(served.send("GET", "/images/json").await.json(), json!([]));
}

#[tokio::test]
async fn a_client_learns_which_layers_it_may_leave_out_and_does() {
    let served = served().await;
    let (base, both) = (("base", &b"12345"[..]), ("own", &b"6"[..]));
    load(&served, TestImage::new("first", 1, &[base]).archive(&["first"])).await;
    let second = TestImage::new("second", 2, &[base, both]);
    let (_, blobs) = second.manifest_and_blobs();
    let digests: Vec<_> = blobs.iter().map(|(digest, _)| digest.clone()).collect();

    let answer = served.post("/images/lacking", &json!({"Blobs": digests})).await.json();
    let malformed = served.post("/images/lacking", &json!({"Blobs": ["md5:1"]})).await.refusal();

    let (config, base, own) = (&digests[0], &digests[1], &digests[2]);
    assert_eq!(answer, json!({"Lacking": [config, own]}));
    assert_eq!(malformed, (400, "`md5:1` is no sha256 digest".to_owned()));
    let path = |digest: &str| format!("blobs/{}", digest.replace(':', "/"));
    let manifest = json!([{"Config": path(config), "RepoTags": ["second"], "Layers": [path(base), path(own)]}]);
    let manifest = manifest.to_string();
    let sent = blobs.iter().filter(|(digest, _)| digest != base).map(|(digest, blob)| (path(digest), blob));
    let sent: Vec<_> = sent.collect();
    let sent = sent.iter().map(|(path, blob)| (path.as_str(), blob.as_slice()));
    let loaded = load(&served, archive(sent.chain([("manifest.json", manifest.as_bytes())]))).await;
    assert!(loaded.body.contains("Loaded image: second:latest"), "{}", loaded.body);
}
