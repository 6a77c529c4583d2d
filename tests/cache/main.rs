//! The cache: what is stored, what is given, and what is renewed.

mod background;
mod changes;
mod instead;
mod support;
