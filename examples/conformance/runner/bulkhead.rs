//! Recorded bulkhead scenarios, as `tests/data/resilience4j/FORMAT.md` describes them, and our bulkhead for them: the
//! real service and its handle, with calls that are polled by hand, only when they have been woken.

use std::{
    cell::Cell,
    collections::VecDeque,
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::{Arc, Mutex},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use serde::Deserialize;
use steadfast::bulkhead::{
    Bulkhead as Service, BulkheadLayer, BulkheadSettings, Permit, ResponseFuture, UntilResponse,
};
use tower::{Layer, Service as _};

use super::{
    bulkhead_model::Model,
    recorded::{Machine, Scenario, Subject},
    rules::Rule,
};

/// The bulkhead.
#[derive(Clone, Debug)]
pub(crate) struct Bulkhead;

impl Subject for Bulkhead {
    type Config = Config;
    type Step = Step;
    type Row = Row;
    type Model = Model;

    fn applies(rule: Rule, scenario: &Scenario<Self>, step: Option<&Step>) -> bool {
        match (rule, step) {
            (Rule::NoOverRelease, Some(Step::Exit | Step::Release)) => scenario.has("unpaired_exit"),
            (Rule::ResizeNeverBlocks, Some(Step::ChangeConfig { .. })) => scenario.has("blocking_change_config"),
            (Rule::LimitOverZero, Some(Step::ChangeConfig { max_concurrent_calls: 0 })) => true,
            (Rule::LimitOverZero, None) => scenario.config.max_concurrent_calls == 0,
            _ => false,
        }
    }
}

/// The configuration of a Resilience4j bulkhead. How long a call waits is longer than any scenario.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) max_concurrent_calls: u32,
    #[serde(rename = "max_wait_duration_ms")]
    _max_wait_duration_ms: u64,
    pub(crate) fair_call_handling_enabled: bool,
}

/// What is done at one step.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(crate) enum Step {
    TryEnter,
    Enter { call: u64 },
    Exit,
    Release,
    ChangeConfig { max_concurrent_calls: u32 },
}

/// What a bulkhead looks like after a step. The limits are `None` while there is no bulkhead: its limit was refused.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(from = "RawRow")]
pub(crate) struct Row {
    pub(crate) result: Option<Outcome>,
    pub(crate) available: Option<i64>,
    pub(crate) max: Option<u32>,
    /// What this step let finish of what waited, in order.
    pub(crate) completed: Vec<Completed>,
}

/// What a step answers, if it answers anything.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub(crate) enum Outcome {
    Entered(bool),
    Said(Word),
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Word {
    Blocked,
    Done,
    /// Ours only: the setting makes no sense.
    Refused,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub(crate) enum Completed {
    Call(u64, bool),
    Operation(String, Word),
}

type RawRow = (Option<Outcome>, i64, u32, Vec<Completed>);

impl From<RawRow> for Row {
    fn from((result, available, max, completed): RawRow) -> Self {
        Self { result, available: Some(available), max: Some(max), completed }
    }
}

/// The bulkhead of this crate, and the calls in and before it.
pub(crate) struct Real {
    /// `None` while its limit was refused.
    pub(super) layer: Option<BulkheadLayer>,
    inside: VecDeque<Inside>,
    waiting: Vec<Call>,
    woken: Arc<Mutex<Vec<u64>>>,
    settings: fn(&mut BulkheadSettings),
}

enum Inside {
    Permit(Permit),
    Call(Call),
}

/// A call that was made through the service.
struct Call {
    number: u64,
    gate: Rc<Gate>,
    future: Pin<Box<ResponseFuture<Work, Rc<Gate>, UntilResponse>>>,
}

/// What a call does when it has its place: until it is told to end, nothing.
#[derive(Default)]
struct Gate {
    begun: Cell<bool>,
    ended: Cell<bool>,
}

#[derive(Clone)]
struct Work;

struct Working(Rc<Gate>);

impl tower::Service<Rc<Gate>> for Work {
    type Response = ();
    type Error = Infallible;
    type Future = Working;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, gate: Rc<Gate>) -> Working {
        gate.begun.set(true);
        Working(gate)
    }
}

impl Future for Working {
    type Output = Result<(), Infallible>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        if self.0.ended.get() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

struct Woken(u64, Arc<Mutex<Vec<u64>>>);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.1.lock().expect("no panic").push(self.0);
    }
}

impl Real {
    pub(crate) fn new(config: &Config) -> Self {
        Self::with(config.max_concurrent_calls, |_| {})
    }

    pub(super) fn with(limit: u32, settings: fn(&mut BulkheadSettings)) -> Self {
        let mut real =
            Self { layer: None, inside: VecDeque::new(), waiting: Vec::new(), woken: Arc::default(), settings };
        real.build(limit);
        real
    }

    /// Makes the bulkhead, if its limit makes sense.
    fn build(&mut self, limit: u32) -> Word {
        let builder = Service::builder(limit).max_waiting(1_000_000).max_wait(Duration::MAX);
        self.layer = builder.build().ok();
        let Some(layer) = &self.layer else { return Word::Refused };
        layer.handle().change(self.settings).expect("settings that make sense");
        Word::Done
    }

    fn change(&mut self, limit: u32) -> Word {
        match &self.layer {
            Some(layer) => match layer.handle().change(|settings| settings.max_concurrent = limit) {
                Ok(()) => Word::Done,
                Err(_) => Word::Refused,
            },
            None => self.build(limit),
        }
    }

    fn try_enter(&mut self) -> bool {
        let permit = self.layer.as_ref().and_then(|layer| layer.handle().try_acquire().ok());
        let entered = permit.is_some();
        self.inside.extend(permit.map(Inside::Permit));
        entered
    }

    fn enter(&mut self, number: u64) -> Outcome {
        let Some(layer) = &self.layer else { return Outcome::Entered(false) };
        let gate = Rc::<Gate>::default();
        let mut call = Call { number, gate: Rc::clone(&gate), future: Box::pin(layer.layer(Work).call(gate)) };
        if call.poll(&self.woken).is_ready() {
            return Outcome::Entered(false);
        }
        if call.gate.begun.get() {
            self.inside.push_back(Inside::Call(call));
            return Outcome::Entered(true);
        }
        self.waiting.push(call);
        Outcome::Said(Word::Blocked)
    }

    /// The oldest call ends: with a response, or dropped.
    fn leave(&mut self, with_response: bool) {
        match self.inside.pop_front() {
            Some(Inside::Call(mut call)) if with_response => {
                call.gate.ended.set(true);
                assert!(call.poll(&self.woken).is_ready(), "the service has answered");
            }
            Some(Inside::Call(call)) => drop(call),
            Some(Inside::Permit(permit)) => drop(permit),
            None => {}
        }
    }

    /// Polls who was woken, in that order, until nobody is.
    fn run(&mut self) -> Vec<Completed> {
        let mut completed = Vec::new();
        loop {
            let woken = std::mem::take(&mut *self.woken.lock().expect("no panic"));
            if woken.is_empty() {
                return completed;
            }
            for number in woken {
                let Some(at) = self.waiting.iter().position(|call| call.number == number) else { continue };
                let ready = self.waiting[at].poll(&self.woken).is_ready();
                if ready || self.waiting[at].gate.begun.get() {
                    completed.push(Completed::Call(number, !ready));
                    let call = self.waiting.remove(at);
                    self.inside.extend((!ready).then_some(Inside::Call(call)));
                }
            }
        }
    }

    fn outcome(&mut self, step: &Step) -> Option<Outcome> {
        match *step {
            Step::TryEnter => Some(Outcome::Entered(self.try_enter())),
            Step::Enter { call } => Some(self.enter(call)),
            Step::Exit | Step::Release => {
                self.leave(matches!(step, Step::Exit));
                None
            }
            Step::ChangeConfig { max_concurrent_calls } => Some(Outcome::Said(self.change(max_concurrent_calls))),
        }
    }

    /// A step whose wake-ups are lost, to be found.
    pub(super) fn without_waking(&mut self, step: &Step) -> Row {
        let result = self.outcome(step);
        self.woken.lock().expect("no panic").clear();
        self.row_with(result, Vec::new())
    }

    pub(super) fn row_with(&self, result: Option<Outcome>, completed: Vec<Completed>) -> Row {
        let snapshot = self.layer.as_ref().map(|layer| layer.handle().snapshot());
        Row {
            result,
            available: snapshot.map(|now| now.max_concurrent.saturating_sub(now.running).into()),
            max: snapshot.map(|now| now.max_concurrent),
            completed,
        }
    }
}

impl Call {
    fn poll(&mut self, woken: &Arc<Mutex<Vec<u64>>>) -> Poll<()> {
        let waker = Waker::from(Arc::new(Woken(self.number, Arc::clone(woken))));
        self.future.as_mut().poll(&mut Context::from_waker(&waker)).map(drop)
    }
}

impl Machine<Bulkhead> for Real {
    fn row(&mut self) -> Row {
        self.row_with(None, Vec::new())
    }

    fn step(&mut self, step: &Step) -> Row {
        let result = self.outcome(step);
        let completed = self.run();
        self.row_with(result, completed)
    }
}

impl fmt::Debug for Real {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Real").field("layer", &self.layer).finish_non_exhaustive()
    }
}
