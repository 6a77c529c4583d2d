//! The response of a call that others may wait for.

use std::{
    fmt,
    future::Future,
    hash::Hash,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;
use tower::Service;

use super::{
    seat::{Follower, Heard, Leader, Part, Shared, Work},
    share::Share,
};
use crate::ready::ReadyFuture;

/// The response future of [`Coalesce`](super::Coalesce). Dropping it stops waiting; where it has made the call, one of
/// those that wait goes on with it, and if there is none the call is dropped.
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<S: Service<Req>, Req, K, C> {
    #[pin]
    state: State<S, Req, K, C>,
}

#[pin_project(project = StateProj)]
enum State<S: Service<Req>, Req, K, C> {
    /// Not to be coalesced.
    Alone(#[pin] ReadyFuture<S, Req>),
    Member(Member<S, Req, K, C>),
}

struct Member<S: Service<Req>, Req, K, C> {
    role: Role<S, Req, K>,
    share: C,
}

type Own<S, Req> = (S, Req);

enum Role<S: Service<Req>, Req, K> {
    /// Not polled yet: nobody waits for a call that is not polled.
    New(Arc<Shared<K, ReadyFuture<S, Req>>>, K, Own<S, Req>),
    /// What its own call would be made with is kept, should it have to be.
    Follows(Follower<K, ReadyFuture<S, Req>>, Own<S, Req>),
    Leads(Leading<K, ReadyFuture<S, Req>>),
    Over,
}

struct Leading<K, W: Future> {
    /// `None` while the work is polled, and after it has panicked.
    leader: Option<Leader<K, W>>,
    work: Option<Work<W>>,
}

impl<K, W: Future> Drop for Leading<K, W> {
    fn drop(&mut self) {
        if let (Some(leader), Some(work)) = (self.leader.take(), self.work.take()) {
            leader.hand_on(work);
        }
    }
}

impl<S: Service<Req>, Req, K, C> ResponseFuture<S, Req, K, C> {
    pub(super) fn alone(service: S, request: Req) -> Self {
        Self { state: State::Alone(ReadyFuture::waiting(service, request)) }
    }

    pub(super) fn member(
        shared: Arc<Shared<K, ReadyFuture<S, Req>>>,
        key: K,
        service: S,
        request: Req,
        share: C,
    ) -> Self {
        Self { state: State::Member(Member { role: Role::New(shared, key, (service, request)), share }) }
    }
}

/// Puts a call of one's own into a place for work.
fn begin<K, S: Service<Req>, Req>(
    leader: Leader<K, ReadyFuture<S, Req>>,
    place: Option<Work<ReadyFuture<S, Req>>>,
    (service, request): Own<S, Req>,
) -> Leading<K, ReadyFuture<S, Req>> {
    let mut place = place.unwrap_or_else(|| Box::pin(None));
    place.set(Some(ReadyFuture::waiting(service, request)));
    Leading { leader: Some(leader), work: Some(place) }
}

impl<K, W: Future<Output = Result<Res, Err>>, Res, Err> Leading<K, W> {
    fn poll<C: Share<Res, Err>>(&mut self, share: &C, cx: &mut Context<'_>) -> Poll<W::Output> {
        let work = self.work.as_mut().expect("polled after it was ready");
        // Taken out, so that a panic leaves the others with somebody to lead them, and not with what has panicked.
        let leader = self.leader.take().expect("polled after it had panicked");
        let poll = work.as_mut().as_pin_mut().expect("there is work until it is over").poll(cx);
        let Poll::Ready(outcome) = poll else {
            self.leader = Some(leader);
            return Poll::Pending;
        };
        work.set(None);
        if let Some(place) = self.work.take() {
            leader.finish(&outcome, share, place);
        }
        Poll::Ready(outcome)
    }
}

impl<S, Req, K, C> Member<S, Req, K, C>
where
    S: Service<Req>,
    K: Eq + Hash,
    C: Share<S::Response, S::Error>,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<S::Response, S::Error>> {
        loop {
            match &mut self.role {
                // ## New => Leads | Follows
                Role::New(..) => {
                    let Role::New(shared, key, own) = mem::replace(&mut self.role, Role::Over) else { unreachable!() };
                    self.role = match Part::join(shared, key, cx.waker()) {
                        (Part::Leads(leader), place) => Role::Leads(begin(leader, place, own)),
                        (Part::Follows(follower), _) => {
                            self.role = Role::Follows(follower, own);
                            return Poll::Pending;
                        }
                    };
                }
                // ## Follows => Leads, or the outcome
                Role::Follows(follower, _) => {
                    let Some(heard) = follower.poll(cx.waker()) else { return Poll::Pending };
                    let Role::Follows(_, own) = mem::replace(&mut self.role, Role::Over) else { unreachable!() };
                    match heard {
                        Heard::Outcome(outcome) => return Poll::Ready(outcome),
                        Heard::Lead(leader, None) => {
                            let place = leader.place();
                            self.role = Role::Leads(begin(leader, place, own));
                        }
                        // Polled at once: the work knows the waker of who is gone.
                        Heard::Lead(leader, work) => {
                            self.role = Role::Leads(Leading { leader: Some(leader), work });
                        }
                    }
                }
                Role::Leads(leading) => {
                    let outcome = ready!(leading.poll(&self.share, cx));
                    self.role = Role::Over;
                    return Poll::Ready(outcome);
                }
                Role::Over => panic!("polled after it was ready"),
            }
        }
    }
}

impl<S, Req, K, C> Future for ResponseFuture<S, Req, K, C>
where
    S: Service<Req>,
    K: Eq + Hash,
    C: Share<S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Alone(call) => call.poll(cx),
            StateProj::Member(member) => member.poll(cx),
        }
    }
}

impl<S: Service<Req>, Req, K, C> fmt::Debug for ResponseFuture<S, Req, K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = match &self.state {
            State::Alone(_) => "alone",
            State::Member(member) => match member.role {
                Role::New(..) => "new",
                Role::Follows(..) => "waits",
                Role::Leads(_) => "leads",
                Role::Over => "over",
            },
        };
        f.debug_struct("ResponseFuture").field("role", &role).finish_non_exhaustive()
    }
}
