//! Layers that are honest, and layers that are not.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::PathBuf;

use tar::{Builder, EntryType, Header};

use super::*;

/// A layer in the making.
struct Layer(Builder<Vec<u8>>);

impl Layer {
    fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    /// An entry whose path and link are written as they are, however wrong.
    fn raw(self, kind: EntryType, path: &str, link: &str, contents: &[u8]) -> Self {
        self.owned(kind, path, link, contents, (0, 0, 0o644))
    }

    fn owned(mut self, kind: EntryType, path: &str, link: &str, contents: &[u8], owner: (u64, u64, u32)) -> Self {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_size(contents.len() as u64);
        header.set_uid(owner.0);
        header.set_gid(owner.1);
        header.set_mode(owner.2);
        header.set_mtime(1_000_000_000);
        header.set_device_major(u32::from(kind == EntryType::Char)).unwrap();
        header.set_device_minor(3 * u32::from(kind == EntryType::Char)).unwrap();
        header.set_cksum();
        self.0.append(&header, contents).unwrap();
        self
    }

    fn file(self, path: &str, contents: &str) -> Self {
        self.raw(EntryType::Regular, path, "", contents.as_bytes())
    }

    fn folder(self, path: &str) -> Self {
        self.owned(EntryType::Directory, path, "", b"", (0, 0, 0o755))
    }

    fn pax(mut self, records: &[(&str, &[u8])]) -> Self {
        self.0.append_pax_extensions(records.iter().copied()).unwrap();
        self
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// A folder to unpack into, in one that shows what got out.
struct Scratch {
    folder: tempfile::TempDir,
    lowers: Vec<PathBuf>,
}

impl Scratch {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("root")).unwrap();
        fs::write(folder.path().join("outside"), "mine").unwrap();
        Self { folder, lowers: Vec::new() }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn unpack(&self, layer: Layer) -> Result<u64, LayerError> {
        self.unpack_within(layer, UnpackLimits::default())
    }

    fn unpack_within(&self, layer: Layer, limits: UnpackLimits) -> Result<u64, LayerError> {
        let bytes = layer.bytes();
        unpack(&bytes[..], &self.root(), &self.lowers, Digest::of(&bytes), limits, |_| ())
    }

    /// Nothing but the layer's own folder is as the layer would have it.
    fn assert_nothing_got_out(&self) {
        assert_eq!(fs::read(self.folder.path().join("outside")).unwrap(), b"mine");
        assert_eq!(fs::symlink_metadata(self.folder.path().join("outside")).unwrap().nlink(), 1);
        assert_eq!(fs::read_dir(self.folder.path()).unwrap().count(), 2);
    }
}

fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 256];
    let count = rustix::fs::lgetxattr(path, name, &mut buffer[..]).ok()?;
    buffer.truncate(count);
    Some(buffer)
}

fn is_whiteout(path: &Path) -> bool {
    let stat = fs::symlink_metadata(path).unwrap();
    stat.file_type().is_char_device() && stat.rdev() == 0
}

#[test]
fn everything_that_a_layer_can_say_is_on_the_disk() {
    let scratch = Scratch::new();
    // A capability to bind low ports, as setcap writes it.
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let layer = Layer::new()
        .owned(EntryType::Directory, "./", "", b"", (5, 6, 0o750))
        .owned(EntryType::Directory, "./tmp/", "", b"", (0, 0, 0o1777))
        .pax(&[("SCHILY.xattr.security.capability", &capability), ("SCHILY.xattr.user.note", b"yes")])
        .owned(EntryType::Regular, "tmp/tool", "", b"#!", (1000, 1001, 0o4755))
        .raw(EntryType::Link, "tmp/again", "tmp/tool", b"")
        .raw(EntryType::Symlink, "tmp/anywhere", "../../../etc/passwd", b"")
        .owned(EntryType::Char, "null", "", b"", (0, 0, 0o666))
        .raw(EntryType::Fifo, "fifo", "", b"");

    let bytes = scratch.unpack(layer).unwrap();

    let root = scratch.root();
    let stat = |path: &str| fs::symlink_metadata(root.join(path)).unwrap();
    assert_eq!(bytes, 2);
    assert_eq!((stat("").uid(), stat("").gid(), stat("").mode() & 0o7777), (5, 6, 0o750));
    assert_eq!((stat("tmp").mode() & 0o7777, stat("tmp").mtime()), (0o1777, 1_000_000_000));
    let tool = stat("tmp/tool");
    assert_eq!((tool.uid(), tool.gid(), tool.mode() & 0o7777, tool.nlink()), (1000, 1001, 0o4755, 2));
    assert_eq!(tool.mtime(), 1_000_000_000);
    assert_eq!(xattr(&root.join("tmp/tool"), "security.capability").as_deref(), Some(&capability[..]));
    assert_eq!(xattr(&root.join("tmp/tool"), "user.note").as_deref(), Some(&b"yes"[..]));
    assert_eq!(fs::read_link(root.join("tmp/anywhere")).unwrap(), Path::new("../../../etc/passwd"));
    assert_eq!((stat("null").rdev(), stat("null").mode() & 0o777), (rustix::fs::makedev(1, 3), 0o666));
    assert!(stat("fifo").file_type().is_fifo());
}

#[test]
fn what_is_hidden_becomes_what_overlayfs_calls_hidden() {
    let scratch = Scratch::new();
    let layer = Layer::new()
        .folder("a")
        .file("a/.wh.gone", "")
        .folder("b")
        .file("b/.wh..wh..opq", "")
        .file(".wh..wh.plnk", "")
        .file("kept", "x")
        .file(".wh.kept", "")
        .file(".wh.new", "")
        .folder("new")
        .file(".wh.implied", "")
        .file("implied/file", "");

    scratch.unpack(layer).unwrap();

    let root = scratch.root();
    assert!(is_whiteout(&root.join("a/gone")));
    assert_eq!(fs::read(root.join("kept")).unwrap(), b"x");
    for opaque in ["b", "new", "implied"] {
        assert_eq!(xattr(&root.join(opaque), "trusted.overlay.opaque").as_deref(), Some(&b"y"[..]), "{opaque}");
    }
    assert!(!root.join(".wh..wh.plnk").exists() && !root.join("b/.wh..wh..opq").exists());
}

#[test]
fn folders_named_only_in_paths_look_as_they_do_below() {
    let mut scratch = Scratch::new();
    let lower = tempfile::tempdir().unwrap();
    rustix::fs::chmod(lower.path(), rustix::fs::Mode::from_raw_mode(0o711)).unwrap();
    fs::create_dir(lower.path().join("tmp")).unwrap();
    rustix::fs::chmod(lower.path().join("tmp"), rustix::fs::Mode::from_raw_mode(0o1777)).unwrap();
    scratch.lowers.push(lower.path().to_owned());

    scratch.unpack(Layer::new().file("tmp/x/y", "")).unwrap();

    let mode = |path: &str| fs::metadata(scratch.root().join(path)).unwrap().mode() & 0o7777;
    assert_eq!((mode(""), mode("tmp"), mode("tmp/x")), (0o711, 0o1777, 0o755));
}

#[test]
fn a_later_entry_replaces_an_earlier_one() {
    let scratch = Scratch::new();
    let layer = Layer::new()
        .folder("a")
        .file("a/inner", "")
        .file("a", "now a file")
        .file("b", "")
        .raw(EntryType::Symlink, "b", "outside", b"")
        .file("b", "a file again")
        .folder("c")
        .file("c/inner", "")
        .folder("c");

    scratch.unpack(layer).unwrap();

    assert_eq!(fs::read(scratch.root().join("a")).unwrap(), b"now a file");
    assert_eq!(fs::read(scratch.root().join("b")).unwrap(), b"a file again");
    assert!(scratch.root().join("c/inner").exists());
    scratch.assert_nothing_got_out();
}

#[test]
fn a_link_as_a_parent_leads_to_where_it_would_inside_of_the_layer() {
    let scratch = Scratch::new();
    let layer = Layer::new()
        .folder("usr")
        .folder("usr/lib")
        .raw(EntryType::Symlink, "lib", "usr/lib", b"")
        .raw(EntryType::Symlink, "absolute", "/usr/lib", b"")
        .raw(EntryType::Symlink, "upwards", "../../../../usr", b"")
        .file("lib/one", "1")
        .file("absolute/two", "2")
        .file("upwards/lib/three", "3");

    scratch.unpack(layer).unwrap();

    for name in ["one", "two", "three"] {
        assert!(scratch.root().join("usr/lib").join(name).exists(), "{name}");
    }
    scratch.assert_nothing_got_out();
}

#[test]
fn no_path_leads_out_of_the_layer() {
    let outside = "../outside";
    let escapes = [
        ("dots", Layer::new().file(outside, "theirs")),
        ("dots inside", Layer::new().folder("a").file("a/../../outside", "theirs")),
        ("hidden dots", Layer::new().folder("a").file("a/.wh...", "")),
        ("hidden nothing", Layer::new().file(".wh.", "")),
        ("hidden itself", Layer::new().folder("a").file("a/.wh..", "")),
        ("hard link out", Layer::new().raw(EntryType::Link, "a", outside, b"")),
        ("hard link to the host", Layer::new().raw(EntryType::Link, "a", "/etc/passwd", b"")),
        (
            "hard link through a link",
            Layer::new().raw(EntryType::Symlink, "up", "..", b"").raw(EntryType::Link, "a", "up/outside", b""),
        ),
        (
            "a link in circles",
            Layer::new().raw(EntryType::Symlink, "a", "b", b"").raw(EntryType::Symlink, "b", "a", b"").file("a/x", ""),
        ),
        ("a file as parent", Layer::new().file("a", "").file("a/b", "")),
        ("a zero", Layer::new().pax(&[("path", b"a\0b")]).file("x", "")),
        ("a long name", Layer::new().pax(&[("path", "n".repeat(256).as_bytes())]).file("x", "")),
        ("a long path", Layer::new().pax(&[("path", "n/".repeat(2100).as_bytes())]).file("x", "")),
        ("a link to nothing", Layer::new().raw(EntryType::Symlink, "a", "", b"")),
        ("a root that is a file", Layer::new().file("./", "").raw(EntryType::Symlink, "/", "x", b"")),
    ];
    for (name, layer) in escapes {
        let scratch = Scratch::new();

        let outcome = scratch.unpack(layer);

        assert!(matches!(outcome, Err(LayerError::BadEntry { .. })), "{name}: {outcome:?}");
        scratch.assert_nothing_got_out();
    }
}

#[test]
fn links_to_the_host_are_taken_as_links_within_the_layer() {
    let scratch = Scratch::new();
    let layer = Layer::new()
        .raw(EntryType::Symlink, "up", "..", b"")
        .raw(EntryType::Symlink, "root", "/", b"")
        .raw(EntryType::Symlink, "self", "/proc/self/root", b"")
        .file("up/outside", "theirs")
        .file("root/outside2", "theirs")
        .file("up/.wh.hidden", "")
        .file("/absolute", "theirs");

    scratch.unpack(layer).unwrap();

    assert!(scratch.root().join("outside").exists() && scratch.root().join("outside2").exists());
    assert!(scratch.root().join("absolute").exists() && is_whiteout(&scratch.root().join("hidden")));
    scratch.assert_nothing_got_out();
}

#[test]
fn a_layer_does_not_direct_overlayfs() {
    let scratch = Scratch::new();
    let records: [(&str, &[u8]); 3] = [
        ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
        ("SCHILY.xattr.user.overlay.opaque", b"y"),
        ("SCHILY.xattr.security.ima", b"x"),
    ];

    scratch.unpack(Layer::new().pax(&records).folder("a")).unwrap();

    for name in ["trusted.overlay.redirect", "user.overlay.opaque", "security.ima"] {
        assert_eq!(xattr(&scratch.root().join("a"), name), None, "{name}");
    }
}

#[test]
fn too_much_is_too_much() {
    let scratch = Scratch::new();
    let limits = UnpackLimits { bytes: 4096, entries: 3, ratio: 250 };
    let many = Layer::new().file("a", "").file("b", "").file("c", "").file("d", "");
    let large = Layer::new().raw(EntryType::Regular, "a", "", &[0; 5000]);

    let too_many = scratch.unpack_within(many, UnpackLimits { bytes: 1 << 20, ..limits });
    let too_large = scratch.unpack_within(large, limits);

    assert!(matches!(too_many, Err(LayerError::TooLarge { limit: 3, what: "entries" })), "{too_many:?}");
    assert!(matches!(too_large, Err(LayerError::TooLarge { limit: 4096, what: "bytes" })), "{too_large:?}");
}

#[test]
fn a_bomb_ends_by_how_it_expands() {
    // Gigabytes of zeros behind one header, as gzip packs them: a thousand to one.
    let mut header = Header::new_ustar();
    header.set_size(4 << 30);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_path("zeros").unwrap();
    header.set_cksum();
    let bomb = header.as_bytes().chain(io::repeat(0).take(4 << 30));
    let packed = flate2::read::GzEncoder::new(bomb, flate2::Compression::best());

    let outcome = verify(packed, Digest::of(b""), UnpackLimits::default());

    assert!(matches!(outcome, Err(LayerError::TooLarge { what: "bytes for each packed one", .. })), "{outcome:?}");
}

#[test]
fn another_layer_than_the_named_one_is_refused() {
    let scratch = Scratch::new();
    let bytes = Layer::new().file("a", "").bytes();
    let mut padded = bytes.clone();
    padded.extend([0; 2048]);

    let wrong = unpack(&bytes[..], &scratch.root(), &[], Digest::of(b""), UnpackLimits::default(), |_| ());
    let right = unpack(&padded[..], &scratch.root(), &[], Digest::of(&padded), UnpackLimits::default(), |_| ());

    assert!(matches!(wrong, Err(LayerError::WrongContent { .. })));
    right.expect("what follows the archive's end is part of the layer");
}
