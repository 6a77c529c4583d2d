//! Any sequence of calls, cancellations, ends and changes, next to a model of a few lines.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{Future, pending},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Waker},
};

use futures::future::BoxFuture;
use proptest::prelude::*;
use steadfast::{
    Rejected,
    bulkhead::{Bulkhead, Order},
};
use tower::{Layer, ServiceExt};

use crate::support::EVER;

#[derive(Clone, Debug)]
enum Step {
    Call,
    Drop(usize),
    Poll(usize),
    Limit(u32),
    Order(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Call),
        3 => any::<usize>().prop_map(Step::Drop),
        2 => any::<usize>().prop_map(Step::Poll),
        1 => (1_u32..5).prop_map(Step::Limit),
        1 => any::<bool>().prop_map(Step::Order),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    #[test]
    fn it_is_a_counter_and_a_list(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let _entered = runtime.enter();
        let layer = Bulkhead::builder(2).max_waiting(3).max_wait(EVER).build().unwrap();
        let began = Arc::new(Mutex::new(Vec::new()));
        let began_too = Arc::clone(&began);
        let service = layer.layer(tower::service_fn(move |number: u32| {
            began_too.lock().unwrap().push(number);
            pending::<Result<(), Infallible>>()
        }));
        let mut calls: Vec<(u32, BoxFuture<'static, Result<(), Rejected>>)> = Vec::new();
        // The model: who has a place, who waits.
        let (mut limit, mut lifo) = (2, false);
        let (mut running, mut waiting) = (Vec::new(), VecDeque::new());
        let mut cx = Context::from_waker(Waker::noop());
        for (number, step) in (0..).zip(steps) {
            match step {
                Step::Call => {
                    let mut call: Pin<Box<_>> = Box::pin(service.clone().oneshot(number));
                    let refused = call.as_mut().poll(&mut cx).is_ready();
                    prop_assert_eq!(refused, running.len() >= limit as usize && waiting.len() >= 3);
                    if !refused {
                        waiting.push_back(number);
                        calls.push((number, call));
                    }
                }
                Step::Drop(which) if !calls.is_empty() => {
                    let (number, call) = calls.swap_remove(which % calls.len());
                    drop(call);
                    running.retain(|other| *other != number);
                    waiting.retain(|other| *other != number);
                }
                Step::Poll(which) if !calls.is_empty() => {
                    let at = which % calls.len();
                    prop_assert!(calls[at].1.as_mut().poll(&mut cx).is_pending());
                }
                Step::Limit(to) => {
                    limit = to;
                    layer.handle().change(|settings| settings.max_concurrent = to).unwrap();
                }
                Step::Order(to_lifo) => {
                    lifo = to_lifo;
                    let order = if lifo { Order::Lifo } else { Order::Fifo };
                    layer.handle().change(|settings| settings.order = order).unwrap();
                }
                Step::Drop(_) | Step::Poll(_) => {}
            }
            while running.len() < limit as usize && !waiting.is_empty() {
                running.extend(if lifo { waiting.pop_back() } else { waiting.pop_front() });
            }
            let snapshot = layer.handle().snapshot();
            prop_assert_eq!((snapshot.running as usize, snapshot.waiting), (running.len(), waiting.len()));
        }
        // All that have a place begin when they are asked, and nobody else.
        for (number, call) in &mut calls {
            prop_assert!(call.as_mut().poll(&mut cx).is_pending());
            prop_assert_eq!(began.lock().unwrap().contains(number), running.contains(number));
        }
        drop(calls);
        let snapshot = layer.handle().snapshot();
        prop_assert_eq!((snapshot.running, snapshot.waiting), (0, 0));
    }
}
