//! Filters of system calls as Docker's JSON describes them.

use std::collections::BTreeMap;

use rustix::thread::CapabilitySet;
use serde::Deserialize;

use crate::RuntimeError;

/// How large a profile may be, in bytes of JSON.
const SIZE_LIMIT: usize = 1 << 20;

/// What the kernel does with a system call: a value of `SECCOMP_RET_*`, with its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Action(pub(super) u32);

impl Action {
    /// Let it pass.
    pub(super) const ALLOW: Self = Self(libc::SECCOMP_RET_ALLOW);

    /// Answer it with an error.
    pub(super) const fn errno(number: i32) -> Self {
        Self(libc::SECCOMP_RET_ERRNO | (number.unsigned_abs() & libc::SECCOMP_RET_DATA))
    }
}

/// When calls of these names get this action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) names: Vec<String>,
    pub(super) action: Action,
    /// All of them must hold.
    pub(super) tests: Vec<ArgumentTest>,
}

/// A condition on one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ArgumentTest {
    /// 0 to 5.
    pub(super) index: u8,
    pub(super) comparison: Comparison,
    pub(super) value: u64,
}

/// How an argument, as an unsigned number of 64 bits, compares to the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    /// Of the argument, only these bits.
    MaskedEqual(u64),
}

/// A whole filter: the first rule that holds decides, else the default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) default: Action,
    pub(super) rules: Vec<Rule>,
}

/// The file as written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    default_action: String,
    default_errno_ret: Option<i32>,
    #[serde(default)]
    syscalls: Vec<Calls>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Calls {
    name: Option<String>,
    #[serde(default)]
    names: Vec<String>,
    action: String,
    errno_ret: Option<i32>,
    #[serde(default)]
    args: Option<Vec<Argument>>,
    #[serde(default)]
    includes: Circumstances,
    #[serde(default)]
    excludes: Circumstances,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Circumstances {
    caps: Vec<String>,
    arches: Vec<String>,
    min_kernel: Option<String>,
}

impl Filter {
    /// Reads a profile for a container that holds these capabilities at most. Other architectures' parts are left out.
    pub(super) fn parse(json: &str, capabilities: CapabilitySet) -> Result<Self, RuntimeError> {
        if json.len() > SIZE_LIMIT {
            return Err(invalid("it is too large"));
        }
        let file: File = serde_json::from_str(json).map_err(|error| invalid(&error.to_string()))?;
        let default = action(&file.default_action, file.default_errno_ret)?;
        let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
        let mut rules = Vec::new();
        for calls in file.syscalls {
            if calls.applies(capabilities, &kernel) {
                calls.append_to(&mut rules)?;
            }
        }
        Ok(Self { default, rules })
    }
}

impl Calls {
    fn applies(&self, capabilities: CapabilitySet, kernel: &str) -> bool {
        let holds = |name: &String| {
            CapabilitySet::from_name(name.strip_prefix("CAP_").unwrap_or(name))
                .is_some_and(|capability| capabilities.contains(capability))
        };
        let here = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
        let is_included = self.includes.caps.iter().all(holds)
            && (self.includes.arches.is_empty() || self.includes.arches.iter().any(|arch| arch == here))
            && self.includes.min_kernel.as_deref().is_none_or(|least| version(kernel) >= version(least));
        let is_excluded = self.excludes.caps.iter().any(holds)
            || self.excludes.arches.iter().any(|arch| arch == here)
            || self.excludes.min_kernel.as_deref().is_some_and(|least| version(kernel) >= version(least));
        is_included && !is_excluded
    }

    /// Conditions on different arguments must all hold; on the same one, any.
    fn append_to(self, rules: &mut Vec<Rule>) -> Result<(), RuntimeError> {
        let action = action(&self.action, self.errno_ret)?;
        let names: Vec<String> = self.name.into_iter().chain(self.names).collect();
        let tests: Vec<ArgumentTest> =
            self.args.unwrap_or_default().iter().map(ArgumentTest::parse).collect::<Result<_, _>>()?;
        let mut uses = BTreeMap::new();
        for test in &tests {
            *uses.entry(test.index).or_insert(0) += 1;
        }
        if uses.values().all(|&count| count == 1) {
            rules.push(Rule { names, action, tests });
        } else {
            rules.extend(tests.into_iter().map(|test| Rule { names: names.clone(), action, tests: vec![test] }));
        }
        Ok(())
    }
}

impl ArgumentTest {
    fn parse(argument: &Argument) -> Result<Self, RuntimeError> {
        let (comparison, value) = match argument.op.as_str() {
            "SCMP_CMP_EQ" => (Comparison::Equal, argument.value),
            "SCMP_CMP_NE" => (Comparison::NotEqual, argument.value),
            "SCMP_CMP_GT" => (Comparison::Greater, argument.value),
            "SCMP_CMP_GE" => (Comparison::GreaterOrEqual, argument.value),
            "SCMP_CMP_LT" => (Comparison::Less, argument.value),
            "SCMP_CMP_LE" => (Comparison::LessOrEqual, argument.value),
            "SCMP_CMP_MASKED_EQ" => (Comparison::MaskedEqual(argument.value), argument.value_two),
            other => return Err(invalid(&format!("unknown comparison `{other}`"))),
        };
        if argument.index > 5 {
            return Err(invalid("a system call has six arguments"));
        }
        Ok(Self { index: argument.index, comparison, value })
    }
}

fn action(name: &str, errno: Option<i32>) -> Result<Action, RuntimeError> {
    Ok(match name {
        "SCMP_ACT_ALLOW" => Action::ALLOW,
        "SCMP_ACT_ERRNO" => Action::errno(errno.unwrap_or(libc::EPERM)),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action(libc::SECCOMP_RET_KILL_THREAD),
        "SCMP_ACT_KILL_PROCESS" => Action(libc::SECCOMP_RET_KILL_PROCESS),
        "SCMP_ACT_TRAP" => Action(libc::SECCOMP_RET_TRAP),
        "SCMP_ACT_LOG" => Action(libc::SECCOMP_RET_LOG),
        "SCMP_ACT_TRACE" => Action(libc::SECCOMP_RET_TRACE | (errno.unwrap_or(libc::EPERM).unsigned_abs() & 0xffff)),
        other => return Err(invalid(&format!("unknown action `{other}`"))),
    })
}

fn version(text: &str) -> (u32, u32) {
    let mut parts = text.split(|character: char| !character.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

fn invalid(reason: &str) -> RuntimeError {
    RuntimeError::Invalid { reason: format!("invalid seccomp profile: {reason}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_read_for_the_capabilities_at_hand() {
        let json = r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":1,"archMap":[],"syscalls":[
            {"names":["read","write"],"action":"SCMP_ACT_ALLOW"},
            {"names":["mount"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_SYS_ADMIN"]}},
            {"name":"clone3","action":"SCMP_ACT_ERRNO","errnoRet":38,"excludes":{"caps":["CAP_SYS_ADMIN"]}},
            {"names":["uname"],"action":"SCMP_ACT_ALLOW","includes":{"minKernel":"999.0"}}]}"#;
        let names = |filter: &Filter| filter.rules.iter().flat_map(|rule| rule.names.clone()).collect::<Vec<_>>();

        let plain = Filter::parse(json, CapabilitySet::empty()).unwrap();
        let admin = Filter::parse(json, CapabilitySet::SYS_ADMIN).unwrap();

        assert_eq!(names(&plain), ["read", "write", "clone3"]);
        assert_eq!(names(&admin), ["read", "write", "mount"]);
        assert_eq!(plain.rules[1].action, Action::errno(38));
    }

    #[test]
    fn conditions_on_one_argument_are_alternatives() {
        let json = r#"{"defaultAction":"SCMP_ACT_KILL_PROCESS","syscalls":[{"names":["personality"],
            "action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":0,"op":"SCMP_CMP_EQ"},
            {"index":0,"value":8,"op":"SCMP_CMP_EQ"}]}]}"#;

        let filter = Filter::parse(json, CapabilitySet::empty()).unwrap();

        assert_eq!(filter.rules.len(), 2);
    }

    #[test]
    fn nonsense_is_refused_with_its_reason() {
        let refused = Filter::parse(r#"{"defaultAction":"SCMP_ACT_DANCE"}"#, CapabilitySet::empty()).unwrap_err();

        assert_eq!(refused.to_string(), "invalid seccomp profile: unknown action `SCMP_ACT_DANCE`");
    }
}
