//! What is mounted into containers, seen from inside.

use engine::VolumeFilter;

use crate::lab::{Lab, script};

const LOOK: &str = "cat /data/seed; stat -c '%u %a' /data/seed; readlink /data/link; stat -c '%u %a' /data /data/inner";
const CONTENT: &str = "from the image\n33 640\nseed\n33 750\n33 700\n";

fn with_binds(text: &str, binds: &[&str]) -> engine::CreateRequest {
    let mut request = script(text);
    request.host_config.binds = Some(binds.iter().map(|&bind| bind.to_owned()).collect());
    request
}

#[tokio::test]
async fn a_new_volume_gets_what_the_image_has_and_keeps_what_is_written() {
    let lab = Lab::new().await;

    let first = lab.finish(with_binds(&format!("{LOOK}; echo mine > /data/seed"), &["named:/data"])).await;
    let second = lab.finish(with_binds("cat /data/seed", &["named:/data"])).await;
    let bare = lab.finish(with_binds("ls -A /data", &["bare:/data:nocopy"])).await;

    assert_eq!(first, (0, CONTENT.to_owned()));
    assert_eq!(second.1, "mine\n");
    assert_eq!(bare.1, "");
    let names: Vec<_> = lab.containers().volumes().list().into_iter().map(|volume| volume.name.to_string()).collect();
    assert_eq!(names, ["bare", "named"]);
}

#[tokio::test]
async fn the_images_volume_has_no_name_and_goes_with_its_container() {
    let lab = Lab::new().await;
    let id = lab.run("one", script(LOOK)).await;
    assert_eq!(lab.wait(&id).await, 0);
    let volumes = lab.containers().volumes();

    let made = volumes.list();
    let in_use = volumes.remove(made[0].name.as_str(), true).await.is_err();
    let pruned = volumes.prune(VolumeFilter::default()).await.unwrap();
    lab.containers().remove(&id, false, true).await.unwrap();

    assert_eq!(lab.left().2, 0);
    assert!(made.len() == 1 && made[0].is_anonymous() && in_use && pruned.names.is_empty());
    assert!(volumes.list().is_empty());
}

#[tokio::test]
async fn files_memory_and_the_mounts_of_others_are_seen() {
    let lab = Lab::new().await;
    let folder = lab.path("bound");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("file"), "from the host\n").unwrap();
    let (folder, made) = (folder.display().to_string(), lab.path("made").display().to_string());
    lab.create("other", with_binds("true", &["shared:/shared"])).await;
    let text = "cat /ro/file; touch /ro/x 2>/dev/null || echo refused; touch /made/x; stat -f -c %T /mem; \
                touch /shared/file 2>/dev/null || echo refused";
    let mut request = with_binds(text, &[&format!("{folder}:/ro:ro"), &format!("{made}:/made")]);
    request.host_config.tmpfs.insert("/mem".to_owned(), "size=1m".to_owned());
    request.host_config.volumes_from = Some(vec!["other:ro".to_owned()]);

    let (_, text) = lab.finish(request).await;

    assert!(text.starts_with("from the host\nrefused\ntmpfs\n"), "{text}");
    assert!(text.ends_with("refused\n"), "{text}");
    assert!(lab.path("made/x").exists());
}
