//! A shop front over three upstreams that break while it is open: once with steadfast's layers, once without.
//!
//! `cargo run --release --example storefront`; see [`USAGE`].
// Sleeps and reads the clock itself: it plays a script against real sockets.
#![allow(clippy::disallowed_methods)]

mod experiment;
mod load;
mod random;
mod report;
mod script;
mod shop;
mod stacks;
mod upstream;

use std::{
    env,
    process::{Command, ExitCode},
    sync::Arc,
    time::Duration,
};

use report::UPSTREAMS;
use script::{SECONDS, TICKS};

const USAGE: &str = "\
usage: storefront [--seconds N] [--serve]

Runs a shop front and its three upstreams on 127.0.0.1, breaks the upstreams by a script while customers come, first
with steadfast's layers around the calls, then without, and compares. Exits with 1 if the layers did not help.

  --seconds N  length of each of the two runs, 8 to 600; the script is stretched or squeezed. Default: 26
  --serve      no script: keeps the protected shop open until Ctrl-C, to be tried and broken with curl";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    let mut seconds = SECONDS;
    let mut serve = false;
    let mut args = env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--serve" => serve = true,
            "--seconds" => match args.next().and_then(|value| value.parse().ok()).filter(|n| (8..=600).contains(n)) {
                Some(value) => seconds = value,
                None => return usage("--seconds takes a whole number of 8 to 600"),
            },
            "--help" | "-h" => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            _ => return usage(&format!("unknown argument: {arg}")),
        }
    }
    allow_many_sockets();
    match if serve { keep_open() } else { compare(Duration::from_secs(seconds.into()) / TICKS) } {
        Ok(code) => code,
        Err(error) => {
            eprintln!("storefront: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage(error: &str) -> ExitCode {
    eprintln!("storefront: {error}\n\n{USAGE}");
    ExitCode::from(2)
}

/// Hundreds of requests hang in the unprotected run, each with four sockets of this process, and many systems allow
/// no more than 1,024: that would break the run for a reason of ours. Starts anew with more, if need be.
#[cfg(unix)]
fn allow_many_sockets() {
    use std::os::unix::process::CommandExt;

    const RAISE: &str = r#"
        now=$(ulimit -Sn)
        if [ "$now" != unlimited ] && [ "$now" -lt 4096 ]; then
            ulimit -Sn 4096 2>/dev/null || ulimit -Sn "$(ulimit -Hn)"
        fi
        exec "$0" "$@""#;
    if env::var_os("STOREFRONT_SOCKETS").is_none()
        && let Ok(exe) = env::current_exe()
    {
        let mut again = Command::new("sh");
        again.args(["-c", RAISE]).arg(exe).args(env::args_os().skip(1)).env("STOREFRONT_SOCKETS", "raised");
        // Comes back only if there is no shell: then with what there is.
        let _ = again.exec();
    }
}

#[cfg(not(unix))]
fn allow_many_sockets() {}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

/// Both runs and the comparison.
fn compare(tick: Duration) -> Result<ExitCode> {
    report::print_script(tick);
    println!("\nProtected: fallback, deadline, retry, circuit breaker, attempt timeout");
    // A runtime for each, so that nothing of the first is left when the second begins.
    let protected = runtime()?.block_on(experiment::run(true, tick))?;
    println!("\nUnprotected: the same client with its timeout of 5 s, and no layers");
    let unprotected = runtime()?.block_on(experiment::run(false, tick))?;
    println!();
    report::print_comparison(&protected, &unprotected);
    if protected.in_time() > unprotected.in_time() {
        Ok(ExitCode::SUCCESS)
    } else {
        println!("\nThe layers did not help.");
        Ok(ExitCode::FAILURE)
    }
}

/// The protected shop, until Ctrl-C.
fn keep_open() -> Result<ExitCode> {
    runtime()?.block_on(async {
        let shop = experiment::shop(true)?;
        let url = format!("http://{}", shop::open(Arc::clone(&shop)).await?);
        println!("The shop is open at {url} until Ctrl-C. Try, in another terminal:\n");
        println!("  curl -i {url}/product/7");
        println!("  curl {url}/breakers");
        println!("\nBreak an upstream and try again (several times: a breaker needs to see failures):\n");
        println!("  curl -X POST {url}/fault/recommendations/hanging");
        println!("  curl -X POST {url}/fault/prices/slow");
        println!("  curl -X POST {url}/fault/inventory/failing");
        println!("  curl -X POST {url}/fault/inventory/closed");
        println!("  for i in $(seq 40); do curl -s -o /dev/null -w '%{{http_code}} %{{time_total}}\\n' {url}/product/$i; done");
        println!("\nRepair it:\n");
        for name in UPSTREAMS {
            println!("  curl -X POST {url}/fault/{name}/fine");
        }
        tokio::signal::ctrl_c().await?;
        Ok(ExitCode::SUCCESS)
    })
}
