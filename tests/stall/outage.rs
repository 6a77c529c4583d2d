//! An outage just before or after a stall is an outage.

use super::*;

/// How long after the end of the stall the breaker opens, over a service that goes out before or after the stall.
fn opens_after(out_before: bool) -> Duration {
    let upstream = Upstream::start();
    one_thread().block_on(async {
        let breaker = CircuitBreaker::builder().build().unwrap();
        let stack = ServiceBuilder::new()
            .layer(Timeout::builder(SECOND).build().unwrap())
            .layer(Retry::builder().build().unwrap())
            .layer(breaker.clone())
            .service(inner(upstream.client(http())));
        let load = tokio::spawn(load(stack, Arc::default()));
        sleep(SECOND).await;
        if out_before {
            upstream.go_out();
        }
        thread::sleep(STALL);
        let end = Instant::now();
        if !out_before {
            upstream.go_out();
        }
        while breaker.handle().state() == State::Closed {
            sleep(Duration::from_millis(5)).await;
            assert!(end.elapsed() < 5 * SECOND, "an outage opens the breaker: {:?}", breaker.handle().snapshot());
        }
        load.abort();
        end.elapsed()
    })
}

#[test]
fn an_outage_next_to_a_stall_opens_the_breaker_a_second_later() {
    for out_before in [true, false] {
        let after = opens_after(out_before);
        println!("out before the stall: {out_before}; open {after:?} after its end");
        // One second settles; then it takes ten failures in a row, at 50 a second and more.
        assert!(after < 2 * SECOND, "{out_before}: {after:?}");
        assert!(after > SECOND / 2, "the stall was not seen: {after:?}");
    }
}
