//! Properties of a real `RetryLayer` over a scripted service, in paused time.
//!
//! 1. Attempts seen by the service ≤ calls + what the budget allows: `Ratio` tokens + ratio × calls; `Refund` tokens +
//!    share × first successes, retries that succeed not counted.
//! 2. Never more than `max_attempts` attempts a call, and none after a success or a permanent failure.
//! 3. Nested retries do not multiply: attempts are counted once over all of them, the smallest number wins.
//! 4. A retry stops at the deadline that a `Timeout` above has set, without a last useless wait; every wait that is
//!    begun is slept in full.
//! 5. A call that is dropped during its back-off gives its token back, one dropped during its retry does not.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use proptest::{prelude::*, test_runner::FileFailurePersistence};
use steadfast::{
    Error, Verdict,
    backoff::{Backoff, Jitter},
    retry::{Budget, BudgetMode, Retry, RetryLayer},
    timeout::Timeout,
};
use tokio::time::{self, Instant};
use tower::{Layer, Service, ServiceExt};

const MS: Duration = Duration::from_millis(1);

/// What the service answers to one attempt, after how many milliseconds.
#[derive(Clone, Copy, Debug)]
struct Answer {
    verdict: Verdict,
    after: u32,
}

/// Answers attempts by its script, then with success; counts them, and notes when they came.
#[derive(Clone, Default)]
struct Scripted {
    script: Arc<Mutex<VecDeque<Answer>>>,
    seen: Arc<AtomicU32>,
    times: Arc<Mutex<Vec<Instant>>>,
}

impl Scripted {
    fn new(script: impl IntoIterator<Item = Answer>) -> Self {
        Self { script: Arc::new(Mutex::new(script.into_iter().collect())), ..Self::default() }
    }

    fn seen(&self) -> u32 {
        self.seen.load(Ordering::Relaxed)
    }
}

impl Service<()> for Scripted {
    type Response = Verdict;
    type Error = Error<Infallible>;
    type Future = Pin<Box<dyn Future<Output = Result<Verdict, Error<Infallible>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        self.seen.fetch_add(1, Ordering::Relaxed);
        self.times.lock().unwrap().push(now());
        let next = self.script.lock().unwrap().pop_front();
        let answer = next.unwrap_or(Answer { verdict: Verdict::Success, after: 0 });
        Box::pin(async move {
            if answer.after > 0 {
                pass(answer.after * MS).await;
            }
            Ok(answer.verdict)
        })
    }
}

type Judge = fn(Result<&Verdict, &Error<Infallible>>) -> Verdict;

fn judge(outcome: Result<&Verdict, &Error<Infallible>>) -> Verdict {
    outcome.copied().unwrap_or(Verdict::TRANSIENT)
}

fn layer(max_attempts: u32, backoff: Backoff, budget: Option<Arc<Budget>>) -> RetryLayer<Judge> {
    Retry::builder()
        .max_attempts(max_attempts)
        .backoff(backoff)
        .budget(budget)
        .seed(7)
        .classify(judge as Judge)
        .build()
        .unwrap()
}

#[allow(clippy::disallowed_methods)] // paused time
fn now() -> Instant {
    Instant::now()
}

#[allow(clippy::disallowed_methods)] // paused time
async fn pass(time: Duration) {
    time::sleep(time).await;
}

fn paused<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(test)
}

/// So many cases, unless `PROPTEST_CASES` says otherwise.
fn config(cases: u32) -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    let file = "tests/properties_retry.regressions.txt";
    config.failure_persistence = Some(Box::new(FileFailurePersistence::Direct(file)));
    config
}

fn answer() -> impl Strategy<Value = Answer> {
    let wait = || prop::option::weighted(0.2, (0..300_u32).prop_map(|ms| ms * MS));
    let verdict = prop_oneof![
        2 => Just(Verdict::Success),
        6 => wait().prop_map(|retry_after| Verdict::Transient { retry_after }),
        1 => wait().prop_map(|retry_after| Verdict::Overloaded { retry_after }),
        1 => Just(Verdict::Permanent),
        1 => Just(Verdict::Neutral),
    ];
    (verdict, prop_oneof![Just(0), 0..200_u32]).prop_map(|(verdict, after)| Answer { verdict, after })
}

/// So that waits often end at exactly the deadline.
fn in_tens(mut answer: Answer) -> Answer {
    answer.after -= answer.after % 10;
    if let Verdict::Transient { retry_after } | Verdict::Overloaded { retry_after } = &mut answer.verdict {
        *retry_after = retry_after.map(|wait| wait.as_millis() as u32 / 10 * 10 * MS);
    }
    answer
}

fn backoff() -> impl Strategy<Value = Backoff> {
    prop_oneof![
        Just(Backoff::none()),
        Just(Backoff::fixed(40 * MS)),
        Just(Backoff::exponential(25 * MS).max(200 * MS)),
        Just(Backoff::exponential(25 * MS).jitter(Jitter::Decorrelated).max(400 * MS)),
    ]
}

fn retryable(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Transient { .. } | Verdict::Overloaded { .. })
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn attempts_stay_within_the_budget_and_the_number_of_attempts(
        script in prop::collection::vec(answer(), 0..120),
        refund: bool, share in 0.0..=1.0, tokens in 1..10_u32, max_attempts in 1..6_u32, backoff in backoff(), concurrent: bool,
    ) {
        let mode = if refund { BudgetMode::Refund(share) } else { BudgetMode::Ratio(share) };
        let budget = Arc::new(Budget::new(mode, tokens).unwrap());
        let service = Scripted::new(script.iter().copied());
        let retry = layer(max_attempts, backoff, Some(budget)).layer(service.clone());
        let calls = 30;
        // Of each call: the attempts, as far as they can be told apart, and the answer.
        let ended: Vec<(u32, Verdict)> = paused(async {
            let mut ended = Vec::new();
            if concurrent {
                let tasks: Vec<_> = (0..calls).map(|_| tokio::spawn(retry.clone().oneshot(()))).collect();
                for task in tasks {
                    ended.push((0, task.await.unwrap().unwrap()));
                }
            } else {
                for _ in 0..calls {
                    let before = service.seen();
                    let verdict = retry.clone().oneshot(()).await.unwrap();
                    ended.push((service.seen() - before, verdict));
                }
            }
            ended
        });
        let (calls, seen) = (f64::from(calls), f64::from(service.seen()));
        prop_assert!(seen <= calls * f64::from(max_attempts));
        if !refund {
            prop_assert!(seen - calls <= f64::from(tokens) + share * calls + 1e-9, "{} retries", seen - calls);
        }
        if !concurrent {
            let mut script = script.iter().map(|answer| answer.verdict).chain(std::iter::repeat(Verdict::Success));
            let (mut first_successes, mut unsuccessful) = (0.0, 0.0);
            for (attempts, verdict) in ended {
                let answers: Vec<_> = script.by_ref().take(attempts as usize).collect();
                prop_assert!((1..=max_attempts).contains(&attempts));
                prop_assert_eq!(*answers.last().unwrap(), verdict, "the last outcome, untouched");
                prop_assert!(answers[..answers.len() - 1].iter().all(|answer| retryable(*answer)), "{answers:?}");
                first_successes += f64::from(u8::from(answers[0] == Verdict::Success));
                unsuccessful += answers[1..].iter().filter(|answer| **answer != Verdict::Success).count() as f64;
            }
            prop_assert!(!refund || unsuccessful <= f64::from(tokens) + share * first_successes + 1e-9);
        }
    }

    #[test]
    fn nested_retries_do_not_multiply(
        script in prop::collection::vec(answer(), 0..40),
        outer in 1..5_u32, middle in 1..5_u32, inner in 1..5_u32, backoff in backoff(),
    ) {
        let service = Scripted::new(script.iter().copied());
        let layers = [inner, middle, outer].map(|attempts| layer(attempts, backoff.clone(), None));
        let stack = layers[2].layer(layers[1].layer(layers[0].layer(service.clone())));
        let verdict = paused(stack.oneshot(())).unwrap();
        let seen = service.seen();
        prop_assert!(seen <= outer.max(1), "{seen} attempts where the outermost allows {outer}");
        // Retries are made by whichever layer has some left, so none is given away either.
        let answers: Vec<_> = script.iter().map(|answer| answer.verdict).chain(std::iter::repeat(Verdict::Success)).take(outer as usize).collect();
        let wanted = answers.iter().position(|answer| !retryable(*answer)).map_or(outer, |last| last as u32 + 1);
        prop_assert_eq!(seen, wanted);
        prop_assert_eq!(verdict, answers[seen as usize - 1]);
    }

    #[test]
    fn a_retry_stops_at_the_deadline_without_a_last_useless_wait(
        script in prop::collection::vec(answer().prop_map(in_tens), 0..40), max_attempts in 1..20_u32, limit in (1..100_u32).prop_map(|tens| 10 * tens), wait in (1..20_u32).prop_map(|tens| 10 * tens),
    ) {
        let service = Scripted::new(script.iter().copied());
        let retry = layer(max_attempts, Backoff::fixed(wait * MS), None).layer(service.clone());
        let stack = Timeout::builder(limit * MS).build().unwrap().layer(retry);
        let (took, result) = paused(async {
            let start = now();
            let result = stack.oneshot(()).await;
            (start.elapsed(), result)
        });
        // Played on paper: what comes when.
        let mut at = Duration::ZERO;
        let mut answers = script.iter().copied().chain(std::iter::repeat(Answer { verdict: Verdict::Success, after: 0 }));
        let mut attempts = 0;
        let expected = loop {
            let answer = answers.next().unwrap();
            attempts += 1;
            at += answer.after * MS;
            if at > limit * MS {
                break None; // timed out during an attempt
            }
            let asked = match answer.verdict {
                Verdict::Transient { retry_after } | Verdict::Overloaded { retry_after } => retry_after.unwrap_or(wait * MS),
                _ => break Some(answer.verdict),
            };
            if attempts == max_attempts || at + asked >= limit * MS {
                break Some(answer.verdict);
            }
            at += asked;
        };
        prop_assert_eq!(service.seen(), attempts);
        match expected {
            Some(verdict) => {
                prop_assert_eq!(result.unwrap(), verdict);
                prop_assert_eq!(took, at, "the last outcome as soon as it is there");
            }
            None => {
                prop_assert!(matches!(result, Err(Error::Rejected(_))));
                prop_assert_eq!(took, limit * MS);
            }
        }
    }

    #[test]
    fn a_call_dropped_during_its_back_off_gives_its_token_back(after in 0..100_u32, wait in 1..100_u32, again in 1..100_u32, drop_at in 0..400_u32) {
        let fails = |after| Answer { verdict: Verdict::TRANSIENT, after };
        let service = Scripted::new([fails(after), fails(again)]);
        let budget = Arc::new(Budget::new(BudgetMode::Ratio(0.0), 5).unwrap());
        let retry = layer(2, Backoff::fixed(wait * MS), Some(Arc::clone(&budget))).layer(service.clone());
        let held = paused(async {
            let call = tokio::spawn(retry.oneshot(()));
            pass(drop_at * MS).await;
            let held = budget.tokens();
            call.abort();
            let _ = call.await;
            held
        });
        let retries = f64::from(service.seen().saturating_sub(1));
        prop_assert_eq!(budget.tokens(), 5.0 - retries);
        // While it waits the token is taken: others cannot have it too. At the very end of a wait either may be first.
        if drop_at > after && drop_at < after + wait {
            prop_assert_eq!((held, retries), (4.0, 0.0));
        }
        if drop_at > after + wait {
            prop_assert_eq!((held, retries), (4.0, 1.0));
        }
    }
}

/// Its second readiness fails; so does every attempt.
#[derive(Clone, Default)]
struct OnceUnready {
    driven: Arc<AtomicU32>,
    seen: Arc<AtomicU32>,
}

impl Service<()> for OnceUnready {
    type Response = ();
    type Error = Error<&'static str>;
    type Future = std::future::Ready<Result<(), Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        match self.driven.fetch_add(1, Ordering::Relaxed) {
            1 => Poll::Ready(Err(Error::Inner("not ready"))),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, (): ()) -> Self::Future {
        self.seen.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Err(Error::Inner("failed")))
    }
}

#[test]
fn the_token_of_an_attempt_that_was_not_sent_pays_for_the_next() {
    let service = OnceUnready::default();
    let budget = Arc::new(Budget::new(BudgetMode::Ratio(0.0), 1).unwrap());
    let retry = Retry::builder().backoff(Backoff::none()).budget(Arc::clone(&budget)).build().unwrap();
    let result = paused(retry.layer(service.clone()).oneshot(()));
    assert_eq!(result, Err(Error::Inner("failed")));
    assert_eq!((service.seen.load(Ordering::Relaxed), budget.tokens()), (2, 0.0));
}
