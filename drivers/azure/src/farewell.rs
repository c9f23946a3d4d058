//! What a machine runs to end its cluster: it deletes the resource group by the identity of the managers.
//!
//! The metadata service lends the token, so that there is no secret in it. Where the machine has no such identity, as
//! workers have none, nothing is changed. The group is named rather than asked for: a machine can delete no other by
//! mistake.

use driver::program::python;
use driver::{Mark, TAG_EXPIRES};

use crate::names::{Group, IDENTITIES, IDENTITY};

/// The program; its arguments are the endpoint, the group, the identity within the group, and the tag of the expiry.
const PROGRAM: &str = include_str!("farewell.py");

/// The commands, for `sh`.
pub(crate) fn script(endpoint: &str, mark: &Mark) -> String {
    let group = Group::of_cluster("", &mark.name, &mark.cluster).name;
    python(PROGRAM, &[endpoint, &group, &format!("{IDENTITIES}/{IDENTITY}"), TAG_EXPIRES])
}
