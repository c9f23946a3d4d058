//! What becomes of the ways to ask for a mount.

use model::{BindOptions, Mount, TmpfsOptions, VolumeOptions};
use serde_json::Map;

use super::*;

fn plan_of(host: &HostConfig) -> Result<Vec<MountPoint>, String> {
    plan(&ContainerConfig::default(), host, &[]).map_err(|error| error.to_string())
}

fn binds(texts: &[&str]) -> Result<Vec<MountPoint>, String> {
    let binds = texts.iter().map(|&text| text.to_owned()).collect();
    plan_of(&HostConfig { binds: Some(binds), ..HostConfig::default() })
}

fn typed(mount: Mount) -> Result<MountPoint, String> {
    let mounts = plan_of(&HostConfig { mounts: vec![mount], ..HostConfig::default() })?;
    Ok(mounts.into_iter().next().unwrap())
}

#[test]
fn a_path_is_bound_a_name_is_a_volume_and_nothing_is_one_without_a_name() {
    let mounts = binds(&["/srv/../etc/x/:/a/:ro,rslave", "data:/b", "/c/./d"]).unwrap();

    let [bound, named, anonymous] = &mounts[..] else { panic!("{mounts:?}") };
    assert_eq!(
        (bound.kind, bound.source.to_str().unwrap(), bound.destination.as_str()),
        (MountKind::Bind, "/etc/x", "/a")
    );
    assert!(bound.read_only && bound.makes_source && bound.propagation == Propagation::Rslave);
    assert_eq!((named.kind, named.name.as_deref(), named.fills), (MountKind::Volume, Some("data"), true));
    assert_eq!((anonymous.name.as_deref(), anonymous.destination.as_str()), (None, "/c/d"));
}

#[test]
fn what_is_no_mount_is_refused_in_dockers_words() {
    let check = |text: &str, expected: &str| assert_eq!(binds(&[text]).unwrap_err(), expected);

    check("/a:b", "invalid mount path: 'b' mount path must be absolute");
    check("/a:/", "invalid mount config: invalid specification: destination can't be '/'");
    check("/a:/..", "invalid mount config: invalid specification: destination can't be '/'");
    check("/a::ro", "invalid volume specification: '/a::ro'");
    check("/a:/b:ro:z", "invalid volume specification: '/a:/b:ro:z'");
    check("/a:/b:what", "invalid mode: what");
    check("/a:/b:nocopy", "invalid mode: nocopy");
    check("data:/b:shared", "invalid mode: shared");
    assert!(binds(&["../x:/b"]).unwrap_err().contains("includes invalid characters for a local volume name"));
    assert_eq!(binds(&["a1:/x", "b1:/x/"]).unwrap_err(), "Duplicate mount point: /x");
}

#[test]
fn typed_mounts_keep_their_options() {
    let bound = typed(Mount {
        kind: "bind".to_owned(),
        source: "/srv".to_owned(),
        target: "/a".to_owned(),
        read_only: true,
        bind_options: Some(BindOptions { non_recursive: true, ..BindOptions::default() }),
        ..Mount::default()
    });
    let volume = typed(Mount {
        kind: "volume".to_owned(),
        target: "/a".to_owned(),
        volume_options: Some(VolumeOptions { no_copy: true, subpath: "sub".to_owned(), ..VolumeOptions::default() }),
        ..Mount::default()
    });
    let memory = typed(Mount {
        kind: "tmpfs".to_owned(),
        target: "/a".to_owned(),
        tmpfs_options: Some(TmpfsOptions {
            size_bytes: 4096,
            mode: Some(0o700),
            options: vec![vec!["exec".to_owned()]],
        }),
        ..Mount::default()
    });

    let bound = bound.unwrap();
    assert!(bound.is_non_recursive && bound.read_only && !bound.makes_source);
    let volume = volume.unwrap();
    assert_eq!((volume.fills, volume.subpath.as_str()), (false, "sub"));
    let expected = TmpfsSettings { size: Some(4096), mode: Some(0o700), options: vec!["exec".to_owned()] };
    assert_eq!(memory.unwrap().tmpfs, expected);
}

#[test]
fn typed_mounts_that_make_no_sense_are_refused() {
    let check = |kind: &str, source: &str, target: &str, expected: &str| {
        let mount =
            Mount { kind: kind.to_owned(), source: source.to_owned(), target: target.to_owned(), ..Mount::default() };
        assert_eq!(typed(mount).unwrap_err(), expected);
    };

    check("bind", "", "/a", "invalid mount config for type \"bind\": field Source must not be empty");
    check(
        "bind",
        "x",
        "/a",
        "invalid mount config for type \"bind\": invalid mount path: 'x' mount path must be absolute",
    );
    check("tmpfs", "x", "/a", "invalid mount config for type \"tmpfs\": source must not be specified");
    check("volume", "x1", "", "invalid mount config for type \"volume\": field Target must not be empty");
    check("npipe", "x", "/a", "mount type \"npipe\" is not offered by this node");
    let mut escape = Mount { kind: "volume".to_owned(), target: "/a".to_owned(), ..Mount::default() };
    escape.volume_options = Some(VolumeOptions { subpath: "a/../../b".to_owned(), ..VolumeOptions::default() });
    assert!(typed(escape).unwrap_err().ends_with("subpath must be a relative path within the volume"));
}

#[test]
fn memory_takes_sizes_and_modes_and_known_options() {
    let memory = |options: &str| {
        let tmpfs = [("/run".to_owned(), options.to_owned())].into();
        plan_of(&HostConfig { tmpfs, ..HostConfig::default() }).map(|mounts| mounts[0].tmpfs.clone())
    };

    let expected = TmpfsSettings { size: Some(64 << 20), mode: Some(0o1777), options: vec!["exec".to_owned()] };
    assert_eq!(memory("size=64m,mode=1777,rw,exec").unwrap(), expected);
    assert_eq!(memory("").unwrap(), TmpfsSettings::default());
    assert_eq!(memory("lowerdir=/etc").unwrap_err(), "invalid tmpfs option [\"lowerdir=/etc\"]");
}

#[test]
fn own_mounts_hide_shared_ones_and_those_of_the_image_and_parents_come_first() {
    let image = |path: &str| (path.to_owned(), Map::new());
    let config =
        ContainerConfig { volumes: [image("/a/b/c"), image("/x"), image("/shared")].into(), ..Default::default() };
    let host = HostConfig { binds: Some(vec!["/etc:/x".to_owned()]), ..HostConfig::default() };
    let other = binds(&["one:/shared", "two:/x"]).unwrap();

    let mounts = plan(&config, &host, &[SharedMounts { mounts: other, is_read_only: true }]).unwrap();

    let found: Vec<_> = mounts.iter().map(|mount| (mount.destination.as_str(), mount.name.as_deref())).collect();
    assert_eq!(found, [("/shared", Some("one")), ("/x", None), ("/a/b/c", None)]);
    assert!(mounts[0].read_only);
    assert_eq!(mounts[1].kind, MountKind::Bind);
}
