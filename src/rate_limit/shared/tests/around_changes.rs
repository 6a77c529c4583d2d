//! How many calls are let through when the store goes away and comes back.

use super::*;

/// Counts in this process as a store does, unless it is away.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Counted>>);

#[derive(Default)]
struct Counted {
    /// The theoretical time of the next call.
    next: Option<time::Instant>,
    away: bool,
}

impl Memory {
    fn away(&self, away: bool) {
        self.0.lock().unwrap().away = away;
    }
}

impl Store for Memory {
    type Take = Ready<Result<Decision, StoreError>>;

    fn take(&self, question: Question) -> Self::Take {
        let mut counted = self.0.lock().unwrap();
        if counted.away {
            return ready(broken());
        }
        let now = time::now();
        let cell = question.settings.period / question.settings.limit;
        let next = counted.next.map_or(now, |next| next.max(now));
        let wait = (next - now).saturating_sub(cell * (question.settings.burst - 1));
        if wait > question.max_wait {
            return ready(Ok(Decision::refused(wait)));
        }
        counted.next = Some(next + cell);
        ready(Ok(Decision::admitted_after(wait)))
    }
}

type Times = Arc<Mutex<Vec<Duration>>>;

/// Four processes with so many callers each, that try or wait without end; and when calls are let through.
fn processes(store: &Memory, callers: usize, max_wait: Duration) -> (Vec<SharedRateLimitHandle<Memory>>, Times) {
    let times = Times::default();
    let start = time::now();
    let one = || {
        let builder = RateLimit::builder(100, SECOND).name("partner").burst(20).max_wait(max_wait);
        let handle = builder.store(store.clone(), 4).build().unwrap().handle();
        for _ in 0..callers {
            let (handle, times) = (handle.clone(), Arc::clone(&times));
            tokio::spawn(async move {
                loop {
                    match handle.acquire().await {
                        Ok(()) => times.lock().unwrap().push(time::now() - start),
                        Err(_) => sleep(MS).await,
                    }
                }
            });
        }
        handle
    };
    ((0..4).map(|_| one()).collect(), times)
}

/// The most in any period that begins in these seconds.
fn most(times: &Times, from: u32, to: u32) -> usize {
    let times = times.lock().unwrap();
    let begun = times.iter().enumerate().filter(|(_, at)| (SECOND * from..SECOND * to).contains(*at));
    begun.map(|(nth, at)| times[nth..].iter().take_while(|later| **later < *at + SECOND).count()).max().unwrap()
}

/// The most in any second: before, around the loss, without the store, and around its return.
async fn around(callers: usize, max_wait: Duration) -> [usize; 4] {
    let store = Memory::default();
    let (handles, times) = processes(&store, callers, max_wait);
    sleep(SECOND * 10).await;
    assert!(handles.iter().all(|handle| !handle.snapshot().store_away));
    store.away(true);
    sleep(SECOND * 10).await;
    assert!(handles.iter().all(|handle| handle.snapshot().store_away));
    store.away(false);
    sleep(SECOND * 10).await;
    assert!(handles.iter().all(|handle| !handle.snapshot().store_away));
    [most(&times, 1, 9), most(&times, 9, 13), most(&times, 13, 19), most(&times, 19, 29)]
}

const LIMIT: usize = 100;
const BURST: usize = 20;

#[tokio::test(start_paused = true)]
async fn each_change_lets_a_burst_more_through_where_callers_try() {
    let [before, loss, alone, back] = around(1, Duration::ZERO).await;
    // The burst of the store was used up at the start, that of the shares is when it goes, and its own when it is back.
    assert_eq!((before, alone), (LIMIT, LIMIT));
    assert!((LIMIT + BURST / 2..=LIMIT + BURST).contains(&loss), "{loss} around the loss");
    assert!((LIMIT + BURST / 2..=LIMIT + BURST).contains(&back), "{back} around the return");
}

#[tokio::test(start_paused = true)]
async fn where_callers_wait_the_turns_that_were_reserved_count_and_those_of_the_share_come_on_top_at_the_return() {
    let [before, loss, alone, back] = around(60, SECOND * 2).await;
    assert_eq!((before, alone), (LIMIT, LIMIT));
    assert!((LIMIT..=LIMIT + 2 * BURST).contains(&loss), "{loss} around the loss");
    assert!((2 * LIMIT..=2 * LIMIT + 2 * BURST).contains(&back), "{back} around the return");
}

/// One process with all turns that are reserved, more than its share has by the time that they have been used.
#[tokio::test(start_paused = true)]
async fn turns_that_were_reserved_hold_the_share_back_for_as_long_as_they_are_waited_for_and_no_longer() {
    let (store, handle) = limit(SECOND);
    store.answers(Ok(Decision::admitted_after(SECOND)));
    let reserved: Vec<_> = (0..100).map(|_| Box::pin(handle.acquire())).collect();
    let mut reserved = Box::pin(futures::future::join_all(reserved));
    assert!(futures::poll!(&mut reserved).is_pending());
    store.answers(broken());
    let start = time::now();
    let waited = handle.acquire().await.map(|()| time::now() - start);
    assert_eq!(waited, Ok(SECOND));
    assert!(reserved.await.iter().all(Result::is_ok));
    assert_eq!(handle.snapshot().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn as_many_turns_are_taken_from_the_share_as_are_waited_for() {
    let (store, handle) = limit(SECOND);
    // Two that have been used.
    store.answers(Ok(Decision::admitted_after(MS * 10)));
    handle.acquire().await.unwrap();
    handle.acquire().await.unwrap();
    store.answers(Ok(Decision::admitted_after(SECOND)));
    let mut reserved: Vec<_> = (0..5).map(|_| Box::pin(handle.acquire())).collect();
    for call in &mut reserved {
        assert!(futures::poll!(call).is_pending());
    }
    // Two of five give up, and one that hangs is answered when the store is away: four turns of 40 ms.
    reserved.truncate(3);
    store.answers_after(MS * 20, Ok(Decision::admitted()));
    let mut late = Box::pin(handle.acquire());
    assert!(futures::poll!(&mut late).is_pending());
    store.answers(broken());
    let start = time::now();
    let mut local = Box::pin(handle.acquire());
    assert!(futures::poll!(&mut local).is_pending());
    late.await.unwrap();
    local.await.unwrap();
    assert_eq!((time::now() - start, handle.snapshot().store_away), (MS * 160, true));
}
