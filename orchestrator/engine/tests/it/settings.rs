//! What containers are by their settings, seen from inside.

use engine::{CreateRequest, HostConfig};

use crate::lab::{Lab, script};

#[tokio::test]
async fn a_container_is_who_and_where_its_settings_say() {
    let lab = Lab::new().await;
    let mut request =
        script("hostname; cat /etc/hostname; echo $HOSTNAME; id -u; id -g; pwd; echo $FROM; cat /etc/hosts");
    request.config.hostname = "inside".to_owned();
    request.config.user = "web".to_owned();
    request.config.working_dir = "/tmp".to_owned();
    request.host_config.extra_hosts = Some(vec!["db:192.0.2.7".to_owned()]);

    let (code, text) = lab.finish(request).await;

    assert_eq!(code, 0, "{text}");
    assert!(text.starts_with("inside\ninside\ninside\n33\n44\n/tmp\nimage\n127.0.0.1\tlocalhost\n"), "{text}");
    assert!(text.ends_with("192.0.2.7\tdb\n"), "{text}");
}

#[tokio::test]
async fn the_network_is_the_hosts_or_none() {
    let lab = Lab::new().await;
    let mut shared = script("hostname; ls /sys/class/net");
    shared.host_config = HostConfig { network_mode: "host".to_owned(), ..HostConfig::default() };
    let links = std::fs::read_dir("/sys/class/net").unwrap().count();

    let (_, none) = lab.finish(script("ls /sys/class/net")).await;
    let (_, shared) = lab.finish(shared).await;
    let web = HostConfig { network_mode: "web".to_owned(), ..HostConfig::default() };
    let web = CreateRequest { host_config: web, ..script("true") };
    let web = lab.containers().create(None, web).await.unwrap_err().to_string();

    assert_eq!(none, "lo\n");
    assert!(shared.starts_with("node-1\n"), "{shared}");
    assert_eq!(shared.lines().count(), links + 1, "{shared}");
    assert_eq!(web, "network web not found");
}

#[tokio::test]
async fn what_the_image_lacks_is_refused_before_anything_is_made() {
    let lab = Lab::new().await;
    let mut unknown = script("true");
    unknown.config.image = "nothing:here".to_owned();
    let mut bound = script("true");
    bound.host_config.mounts = vec![model::Mount {
        kind: "bind".to_owned(),
        source: "/no/such/path".to_owned(),
        target: "/x".to_owned(),
        ..model::Mount::default()
    }];

    let unknown = lab.containers().create(Some("a1"), unknown).await.unwrap_err().to_string();
    let bound = lab.containers().create(Some("b1"), bound).await.unwrap_err().to_string();

    assert!(unknown.to_lowercase().contains("no such image"), "{unknown}");
    assert!(bound.ends_with("bind source path does not exist: /no/such/path"), "{bound}");
    assert!(lab.containers().list().is_empty() && lab.containers().volumes().list().is_empty());
    assert_eq!(std::fs::read_dir(lab.path("containers")).unwrap().count(), 0);
    lab.create("a1", script("true")).await;
}
