//! Properties of the call context, over nested timeouts and retries in paused time.
//!
//! 1. The deadline seen below any nest of timeouts is the earliest of theirs, however often and wherever it is read,
//!    and the call is over by then.
//! 2. An attempt sees its number, counted over all retries above it.
//! 3. What a call sees is gone when it is not being polled, and when it has ended; a spawned task sees it only by
//!    `scope`.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use proptest::{prelude::*, test_runner::FileFailurePersistence};
use steadfast::{Error, Verdict, backoff::Backoff, context, retry::Retry, timeout::Timeout};
use tokio::time::{self, Instant};
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneSyncService};

const MS: Duration = Duration::from_millis(1);

type Stack = BoxCloneSyncService<(), Verdict, Error<Infallible>>;

#[derive(Clone, Copy, Debug)]
enum Wrap {
    Timeout(u32),
    Retry(u32),
}

/// What the service does: waits before and between readings.
#[derive(Clone, Copy, Debug)]
struct Waits {
    before: u32,
    between: u32,
}

#[allow(clippy::disallowed_methods)] // paused time
fn now() -> Instant {
    Instant::now()
}

#[allow(clippy::disallowed_methods)] // paused time
async fn pass(millis: u32) {
    if millis > 0 {
        time::sleep(millis * MS).await;
    }
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
    let file = "tests/properties_context.regressions.txt";
    config.failure_persistence = Some(Box::new(FileFailurePersistence::Direct(file)));
    config
}

fn judge(outcome: Result<&Verdict, &Error<Infallible>>) -> Verdict {
    outcome.copied().unwrap_or(Verdict::Permanent)
}

fn stack(wraps: &[Wrap], service: Stack) -> Stack {
    wraps.iter().fold(service, |inner, wrap| match *wrap {
        Wrap::Timeout(limit) => BoxCloneSyncService::new(Timeout::builder(limit * MS).build().unwrap().layer(inner)),
        Wrap::Retry(attempts) => {
            let judge: fn(Result<&Verdict, &Error<Infallible>>) -> Verdict = judge;
            let retry = Retry::builder().max_attempts(attempts).backoff(Backoff::none()).budget(None).classify(judge);
            BoxCloneSyncService::new(retry.build().unwrap().layer(inner))
        }
    })
}

fn wrap() -> impl Strategy<Value = Wrap> {
    prop_oneof![(1..500_u32).prop_map(Wrap::Timeout), (1..4_u32).prop_map(Wrap::Retry)]
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn the_earliest_deadline_is_seen_and_kept(
        wraps in prop::collection::vec(wrap(), 0..5),
        waits in (0..300_u32, 0..300_u32).prop_map(|(before, between)| Waits { before, between }),
        reads_at_once: bool,
    ) {
        let earliest = wraps.iter().filter_map(|wrap| if let Wrap::Timeout(limit) = wrap { Some(*limit * MS) } else { None }).min();
        let took = paused(async {
            let start = now();
            let expected = earliest.map(|limit| start + limit);
            let service = service_fn(move |()| async move {
                let check = || assert_eq!(context::deadline(), expected);
                if reads_at_once {
                    check();
                }
                pass(waits.before).await;
                check();
                pass(waits.between).await;
                check();
                let spawned = tokio::spawn(async { context::deadline() });
                let carried = tokio::spawn(context::scope(context::current(), async { context::deadline() }));
                assert_eq!((spawned.await.unwrap(), carried.await.unwrap()), (None, expected));
                Ok(Verdict::Success)
            });
            let call = stack(&wraps, BoxCloneSyncService::new(service)).oneshot(());
            let outside = async {
                // Polled in turn with the call, in the same task.
                for _ in 0..5 {
                    assert_eq!((context::deadline(), context::attempt()), (None, 1));
                    pass(37).await;
                }
            };
            let call = async { let result = call.await; (start.elapsed(), result) };
            let ((took, result), ()) = futures::join!(call, outside);
            assert_eq!(context::current(), context::CallContext::default());
            (took, result)
        });
        let needed = (waits.before + waits.between) * MS;
        let (took, result) = took;
        prop_assert!(earliest.is_none_or(|limit| took <= limit), "{took:?}");
        match earliest {
            Some(limit) if needed > limit => prop_assert!(result.is_err() && took == limit),
            Some(limit) if needed == limit => {} // either may be first
            _ => prop_assert!(result.is_ok() && took == needed),
        }
    }

    #[test]
    fn an_attempt_sees_its_number(attempts in prop::collection::vec(1..5_u32, 1..4)) {
        let wraps: Vec<_> = attempts.iter().map(|attempts| Wrap::Retry(*attempts)).collect();
        let seen = paused(async {
            let seen = Arc::new(Mutex::new(Vec::new()));
            let service = service_fn({
                let seen = Arc::clone(&seen);
                move |()| {
                    let seen = Arc::clone(&seen);
                    async move {
                        seen.lock().unwrap().push(context::attempt());
                        pass(1).await;
                        assert_eq!(Some(&context::attempt()), seen.lock().unwrap().last());
                        Ok(Verdict::TRANSIENT)
                    }
                }
            });
            stack(&wraps, BoxCloneSyncService::new(service)).oneshot(()).await.unwrap();
            seen.lock().unwrap().clone()
        });
        // The outermost allows the number of all.
        prop_assert_eq!(seen, (1..=*attempts.last().unwrap()).collect::<Vec<_>>());
    }
}
