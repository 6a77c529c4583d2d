//! Two attempts at a time: a stall of our own gives neither up, and sends none.

use steadfast::hedge::Hedge;

use super::*;

const MS: Duration = Duration::from_millis(1);

/// A service whose n-th attempt takes so long and then answers or fails, and how many came.
fn scripted(
    script: &'static [(u32, bool)],
) -> (impl Service<(), Response = usize, Error = BoxError, Future: Send> + Clone + Send + 'static, Arc<AtomicU32>) {
    let came = Arc::new(AtomicU32::new(0));
    let service = service_fn({
        let came = Arc::clone(&came);
        move |()| {
            let number = came.fetch_add(1, Ordering::Relaxed) as usize;
            async move {
                let (takes, answers) = script[number];
                sleep(takes * MS).await;
                if answers { Ok(number) } else { Err(BoxError::from("down")) }
            }
        }
    });
    (service, came)
}

/// The thread is blocked from 100 ms to 500 ms after the call.
async fn in_a_stall<S>(stack: S) -> Result<usize, BoxError>
where
    S: Service<(), Response = usize, Error = BoxError, Future: Send> + Send + 'static,
{
    let call = tokio::spawn(stack.oneshot(()));
    sleep(100 * MS).await;
    thread::sleep(400 * MS);
    call.await.unwrap()
}

/// Before what ends in the stall, from 150 ms on, is judged.
fn another_call_sees_it() {
    let pending = service_fn(|()| std::future::pending::<Result<(), BoxError>>());
    tokio::spawn(Timeout::builder(150 * MS).build().unwrap().layer(pending).oneshot(()));
}

#[test]
fn an_attempt_that_fails_in_a_stall_is_not_tried_again_and_the_other_one_is_waited_for() {
    one_thread().block_on(async {
        let budget = budget();
        let retry = Retry::builder().budget(Arc::clone(&budget)).hedge(Hedge::after(20 * MS)).build().unwrap();
        let (service, came) = scripted(&[(200, false), (700, true), (0, true)]);
        another_call_sees_it();
        assert_eq!(in_a_stall(retry.layer(service)).await.unwrap(), 1);
        assert_eq!((Counts::get(&came), budget.tokens()), (2, 50.0));
    });
}

#[test]
fn a_backup_that_is_overdue_after_a_stall_is_not_sent_for_that() {
    for hedge in [Hedge::after(150 * MS), Hedge::never().soft_timeout(150 * MS)] {
        one_thread().block_on(async {
            let budget = budget();
            let retry = Retry::builder().budget(Arc::clone(&budget)).hedge(hedge).build().unwrap();
            let (service, came) = scripted(&[(560, true), (0, true)]);
            assert_eq!(in_a_stall(retry.layer(service)).await.unwrap(), 0);
            assert_eq!((Counts::get(&came), budget.tokens()), (1, 50.0));
            assert_eq!(retry.handle().hedge().unwrap().snapshot().tokens, 3.0);
        });
    }
}

#[test]
fn an_overdue_backup_tells_of_the_stall_before_an_attempt_is_judged() {
    one_thread().block_on(async {
        let budget = budget();
        let retry = Retry::builder().budget(Arc::clone(&budget)).soft_timeout(150 * MS).build().unwrap();
        let (service, came) = scripted(&[(140, false), (0, true)]);
        in_a_stall(retry.layer(service)).await.unwrap_err();
        assert_eq!((Counts::get(&came), budget.tokens()), (1, 50.0));
    });
}

#[test]
fn an_attempt_in_a_stall_is_not_what_others_are_compared_with() {
    one_thread().block_on(async {
        let retry = Retry::builder().hedge(Hedge::percentile(0.5).minimum_calls(1)).build().unwrap();
        let (service, _) = scripted(&[(560, true)]);
        another_call_sees_it();
        assert_eq!(in_a_stall(retry.layer(service)).await.unwrap(), 0);
        assert_eq!(retry.handle().hedge().unwrap().snapshot().delay, None);
    });
}
