//! The device controller of version 2: a small program in the kernel that says which devices a group may open.
//!
//! Version 1 has files for it. Without one of the two, a container that may make device nodes, as Docker's default lets
//! it, could read the host's disk.

use std::ffi::c_long;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::path::Path;

use serde_json::Value;

use super::Group;
use crate::RuntimeError;
use crate::error::Doing;

/// `BPF_DEVCG_DEV_*` and `BPF_DEVCG_ACC_*`.
const BLOCK: u32 = 1;
const CHARACTER: u32 = 2;
const MAKE: u32 = 1;
const READ: u32 = 2;
const WRITE: u32 = 4;

/// Commands of `bpf(2)`, and what is loaded and attached.
const PROGRAM_LOAD: c_long = 5;
const PROGRAM_ATTACH: c_long = 8;
const CGROUP_DEVICE: u32 = 15;
const AT_CGROUP_DEVICE: u32 = 6;
/// The group's and every group's above must agree.
const ALLOW_MULTIPLE: u32 = 2;

/// One rule: later ones come before earlier ones. What is absent matches everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rule {
    allow: bool,
    kind: Option<u32>,
    major: Option<u32>,
    minor: Option<u32>,
    access: u32,
}

/// What every container may use: nodes of any device may be made, and these opened: null, zero, full, random, urandom,
/// tty, console, ptmx, terminals, tunnels.
const USUAL: [(Option<u32>, Option<u32>, u32); 10] = [
    (None, None, MAKE),
    (Some(1), Some(3), MAKE | READ | WRITE),
    (Some(1), Some(5), MAKE | READ | WRITE),
    (Some(1), Some(7), MAKE | READ | WRITE),
    (Some(1), Some(8), MAKE | READ | WRITE),
    (Some(1), Some(9), MAKE | READ | WRITE),
    (Some(5), None, MAKE | READ | WRITE),
    (Some(136), None, MAKE | READ | WRITE),
    (Some(10), Some(200), MAKE | READ | WRITE),
    (Some(5), Some(2), MAKE | READ | WRITE),
];

/// Applies the rules of a specification to a group where the host has version 2 only; elsewhere the library does.
pub(crate) fn restrict_devices(group: &Group, rules: &[Value]) -> Result<(), RuntimeError> {
    let Some(folder) = group.unified() else { return Ok(()) };
    restrict(&folder, rules).doing(|| format!("restrict the devices of control group `{}`", folder.display()))
}

fn restrict(folder: &Path, rules: &[Value]) -> io::Result<()> {
    let mut list: Vec<Rule> = rules.iter().map(Rule::parse).collect();
    list.extend(USUAL.map(|(major, minor, access)| Rule { allow: true, kind: Some(CHARACTER), major, minor, access }));
    list.push(Rule { allow: true, kind: Some(BLOCK), major: None, minor: None, access: MAKE });
    attach(&load(&compile(&list))?, folder)
}

impl Rule {
    fn parse(rule: &Value) -> Self {
        let number = |name: &str| rule[name].as_u64().and_then(|number| u32::try_from(number).ok());
        let letters = rule["access"].as_str().unwrap_or_default();
        let access = [('m', MAKE), ('r', READ), ('w', WRITE)]
            .iter()
            .filter(|(letter, _)| letters.contains(*letter))
            .fold(0, |access, (_, bit)| access | bit);
        let kind = match rule["type"].as_str() {
            Some("b") => Some(BLOCK),
            Some("c") => Some(CHARACTER),
            _ => None,
        };
        let allow = rule["allow"].as_bool().unwrap_or(false);
        Self { allow, kind, major: number("major"), minor: number("minor"), access }
    }
}

/// An instruction of the kernel's machine: operation, registers, offset, number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
struct Instruction {
    operation: u8,
    registers: u8,
    offset: i16,
    number: i32,
}

/// Registers: the answer, the question, and what is kept of it.
const ANSWER: u8 = 0;
const QUESTION: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// The rules from the last to the first: the first that matches answers. The question is `kind | access << 16`, major,
/// minor.
fn compile(rules: &[Rule]) -> Vec<Instruction> {
    let load = |to: u8, offset: i16| instruction(0x61, to | QUESTION << 4, offset, 0); // BPF_LDX | BPF_W
    let copy = |to: u8, from: u8| instruction(0xbc, to | from << 4, 0, 0); // BPF_ALU | BPF_MOV | BPF_X
    let and = |to: u8, number: i32| instruction(0x54, to, 0, number); // BPF_ALU | BPF_AND | BPF_K
    let right = |to: u8, by: i32| instruction(0x74, to, 0, by); // BPF_ALU | BPF_RSH | BPF_K
    let unequal = |register: u8, number: u32, over: i16| {
        instruction(0x55, register, over, i32::from_ne_bytes(number.to_ne_bytes())) // BPF_JMP | BPF_JNE | BPF_K
    };
    let answer = |allow: bool| [instruction(0xb7, ANSWER, 0, i32::from(allow)), instruction(0x95, 0, 0, 0)];
    let mut code =
        vec![load(KIND, 0), copy(ACCESS, KIND), and(KIND, 0xffff), right(ACCESS, 16), load(MAJOR, 4), load(MINOR, 8)];
    for rule in rules.iter().rev() {
        let mut tests: Vec<(u8, u32)> = Vec::new();
        tests.extend(rule.kind.map(|kind| (KIND, kind)));
        tests.extend(rule.major.map(|major| (MAJOR, major)));
        tests.extend(rule.minor.map(|minor| (MINOR, minor)));
        // A refusal holds if any of the wanted accesses is refused; a permission only if all of them are allowed.
        let others = !rule.access & (MAKE | READ | WRITE);
        let is_whole = others == 0;
        let access_steps = if is_whole { 0 } else { 3 };
        let length = tests.len() + access_steps + 2;
        let mut at = 0;
        for (register, number) in tests {
            at += 1;
            code.push(unequal(register, number, i16::try_from(length - at).expect("a rule is short")));
        }
        if !is_whole {
            // The question is done, so its register is free.
            code.push(copy(QUESTION, ACCESS));
            let bits = if rule.allow { others } else { rule.access };
            code.push(and(QUESTION, i32::try_from(bits).expect("three bits")));
            let leap = i16::try_from(2).expect("it is");
            code.push(if rule.allow { unequal(QUESTION, 0, leap) } else { instruction(0x15, QUESTION, leap, 0) });
        }
        code.extend(answer(rule.allow));
        if length == 2 {
            // It matches everything, and the kernel takes no program with steps that none reaches.
            return code;
        }
    }
    code.extend(answer(false));
    code
}

fn instruction(operation: u8, registers: u8, offset: i16, number: i32) -> Instruction {
    Instruction { operation, registers, offset, number }
}

fn load(code: &[Instruction]) -> io::Result<OwnedFd> {
    /// The part of `union bpf_attr` that loads a program.
    #[repr(C)]
    struct Load {
        kind: u32,
        count: u32,
        instructions: u64,
        licence: u64,
        rest: [u64; 3],
    }
    let load = Load {
        kind: CGROUP_DEVICE,
        count: u32::try_from(code.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        instructions: code.as_ptr().addr() as u64,
        licence: c"MIT".as_ptr().addr() as u64,
        rest: [0; 3],
    };
    let descriptor = RawFd::try_from(bpf(PROGRAM_LOAD, &load)?).map_err(|_| io::ErrorKind::InvalidData)?;
    #[expect(unsafe_code, reason = "the kernel hands a descriptor out as a number")]
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn attach(program: &OwnedFd, folder: &Path) -> io::Result<()> {
    /// The part of `union bpf_attr` that attaches a program.
    #[repr(C)]
    struct Attach {
        target: u32,
        program: u32,
        kind: u32,
        flags: u32,
    }
    let folder = File::open(folder)?;
    let number =
        |descriptor: RawFd| u32::try_from(descriptor).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    let attach = Attach {
        target: number(folder.as_raw_fd())?,
        program: number(program.as_raw_fd())?,
        kind: AT_CGROUP_DEVICE,
        flags: ALLOW_MULTIPLE,
    };
    bpf(PROGRAM_ATTACH, &attach).map(drop)
}

fn bpf<T>(command: c_long, argument: &T) -> io::Result<c_long> {
    #[expect(unsafe_code, reason = "no safe wrapper speaks to the kernel's machine")]
    // SAFETY: the argument is a prefix of `union bpf_attr` of the length that is given; what it points to outlives the
    // call, during which alone the kernel reads it.
    let outcome = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(argument), size_of::<T>()) };
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(outcome) }
}

#[cfg(test)]
#[path = "device_tests.rs"]
mod tests;
