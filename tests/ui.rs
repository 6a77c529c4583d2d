//! What a user sees when a stack does not compile, on the compiler that the messages were written down with.

use std::{
    env,
    io::{self, Write},
    process::Command,
};

/// The messages differ from compiler to compiler.
const PINNED: &str = "1.95.";

/// The version of the compiler that cargo uses.
fn compiler() -> String {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().expect("rustc runs").stdout;
    let version = String::from_utf8_lossy(&version);
    version.split_whitespace().nth(1).unwrap_or_default().to_owned()
}

/// Whether the messages can be compared with this compiler.
///
/// # Panics
/// If they cannot, in CI: there the test must not be skipped.
fn is_pinned(version: &str, in_ci: bool) -> bool {
    let pinned = version.starts_with(PINNED);
    assert!(pinned || !in_ci, "rustc {version} in CI: the messages are those of {PINNED}*");
    pinned
}

#[test]
fn a_stack_that_does_not_compile_says_why() {
    let version = compiler();
    if !is_pinned(&version, env::var("STEADFAST_CI").is_ok_and(|ci| ci == "1")) {
        // Not by `eprintln`, which is kept from the screen while a test passes.
        writeln!(io::stderr(), "SKIPPED: the messages in tests/ui are those of rustc {PINNED}*, this is {version}")
            .unwrap();
        return;
    }
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/full_stack.rs");
    for case in [
        "foreign_error",
        "foreign_error_oneshot",
        "retry_of_a_request_that_is_not_clone",
        "retry_over_a_service_that_is_not_clone",
        "classifier_of_other_types",
        "classifier_without_types",
        "classifier_from_fn_of_other_types",
        "fallback_of_another_type",
        "fallback_of_a_request_that_is_not_clone",
        "run_once_under_a_retry",
        "failover_of_a_foreign_error",
        "failover_of_a_request_that_is_not_clone",
    ] {
        cases.compile_fail(format!("tests/ui/{case}.rs"));
    }
}

#[test]
fn another_compiler_is_skipped_at_home() {
    assert!(is_pinned("1.95.0", false) && is_pinned("1.95.3", true));
    assert!(!is_pinned("1.96.0-nightly", false));
    assert!(!is_pinned("1.9.5", false));
}

#[test]
#[should_panic(expected = "in CI")]
fn another_compiler_is_a_failure_in_ci() {
    is_pinned("1.96.0", true);
}
