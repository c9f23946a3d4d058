//! The mark of a cluster in what Compute Engine offers for it.
//!
//! Instances and disks carry labels, by which they are found. A label allows lower-case letters, digits, `-` and `_`
//! only, at most 63 of them, so every other byte of a text (and `_` itself) is written as `_` and two hexadecimal
//! digits: `me@here` becomes `me_40here`. A text that is too long for that becomes `_h` and its hash. Whatever takes a
//! description carries the mark there too, as JSON and to the letter; networks and firewall rules, which take no
//! labels, carry it there only, and are found by their names, which begin with the cluster's [`key`].

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use driver::{ClusterId, Mark, Resource, TAG_CLUSTER, TAG_CREATED, TAG_EXPIRES, TAG_ID, TAG_OWNER};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// What the names of all that belongs to clusters begin with, machines apart.
pub(crate) const PREFIX: &str = "swu-";
/// The label that holds the group of a machine.
const GROUP: &str = "swarmup-group";
/// The entry of a machine's description that holds names that Compute Engine would not take.
const NAMES: &str = "swarmup-names";
/// The longest label and the longest name.
const LONGEST: usize = 63;
/// How many characters of a cluster's hash its key has.
const KEY_LENGTH: usize = 10;
/// How many characters of a long name are kept.
const KEPT: usize = 40;

/// A few characters that no other cluster has: names are unique in a project, and a cluster's name is not.
pub(crate) fn key(cluster: &ClusterId) -> String {
    letters(&cluster.0, KEY_LENGTH)
}

/// Letters and digits by which a text is known.
fn letters(text: &str, count: usize) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let hash = Sha256::digest(text.as_bytes());
    hash.iter().take(count).map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect()
}

/// A UUID by which a request is known that may be sent again.
pub(crate) fn request_id(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    // A UUID of our own making (RFC 9562, version 8).
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut id = String::new();
    for (index, byte) in bytes.iter().enumerate() {
        let dash = if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" };
        let _ = write!(id, "{dash}{byte:02x}");
    }
    id
}

/// A UUID for a request that is sent again by this process only.
pub(crate) fn fresh_id() -> String {
    request_id(&[&rand::random::<u128>().to_string()])
}

/// The name of a machine at the provider: as it was asked for, and the cluster's key.
pub(crate) fn machine_name(requested: &str, key: &str) -> String {
    let is_inner = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-';
    let is_plain = requested.starts_with(|first: char| first.is_ascii_lowercase()) && requested.chars().all(is_inner);
    if is_plain && requested.len() + 1 + key.len() <= LONGEST {
        return format!("{requested}-{key}");
    }
    let readable: String = requested
        .chars()
        .map(|character| character.to_ascii_lowercase())
        .map(|character| if is_inner(character) { character } else { '-' })
        .take(KEPT)
        .collect();
    format!("m{}-{}-{key}", readable.trim_end_matches('-'), letters(requested, KEY_LENGTH - 1))
}

/// A text as a label's value.
pub(crate) fn label(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' => encoded.push(char::from(byte)),
            _ => {
                let _ = write!(encoded, "_{byte:02x}");
            }
        }
    }
    if encoded.len() > LONGEST { format!("_h{}", letters(text, 32)) } else { encoded }
}

/// The text of a label's value; `None` where it is a hash or no value of ours.
fn unlabel(value: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'_' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// The labels of a machine and its disk.
pub(crate) fn labels(mark: &Mark, group: &str) -> Vec<(String, String)> {
    let tags = mark.tags().into_iter().map(|(name, value)| (name.to_owned(), label(&value)));
    tags.chain([(GROUP.to_owned(), label(group))]).collect()
}

/// The labels with another expiry.
pub(crate) fn labels_until(labels: &HashMap<String, String>, expires: jiff::Timestamp) -> HashMap<String, String> {
    let mut labels = labels.clone();
    labels.insert(TAG_EXPIRES.to_owned(), expires.as_second().to_string());
    labels
}

/// The mark as a description.
pub(crate) fn description(mark: &Mark) -> String {
    let tags = mark.tags().into_iter().map(|(name, value)| (name.to_owned(), Value::String(value)));
    Value::Object(tags.collect()).to_string()
}

/// The mark as the description of machines, some of which may have another name at the provider than was asked for.
pub(crate) fn description_of_machines<'a>(mark: &Mark, names: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let tags = mark.tags().into_iter().map(|(name, value)| (name.to_owned(), Value::String(value)));
    let mut fields: Map<String, Value> = tags.collect();
    let changed = names.into_iter().filter(|(requested, name)| requested_name(name, None) != *requested);
    let changed: Map<String, Value> = changed.map(|(requested, name)| (name.to_owned(), requested.into())).collect();
    if !changed.is_empty() {
        fields.insert(NAMES.to_owned(), changed.into());
    }
    Value::Object(fields).to_string()
}

/// The name that was asked for, of a machine with this name and description.
pub(crate) fn requested_name(name: &str, description: Option<&str>) -> String {
    let described = description.and_then(|text| serde_json::from_str::<Value>(text).ok());
    let noted = described.as_ref().and_then(|fields| fields[NAMES][name].as_str());
    let plain = || name.rsplit_once('-').map_or(name, |(requested, _)| requested);
    noted.unwrap_or_else(plain).to_owned()
}

/// What a description says of the cluster; empty where it is none of ours.
pub(crate) fn described(description: Option<&str>) -> BTreeMap<String, String> {
    let fields = description.and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok()).unwrap_or_default();
    let text = |(name, value): (String, Value)| Some((name, value.as_str()?.to_owned()));
    let tags: BTreeMap<_, _> = fields.into_iter().filter_map(text).collect();
    if tags.contains_key(TAG_ID) { tags } else { BTreeMap::new() }
}

/// What labels and description of a machine say of its cluster. Whose it is the label tells, and its expiry, which can
/// be moved there only; the rest is the description's, to the letter.
pub(crate) fn tags(labels: &HashMap<String, String>, description: Option<&str>) -> BTreeMap<String, String> {
    let Some(marked) = labels.get(TAG_ID) else { return BTreeMap::new() };
    let described = described(description).into_iter().filter(|(name, _)| name != TAG_EXPIRES);
    let mut tags: BTreeMap<_, _> = described.collect();
    if tags.get(TAG_ID).is_none_or(|id| label(id) != *marked) {
        tags.clear();
    }
    for name in [TAG_ID, TAG_CLUSTER, TAG_OWNER, TAG_CREATED, TAG_EXPIRES] {
        if let Some(text) = labels.get(name).and_then(|value| unlabel(value)) {
            tags.entry(name.to_owned()).or_insert(text);
        }
    }
    tags
}

/// Something of a kind as its tags tell whose it is.
pub(crate) fn resource(kind: &str, name: &str, tags: &BTreeMap<String, String>) -> Option<Resource> {
    Resource::of_tags(kind, name, |tag| tags.get(tag).map(String::as_str))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn mark(owner: &str) -> Mark {
        Mark {
            cluster: ClusterId("Some_Cluster".to_owned()),
            name: "lab".to_owned(),
            owner: owner.to_owned(),
            created_at: Timestamp::from_second(1_700_000_000).unwrap(),
            expires: Some(Timestamp::from_second(1_700_003_600).unwrap()),
        }
    }

    #[test]
    fn every_text_comes_back_out_of_a_label() {
        for text in ["", "me@here", "Émile_Ω@host.example", "a-b_c", "_40"] {
            let value = label(text);

            assert!(
                value.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_'),
                "{value}"
            );
            assert_eq!(unlabel(&value).as_deref(), Some(text));
        }
    }

    #[test]
    fn an_owner_too_long_for_a_label_is_known_from_the_description() {
        let mark = mark(&"somebody".repeat(20));
        let labels: HashMap<_, _> = labels(&mark, "managers").into_iter().collect();

        let tags = tags(&labels, Some(&description(&mark)));

        assert!(labels.values().all(|value| value.len() <= LONGEST));
        assert_eq!(tags[TAG_OWNER], mark.owner);
        assert_eq!(tags[TAG_ID], "Some_Cluster");
    }

    #[test]
    fn an_expiry_that_was_moved_counts() {
        let mark = mark("me@here");
        let labels: HashMap<_, _> = labels(&mark, "managers").into_iter().collect();
        let later = Timestamp::from_second(1_700_007_200).unwrap();

        let tags = tags(&labels_until(&labels, later), Some(&description(&mark)));

        assert_eq!(resource("machine", "x", &tags).unwrap().expires, Some(later));
    }

    #[test]
    fn what_has_no_label_or_another_description_is_none_of_ours() {
        let labels = HashMap::from([("team".to_owned(), "lab".to_owned())]);

        assert_eq!(tags(&labels, Some(&description(&mark("me@here")))), BTreeMap::new());
        assert_eq!(described(Some("the firewall of the lab")), BTreeMap::new());
        assert_eq!(described(None), BTreeMap::new());
    }

    #[test]
    fn names_of_machines_are_valid_and_lead_back_to_what_was_asked_for() {
        let key = key(&ClusterId("x".to_owned()));
        for requested in ["lab-node-1", "lab-node-12", "1st.Lab-node-3", &format!("{}-node-3", "a".repeat(60))] {
            let name = machine_name(requested, &key);
            let description = description_of_machines(&mark("me@here"), [(requested, name.as_str())]);

            assert!(name.len() <= LONGEST && name.starts_with(|first: char| first.is_ascii_lowercase()), "{name}");
            assert_eq!(requested_name(&name, Some(&description)), requested);
        }
    }

    #[test]
    fn a_request_is_known_by_all_of_its_parts() {
        let id = request_id(&["cluster", "managers", "1"]);

        assert_eq!(id, request_id(&["cluster", "managers", "1"]));
        assert_ne!(id, request_id(&["cluster", "managers1", ""]));
        assert_eq!(id.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    }
}
