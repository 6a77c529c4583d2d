//! What the task asks of what is shared, and what it brings.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use super::{
    super::{FailoverEvent, Meta, check::Checked, control::Control, members::Change, probe::Report},
    Shared,
};
use crate::telemetry::Name;

impl<S> Shared<S> {
    /// The endpoints that are to be probed now.
    pub(in crate::failover) fn to_probe(&self) -> Vec<(u32, Meta)> {
        let now = self.clock.now();
        let mut control = self.control.lock();
        let ids = control.fleet.due_probe(now);
        let metas = control.fleet.metas().filter(|(id, ..)| ids.contains(id));
        metas.map(|(id, meta, _)| (id, meta.clone())).collect()
    }

    /// When the task has something to do. Who is silent is not judged before `silence_from`.
    pub(in crate::failover) fn next_of_task(&self, silence_from: Duration) -> Option<Duration> {
        let control = self.control.lock();
        let silence = control.fleet.next_silence().map(|next| next.max(silence_from));
        [control.fleet.task_due(), silence, self.view.load().due].into_iter().flatten().min()
    }

    /// A task begins, after another one perhaps: the probes of that are lost.
    pub(in crate::failover) fn task_begins(&self) {
        self.act(|control, now| control.fleet.ask_anew(now));
    }

    /// All reports have been read that came before `heard`.
    pub(in crate::failover) fn judge_silence(&self, heard: Duration) {
        if self.control.lock().fleet.next_silence().is_some_and(|next| next <= heard) {
            self.act(|control, now| control.fleet.judge_silence(heard, now));
        }
    }

    pub(in crate::failover) fn probed(&self, id: u32, result: Result<Report, Name>) {
        if let Ok(report) = &result
            && self.goes_on(|control, now| control.fleet.probed_again(id, report, now))
        {
            return;
        }
        self.act(|control, now| control.fleet.probed(id, result, now));
    }

    /// A probe has come to nothing that says anything of the endpoint.
    pub(in crate::failover) fn probe_lost(&self, id: u32) {
        self.act(|control, now| control.fleet.probe_lost(id, now));
    }

    pub(in crate::failover) fn reported(&self, key: &str, report: Report) {
        let again = |control: &mut Control<S>, now: Duration| {
            control.fleet.id_of(key).is_some_and(|id| control.fleet.reported_again(id, &report, now))
        };
        if self.goes_on(again) {
            return;
        }
        self.act(|control, now| {
            if let Some(id) = control.fleet.id_of(key) {
                control.fleet.reported(id, report, now);
            }
        });
    }

    /// Whether nothing is due, nor has changed by this: most of what probes and reports say. It is for the task, which sees by
    /// itself when it has something to do next.
    fn goes_on(&self, learn: impl FnOnce(&mut Control<S>, Duration) -> bool) -> bool {
        let now = self.clock.now();
        let mut control = self.control.lock();
        let goes_on = control.shown.due.is_none_or(|due| now < due) && learn(&mut control, now);
        let tells = goes_on && std::mem::take(&mut control.awaits_answer);
        drop(control);
        if tells {
            self.changed.notify_waiters();
        }
        goes_on
    }

    /// A cold standby that is to be started.
    pub(in crate::failover) fn to_start(&self) -> Option<u32> {
        if self.cold_is_due() { self.act(|control, now| control.fleet.due_start(now)) } else { None }
    }

    /// Those that are to be stopped.
    pub(in crate::failover) fn to_stop(&self) -> Vec<u32> {
        if self.cold_is_due() { self.act(|control, now| control.fleet.due_stop(now)) } else { Vec::new() }
    }

    fn cold_is_due(&self) -> bool {
        let now = self.clock.now();
        self.control.lock().fleet.cold_due().any(|due| now >= due)
    }

    /// A cold standby has been stopped, or could not be.
    pub(in crate::failover) fn stopped(&self, id: u32, result: Result<(), Name>) {
        self.act(|control, now| control.fleet.stopped(id, result, now));
    }

    /// A cold standby runs, or could not be started.
    pub(in crate::failover) fn started(
        &self,
        id: u32,
        result: Result<S, Name>,
        checked: impl FnOnce(Duration) -> Checked,
    ) {
        let Some(slot) = self.slot(id) else { return };
        let result = result.map(|service| slot.made.store(Some(Arc::new(service))));
        self.act(|control, now| control.fleet.started(id, result.map(|()| checked(now)), now));
    }

    /// A service has been made, or could not be.
    pub(in crate::failover) fn made(&self, id: u32, result: Result<S, Name>) {
        if let Some(slot) = self.slot(id) {
            match result {
                Ok(service) => {
                    slot.times_made.fetch_add(1, Relaxed);
                    slot.made.store(Some(Arc::new(service)));
                }
                Err(why) => {
                    slot.make_failures.fetch_add(1, Relaxed);
                    self.tell(FailoverEvent::MakeFailed { key: (*slot.key).clone(), why });
                }
            }
            self.changed.notify_waiters();
        }
    }

    /// The set of a source changes; `None`: it does not any more.
    pub(in crate::failover) fn apply(
        &self,
        source: u32,
        change: Option<Change<S>>,
        checked: impl FnOnce(Duration) -> Checked,
    ) {
        self.act(|control, now| match change {
            Some(change) => control.apply(source, change, checked(now), now),
            None => control.told(source),
        });
    }
}
