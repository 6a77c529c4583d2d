//! The cache: what is stored, what is given, and what is renewed.

// The ban on sleeping is for the crate.
#![allow(clippy::disallowed_methods)]

mod background;
mod changes;
mod instead;
mod support;
