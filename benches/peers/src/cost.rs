//! `cost`: instructions (callgrind) and allocations per call of each layer and of the stack.
//!
//! Runs itself under valgrind, each case with two numbers of calls; the difference of the two totals, divided, is one
//! call. `cost CASE CALLS` is what runs there,
//! `cost PART` measures the cases that have that in their names. Needs valgrind.

mod cases;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    process::{Command, ExitCode},
    sync::atomic::{AtomicU64, Ordering},
};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: passes every call on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const FEW: u64 = 1_000;
const MANY: u64 = 3_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => report(""),
        [only] => report(only),
        [case, calls] => {
            let calls = calls.parse().expect("the number of calls");
            let (allocated, calls) = cases::run(case, calls, || ALLOCATIONS.load(Ordering::Relaxed));
            println!("{}", allocated as f64 / calls as f64);
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: cost [PART OF A CASE'S NAME]");
            ExitCode::from(2)
        }
    }
}

/// The cases whose names have `only` in them.
fn report(only: &str) -> ExitCode {
    let Some((bare, _)) = measure("bare") else {
        eprintln!("cost: valgrind did not run; install it (Debian: valgrind)");
        return ExitCode::from(2);
    };
    println!("instructions per call over the bare service ({bare}), and allocations per call");
    println!("{:<60} {:>12} {:>12}", "case", "instructions", "allocations");
    for case in cases::names().filter(|case| case.contains(only)) {
        let Some((instructions, allocations)) = measure(case) else {
            eprintln!("cost: case `{case}` did not run");
            return ExitCode::FAILURE;
        };
        println!("{case:<60} {:>12} {allocations:>12.2}", instructions.saturating_sub(bare));
    }
    ExitCode::SUCCESS
}

/// Instructions and allocations per call.
fn measure(case: &str) -> Option<(u64, f64)> {
    let (few, _) = callgrind(case, FEW)?;
    let (many, allocations) = callgrind(case, MANY)?;
    Some(((many - few) / (MANY - FEW), allocations))
}

fn callgrind(case: &str, calls: u64) -> Option<(u64, f64)> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().ok()?)
        .args([case, &calls.to_string()])
        .output()
        .ok()?;
    let log = String::from_utf8_lossy(&output.stderr);
    let total = log.lines().find_map(|line| line.split("Collected :").nth(1))?;
    let allocations = String::from_utf8_lossy(&output.stdout).trim().parse().ok()?;
    Some((total.trim().parse().ok()?, allocations))
}
