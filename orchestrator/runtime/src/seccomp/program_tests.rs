//! The compiled filters against a small machine that runs them as the kernel would.

use super::*;

/// Runs a program on a call as the kernel would.
fn run(code: &[Instruction], architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
    let word = |offset: u32| match offset {
        NUMBER_AT => number,
        ARCHITECTURE_AT => architecture,
        _ => {
            let (high, low) = halves(arguments[((offset - ARGUMENTS_AT) / 8) as usize]);
            if offset.is_multiple_of(8) { low } else { high }
        }
    };
    let (mut at, mut held) = (0, 0);
    loop {
        let Instruction { code: operation, if_true, if_false, value } = code[at];
        at += 1;
        let branch = |holds: bool| usize::from(if holds { if_true } else { if_false });
        match operation {
            LOAD => held = word(value),
            AND => held &= value,
            JUMP => at += value as usize,
            JUMP_EQUAL => at += branch(held == value),
            JUMP_GREATER => at += branch(held > value),
            JUMP_NOT_LESS => at += branch(held >= value),
            RETURN => return value,
            other => panic!("unknown instruction {other:#x}"),
        }
    }
}

fn rule(name: &str, action: Action, tests: &[ArgumentTest]) -> Rule {
    Rule { names: vec![name.to_owned()], action, tests: tests.to_vec() }
}

fn call(code: &[Instruction], name: &str, first: u64) -> u32 {
    run(code, ARCHITECTURE, numbers::number(name).unwrap(), [first, 0, 0, 0, 0, 0])
}

const REFUSE: Action = Action::errno(1);

#[test]
fn each_call_gets_the_action_of_its_own_rule() {
    let names = ["read", "write", "close", "mount", "getrandom", "statx", "openat2"];
    let rules = names.iter().map(|name| rule(name, Action::ALLOW, &[])).collect();
    let code = compile(&Filter { default: REFUSE, rules });

    for number in 0..=numbers::highest() {
        let is_named = names.iter().any(|name| numbers::number(name) == Some(number));
        let expected = if is_named { Action::ALLOW } else { REFUSE };
        assert_eq!(run(&code, ARCHITECTURE, number, [0; 6]), expected.0, "call {number}");
    }
}

#[test]
fn calls_of_other_tables_do_not_pass() {
    let code = compile(&Filter { default: REFUSE, rules: vec![rule("read", Action::ALLOW, &[])] });
    let read = numbers::number("read").unwrap();

    assert_eq!(run(&code, 0x4000_0003, read, [0; 6]), libc::SECCOMP_RET_KILL_PROCESS);
    assert_eq!(run(&code, ARCHITECTURE, X32 | read, [0; 6]), REFUSE.0);
    assert_eq!(run(&code, ARCHITECTURE, numbers::highest() + 1, [0; 6]), Action::errno(libc::ENOSYS).0);
}

#[test]
fn arguments_are_compared_in_all_their_bits() {
    const BIG: u64 = 0x1_0000_0005;
    let cases: [(Comparison, &[(u64, bool)]); 7] = [
        (Comparison::Equal, &[(BIG, true), (5, false), (BIG + 1, false), (BIG + (1 << 32), false)]),
        (Comparison::NotEqual, &[(BIG, false), (5, true), (BIG + 1, true)]),
        (Comparison::Greater, &[(BIG, false), (BIG + 1, true), (0x2_0000_0000, true), (6, false)]),
        (Comparison::GreaterOrEqual, &[(BIG, true), (BIG - 1, false), (0x2_0000_0000, true), (9, false)]),
        (Comparison::Less, &[(BIG, false), (BIG - 1, true), (0x2_0000_0000, false), (9, true)]),
        (Comparison::LessOrEqual, &[(BIG, true), (BIG + 1, false), (0x2_0000_0000, false), (9, true)]),
        (Comparison::MaskedEqual(0xf_0000_000f), &[(BIG, true), (BIG + 0x10, true), (5, false), (BIG + 1, false)]),
    ];

    for (comparison, outcomes) in cases {
        let test = ArgumentTest { index: 0, comparison, value: BIG };
        let code = compile(&Filter { default: REFUSE, rules: vec![rule("socket", Action::ALLOW, &[test])] });
        for &(argument, passes) in outcomes {
            let expected = if passes { Action::ALLOW } else { REFUSE };
            assert_eq!(call(&code, "socket", argument), expected.0, "{argument:#x} {comparison:?} {BIG:#x}");
        }
    }
}

#[test]
fn the_default_filter_refuses_what_docker_refuses() {
    use rustix::thread::CapabilitySet;
    let filter = |capabilities| Filter { default: REFUSE, rules: super::super::default::rules(capabilities) };
    let plain = compile(&filter(CapabilitySet::CHOWN));
    let admin = compile(&filter(CapabilitySet::SYS_ADMIN));
    let refused = REFUSE.0;
    let allowed = Action::ALLOW.0;

    for name in ["read", "futex", "execve", "clone", "socket", "personality", "ptrace"] {
        assert_eq!(call(&plain, name, 0), allowed, "{name}");
    }
    for name in ["mount", "unshare", "setns", "bpf", "keyctl", "add_key", "io_uring_setup", "reboot", "kexec_load"] {
        assert_eq!(call(&plain, name, 0), refused, "{name}");
    }
    assert_eq!(call(&plain, "clone", 0x1000_0000), refused, "a user namespace");
    assert_eq!(call(&plain, "clone3", 0), Action::errno(libc::ENOSYS).0);
    assert_eq!(call(&plain, "socket", 40), refused, "AF_VSOCK");
    assert_eq!(call(&plain, "personality", 0x4_0000), refused, "ADDR_NO_RANDOMIZE");
    for name in ["mount", "unshare", "clone3", "bpf"] {
        assert_eq!(call(&admin, name, 0x1000_0000), allowed, "{name} for an administrator");
    }
    assert!(plain.len() < LENGTH_LIMIT && admin.len() < LENGTH_LIMIT);
}
