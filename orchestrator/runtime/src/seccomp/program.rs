//! Turns a filter into the kernel's instructions: a binary search over call numbers, then the tests of arguments.

use std::collections::BTreeMap;

use super::numbers;
use super::profile::{Action, ArgumentTest, Comparison, Filter, Rule};

/// How many instructions the kernel takes (`BPF_MAXINSNS`).
pub(super) const LENGTH_LIMIT: usize = 4096;

/// `AUDIT_ARCH_*` of this architecture.
const ARCHITECTURE: u32 = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };
/// The calls of x32 carry this bit; they are no calls of ours.
const X32: u32 = 0x4000_0000;

/// Offsets in `struct seccomp_data`.
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const ARGUMENTS_AT: u32 = 16;

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const JUMP_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const JUMP_GREATER: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
const JUMP_NOT_LESS: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

/// One instruction, as the kernel's `struct sock_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Instruction {
    code: u16,
    if_true: u8,
    if_false: u8,
    value: u32,
}

/// What happens to calls of one number: the first rule that holds, else the default.
type Decision<'a> = Vec<&'a Rule>;

/// Compiles a filter for this architecture's calls. Calls by another architecture's table kill the process; a call
/// that is newer than our table does not exist, where the default is to refuse.
pub(super) fn compile(filter: &Filter) -> Vec<Instruction> {
    let mut by_number: BTreeMap<u32, Decision<'_>> = BTreeMap::new();
    for rule in filter.rules.iter().filter(|rule| rule.action != filter.default) {
        for number in rule.names.iter().filter_map(|name| numbers::number(name)) {
            by_number.entry(number).or_default().push(rule);
        }
    }
    let mut code = vec![
        load(ARCHITECTURE_AT),
        jump(JUMP_EQUAL, ARCHITECTURE, 1, 0),
        ret(Action(libc::SECCOMP_RET_KILL_PROCESS)),
        load(NUMBER_AT),
    ];
    let newer = match filter.default.0 & libc::SECCOMP_RET_ACTION_FULL {
        libc::SECCOMP_RET_ERRNO => Action::errno(libc::ENOSYS),
        _ => filter.default,
    };
    let highest = numbers::highest();
    code.extend([jump(JUMP_GREATER, highest, 0, 3), jump(JUMP_NOT_LESS, X32, 0, 1), ret(filter.default), ret(newer)]);
    search(&ranges(by_number), filter.default, &mut code);
    code
}

/// Every number from 0 up, cut where the decision changes.
fn ranges<'a>(by_number: BTreeMap<u32, Decision<'a>>) -> Vec<(u32, Decision<'a>)> {
    let mut ranges: Vec<(u32, Decision<'a>)> = vec![(0, Vec::new())];
    let mut next = 0;
    let mut push = |start: u32, decision: Decision<'a>| match ranges.last_mut() {
        Some((_, last)) if is_same(last, &decision) => {}
        Some((last_start, last)) if *last_start == start => *last = decision,
        _ => ranges.push((start, decision)),
    };
    for (number, decision) in by_number {
        if number > next {
            push(next, Vec::new());
        }
        push(number, decision);
        next = number + 1;
    }
    push(next, Vec::new());
    ranges
}

/// Whether two decisions come out alike: both without a rule, or both by the same action with no test.
fn is_same(one: &[&Rule], other: &[&Rule]) -> bool {
    match (one.first(), other.first()) {
        (None, None) => true,
        (Some(one), Some(other)) => one.action == other.action && one.tests.is_empty() && other.tests.is_empty(),
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn search(ranges: &[(u32, Decision<'_>)], default: Action, code: &mut Vec<Instruction>) {
    let (lower, upper) = ranges.split_at(ranges.len() / 2);
    let [(start, _), ..] = upper else { return };
    if lower.is_empty() {
        return decide(&upper[0].1, default, code);
    }
    code.push(jump(JUMP_NOT_LESS, *start, 0, 1));
    let leap = code.len();
    code.push(Instruction { code: JUMP, if_true: 0, if_false: 0, value: 0 });
    search(lower, default, code);
    code[leap].value = u32::try_from(code.len() - leap - 1).expect("a filter is short");
    search(upper, default, code);
}

fn decide(rules: &[&Rule], default: Action, code: &mut Vec<Instruction>) {
    for rule in rules {
        let mut body = Vec::new();
        let mut fails = Vec::new();
        for test in &rule.tests {
            check(*test, &mut body, &mut fails);
        }
        body.push(ret(rule.action));
        for Fail { at, when } in fails {
            let distance = u8::try_from(body.len() - at - 1).expect("six tests are short");
            if when {
                body[at].if_true = distance;
            } else {
                body[at].if_false = distance;
            }
        }
        code.append(&mut body);
        if rule.tests.is_empty() {
            return;
        }
    }
    code.push(ret(default));
}

/// A jump that leads to the next rule, and the outcome it does so on.
struct Fail {
    at: usize,
    when: bool,
}

/// Appends one test: behind it the test holds, elsewhere the jumps of `fails` lead.
fn check(test: ArgumentTest, body: &mut Vec<Instruction>, fails: &mut Vec<Fail>) {
    let low_at = ARGUMENTS_AT + 8 * u32::from(test.index);
    let (high, low) = halves(test.value);
    body.push(load(low_at + 4));
    let mut fail = |at: usize, when: bool| fails.push(Fail { at, when });
    match test.comparison {
        Comparison::Equal => {
            fail(body.len(), false);
            body.extend([jump(JUMP_EQUAL, high, 0, 0), load(low_at)]);
            fail(body.len(), false);
            body.push(jump(JUMP_EQUAL, low, 0, 0));
        }
        Comparison::MaskedEqual(mask) => {
            let (mask_high, mask_low) = halves(mask);
            body.push(Instruction { code: AND, if_true: 0, if_false: 0, value: mask_high });
            fail(body.len(), false);
            body.extend([jump(JUMP_EQUAL, high, 0, 0), load(low_at)]);
            body.push(Instruction { code: AND, if_true: 0, if_false: 0, value: mask_low });
            fail(body.len(), false);
            body.push(jump(JUMP_EQUAL, low, 0, 0));
        }
        Comparison::NotEqual => {
            body.extend([jump(JUMP_EQUAL, high, 0, 2), load(low_at)]);
            fail(body.len(), true);
            body.push(jump(JUMP_EQUAL, low, 0, 0));
        }
        Comparison::Greater | Comparison::GreaterOrEqual => {
            let by_low = if test.comparison == Comparison::Greater { JUMP_GREATER } else { JUMP_NOT_LESS };
            body.push(jump(JUMP_GREATER, high, 3, 0));
            fail(body.len(), false);
            body.extend([jump(JUMP_EQUAL, high, 0, 0), load(low_at)]);
            fail(body.len(), false);
            body.push(jump(by_low, low, 0, 0));
        }
        Comparison::Less | Comparison::LessOrEqual => {
            let by_low = if test.comparison == Comparison::Less { JUMP_NOT_LESS } else { JUMP_GREATER };
            fail(body.len(), true);
            body.extend([jump(JUMP_GREATER, high, 0, 0), jump(JUMP_EQUAL, high, 0, 2), load(low_at)]);
            fail(body.len(), true);
            body.push(jump(by_low, low, 0, 0));
        }
    }
}

/// The upper and the lower 32 bits.
fn halves(value: u64) -> (u32, u32) {
    let low = value & u64::from(u32::MAX);
    (u32::try_from(value >> 32).expect("32 bits are left"), u32::try_from(low).expect("32 bits are left"))
}

fn load(value: u32) -> Instruction {
    Instruction { code: LOAD, if_true: 0, if_false: 0, value }
}

fn jump(code: u16, value: u32, if_true: u8, if_false: u8) -> Instruction {
    Instruction { code, if_true, if_false, value }
}

fn ret(action: Action) -> Instruction {
    Instruction { code: RETURN, if_true: 0, if_false: 0, value: action.0 }
}

#[cfg(test)]
#[path = "program_tests.rs"]
mod tests;
