//! Virtual time for peers that read the system's clock.
//!
//! On Linux the standard library asks libc's `clock_gettime` for the time, and a program that defines this symbol itself
//! is asked instead. A thread that [follows](follow) is told what tokio's paused clock says, all others the truth. tokio
//! asks only when a runtime is made, and then counts by itself; so nothing is counted twice.

use std::{
    cell::Cell,
    sync::OnceLock,
    time::{Duration, Instant},
};

use steadfast::storm::{Report, Upstream};

/// A run in which the clocks are further apart than this is not reported.
const TOLERANCE: Duration = Duration::from_millis(1);
const GAUGE: &str = "difference of the clocks";

thread_local! {
    /// Whether this thread is told what tokio's clock says.
    static FOLLOWS: Cell<bool> = const { Cell::new(false) };
    /// Whether tokio is being asked: what it asks in turn is answered truly.
    static ASKING: Cell<bool> = const { Cell::new(false) };
    /// What is answered regardless, to learn which instant it stands for.
    static FIXED: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// A moment, as the system's clocks and the standard library show it.
struct Start {
    instant: Instant,
    monotonic: Duration,
    realtime: Duration,
}

static START: OnceLock<Start> = OnceLock::new();

/// From here on the standard library's clock on this thread is that of the tokio runtime on it. Each simulation has a
/// thread of its own, which ends with it.
pub(crate) fn follow() {
    START.get_or_init(|| {
        let (monotonic, realtime) = (system::monotonic(), system::realtime());
        FIXED.set(Some(monotonic));
        let instant = Instant::now();
        FIXED.set(None);
        Start { instant, monotonic, realtime }
    });
    FOLLOWS.set(true);
}

/// As [`follow`]; and once a second of the run both clocks are compared, for [`went_together`].
pub(crate) fn follow_and_watch(upstream: &Upstream) {
    follow();
    let (by_std, by_tokio) = (Instant::now(), tokio::time::Instant::now());
    upstream.gauge(GAUGE, move || by_std.elapsed().abs_diff(by_tokio.elapsed()).as_secs_f64());
}

/// Whether the clocks went together in a run that was watched.
pub(crate) fn went_together(report: &Report) -> bool {
    let watched = report.gauges.iter().find(|(name, _)| name == GAUGE);
    watched.is_some_and(|(_, apart)| apart.iter().all(|apart| *apart <= TOLERANCE.as_secs_f64()))
}

/// Whether 10 simulated seconds are 10 seconds of the standard library's clock, and one clock's instants are the
/// other's.
pub(crate) fn check() -> Result<(), String> {
    const WAIT: Duration = Duration::from_secs(10);
    let simulated = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.map_err(|error| error.to_string())?.block_on(async {
            follow();
            let begin = Instant::now();
            tokio::time::sleep(WAIT).await;
            let (passed, now) = (begin.elapsed(), tokio::time::Instant::now().into_std());
            let apart = now.saturating_duration_since(Instant::now()).max(now.elapsed());
            if passed.abs_diff(WAIT) > TOLERANCE || apart > TOLERANCE {
                return Err(format!(
                    "{WAIT:?} of tokio's paused clock were {passed:?}, and the clocks are {apart:?} apart"
                ));
            }
            Ok(())
        })
    };
    std::thread::scope(|scope| scope.spawn(simulated).join()).unwrap_or_else(|_| Err("the check panicked".to_owned()))
}

#[cfg(target_os = "linux")]
mod system {
    use std::{ffi::c_int, time::Duration};

    use super::{ASKING, FIXED, FOLLOWS, START};

    pub(super) fn monotonic() -> Duration {
        ask(libc::CLOCK_MONOTONIC)
    }

    pub(super) fn realtime() -> Duration {
        ask(libc::CLOCK_REALTIME)
    }

    fn ask(clock: libc::clockid_t) -> Duration {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is valid for writes, and that is all the kernel does with it.
        unsafe { libc::syscall(libc::SYS_clock_gettime, clock, &raw mut time) };
        Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
    }

    /// What this thread is to be told, unless it is the truth.
    fn virtually(clock: libc::clockid_t) -> Option<Duration> {
        if clock != libc::CLOCK_MONOTONIC && clock != libc::CLOCK_REALTIME {
            return None;
        }
        if let Some(fixed) = FIXED.get() {
            return Some(fixed);
        }
        if !FOLLOWS.get() || ASKING.replace(true) {
            return None;
        }
        // Outside of a runtime tokio would ask for the true time, and what it says would not be virtual.
        let in_runtime = tokio::runtime::Handle::try_current().is_ok();
        let now = in_runtime.then(|| tokio::time::Instant::now().into_std());
        ASKING.set(false);
        let start = START.get()?;
        let passed = now?.saturating_duration_since(start.instant);
        Some(passed + if clock == libc::CLOCK_MONOTONIC { start.monotonic } else { start.realtime })
    }

    /// What libc's function of this name does, but for threads that follow tokio's clock.
    // SAFETY: signature and effect are those of libc's `clock_gettime`, in whose place the linker puts it.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> c_int {
        let Some(virtually) = virtually(clock) else {
            // SAFETY: passes the caller's arguments on to the kernel.
            return unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) } as c_int;
        };
        let told =
            libc::timespec { tv_sec: virtually.as_secs().cast_signed(), tv_nsec: i64::from(virtually.subsec_nanos()) };
        // SAFETY: the caller gives a pointer that is valid for writes, as libc asks for.
        unsafe { time.write(told) };
        0
    }
}

/// Elsewhere no clock is virtual; [`check`] says so.
#[cfg(not(target_os = "linux"))]
mod system {
    use std::time::Duration;

    pub(super) fn monotonic() -> Duration {
        Duration::ZERO
    }

    pub(super) fn realtime() -> Duration {
        Duration::ZERO
    }
}
