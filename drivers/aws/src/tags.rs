//! Tags: writing the mark in the call that creates something, and reading it again.

use aws_sdk_ec2::types::{Filter, ResourceType, Tag, TagSpecification};
use driver::{ClusterId, Mark, TAG_ID};

/// What EC2's console shows as the name.
pub(crate) const NAME: &str = "Name";
/// The numbers of the machines that were launched together, in the order of their launch index: `1-3,7`.
pub(crate) const NUMBERS: &str = "swarmup-numbers";
/// How the machines that were launched together are named; `@` stands for the number.
pub(crate) const NAMING: &str = "swarmup-names";
/// The group that the machine belongs to.
pub(crate) const GROUP: &str = "swarmup-group";

/// A tag.
pub(crate) fn tag(key: impl Into<String>, value: impl Into<String>) -> Tag {
    Tag::builder().key(key).value(value).build()
}

/// The mark, and a name to be read by people.
pub(crate) fn of_mark(mark: &Mark, name: &str) -> Vec<Tag> {
    let mut tags = vec![tag(NAME, name)];
    tags.extend(mark.tags().into_iter().map(|(key, value)| tag(key, value)));
    tags
}

/// What a kind of resource is tagged with in the call that creates it.
pub(crate) fn specification(kind: ResourceType, tags: Vec<Tag>) -> TagSpecification {
    TagSpecification::builder().resource_type(kind).set_tags(Some(tags)).build()
}

/// The value of a tag.
pub(crate) fn value<'a>(tags: &'a [Tag], key: &str) -> Option<&'a str> {
    tags.iter().find(|tag| tag.key() == Some(key)).and_then(Tag::value)
}

/// Whether something carries this cluster's mark.
pub(crate) fn is_marked(tags: &[Tag], cluster: &ClusterId) -> bool {
    value(tags, TAG_ID) == Some(cluster.0.as_str())
}

/// A filter by name and values.
pub(crate) fn filter(name: impl Into<String>, values: impl IntoIterator<Item = impl Into<String>>) -> Filter {
    Filter::builder().name(name).set_values(Some(values.into_iter().map(Into::into).collect())).build()
}

/// What carries this cluster's mark; with `None`, any cluster's.
pub(crate) fn marked(cluster: Option<&ClusterId>) -> Filter {
    match cluster {
        Some(cluster) => filter(format!("tag:{TAG_ID}"), [cluster.0.as_str()]),
        None => filter("tag-key", [TAG_ID]),
    }
}
