//! What cannot be simulated, and where it says so.

use std::fmt;

/// A world, fault or knob that cannot be: which field, what was given, what is allowed, and its place in the file if it
/// came from one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StormError {
    field: String,
    problem: String,
    place: Option<(usize, usize)>,
}

impl StormError {
    pub(super) fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into(), place: None }
    }

    pub(super) fn at(mut self, line: usize, column: usize) -> Self {
        self.place = Some((line, column));
        self
    }

    /// The error of what `field` has in it.
    pub(super) fn within(mut self, field: &str) -> Self {
        self.field = format!("{field}.{}", self.field);
        self
    }

    /// The field, as a path: `backends[0].workers`. Empty where the file as a whole is meant.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// What is wrong with it.
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// Line and column in the file, from 1.
    pub fn place(&self) -> Option<(usize, usize)> {
        self.place
    }
}

impl fmt::Display for StormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.place {
            write!(f, "line {line}, column {column}: ")?;
        }
        if !self.field.is_empty() {
            write!(f, "`{}`: ", self.field)?;
        }
        f.write_str(&self.problem)
    }
}

impl std::error::Error for StormError {}
