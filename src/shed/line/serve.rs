//! Who is next.

use std::mem;

use super::{Line, Moment, Slot};
use crate::{
    shed::{class::Class, handle::Cause},
    slots::Ticket,
};

/// Who would get a place, and which list its flow is on.
#[derive(Clone, Copy, Debug)]
struct Next {
    class: Class,
    flow: usize,
    ticket: Ticket,
    from: From,
}

#[derive(Clone, Copy, Debug)]
enum From {
    OldestNew,
    NewestNew,
    Old,
}

impl<W> Line<W> {
    /// Sheds who waits in vain, of those that are next.
    pub(in crate::shed) fn prune(&mut self, at: Moment) {
        while let Some(Next { class, flow, ticket, .. }) = self.next(at) {
            let Some(Slot::Waiting { call, .. }) = self.slots.get(ticket) else { return };
            if let Some(left) = call.deadline.map(|deadline| deadline.saturating_sub(at.now)) {
                // With less time left than calls of its priority take on average it is likely to be work for nothing. The
                // last one is not judged: were everybody refused for what was seen in a slow hour, nobody would ever see
                // that things have changed. Nor the last of an importance, or its place would go to a lesser one.
                let cause = match left {
                    left if left.is_zero() => Some(Cause::Expired),
                    left if self.classes[class.index()].waiting > 1 && left < at.takes[class.priority()] => {
                        Some(Cause::Hopeless)
                    }
                    _ => None,
                };
                if let Some(cause) = cause {
                    self.shed(at.now, ticket, cause);
                    continue;
                }
            }
            let patience = self.patience(at, class, flow);
            while let Some(oldest) = self.slots.first(&self.classes[class.index()].flows[flow].list) {
                let Some(Slot::Waiting { since, .. }) = self.slots.get(oldest) else { return };
                // Not the next one itself: there may be a place for it now.
                if oldest == ticket || at.now.saturating_sub(*since) <= patience {
                    return;
                }
                self.shed_and_those_below(at.now, oldest, class);
            }
        }
    }

    /// Gives a place to the next one.
    pub(in crate::shed) fn give(&mut self, at: Moment) -> Option<W> {
        let Next { class, flow, ticket, from } = self.next(at)?;
        self.unlink(ticket);
        // A flow that has had its turn is behind the others. It is so for a round even without calls, or one with a call now
        // and then would always be new.
        let queue = &mut self.classes[class.index()];
        match from {
            From::OldestNew => queue.new.pop_front(),
            From::NewestNew => queue.new.pop_back(),
            From::Old => queue.old.pop_front(),
        };
        queue.old.push_back(flow as u32);
        match mem::replace(self.slots.get_mut(ticket)?, Slot::Given(at.now)) {
            Slot::Waiting { waker, .. } => Some(waker),
            _ => None,
        }
    }

    /// Who would get a place. Takes flows that have run empty off the lists.
    fn next(&mut self, at: Moment) -> Option<Next> {
        let class = (0..Class::COUNT).rev().map(Class::at).find(|class| self.classes[class.index()].waiting > 0)?;
        let newest =
            self.rules.adaptive_lifo && self.classes[class.index()].since.is_some_and(|since| self.long_ago(at, since));
        let queue = &mut self.classes[class.index()];
        let (flow, from) = loop {
            let (flow, from) = if queue.new.is_empty() {
                (*queue.old.front()?, From::Old)
            } else if newest {
                (*queue.new.back()?, From::NewestNew)
            } else {
                (*queue.new.front()?, From::OldestNew)
            };
            let state = &mut queue.flows[flow as usize];
            if !state.list.is_empty() {
                break (flow as usize, from);
            }
            state.listed = false;
            match from {
                From::OldestNew => queue.new.pop_front(),
                From::NewestNew => queue.new.pop_back(),
                From::Old => queue.old.pop_front(),
            };
        };
        let newest_first = self.newest_first(at, class, flow);
        let list = &self.classes[class.index()].flows[flow].list;
        let ticket = if newest_first { self.slots.last(list) } else { self.slots.first(list) };
        ticket.map(|ticket| Next { class, flow, ticket, from })
    }
}
