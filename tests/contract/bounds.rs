//! What a layer asks of a service, its requests, responses and errors: no more than it needs.

use std::{
    cell::Cell,
    rc::Rc,
    task::{Context, Poll},
};

use futures::future::LocalBoxFuture;
use tower::{Layer, Service, ServiceExt};

use crate::{
    clock,
    mock::{Answer, Fault, Mock, Request, Unique},
    subjects::{self, Over},
};

/// The name of a layer's type, without its path.
pub(crate) fn type_name<L>(_: fn() -> L) -> &'static str {
    let name = std::any::type_name::<L>();
    let generics = name.find('<').unwrap_or(name.len());
    &name[name[..generics].rfind("::").map_or(0, |at| at + 2)..]
}

fn send<T: Send>(value: T) -> T {
    value
}

/// The response and the error of a [`Mock`] are not `Clone`; that its services are is in [`Over`].
pub(crate) async fn send_sync_and_clone<L>(new: fn() -> L)
where
    L: Over<Mock<Fault>, Fault> + Send + Sync,
{
    fn bounds<T: Send + Sync + Clone + 'static>(_: &T) {}
    let service = new().layer(Mock::answering());
    bounds(&service);
    let mut clone = service.clone();
    let call = send(clone.ready().await.unwrap().call(Request(1)));
    clock::within("a call", tokio::spawn(call)).await.unwrap().unwrap();
}

pub(crate) async fn unique_requests<L: Over<Mock<Fault>, Fault, Unique>>(new: fn() -> L) {
    let service = new().layer(Mock::answering());
    let answer = clock::within("a call", tokio::spawn(send(service.oneshot(Unique(Cell::new(7)))))).await.unwrap();
    assert_eq!(answer.unwrap(), Answer { number: 7, spare: false });
    // Without a copy there is neither a second attempt nor another service to ask, and the outcome stays as it is.
    let mock = Mock::failing();
    let _ = clock::within("a call", new().layer(mock.clone()).oneshot(Unique(Cell::new(7)))).await;
    assert_eq!(mock.calls(), 1);
}

/// Neither `Send` nor `Sync`, and its futures neither.
#[derive(Clone)]
pub(crate) struct Local(Rc<()>);

impl Service<Request> for Local {
    type Response = Answer;
    type Error = Fault;
    type Future = LocalBoxFuture<'static, Result<Answer, Fault>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let local = Rc::clone(&self.0);
        Box::pin(async move {
            tokio::task::yield_now().await;
            drop(local);
            Ok(Answer { number: request.0, spare: false })
        })
    }
}

pub(crate) async fn over_a_local_service<L>(new: fn() -> L)
where
    L: Layer<Local, Service: Service<Request, Response = Answer, Error = Fault> + Clone>,
{
    let service = new().layer(Local(Rc::new(())));
    let answer = clock::within("a call", service.clone().oneshot(Request(1))).await;
    assert_eq!(answer.unwrap(), Answer { number: 1, spare: false });
}

/// A service that is not `Clone`.
struct Single(Mock<Fault>);

impl Service<Request> for Single {
    type Response = Answer;
    type Error = Fault;
    type Future = <Mock<Fault> as Service<Request>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Service::<Request>::poll_ready(&mut self.0, cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.0.call(request)
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_calls_later_needs_a_service_that_is_clone() {
    async fn one_call<L>(layer: L)
    where
        L: Layer<Single, Service: Service<Request, Response = Answer, Error = Fault>>,
    {
        let service = layer.layer(Single(Mock::answering()));
        clock::within("a call", service.oneshot(Request(1))).await.unwrap();
    }
    one_call(subjects::timeout::<Fault>()).await;
    one_call(subjects::circuit_breaker::<Fault>()).await;
    one_call(subjects::fallback_function::<Fault>()).await;
    one_call(subjects::fallback_service::<Fault>()).await;
    one_call(subjects::boundary::<Fault>()).await;
}
