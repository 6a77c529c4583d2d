//! Whether an endpoint is up, by what its probes or its own reports say, and when to ask next. Pure.

use std::time::Duration;

use crate::{
    settings::{self, ConfigError},
    telemetry::Name,
};

/// No endpoint is asked again sooner.
const FLOOR: Duration = Duration::from_millis(10);

/// How endpoints are checked: how often, for how long, and how many results in a row change what is thought of one.
///
/// The first result decides at once, so an endpoint that has a probe is not used before it has passed.
///
/// ```
/// use std::time::Duration;
/// use steadfast::failover::Check;
///
/// let check = Check::default().every(Duration::from_secs(5)).fall(2);
/// assert_eq!((check.fall, check.rise), (2, 2));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Check {
    /// How long after a result an endpoint is asked again. Default 2 s; at least 10 ms. For endpoints that report by
    /// themselves: how often they do.
    pub every: Duration,
    /// The same while something is changing: nothing is known yet, results have begun to point the other way, the endpoint
    /// has been ejected, or a primary is searched for. Default 500 ms; 10 ms to `every`.
    pub fast: Duration,
    /// What takes longer has failed. Default 1 s, over 0.
    pub timeout: Duration,
    /// So many failures in a row take an endpoint out. Default 3; 1 to 1,000.
    pub fall: u32,
    /// So many passes in a row bring it back, and lift an ejection, if they came after it. Default 2; 1 to 1,000.
    pub rise: u32,
    /// An endpoint that reports by itself is out after so many times `every` without a report. Default 3; 1 to 1,000.
    pub misses: u32,
    /// How far waits are spread, as a share of them: not all endpoints, and not all processes, ask at once. Default 0.1;
    /// 0 to 1.
    pub jitter: f64,
}

impl Default for Check {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(2),
            fast: Duration::from_millis(500),
            timeout: Duration::from_secs(1),
            fall: 3,
            rise: 2,
            misses: 3,
            jitter: 0.1,
        }
    }
}

impl Check {
    /// How long after a result an endpoint is asked again. See [`every`](Self#structfield.every).
    #[must_use]
    pub const fn every(self, every: Duration) -> Self {
        Self { every, ..self }
    }

    /// The same while something is changing. See [`fast`](Self#structfield.fast).
    #[must_use]
    pub const fn fast(self, fast: Duration) -> Self {
        Self { fast, ..self }
    }

    /// What takes longer has failed. See [`timeout`](Self#structfield.timeout).
    #[must_use]
    pub const fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// So many failures in a row take an endpoint out. See [`fall`](Self#structfield.fall).
    #[must_use]
    pub const fn fall(self, fall: u32) -> Self {
        Self { fall, ..self }
    }

    /// So many passes in a row bring it back. See [`rise`](Self#structfield.rise).
    #[must_use]
    pub const fn rise(self, rise: u32) -> Self {
        Self { rise, ..self }
    }

    /// So many reports may be missing. See [`misses`](Self#structfield.misses).
    #[must_use]
    pub const fn misses(self, misses: u32) -> Self {
        Self { misses, ..self }
    }

    /// How far waits are spread. See [`jitter`](Self#structfield.jitter).
    #[must_use]
    pub const fn jitter(self, jitter: f64) -> Self {
        Self { jitter, ..self }
    }

    /// Checks the settings of the client called `component`.
    ///
    /// # Errors
    /// The first field whose value makes no sense, with what is allowed.
    pub fn check(&self, component: &Name) -> Result<(), ConfigError> {
        let check = settings::Check::of(component);
        let few = 1..=1000;
        check.that(self.every >= FLOOR, "check.every", self.every, "at least 10 ms")?;
        check.that((FLOOR..=self.every).contains(&self.fast), "check.fast", self.fast, "10 ms to `check.every`")?;
        check.positive("check.timeout", self.timeout)?;
        check.that(few.contains(&self.fall), "check.fall", self.fall, "1 to 1,000")?;
        check.that(few.contains(&self.rise), "check.rise", self.rise, "1 to 1,000")?;
        check.that(few.contains(&self.misses), "check.misses", self.misses, "1 to 1,000")?;
        check.that((0.0..=1.0).contains(&self.jitter), "check.jitter", self.jitter, "0 to 1")
    }

    /// The wait before the next probe; `random` is uniform in `[0, 1)`.
    fn wait(&self, fast: bool, random: f64) -> Duration {
        let base = if fast { self.fast.min(self.every) } else { self.every };
        let spread = 1.0 + self.jitter * (2.0 * random - 1.0);
        Duration::try_from_secs_f64(base.as_secs_f64() * spread).unwrap_or(Duration::MAX).max(FLOOR)
    }

    /// How long an endpoint that reports by itself may be silent.
    fn silence(&self) -> Duration {
        self.every.saturating_mul(self.misses)
    }
}

/// What is thought of an endpoint has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Up,
    Down,
}

/// How one learns of an endpoint, apart from calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// Not at all.
    Nothing,
    /// It is asked.
    Probe,
    /// It says so itself. With the time at which it was last heard of, or was first waited for.
    Reports(Duration),
}

/// What checks have shown of one endpoint.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    source: Source,
    /// `None`: not proven yet.
    up: Option<bool>,
    /// In a row, at most one of them over 0.
    passes: u32,
    failures: u32,
    /// Passes in a row since the last ejection, if there was one.
    since_ejection: Option<u32>,
    /// The probe under way began before that.
    asked_before: bool,
    /// When the last result that counted was.
    last: Option<Duration>,
    fast_until: Duration,
}

impl Checked {
    /// An endpoint that is asked, or, without a probe, one that counts as up.
    pub(super) fn new(has_probe: bool) -> Self {
        if has_probe { Self::of(Source::Probe, None) } else { Self::of(Source::Nothing, Some(true)) }
    }

    /// An endpoint that reports by itself, waited for from `now` on.
    pub(super) fn reports(now: Duration) -> Self {
        Self::of(Source::Reports(now), None)
    }

    fn of(source: Source, up: Option<bool>) -> Self {
        Self {
            source,
            up,
            passes: 0,
            failures: 0,
            since_ejection: None,
            asked_before: false,
            last: None,
            fast_until: Duration::ZERO,
        }
    }

    /// A probe has ended.
    pub(super) fn result(&mut self, ok: bool, check: &Check, now: Duration) -> Option<Change> {
        self.last = Some(now);
        let before = std::mem::take(&mut self.asked_before);
        if ok {
            self.passes = self.passes.saturating_add(1);
            self.failures = 0;
            self.since_ejection = self.since_ejection.map(|passes| passes.saturating_add(u32::from(!before)));
        } else {
            self.passes = 0;
            self.failures = self.failures.saturating_add(1);
            self.since_ejection = self.since_ejection.map(|_| 0);
        }
        let decided = match self.up {
            None => true,
            Some(up) if up == ok => false,
            Some(true) => self.failures >= check.fall,
            Some(false) => self.passes >= check.rise,
        };
        if decided { self.becomes(ok) } else { None }
    }

    fn becomes(&mut self, up: bool) -> Option<Change> {
        let changes = self.up != Some(up);
        self.up = Some(up);
        changes.then_some(if up { Change::Up } else { Change::Down })
    }

    /// It has reported. Reports that follow each other faster than `fast` are one pass: who reports a hundred times a
    /// second has not proven itself sooner. Of an endpoint that is asked they prove nothing: the probe does.
    pub(super) fn heartbeat(&mut self, check: &Check, now: Duration) -> Option<Change> {
        let Source::Reports(heard) = &mut self.source else { return None };
        *heard = now;
        let counts = self.last.is_none_or(|last| now.saturating_sub(last) >= check.fast);
        if counts { self.result(true, check, now) } else { None }
    }

    /// Takes an endpoint out that should have reported: silence for so long is more than one failure.
    pub(super) fn expire(&mut self, check: &Check, now: Duration) -> Option<Change> {
        let Source::Reports(heard) = self.source else { return None };
        if now < heard.saturating_add(check.silence()) {
            return None;
        }
        self.passes = 0;
        self.failures = check.fall;
        self.since_ejection = self.since_ejection.map(|_| 0);
        self.becomes(false)
    }

    /// Whether it is up, as far as checks can tell; `None` before the first result.
    pub(super) fn up(&self) -> Option<bool> {
        self.up
    }

    /// Whether it is asked.
    pub(super) fn is_probed(&self) -> bool {
        self.source == Source::Probe
    }

    /// When an endpoint that reports by itself has been silent for too long, if it is one.
    pub(super) fn silent_at(&self, check: &Check) -> Option<Duration> {
        match self.source {
            Source::Reports(heard) if self.up != Some(false) => Some(heard.saturating_add(check.silence())),
            _ => None,
        }
    }

    /// How many passes there were since the last failure.
    #[cfg(test)]
    pub(super) fn passes_in_row(&self) -> u32 {
        self.passes
    }

    /// Calls have failed, and it was ejected: from here on passes are counted anew.
    pub(super) fn ejected(&mut self) {
        self.since_ejection = Some(0);
    }

    /// The probe that is under way as it is ejected shows how it was.
    pub(super) fn asked_before(&mut self) {
        self.asked_before = true;
    }

    /// When one that is not up may have passed as often as it must, if its next result may come at `result`; `now`: at any
    /// time.
    pub(super) fn proven_at(&self, check: &Check, result: Duration, now: Duration) -> Option<Duration> {
        let further = match self.up {
            None => 0,
            Some(false) => check.rise.saturating_sub(self.passes.saturating_add(1)),
            Some(true) => return None,
        };
        let wait = check.fast.saturating_mul(further);
        match self.source {
            Source::Nothing => None,
            Source::Probe => Some(result.saturating_add(wait)),
            Source::Reports(_) => (further == 0).then_some(now),
        }
    }

    /// Whether it has passed often enough since it was ejected. One that passed just before, or passes once, as it does
    /// while calls to it fail, would be ejected again at once.
    pub(super) fn lifts(&self, check: &Check) -> bool {
        self.since_ejection.is_some_and(|passes| passes >= check.rise)
    }

    /// It is asked at the fast pace until then.
    pub(super) fn fast_until(&mut self, until: Duration) {
        self.fast_until = self.fast_until.max(until);
    }

    /// When the next probe is due, or, of an endpoint that reports by itself, when it has been silent for too long.
    /// `Duration::MAX`: never. May be over already. `random` is uniform in `[0, 1)`.
    pub(super) fn next(&self, check: &Check, now: Duration, random: f64) -> Duration {
        match self.source {
            Source::Nothing => Duration::MAX,
            Source::Probe => {
                self.last.map_or(now, |last| last.saturating_add(check.wait(self.is_changing(check, now), random)))
            }
            Source::Reports(_) if self.up == Some(false) && self.passes == 0 => Duration::MAX,
            Source::Reports(heard) => heard.saturating_add(check.silence()),
        }
    }

    fn is_changing(&self, check: &Check, now: Duration) -> bool {
        now < self.fast_until
            || match self.up {
                None => true,
                Some(true) => self.failures > 0 || self.since_ejection.is_some_and(|passes| passes < check.rise),
                Some(false) => self.passes > 0,
            }
    }
}

#[cfg(test)]
mod tests;
