//! Storms in a user's test: what is asked for, and what is said when it is missed.

use std::time::Duration;

use steadfast::storm::{self, FaultKind, Request, Response, Scenario, Stack, Upstream};
use tower::service_fn;

const SECOND: Duration = Duration::from_secs(1);

type NoPolicy = Stack<fn(Upstream) -> Upstream>;

fn none() -> NoPolicy {
    Stack::new("none", |upstream| upstream)
}

fn brownout() -> Scenario {
    Scenario::named("brownout").unwrap()
}

#[tokio::test]
async fn what_is_met_gives_the_reports() {
    let check = storm::check(none(), brownout()).goodput(89.0).attempts(1.0).recovery(Duration::ZERO);
    let reports = check.p99(SECOND).false_rejects(0.0).seeds(2).await.unwrap();
    assert_eq!(reports.iter().map(|report| report.seed).collect::<Vec<_>>(), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn what_is_missed_is_said_with_the_timeline_on_a_paused_clock_too() {
    let check = storm::check(none(), brownout()).goodput(99.0).attempts(0.5).p99(Duration::from_millis(30)).seeds(1);
    let shortfall = check.await.unwrap_err();
    let message = shortfall.to_string();
    let mut lines = message.lines();
    let mut next = || lines.next().unwrap();
    assert_eq!(next(), "`none` in `brownout`:");
    let goodput = shortfall.reports()[0].goodput;
    assert_eq!(next(), format!("  goodput is {goodput:.2} % of the oracle's, {:.2} under 99", 99.0 - goodput));
    assert_eq!(next(), "  1.000 attempts for each request, 0.500 over 0.5");
    assert!(next().starts_with("  seed 0: p99 is "), "{message}");
    assert_eq!(next(), "the worst run:");
    assert_eq!(next(), "`none` in `brownout`, seed 0");
    // The faults last from second 10 to 40.
    let marked: Vec<_> = message.lines().filter(|line| line.contains('<')).collect();
    assert!((28..=30).contains(&marked.len()), "{message}");
    assert!(marked[0].trim_start().starts_with("10 "), "{message}");
    assert_eq!(format!("{shortfall:?}"), message, "`unwrap` shows it");
}

#[tokio::test]
async fn no_recovery_and_a_late_one_are_told_apart() {
    let gray = Scenario::named("gray").unwrap();
    let never = storm::check(none(), gray).recovery(SECOND).seeds(1).await.unwrap_err();
    assert!(never.to_string().contains("seed 0: it does not recover; 1s was asked for"), "{never}");
    let late = storm::check(none(), Scenario::named("metastable").unwrap()).recovery(SECOND).seeds(1).await;
    let late = late.unwrap_err().to_string();
    assert!(late.contains("seed 0: recovers after 1") && late.contains("over 1s"), "{late}");
}

#[tokio::test]
async fn refusals_for_nothing_are_said() {
    let refuses = Stack::new("refuses", |_: Upstream| service_fn(|_: Request| async { Err::<Response, _>("no") }));
    let shortfall = storm::check(refuses, brownout()).false_rejects(0.0).p99(SECOND).seeds(1).await.unwrap_err();
    let message = shortfall.to_string();
    assert!(message.contains("of the requests refused for nothing"), "{message}");
    assert!(message.contains("seed 0: no answers; a p99 of 1s was asked for"), "{message}");
}

#[tokio::test]
async fn a_scenario_that_cannot_be_is_an_error() {
    let slow = FaultKind::Slow { factor: -1.0 };
    let scenario = Scenario::new("odd").fault(slow, 10 * SECOND, SECOND);
    let shortfall = storm::check(none(), scenario).await.unwrap_err();
    assert_eq!(shortfall.to_string(), "`faults[0].factor`: is -1.0; allowed: over 0, up to 1000.0");
}

#[tokio::test]
#[should_panic(expected = "no such thing")]
async fn a_panic_of_what_makes_the_stack_is_passed_on() {
    let stack = Stack::new("panics", |upstream: Upstream| {
        assert!(upstream.client() > 100, "no such thing");
        upstream
    });
    let _ = storm::check(stack, brownout()).await;
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_said() {
    let asked = |check: storm::Check<NoPolicy>| async { check.await.unwrap_err().to_string() };
    let check = || storm::check(none(), brownout());
    assert_eq!(asked(check().goodput(0.95)).await, "a goodput of 0.95 is asked for; allowed: 1 to 100 percent");
    assert!(asked(check().goodput(f64::NAN)).await.starts_with("a goodput of NaN"));
    assert_eq!(asked(check().attempts(f64::NAN)).await, "NaN attempts are asked for; allowed: 0 or more");
    assert_eq!(asked(check().false_rejects(1.0)).await, "false rejects of 1.0 are asked for; allowed: 0 to under 1");
    let steady = storm::check(none(), Scenario::named("steady").unwrap()).recovery(SECOND);
    let expected = "a recovery is asked for; the faults of `steady` are not over 3 s before its end at 70s";
    assert_eq!(asked(steady).await, expected);
}

#[tokio::test]
async fn calls_that_panic_are_missed() {
    let stack = Stack::new("panics", |upstream: Upstream| {
        service_fn(move |request: Request| {
            let upstream = upstream.clone();
            async move {
                if request.id() == 77 {
                    std::panic::resume_unwind(Box::new("once"));
                }
                tower::ServiceExt::oneshot(upstream, request).await
            }
        })
    });
    let shortfall = storm::check(stack, brownout()).seeds(1).await.unwrap_err();
    assert!(shortfall.to_string().contains("calls that panicked: 1"), "{shortfall}");
}
