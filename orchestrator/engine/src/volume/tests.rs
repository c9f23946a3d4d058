//! Volumes come, are claimed, and go.

use super::*;

fn open(root: &Path) -> (Volumes, Arc<EventLog>) {
    let events = Arc::new(EventLog::new());
    (Volumes::open(root, Arc::clone(&events)).unwrap(), events)
}

fn name(text: &str) -> VolumeName {
    text.parse().unwrap()
}

fn anonymous() -> VolumeRequest {
    VolumeRequest { labels: [(ANONYMOUS_LABEL.to_owned(), String::new())].into(), ..VolumeRequest::default() }
}

fn mounted(kind: &str, device: &str, o: &str) -> VolumeRequest {
    let options =
        [("type", kind), ("device", device), ("o", o)].map(|(name, value)| (name.to_owned(), value.to_owned()));
    VolumeRequest { options: options.into(), ..VolumeRequest::default() }
}

fn actions(events: &EventLog) -> Vec<String> {
    events.subscribe().0.iter().map(|event| format!("{} {}", event.action, event.actor.id)).collect()
}

#[tokio::test]
async fn a_volume_is_made_once_and_is_there_after_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let (volumes, events) = open(root.path());
    let request = VolumeRequest { labels: [("a".to_owned(), "b".to_owned())].into(), ..VolumeRequest::default() };

    let made = volumes.create(name("data"), request).await.unwrap();
    let again = volumes.create(name("data"), VolumeRequest::default()).await.unwrap();
    let (volumes, _) = open(root.path());

    assert!(made.path.is_dir() && made.path.ends_with("data/_data"));
    assert_eq!(again, made);
    assert_eq!(volumes.list(), [made]);
    assert_eq!(actions(&events), ["create data"]);
}

#[tokio::test]
async fn a_volume_stays_while_a_container_claims_it() {
    let root = tempfile::tempdir().unwrap();
    let (volumes, events) = open(root.path());
    volumes.claim(name("data"), VolumeRequest::default(), "c1".to_owned()).await.unwrap();
    volumes.claim(name("data"), VolumeRequest::default(), "c1".to_owned()).await.unwrap();

    let refusal = volumes.remove("data", true).await.unwrap_err().to_string();
    volumes.release("c1", true).await.unwrap();
    let has_outlived = volumes.find("data").is_ok();
    volumes.remove("data", false).await.unwrap();

    assert_eq!(refusal, "remove data: volume is in use - [c1]");
    assert!(has_outlived);
    assert_eq!(volumes.remove("data", false).await.unwrap_err().to_string(), "get data: no such volume");
    volumes.remove("data", true).await.unwrap();
    assert_eq!(actions(&events), ["create data", "destroy data"]);
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_volume_without_a_name_goes_with_the_last_container_that_is_removed_with_its_volumes() {
    let root = tempfile::tempdir().unwrap();
    let (volumes, _) = open(root.path());
    for holder in ["c1", "c2"] {
        volumes.claim(name("aa"), anonymous(), holder.to_owned()).await.unwrap();
    }
    volumes.claim(name("bb"), anonymous(), "c1".to_owned()).await.unwrap();

    volumes.release("c1", false).await.unwrap();
    let after_first = volumes.list().len();
    volumes.release("c2", true).await.unwrap();

    assert_eq!(after_first, 2);
    assert_eq!(volumes.list().into_iter().map(|volume| volume.name).collect::<Vec<_>>(), [name("bb")]);
}

#[tokio::test]
async fn only_the_driver_local_and_its_options_are_known() {
    let root = tempfile::tempdir().unwrap();
    let (volumes, _) = open(root.path());
    let driver = VolumeRequest { driver: "nfs".to_owned(), ..VolumeRequest::default() };

    let driver = volumes.create(name("data"), driver).await.unwrap_err().to_string();
    let option = volumes.create(name("data"), mounted("nfs", "", "")).await.unwrap_err().to_string();

    assert_eq!(driver, "error looking up volume plugin nfs: plugin \"nfs\" not found");
    assert_eq!(option, "missing required option: \"device\"");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_volume_with_options_is_mounted_while_a_container_uses_it_also_over_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let (volumes, _) = open(root.path());
    let volume = volumes.create(name("data"), mounted("tmpfs", "tmpfs", "size=1m,noexec")).await.unwrap();
    let file = volume.path.join("file");

    volumes.begin_use(&volume.name, "c1").unwrap();
    volumes.begin_use(&volume.name, "c2").unwrap();
    fs::write(&file, "x").unwrap();
    volumes.end_uses("c1").unwrap();
    let (volumes, _) = open(root.path());
    volumes.begin_use(&volume.name, "c2").unwrap();
    let is_kept = file.exists();
    volumes.end_uses("c2").unwrap();
    volumes.end_uses("c2").unwrap();

    assert!(is_kept);
    assert!(!file.exists() && !image::is_mounted(&volume.path).unwrap());
    assert_eq!(volumes.list(), [volume]);
}

#[tokio::test]
async fn what_is_mounted_is_never_removed_with_the_volume() {
    let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(elsewhere.path().join("precious"), "x").unwrap();
    let (volumes, _) = open(root.path());
    let request = mounted("none", elsewhere.path().to_str().unwrap(), "bind,ro");
    let volume = volumes.create(name("data"), request).await.unwrap();

    volumes.begin_use(&volume.name, "c1").unwrap();
    let is_seen = volume.path.join("precious").exists();
    let is_written = fs::write(volume.path.join("other"), "").is_ok();
    let (volumes, _) = open(root.path());
    volumes.remove("data", false).await.unwrap();

    assert!(is_seen && !is_written);
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    assert_eq!(fs::read_to_string(elsewhere.path().join("precious")).unwrap(), "x");
}

#[tokio::test]
async fn what_cannot_be_mounted_is_said_with_its_device() {
    let root = tempfile::tempdir().unwrap();
    let (volumes, _) = open(root.path());
    let volume = volumes.create(name("data"), mounted("none", "/nowhere/at/all", "bind")).await.unwrap();

    let error = model::with_causes(&volumes.begin_use(&volume.name, "c1").unwrap_err());

    let words = "error while mounting volume \"data\": failed to mount `/nowhere/at/all` as none: ";
    assert!(error.starts_with(words) && error.contains("No such file"), "{error}");
}

#[tokio::test]
async fn a_filling_that_was_cut_short_is_done_anew_and_one_that_was_not_is_never_repeated() {
    let root = tempfile::tempdir().unwrap();
    let (volumes, _) = open(root.path());
    let volume = volumes.create(name("data"), VolumeRequest::default()).await.unwrap();
    let fill = |text: &'static str| {
        move |folder: &Path| -> Result<(), VolumeError> {
            assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
            fs::write(folder.join("file"), text).unwrap();
            if text.is_empty() { Err(VolumeError::NoSuchVolume("cut short".to_owned())) } else { Ok(()) }
        }
    };

    volumes.fill(&volume.name, fill("")).unwrap_err();
    volumes.fill(&volume.name, fill("whole")).unwrap();
    volumes.fill(&volume.name, fill("again")).unwrap();

    assert_eq!(fs::read_to_string(volume.path.join("file")).unwrap(), "whole");
}

#[tokio::test]
async fn pruning_takes_what_nobody_claims_and_the_filter_allows() {
    let root = tempfile::tempdir().unwrap();
    let (volumes, _) = open(root.path());
    volumes.create(name("named"), VolumeRequest::default()).await.unwrap();
    let unnamed = volumes.create(name("unnamed"), anonymous()).await.unwrap();
    volumes.claim(name("claimed"), anonymous(), "c1".to_owned()).await.unwrap();
    fs::write(unnamed.path.join("file"), [0; 1000]).unwrap();

    let first = volumes.prune(VolumeFilter::default()).await.unwrap();
    let second = volumes.prune(VolumeFilter { is_all: true, ..VolumeFilter::default() }).await.unwrap();

    assert_eq!(first, VolumesPruned { names: vec![name("unnamed")], bytes: 1000 });
    assert_eq!(second.names, [name("named")]);
    assert_eq!(volumes.list().len(), 1);
}

#[test]
fn what_a_crash_left_is_collected() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join(".new-data/_data")).unwrap();
    fs::create_dir_all(root.path().join(".removed-data/_data")).unwrap();

    let (volumes, _) = open(root.path());

    assert_eq!(volumes.list(), []);
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}
