//! Conformance with Resilience4j: replays recorded scenarios against the pure machines of this crate.
//!
//! ```text
//! cargo run --release --example conformance -- tests/data/resilience4j/*.jsonl
//! cargo run --release --example conformance -- --self-test
//! ```
//!
//! Prints for each file its scenarios, steps and mismatches, and where we differ on purpose, by the rule that says
//! so. Exit status: 0 if there is no mismatch, 1 if there is, 2 if something cannot be read. With `--self-test` it
//! runs broken machines instead, and 1 means that one of them got through. `runner/mod.rs` says how it works.

mod runner;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use self::runner::{input::File, report::Report, self_test::SelfTest};

const USAGE: &str = "\
usage: conformance FILES...               replays recorded scenarios (JSON lines, see tests/data/resilience4j/FORMAT.md)
       conformance --self-test [FILES...] checks that broken machines are found, by default over the repository's files";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (options, names): (Vec<_>, Vec<_>) = arguments.into_iter().partition(|argument| argument.starts_with('-'));
    let self_test = options == ["--self-test"];
    if !self_test && (!options.is_empty() || names.is_empty()) {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    let files =
        if names.is_empty() { recorded() } else { names.iter().map(|name| File::read(Path::new(name))).collect() };
    match files {
        Ok(files) if self_test => test(&files),
        Ok(files) => replay(&files),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// The files of this repository.
fn recorded() -> Result<Vec<File>, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/resilience4j");
    let entries = folder.read_dir().map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    paths.sort();
    paths.iter().map(|path| File::read(path)).collect()
}

fn replay(files: &[File]) -> ExitCode {
    let mut total = Report::new("total");
    for file in files {
        let report = runner::run(file);
        total.add(&report);
        println!("{report}");
    }
    print!("{total}");
    if total.mismatches() == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

fn test(files: &[File]) -> ExitCode {
    let result = SelfTest::run(files);
    print!("{result}");
    if result.passed() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
