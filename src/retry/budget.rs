//! The retry budget: bounds how much load retries may add. Lock-free, shared by clones and, if given, by layers.

use std::fmt;

use crate::{
    settings::{Check, ConfigError},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    telemetry::Name,
};

/// One token, in the unit that tokens are counted in.
const TOKEN: u64 = 1_000_000;
/// No bucket holds more tokens.
const MAX_TOKENS: u32 = 1_000_000_000;

/// What fills a budget.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum BudgetMode {
    /// Every first attempt deposits this share of a token. Over any history
    /// retries ≤ tokens + share × first attempts.
    Ratio(f64),
    /// Every success of a first attempt deposits this share of a token, and a retry that succeeds gives its own back.
    /// Over any history *unsuccessful* retries ≤ tokens + share × successes of first attempts.
    Refund(f64),
}

/// A bucket of tokens that starts full; a retry takes one, and without one there is no retry.
///
/// There is no floor of retries per second: with many small clients a floor is what keeps a retry storm going.
///
/// | budget | tokens | deposit | for |
/// |---|---|---|---|
/// | [`Budget::ratio`] | 50 | 0.2 by each first attempt | a layer alone (the default) |
/// | [`Budget::refund`] | 50 | 0.1 by each success, and a retry that succeeds gives its own back | stacks: a brownout is retried through, an outage is not |
///
/// Sources: Finagle's `RetryBudget`; gRPC A6, whose throttling is the `Refund` mode but for the token given back.
pub struct Budget {
    /// In millionths of a token.
    tokens: AtomicU64,
    capacity: AtomicU64,
    deposit: AtomicU64,
    refund: AtomicBool,
}

impl Budget {
    /// A budget of `tokens` (at least 1) that fills as `mode` says.
    ///
    /// # Errors
    /// No tokens, or a share that is not in 0 to 1.
    pub fn new(mode: BudgetMode, tokens: u32) -> Result<Self, ConfigError> {
        check(mode, tokens)?;
        Ok(Self::of(mode, tokens))
    }

    fn of(mode: BudgetMode, tokens: u32) -> Self {
        let budget = Self {
            tokens: AtomicU64::new(u64::from(tokens) * TOKEN),
            capacity: AtomicU64::new(0),
            deposit: AtomicU64::new(0),
            refund: AtomicBool::new(false),
        };
        budget.set(mode, tokens);
        budget
    }

    /// Changes the budget while it is in use. The tokens there are stay, up to what it holds from now on.
    ///
    /// # Errors
    /// As for [`new`](Self::new); then nothing has changed.
    pub fn change(&self, mode: BudgetMode, tokens: u32) -> Result<(), ConfigError> {
        check(mode, tokens)?;
        self.set(mode, tokens);
        self.tokens.fetch_min(u64::from(tokens) * TOKEN, Ordering::Relaxed);
        Ok(())
    }

    fn set(&self, mode: BudgetMode, tokens: u32) {
        let (BudgetMode::Ratio(share) | BudgetMode::Refund(share)) = mode;
        self.capacity.store(u64::from(tokens) * TOKEN, Ordering::Relaxed);
        // Rounded down: the bound holds for the share as given.
        self.deposit.store((share * TOKEN as f64) as u64, Ordering::Relaxed);
        self.refund.store(matches!(mode, BudgetMode::Refund(_)), Ordering::Relaxed);
    }

    /// 50 tokens, 0.2 by each first attempt.
    pub fn ratio() -> Self {
        Self::of(BudgetMode::Ratio(0.2), 50)
    }

    /// 50 tokens, 0.1 by each success of a first attempt, and a retry that succeeds gives its token back.
    pub fn refund() -> Self {
        Self::of(BudgetMode::Refund(0.1), 50)
    }

    /// The tokens there are.
    pub fn tokens(&self) -> f64 {
        self.tokens.load(Ordering::Relaxed) as f64 / TOKEN as f64
    }

    /// A first attempt begins.
    pub fn first_attempt(&self) {
        if !self.refunds() {
            self.add(self.deposit.load(Ordering::Relaxed));
        }
    }

    /// A first attempt succeeded.
    pub fn first_success(&self) {
        if self.refunds() {
            self.add(self.deposit.load(Ordering::Relaxed));
        }
    }

    /// Takes the token for one retry, if there is one.
    pub fn withdraw(&self) -> bool {
        let take = |tokens: u64| tokens.checked_sub(TOKEN);
        self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// A retry succeeded.
    pub fn retry_success(&self) {
        if self.refunds() {
            self.add(TOKEN);
        }
    }

    /// A retry that had its token was not sent after all.
    pub fn not_sent(&self) {
        self.add(TOKEN);
    }

    fn refunds(&self) -> bool {
        self.refund.load(Ordering::Relaxed)
    }

    /// Adds, up to what the bucket holds. A full one is only read, so that in the quiet callers do not contend.
    fn add(&self, amount: u64) {
        let capacity = self.capacity.load(Ordering::Relaxed);
        let add = |tokens: u64| (tokens < capacity).then(|| (tokens + amount).min(capacity));
        let _ = self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }
}

fn check(mode: BudgetMode, tokens: u32) -> Result<(), ConfigError> {
    let name = Name::from_static("retry budget");
    let check = Check::of(&name);
    let (BudgetMode::Ratio(share) | BudgetMode::Refund(share)) = mode;
    check.that((0.0..=1.0).contains(&share), "mode", mode, "a share of 0 to 1")?;
    check.that((1..=MAX_TOKENS).contains(&tokens), "tokens", tokens, "1 to 1,000,000,000")
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("tokens", &self.tokens())
            .field("refunds", &self.refunds())
            .finish_non_exhaustive()
    }
}
