//! A plain model of the rate limiter of Resilience4j: a count, and the period it was last brought up to date in.

use super::{
    limiter::{Config, Limiter, Outcome, Row, Step},
    model::Rules,
    recorded::{self, Answer},
    rules::Rule,
};

#[derive(Clone, Debug)]
pub(crate) struct Model {
    rules: Rules,
    limit: i64,
    period: i64,
    timeout: i64,
    elapsed: i64,
    /// The count as it was when somebody last asked for permissions, and the period of that.
    stored: i64,
    stored_cycle: i64,
    used: Vec<Rule>,
}

impl Model {
    fn cycle(&self) -> i64 {
        self.elapsed / self.period
    }

    /// The count as of now: each period since brings the limit (the present one), up to the limit.
    fn available(&self) -> i64 {
        match self.cycle() - self.stored_cycle {
            0 => self.stored,
            passed => (self.stored + passed * self.limit).min(self.limit),
        }
    }

    /// Period after period, until there is enough.
    fn wait(&self, permits: i64) -> i64 {
        let (mut available, mut cycle) = (self.available(), self.cycle());
        while available < permits {
            available += self.limit;
            cycle += 1;
        }
        if cycle == self.cycle() { 0 } else { cycle * self.period - self.elapsed }
    }

    fn store(&mut self, count: i64) {
        (self.stored, self.stored_cycle) = (count, self.cycle());
    }

    fn reserve(&mut self, permits: u32) -> Option<i64> {
        let wait = self.wait(permits.into());
        let granted = wait <= self.timeout;
        let taken = if granted { permits.into() } else { 0 };
        self.store(self.available() - taken);
        granted.then_some(wait)
    }

    fn acquire(&mut self, permits: u32) -> bool {
        let wait = self.reserve(permits);
        let blocked = wait.unwrap_or(self.timeout);
        if wait.is_none() && blocked > 0 && self.rules == Rules::On {
            self.used.push(Rule::HopelessWaits);
        } else {
            self.elapsed += blocked;
        }
        wait.is_some()
    }

    fn drain(&mut self) {
        // Asks for as many as were stored, without waiting: if there are fewer (after a lower limit), for nothing.
        let asked_for = self.stored;
        let there = self.available();
        let theirs = if asked_for <= there { there - asked_for } else { there };
        let ours = there.min(0);
        if self.rules == Rules::On && ours != theirs {
            self.used.push(Rule::DrainTakesThePeriod);
        }
        self.store(if self.rules == Rules::On { ours } else { theirs });
    }

    fn row_with(&self, result: Option<Outcome>) -> Row {
        Row { result, available: self.available(), wait: self.wait(1), cycle: self.cycle(), elapsed: self.elapsed }
    }
}

impl recorded::Model<Limiter> for Model {
    fn new(config: &Config, rules: Rules) -> Self {
        let whole = |ns: u64| i64::try_from(ns).unwrap_or(i64::MAX);
        Self {
            rules,
            limit: config.limit_for_period.into(),
            period: whole(config.limit_refresh_period_ns),
            timeout: whole(config.timeout_duration_ns),
            elapsed: 0,
            stored: config.limit_for_period.into(),
            stored_cycle: 0,
            used: Vec::new(),
        }
    }

    fn begin(&mut self) -> Answer<Limiter> {
        Answer { row: self.row_with(None), rules: Vec::new(), unlike_ours: false }
    }

    fn step(&mut self, step: &Step, _: Option<&Answer<Limiter>>) -> Answer<Limiter> {
        let mut result = None;
        match *step {
            Step::Advance { ns } => self.elapsed += ns as i64,
            Step::Reserve { permits } => result = Some(Outcome::Wait(self.reserve(permits).unwrap_or(-1))),
            Step::Acquire { permits } => result = Some(Outcome::Acquired(self.acquire(permits))),
            Step::Drain => self.drain(),
            Step::ChangeLimit { limit_for_period } => self.limit = limit_for_period.into(),
            Step::ChangeTimeout { timeout_duration_ns } => self.timeout = timeout_duration_ns as i64,
        }
        Answer { row: self.row_with(result), rules: std::mem::take(&mut self.used), unlike_ours: false }
    }
}
