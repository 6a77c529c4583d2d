//! Which endpoints stand out by how often they fail. Pure.

use std::time::Duration;

use crate::{ConfigError, settings::Check};

/// Ejects endpoints that fail more often than others, or nearly always, without ever failing often in a row. Judged once in
/// an [`interval`](Self::interval) over the calls that ended in it. Default: neither is judged.
///
/// This is suspicion, not knowledge, so it never ejects more than the share that is allowed, counted with the one
/// that goes.
///
/// Sources: Envoy's outlier detection (`success_rate_*`, `failure_percentage_*`), gRPC A50.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Outliers {
    /// Those that succeed less often than the others. Default: none.
    pub success_rate: Option<SuccessRate>,
    /// Those that fail nearly always, whatever the others do. Default: none.
    pub failure_percentage: Option<FailurePercentage>,
    /// How often it is judged. Default 10 s; over 0.
    pub interval: Duration,
    /// How long the first ejection lasts; the n-th lasts n times as long, and n falls by one for each interval without
    /// one. ±20 %. Default 5 s; over 0.
    pub base_ejection: Duration,
    /// No ejection lasts longer. Default 300 s; at least `base_ejection`.
    pub max_ejection: Duration,
    /// Which errors count. Default: all, together.
    pub errors: CountedErrors,
}

impl Default for Outliers {
    fn default() -> Self {
        Self {
            success_rate: None,
            failure_percentage: None,
            interval: Duration::from_secs(10),
            base_ejection: Duration::from_secs(5),
            max_ejection: Duration::from_secs(300),
            errors: CountedErrors::Together,
        }
    }
}

/// Ejects endpoints whose success rate is under the mean of all by so many standard deviations.
///
/// Where all are equally bad, none is: that is not the fault of one. At most one in `1 + deviations²` is under it, whatever
/// the rates are (Cantelli): with 1.9, one of 5 to 9.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct SuccessRate {
    /// With fewer endpoints that had enough requests, none is judged. Default 5; at least 3.
    pub hosts: u32,
    /// How many requests an endpoint must have had in the interval. Default 100; at least 1.
    pub requests: u32,
    /// By how many standard deviations. Default 1.9; over 0, at most 10.
    pub deviations: f64,
}

impl Default for SuccessRate {
    fn default() -> Self {
        Self { hosts: 5, requests: 100, deviations: 1.9 }
    }
}

/// Ejects endpoints of whose requests so many fail.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct FailurePercentage {
    /// From this share of failures on. Default 0.85; over 0, at most 1.
    pub threshold: f64,
    /// How many requests an endpoint must have had in the interval. Default 50; at least 1.
    pub requests: u32,
}

impl Default for FailurePercentage {
    fn default() -> Self {
        Self { threshold: 0.85, requests: 50 }
    }
}

impl Outliers {
    /// See [`success_rate`](Self#structfield.success_rate).
    #[must_use]
    pub fn success_rate(self, success_rate: impl Into<Option<SuccessRate>>) -> Self {
        Self { success_rate: success_rate.into(), ..self }
    }

    /// See [`failure_percentage`](Self#structfield.failure_percentage).
    #[must_use]
    pub fn failure_percentage(self, failure_percentage: impl Into<Option<FailurePercentage>>) -> Self {
        Self { failure_percentage: failure_percentage.into(), ..self }
    }

    /// See [`interval`](Self#structfield.interval).
    #[must_use]
    pub const fn interval(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }

    /// From the first ejection on, and at most. See [`base_ejection`](Self#structfield.base_ejection).
    #[must_use]
    pub const fn ejection(self, base_ejection: Duration, max_ejection: Duration) -> Self {
        Self { base_ejection, max_ejection, ..self }
    }

    /// See [`errors`](Self#structfield.errors).
    #[must_use]
    pub const fn errors(self, errors: CountedErrors) -> Self {
        Self { errors, ..self }
    }
}

impl SuccessRate {
    /// See [`hosts`](Self#structfield.hosts).
    #[must_use]
    pub const fn hosts(self, hosts: u32) -> Self {
        Self { hosts, ..self }
    }

    /// See [`requests`](Self#structfield.requests).
    #[must_use]
    pub const fn requests(self, requests: u32) -> Self {
        Self { requests, ..self }
    }

    /// See [`deviations`](Self#structfield.deviations).
    #[must_use]
    pub const fn deviations(self, deviations: f64) -> Self {
        Self { deviations, ..self }
    }
}

impl FailurePercentage {
    /// See [`threshold`](Self#structfield.threshold).
    #[must_use]
    pub const fn threshold(self, threshold: f64) -> Self {
        Self { threshold, ..self }
    }

    /// See [`requests`](Self#structfield.requests).
    #[must_use]
    pub const fn requests(self, requests: u32) -> Self {
        Self { requests, ..self }
    }
}

/// Which errors count for [`Outliers`]: local ones arise on our side (cannot connect, reset, no answer in time), remote ones
/// are answers that are errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CountedErrors {
    /// All, in one rate.
    #[default]
    Together,
    /// All, in two rates: how often there is an answer, and how often an answer is good. One of the two is enough. (Envoy:
    /// `split_external_local_origin_errors`.)
    Apart,
    /// How often there is an answer.
    Local,
    /// How often an answer is good.
    Remote,
}

impl Outliers {
    pub(super) fn check(&self, check: &Check<'_>) -> Result<(), ConfigError> {
        if let Some(SuccessRate { hosts, requests, deviations }) = self.success_rate {
            check.that(hosts >= 3, "outliers.success_rate.hosts", hosts, "at least 3")?;
            check.that(requests >= 1, "outliers.success_rate.requests", requests, "at least 1")?;
            let allowed = deviations > 0.0 && deviations <= 10.0;
            check.that(allowed, "outliers.success_rate.deviations", deviations, "over 0, at most 10")?;
        }
        if let Some(FailurePercentage { threshold, requests }) = self.failure_percentage {
            check.rate("outliers.failure_percentage.threshold", threshold)?;
            check.that(requests >= 1, "outliers.failure_percentage.requests", requests, "at least 1")?;
        }
        check.positive("outliers.interval", self.interval)?;
        check.positive("outliers.base_ejection", self.base_ejection)?;
        let fits = self.max_ejection >= self.base_ejection;
        check.that(fits, "outliers.max_ejection", self.max_ejection, "at least `outliers.base_ejection`")
    }
}

/// How the calls of one endpoint ended in an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) id: u32,
    pub(super) successes: u64,
    pub(super) local: u64,
    pub(super) remote: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outlier {
    pub(super) id: u32,
    pub(super) why: Why,
    /// Which errors it is about: all, local or remote ones.
    pub(super) errors: CountedErrors,
}

/// With the figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Why {
    SuccessRate { rate: f64, mean: f64, threshold: f64 },
    FailurePercentage { share: f64 },
}

/// A difference that is none, only rounding.
const ROUNDING: f64 = 1e-9;

/// Those that are to go, the worst first; how many may, [`cap`] says. `hosts` are those that are in, all of one tier.
pub(super) fn judge(settings: &Outliers, hosts: &[Counts]) -> Vec<Outlier> {
    let mut found = Vec::new();
    let of: &[CountedErrors] = match settings.errors {
        CountedErrors::Together => &[CountedErrors::Together],
        CountedErrors::Apart => &[CountedErrors::Local, CountedErrors::Remote],
        CountedErrors::Local => &[CountedErrors::Local],
        CountedErrors::Remote => &[CountedErrors::Remote],
    };
    for errors in of {
        if let Some(settings) = &settings.success_rate {
            success_rate(settings, *errors, hosts, &mut found);
        }
        if let Some(settings) = &settings.failure_percentage {
            failure_percentage(settings, *errors, hosts, &mut found);
        }
    }
    found.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let mut outliers: Vec<Outlier> = Vec::with_capacity(found.len());
    for (_, outlier) in found {
        if outliers.iter().all(|other| other.id != outlier.id) {
            outliers.push(outlier);
        }
    }
    outliers
}

/// As Envoy and gRPC compute it: the deviation is that of the whole population.
fn success_rate(settings: &SuccessRate, errors: CountedErrors, hosts: &[Counts], found: &mut Vec<(f64, Outlier)>) {
    let rates = || hosts.iter().filter_map(|host| Some((host.id, 1.0 - host.failures(errors, settings.requests)?)));
    let count = rates().count();
    if count < settings.hosts as usize || count == 0 {
        return;
    }
    let mean = rates().map(|(_, rate)| rate).sum::<f64>() / count as f64;
    let variance = rates().map(|(_, rate)| (rate - mean).powi(2)).sum::<f64>() / count as f64;
    let threshold = mean - settings.deviations * variance.sqrt();
    for (id, rate) in rates().filter(|(_, rate)| *rate < threshold - ROUNDING) {
        found.push((1.0 - rate, Outlier { id, why: Why::SuccessRate { rate, mean, threshold }, errors }));
    }
}

fn failure_percentage(
    settings: &FailurePercentage,
    errors: CountedErrors,
    hosts: &[Counts],
    found: &mut Vec<(f64, Outlier)>,
) {
    for host in hosts {
        let share = host.failures(errors, settings.requests);
        if let Some(share) = share.filter(|share| *share >= settings.threshold - ROUNDING) {
            found.push((share, Outlier { id: host.id, why: Why::FailurePercentage { share }, errors }));
        }
    }
}

impl Counts {
    /// The share that failed; `None` if there were too few.
    fn failures(&self, errors: CountedErrors, least: u32) -> Option<f64> {
        let Self { successes, local, remote, .. } = *self;
        let (failures, of) = match errors {
            CountedErrors::Together | CountedErrors::Apart => (local + remote, successes + local + remote),
            CountedErrors::Local => (local, successes + local + remote),
            // Without an answer there is none that could be good or bad.
            CountedErrors::Remote => (remote, successes + remote),
        };
        (of > 0 && of >= u64::from(least)).then(|| failures as f64 / of as f64)
    }
}

/// How often one endpoint has been ejected of late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ejections(u32);

impl Ejections {
    /// It is ejected, for so long; `random` is a draw in `[0, 1)`. Never longer than the maximum, jitter included.
    pub(super) fn eject(&mut self, settings: &Outliers, random: f64) -> Duration {
        let (base, max) = (settings.base_ejection, settings.max_ejection);
        let wait = |times: u32| base.saturating_mul(times);
        // No further than to the maximum, or it would not be forgotten for as long.
        if wait(self.0) < max {
            self.0 = self.0.saturating_add(1);
        }
        let secs = wait(self.0).as_secs_f64().min(max.as_secs_f64() / (1.0 + SPREAD));
        let spread = 1.0 + SPREAD * (2.0 * random.clamp(0.0, 1.0) - 1.0);
        Duration::try_from_secs_f64(secs * spread).map_or(max, |wait| wait.min(max))
    }

    /// An interval has gone by in which it was in, and was not ejected.
    pub(super) fn healthy(&mut self) {
        self.0 = self.0.saturating_sub(1);
    }

    #[cfg(test)]
    pub(super) const fn count(self) -> u32 {
        self.0
    }
}

/// By how much ejections are longer or shorter.
const SPREAD: f64 = 0.2;

/// Whether one more of `total` may be ejected on suspicion: afterwards at most `share` of all are out, and at least one
/// is not. With a half, one of two may, and none of one.
pub(super) fn cap(ejected_now: u32, total: u32, share: f64) -> bool {
    let after = f64::from(ejected_now) + 1.0;
    after <= share * f64::from(total) + ROUNDING && after < f64::from(total)
}

#[cfg(test)]
mod tests;
