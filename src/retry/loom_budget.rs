//! Every interleaving of a few threads over the shipped [`Budget`], up to three preemptions.
//!
//! ```text
//! RUSTFLAGS="--cfg steadfast_loom" cargo test --release --lib loom_
//! ```
//!
//! 1. Withdrawals at the same time never exceed the tokens there are and what is deposited.
//! 2. No deposit is lost while the bucket is not full: tokens left and tokens taken add up.
//! 3. A retry that is not sent gives its token back; the bucket is as full as before.
//! 4. The bucket never holds more than its capacity, whatever is given back to it.

use std::sync::Arc;

use loom::thread::{self, JoinHandle};

use super::{Budget, BudgetMode};

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

fn spawn<T: 'static>(budget: &Arc<Budget>, run: impl FnOnce(&Budget) -> T + 'static) -> JoinHandle<T> {
    let budget = Arc::clone(budget);
    thread::spawn(move || run(&budget))
}

/// A bucket with room for `capacity` tokens that holds none.
fn empty(mode: BudgetMode, capacity: u32) -> Arc<Budget> {
    let budget = Budget::new(mode, capacity).unwrap();
    for _ in 0..capacity {
        assert!(budget.withdraw());
    }
    assert!(!budget.withdraw());
    Arc::new(budget)
}

fn taken(withdrawals: impl IntoIterator<Item = JoinHandle<bool>>) -> f64 {
    withdrawals.into_iter().map(|thread| f64::from(u8::from(thread.join().unwrap()))).sum()
}

#[test]
fn loom_withdrawals_never_exceed_the_tokens() {
    explore(|| {
        let budget = Arc::new(Budget::new(BudgetMode::Ratio(0.5), 2).unwrap());
        let withdrawals = [(); 3].map(|()| spawn(&budget, Budget::withdraw));
        assert_eq!(taken(withdrawals), 2.0);
        assert_eq!(budget.tokens(), 0.0);
    });
}

#[test]
fn loom_withdrawals_never_exceed_the_deposits_and_none_of_those_is_lost() {
    explore(|| {
        let budget = empty(BudgetMode::Ratio(0.5), 3);
        let deposits = [(); 2].map(|()| spawn(&budget, Budget::first_attempt));
        let withdrawal = spawn(&budget, Budget::withdraw);
        for deposit in deposits {
            deposit.join().unwrap();
        }
        let taken = taken([withdrawal]);
        assert_eq!(budget.tokens() + taken, 1.0, "{taken} taken");
        assert!(taken == 1.0 || budget.withdraw(), "the deposits make a whole token");
        assert!(!budget.withdraw());
    });
}

#[test]
fn loom_successes_refill_a_refunding_budget_without_loss() {
    explore(|| {
        let budget = empty(BudgetMode::Refund(0.25), 3);
        let threads = [
            spawn(&budget, Budget::first_success),
            spawn(&budget, Budget::retry_success),
            spawn(&budget, Budget::first_attempt),
        ];
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(budget.tokens(), 1.25);
    });
}

#[test]
fn loom_what_is_not_sent_gives_its_token_back() {
    explore(|| {
        let budget = Arc::new(Budget::new(BudgetMode::Ratio(0.0), 1).unwrap());
        let retries = [false, false, true].map(|sent| {
            spawn(&budget, move |budget| {
                if !budget.withdraw() {
                    return false;
                }
                if !sent {
                    budget.not_sent();
                }
                sent
            })
        });
        let sent = taken(retries);
        assert_eq!(budget.tokens() + sent, 1.0);
    });
}

#[test]
fn loom_the_bucket_never_overflows() {
    explore(|| {
        let budget = Arc::new(Budget::new(BudgetMode::Refund(0.5), 2).unwrap());
        assert!(budget.withdraw());
        let threads = [
            spawn(&budget, |budget| {
                budget.retry_success();
                assert!(budget.tokens() <= 2.0);
            }),
            spawn(&budget, |budget| {
                budget.first_success();
                assert!(budget.tokens() <= 2.0);
            }),
            spawn(&budget, Budget::not_sent),
        ];
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(budget.tokens(), 2.0);
    });
}
