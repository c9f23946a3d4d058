//! Which system calls a container's programs may make.
//!
//! ```text
//! Profile ── default rules, or Docker's JSON ──> Filter ── compile ──> Program ── install, in the process itself
//! ```
//!
//! The program is the kernel's own kind of instructions, made here: no C library, and no rule that is silently left out.

mod default;
mod numbers;
mod profile;
mod program;

use rustix::thread::CapabilitySet;
use serde::{Deserialize, Serialize};

use self::profile::{Action, Filter};
use self::program::{Instruction, LENGTH_LIMIT};
use crate::RuntimeError;

/// Which filter a container gets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// What Docker allows a container that asks for nothing.
    #[default]
    Default,
    /// None.
    Unconfined,
    /// A profile in Docker's JSON.
    Custom(String),
}

/// A filter that is ready for the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    instructions: Vec<Instruction>,
}

impl Profile {
    /// Compiles the filter for a container that holds these capabilities at most; `None` where there is none.
    pub(crate) fn program(&self, capabilities: CapabilitySet) -> Result<Option<Program>, RuntimeError> {
        let filter = match self {
            Self::Unconfined => return Ok(None),
            Self::Default => Filter { default: Action::errno(libc::EPERM), rules: default::rules(capabilities) },
            Self::Custom(json) => Filter::parse(json, capabilities)?,
        };
        let instructions = program::compile(&filter);
        if instructions.len() > LENGTH_LIMIT {
            return Err(RuntimeError::Invalid { reason: "invalid seccomp profile: it has too many rules".to_owned() });
        }
        Ok(Some(Program { instructions }))
    }
}

impl Program {
    /// Puts the filter on this process, for good. The process holds `CAP_SYS_ADMIN` or has given up new privileges.
    pub(crate) fn install(&self) -> std::io::Result<()> {
        let length = u16::try_from(self.instructions.len()).map_err(|_| std::io::ErrorKind::InvalidInput)?;
        let program = libc::sock_fprog { len: length, filter: self.instructions.as_ptr().cast_mut().cast() };
        #[expect(unsafe_code, reason = "no safe wrapper installs a filter")]
        // SAFETY: `Instruction` has the layout of `sock_filter`, the kernel only reads `len` of them, during the call.
        let outcome = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
        if outcome == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    }
}
