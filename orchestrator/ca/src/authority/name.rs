//! The name of an authority that somebody else has made, so that it can be written into another certificate.

use rcgen::{DistinguishedName, DnType, DnValue};
use x509_parser::asn1_rs::Tag;
use x509_parser::x509::X509Name;

/// Reads a name; nothing where it holds what we could not write in the same bytes again: an attribute twice, several
/// attributes at one level, strings of rare kinds.
pub(super) fn distinguished_name(name: &X509Name<'_>) -> Option<DistinguishedName> {
    let mut read = DistinguishedName::new();
    for level in name.iter() {
        let mut attributes = level.iter();
        let attribute = attributes.next()?;
        let kind = DnType::from_oid(&attribute.attr_type().iter()?.collect::<Vec<_>>());
        if attributes.next().is_some() || read.get(&kind).is_some() {
            return None;
        }
        let text = std::str::from_utf8(attribute.attr_value().data).ok()?;
        let value = match attribute.attr_value().header.tag() {
            Tag::Utf8String => DnValue::Utf8String(text.to_owned()),
            Tag::PrintableString => DnValue::PrintableString(text.try_into().ok()?),
            Tag::Ia5String => DnValue::Ia5String(text.try_into().ok()?),
            _ => return None,
        };
        read.push(kind, value);
    }
    Some(read)
}
