//! A second attempt of a call while the first is under way: sent by a hedge or after a soft timeout.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project::pin_project;

use super::{
    Budget,
    call::{Call, Token},
    lane::{Busy, Lane},
    layer::Shared,
    plan::{self, Plan, Timing},
    policy::Ended,
};
use crate::{
    Verdict, context,
    hedge::{Core, Why},
    stall,
    time::{self, Instant, Sleep},
};

/// Whether a call may have a second attempt under way while the first is pending: [`NoBackup`] or [`Backup`].
pub trait Backups: sealed::Kind {}

/// One attempt at a time.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoBackup;

/// Up to two attempts at a time, for a [`Hedge`](crate::hedge::Hedge) and the soft timeout.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backup;

impl Backups for NoBackup {}
impl Backups for Backup {}

pub(super) mod sealed {
    use std::{fmt, pin::Pin};

    use super::{Backup, Lane, NoBackup, Second, Sleep, Timing, Token};

    /// What a call has for its second attempt: nothing at all where there is none.
    pub trait Kind: Copy + fmt::Debug + Send + Sync + 'static {
        #[doc(hidden)]
        type Second<F>;

        #[doc(hidden)]
        fn second<F>() -> Self::Second<F>;

        #[doc(hidden)]
        fn project<F>(second: Pin<&mut Self::Second<F>>) -> Option<Pin<&mut Second<F>>>;
    }

    impl Kind for NoBackup {
        type Second<F> = ();

        fn second<F>() {}

        fn project<F>(_: Pin<&mut ()>) -> Option<Pin<&mut Second<F>>> {
            None
        }
    }

    impl Kind for Backup {
        type Second<F> = Second<F>;

        fn second<F>() -> Second<F> {
            Second {
                lane: Lane::Out,
                alarm: None::<Sleep>,
                token: Token::default(),
                timings: [Timing::default(); 2],
                planned: None,
                first: true,
                hedged: false,
                backups: 0,
            }
        }

        fn project<F>(second: Pin<&mut Second<F>>) -> Option<Pin<&mut Second<F>>> {
            Some(second)
        }
    }
}

/// The second lane of a call, and when it is used.
#[pin_project(project = SecondProj)]
pub struct Second<F> {
    #[pin]
    pub(super) lane: Lane<F>,
    #[pin]
    alarm: Option<Sleep>,
    pub(super) token: Token,
    pub(super) timings: [Timing; 2],
    /// What the alarm is set to, once that has been decided.
    planned: Option<Option<Plan>>,
    /// Whether the first lane has the first attempt.
    pub(super) first: bool,
    /// Whether the hedge has had its say.
    hedged: bool,
    /// How many were sent.
    backups: u32,
}

impl<F> fmt::Debug for Second<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Second").finish_non_exhaustive()
    }
}

/// What follows an attempt depends on the other one.
pub(super) trait Around {
    /// Hears how an attempt ended. Whether it is simply left, as the other one goes on.
    fn leaves(&mut self, shared: &Shared, ended: Ended) -> bool;

    /// Whether the other one goes on.
    fn others(&self) -> bool;

    /// Whether a failure is followed by the backup at once.
    fn at_once(&self, shared: &Shared, ended: Ended) -> bool;

    /// Whether it is the call's first attempt that has ended, after so many waits.
    fn is_first(&self, waits: u32) -> bool;

    /// The call has succeeded, by an attempt that was sent for this reason.
    fn succeeded(&mut self, shared: &Shared, backup: Option<Why>);

    /// How many backups were sent.
    fn backups(&self) -> u32;
}

/// There is no other.
pub(super) struct Alone;

impl Around for Alone {
    fn leaves(&mut self, _: &Shared, _: Ended) -> bool {
        false
    }

    fn others(&self) -> bool {
        false
    }

    fn at_once(&self, _: &Shared, _: Ended) -> bool {
        false
    }

    fn is_first(&self, waits: u32) -> bool {
        waits == 0
    }

    fn succeeded(&mut self, _: &Shared, _: Option<Why>) {}

    fn backups(&self) -> u32 {
        0
    }
}

/// There may be one, which does this.
pub(super) struct Beside {
    lane: usize,
    other: Busy,
    timings: [Timing; 2],
    first: bool,
    hedged: bool,
    backups: u32,
}

impl Beside {
    pub(super) fn of<F>(second: &SecondProj<'_, F>, lane: usize, other: Busy) -> Self {
        let SecondProj { timings, first, hedged, backups, .. } = second;
        Self { lane, other, timings: **timings, first: **first, hedged: **hedged, backups: **backups }
    }
}

impl Around for Beside {
    fn leaves(&mut self, shared: &Shared, ended: Ended) -> bool {
        let refused = matches!(ended, Ended::Refused { .. });
        if refused || matches!(ended, Ended::Answered { verdict: Verdict::Overloaded { .. }, .. }) {
            shared.overloaded();
        }
        match self.other {
            Busy::Preparing => true,
            Busy::Trying => refused,
            Busy::Out => false,
        }
    }

    fn others(&self) -> bool {
        self.other != Busy::Out
    }

    fn at_once(&self, shared: &Shared, ended: Ended) -> bool {
        // Where it did not even get to, it would not get a moment later either.
        let plain =
            matches!(ended, Ended::Answered { verdict: Verdict::Transient { retry_after: None }, reached: true });
        let core = core(shared);
        plain && self.is_first(0) && !self.hedged && core.settings().hedges() && !core.holds(time::now())
    }

    fn is_first(&self, _: u32) -> bool {
        self.lane == 0 && self.first
    }

    fn succeeded(&mut self, shared: &Shared, backup: Option<Why>) {
        if self.first {
            seen(shared, &self.timings[0]);
        }
        if let Some(why) = backup {
            shared.backup_won(why, self.timings[self.lane].number);
        }
    }

    fn backups(&self) -> u32 {
        self.backups
    }
}

fn core(shared: &Shared) -> &Core {
    shared.hedge.as_deref().expect("a retry with backups has what they need")
}

/// The first attempt has taken so long, or at least so long if the call ends by another one: counted either way, or
/// what is slow would be the less seen the more it is hedged. One that never had to wait says nothing of waiting, nor does
/// one in a stall of our own.
fn seen(shared: &Shared, first: &Timing) {
    if let Some(started) = first.started
        && !stall::is_stalled()
    {
        let now = time::now();
        core(shared).record(now, now.saturating_duration_since(started));
    }
}

impl<F> SecondProj<'_, F> {
    /// The call begins.
    pub(super) fn begin<Req>(&mut self, call: &Call<Req>, shared: &Shared) {
        self.timings[0].number = call.attempts.made();
        core(shared).deposit();
    }

    /// Tells of a stall that the alarm has seen, before any attempt is judged.
    pub(super) fn notice(&mut self) {
        if let Some(alarm) = self.alarm.as_mut().as_pin_mut() {
            alarm.notice();
        }
    }

    /// The attempt of a lane has ended, or makes room; it is followed by the attempt of this number, if by any.
    pub(super) fn ended(&mut self, lane: usize, number: u32) {
        *self.first &= lane != 0;
        *self.planned = None;
        self.timings[lane] = Timing { number, started: None, backed: false };
    }

    /// The call is over.
    pub(super) fn clear(&mut self) {
        self.lane.set(Lane::Out);
        self.alarm.set(None);
        *self.token = Token::default();
    }

    /// All attempts are pending: looks after the next backup. Ready when one has begun.
    pub(super) fn poll_backup<Req>(
        &mut self,
        mut first: Pin<&mut Lane<F>>,
        first_token: &mut Token,
        call: &mut Call<Req>,
        shared: &Arc<Shared>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let busy = [first.busy(), self.lane.busy()];
        loop {
            let new = (0..2).any(|lane| busy[lane] == Busy::Trying && self.timings[lane].started.is_none());
            if new || self.planned.is_none() {
                let now = time::now();
                let plan = self.plan(busy, call, shared, now);
                *self.planned = Some(plan);
                self.alarm.set(plan.filter(|plan| plan.at > now).map(|plan| Sleep::until(plan.at)));
            }
            let Some(plan) = self.planned.flatten() else { return Poll::Pending };
            if self.alarm.as_mut().as_pin_mut().is_some_and(|alarm| !alarm.poll_elapsed(cx)) {
                return Poll::Pending;
            }
            let waited = self.alarm.is_some();
            self.alarm.set(None);
            *self.planned = None;
            if waited && stall::is_stalled() {
                // It is us who took so long, and the answers may be there already: the attempts have their time anew.
                self.timings.iter_mut().for_each(|timing| timing.started = None);
                continue;
            }
            if !self.is_due(plan, call, shared) {
                continue;
            }
            if busy[plan.into] == Busy::Trying {
                // It makes room, and the service has it.
                call.reached = true;
                if plan.into == 0 && *self.first {
                    seen(shared, &self.timings[0]);
                }
            }
            call.attempts.take();
            *self.backups += 1;
            let (number, token) = (call.attempts.made(), Token::of_backup(shared, plan.why));
            match plan.into {
                0 => (first.set(Lane::Readying), *first_token = token),
                _ => (self.lane.set(Lane::Readying), *self.token = token),
            };
            self.ended(plan.into, number);
            shared.backup(plan.why, number);
            return Poll::Ready(());
        }
    }

    fn plan<Req>(&mut self, busy: [Busy; 2], call: &Call<Req>, shared: &Shared, now: Instant) -> Option<Plan> {
        for (busy, timing) in busy.iter().zip(&mut *self.timings) {
            if *busy == Busy::Trying {
                timing.started.get_or_insert(now);
            }
        }
        if !may_send(call) || !call.may_repeat {
            return None;
        }
        let core = core(shared);
        let settings = core.settings();
        let hedge = if *self.first && !*self.hedged { core.due(&settings, now) } else { None };
        if hedge.is_none() && settings.soft_timeout.is_none() {
            return None;
        }
        let (timings, deadline) = (*self.timings, context::deadline());
        plan::plan(plan::Facts { busy, timings, hedge, soft_timeout: settings.soft_timeout, deadline })
    }

    /// Whether the backup whose time has come is sent; it is not planned again either way.
    fn is_due<Req>(&mut self, plan: Plan, call: &Call<Req>, shared: &Shared) -> bool {
        let core = core(shared);
        match plan.why {
            Why::Hedge => *self.hedged = true,
            Why::SoftTimeout => self.timings[plan.of].backed = true,
        }
        if !may_send(call) {
            return false;
        }
        if core.holds(time::now()) {
            core.held();
            return false;
        }
        match plan.why {
            Why::Hedge => core.withdraw(),
            Why::SoftTimeout => shared.budget.as_deref().is_none_or(Budget::withdraw),
        }
    }
}

fn may_send<Req>(call: &Call<Req>) -> bool {
    call.attempts.left() && call.copy.is_some()
}
