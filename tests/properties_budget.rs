//! Properties of the retry budget, over any history of first attempts, retries and their outcomes.
//!
//! 1. `Ratio`: retries sent ≤ tokens + ratio × first attempts.
//! 2. `Refund`: retries sent that did not succeed ≤ tokens + share × successes of first attempts.
//! 3. There are never more tokens than the bucket holds, and never fewer than none.
//! 4. A retry is refused only when there is less than a whole token: nothing that was deposited is lost, unless the
//!    bucket was full.
//! 5. What does not belong to the mode deposits nothing.

use proptest::{prelude::*, test_runner::FileFailurePersistence};
use steadfast::retry::{Budget, BudgetMode};

#[derive(Clone, Copy, Debug)]
enum Op {
    FirstAttempt,
    FirstSuccess,
    Withdraw,
    /// Of a retry that has its token: it is not sent, it succeeds, or it fails.
    NotSent,
    RetrySuccess,
    RetryFailure,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    // Some histories are mostly retries, some mostly first attempts.
    (1..20_u32, 1..20_u32).prop_flat_map(|(calls, retries)| {
        let op = prop_oneof![
            calls => Just(Op::FirstAttempt),
            calls => Just(Op::FirstSuccess),
            retries => Just(Op::Withdraw),
            1 => Just(Op::NotSent),
            2 => Just(Op::RetrySuccess),
            2 => Just(Op::RetryFailure),
        ];
        prop::collection::vec(op, 0..400)
    })
}

fn share() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(0.1), Just(0.2), Just(1.0), 0.0..=1.0]
}

/// 500 cases, unless `PROPTEST_CASES` says otherwise.
fn config() -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 500;
    }
    let file = "tests/properties_budget.regressions.txt";
    config.failure_persistence = Some(Box::new(FileFailurePersistence::Direct(file)));
    config
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_budget_keeps_its_bound_over_any_history(refund: bool, share in share(), tokens in 1..60_u32, ops in ops()) {
        let mode = if refund { BudgetMode::Refund(share) } else { BudgetMode::Ratio(share) };
        let budget = Budget::new(mode, tokens).unwrap();
        let capacity = f64::from(tokens);
        // Of retries: waiting with a token, and sent without an outcome or with a bad one.
        let (mut first_attempts, mut first_successes, mut waiting, mut sent, mut unsuccessful) = (0.0, 0.0, 0_u32, 0.0, 0.0);
        let mut expected = capacity;
        for op in ops {
            match op {
                Op::FirstAttempt => {
                    budget.first_attempt();
                    first_attempts += 1.0;
                    expected += if refund { 0.0 } else { share };
                }
                Op::FirstSuccess => {
                    budget.first_success();
                    first_successes += 1.0;
                    expected += if refund { share } else { 0.0 };
                }
                Op::Withdraw => {
                    let taken = budget.withdraw();
                    // A hair of slack: tokens are counted in millionths, shares of them rounded down.
                    prop_assert!(taken || expected < 1.0 + 1e-3, "refused with {expected} tokens");
                    prop_assert!(!taken || expected > 1.0 - 1e-3, "granted with {expected} tokens");
                    waiting += u32::from(taken);
                    expected -= if taken { 1.0 } else { 0.0 };
                }
                Op::NotSent if waiting > 0 => {
                    budget.not_sent();
                    waiting -= 1;
                    expected += 1.0;
                }
                Op::RetrySuccess if waiting > 0 => {
                    budget.retry_success();
                    (waiting, sent) = (waiting - 1, sent + 1.0);
                    expected += if refund { 1.0 } else { 0.0 };
                }
                Op::RetryFailure if waiting > 0 => {
                    (waiting, sent, unsuccessful) = (waiting - 1, sent + 1.0, unsuccessful + 1.0);
                }
                Op::NotSent | Op::RetrySuccess | Op::RetryFailure => {}
            }
            expected = expected.min(capacity);
            prop_assert!((budget.tokens() - expected).abs() < 1e-3, "{} tokens, not {expected}", budget.tokens());
            prop_assert!((0.0..=capacity).contains(&budget.tokens()));
            let waiting = f64::from(waiting);
            if refund {
                prop_assert!(unsuccessful + waiting <= capacity + share * first_successes + 1e-9);
            } else {
                prop_assert!(sent + waiting <= capacity + share * first_attempts + 1e-9);
            }
        }
    }
}
