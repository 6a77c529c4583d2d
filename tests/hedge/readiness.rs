//! What a backup leaves behind in the layers below: no place in a queue, and no permit.

use std::task::{Context, Poll};

use futures::FutureExt;
use steadfast::{Rejected, RejectedKind, hedge::Hedge};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimit};

use crate::support::{End::*, MS, Scripted, retry, timed, won};

/// Refuses all but the first call, after it has driven the service below to ready.
#[derive(Clone)]
struct RefusesBackups<S>(S);

impl<S: Service<()>> Service<()> for RefusesBackups<S>
where
    S::Error: From<Rejected>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = futures::future::Either<S::Future, std::future::Ready<Result<S::Response, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, (): ()) -> Self::Future {
        if steadfast::context::is_repeated() {
            let refused = Rejected::new(RejectedKind::CircuitOpen, "below").into();
            return futures::future::Either::Right(std::future::ready(Err(refused)));
        }
        futures::future::Either::Left(self.0.call(()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_is_refused_keeps_no_permit_of_a_limit_below() {
    let service = Scripted::new(&[(200, Ok), (20, Ok)]);
    let limited = ConcurrencyLimit::new(service.clone(), 2);
    let layer = retry().hedge(Hedge::after(50 * MS)).build().unwrap();
    let call = tokio::spawn(layer.layer(RefusesBackups(limited.clone())).oneshot(()));
    tokio::time::sleep(100 * MS).await;
    assert_eq!(service.came(), [0]);
    assert_eq!(timed(limited.oneshot(())).await, (won(1), 20), "there is room for one more");
    assert_eq!(call.await.unwrap(), won(1));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_over_and_kept_waits_for_no_place_below() {
    let service = Scripted::new(&[(200, Ok), (20, Ok)]);
    let mut limited = ConcurrencyLimit::new(service.clone(), 1);
    let layer = retry().hedge(Hedge::after(50 * MS)).build().unwrap();
    let mut hedged = layer.layer(limited.clone());
    let mut call = Box::pin(ServiceExt::<()>::ready(&mut hedged).await.unwrap().call(()));
    assert_eq!(timed(call.as_mut()).await, (won(1), 200), "its backup finds no place");
    drop(hedged);
    assert!(ServiceExt::<()>::ready(&mut limited).now_or_never().is_some());
    drop(call);
}
