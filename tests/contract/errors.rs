//! Errors: the innermost one decides what the whole stack answers with, and comes through as it was.

use std::convert::Infallible;

use crate::{
    clock,
    mock::{Answer, Broken, Failure, Mock, Request},
    subjects::Over,
};
use tower::ServiceExt;

/// `E` is the error over a service that cannot fail.
pub(crate) async fn over_infallible<L: Over<Mock<Infallible>, E>, E: std::fmt::Debug>(new: fn() -> L) {
    let service = new().layer(Mock::answering());
    let answer: Result<Answer, E> = clock::within("a call", service.oneshot(Request(1))).await;
    assert_eq!(answer.unwrap(), Answer { number: 1, spare: false });
}

pub(crate) async fn kept<L: Over<Mock<E>, E>, E: Failure>(new: fn() -> L) {
    let answering = new().layer(Mock::answering());
    let answer = clock::within("a call", answering.oneshot(Request(1))).await;
    assert_eq!(answer.unwrap(), Answer { number: 1, spare: false });
    let failing = new().layer(Mock::failing());
    match clock::within("a call", failing.oneshot(Request(2))).await {
        Ok(answer) => assert!(answer.spare, "{answer:?}"),
        Err(error) => assert_eq!(error.broken(), Some(Broken::Call), "{error:?}"),
    }
}
