//! With callers that wait, what is let through is the limit, to within a burst.

use tower::{Layer, ServiceExt};

use crate::support::{Log, MS, SECOND, per_second, sleep};

/// So many callers come again and again for 60 virtual seconds.
async fn run(limit: u32, burst: u32, callers: u32, pause: bool) {
    let (layer, log) = (per_second(limit, burst), Log::new());
    for number in 0..callers {
        let (service, log) = (layer.layer(log.clone()), log.clone());
        tokio::spawn(async move {
            while log.now() < 61 * SECOND {
                service.clone().oneshot(number).await.unwrap();
                if pause {
                    sleep((number % 3) * MS).await;
                }
            }
        });
    }
    sleep(61 * SECOND).await;
    let let_through = log.times().iter().filter(|at| **at < 60 * SECOND).count();
    let exact = limit as usize * 60;
    println!("{limit}/s, burst {burst}, {callers} callers: {let_through} of {exact}");
    assert!(let_through.abs_diff(exact) <= burst as usize, "{let_through} of {exact} ± {burst}");
    log.is_within((limit + burst) as usize, SECOND);
}

#[tokio::test(start_paused = true)]
async fn at_300_a_second() {
    run(300, 30, 100, false).await;
    run(300, 1, 100, false).await;
}

#[tokio::test(start_paused = true)]
async fn at_900_a_second() {
    run(900, 90, 100, false).await;
    run(900, 1, 100, false).await;
}

#[tokio::test(start_paused = true)]
async fn at_5000_a_second() {
    run(5000, 500, 200, false).await;
}

#[tokio::test(start_paused = true)]
async fn also_with_callers_that_take_their_time() {
    run(900, 90, 100, true).await;
    run(333, 33, 10, true).await;
}
