//! Finds the layers of the crate in its source, so that one cannot be forgotten.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The names of all types in the sources below `folder` that implement `Layer`.
pub(crate) fn layers_below(folder: &Path) -> BTreeSet<String> {
    sources(folder).iter().flat_map(|path| layers_in(&fs::read_to_string(path).unwrap())).collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The names of the types in `source` with an `impl<...> Layer<...> for NAME`.
fn layers_in(source: &str) -> Vec<String> {
    let code: String = source.lines().map(|line| line.split("//").next().unwrap_or("").to_owned() + "\n").collect();
    let mut found = Vec::new();
    let mut rest = code.as_str();
    while let Some(at) = rest.find("impl") {
        let begins = !rest[..at].ends_with(is_word);
        rest = &rest[at + "impl".len()..];
        if begins {
            found.extend(layer_of(rest));
        }
    }
    found
}

/// The type that `Layer` is implemented for, if `rest` is what follows the `impl` of such an implementation.
fn layer_of(rest: &str) -> Option<String> {
    let path = skip_generics(rest.trim_start())?.trim_start();
    let end = path.find(|c| !is_word(c) && c != ':')?;
    let (name, rest) = path.split_at(end);
    if name.rsplit("::").next() != Some("Layer") {
        return None;
    }
    let target = skip_generics(rest)?.trim_start().strip_prefix("for")?.trim_start();
    let end = target.find(|c| !is_word(c) && c != ':').unwrap_or(target.len());
    target[..end].rsplit("::").next().map(str::to_owned)
}

/// What follows the `<...>` at the beginning of `text`; all of it if there is none.
fn skip_generics(text: &str) -> Option<&str> {
    if !text.starts_with('<') {
        return Some(text);
    }
    let mut depth = 0;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '<' => depth += 1,
            // Not the end of an arrow.
            '>' if before != '-' && before != '=' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(&text[at + 1..]);
        }
        before = c;
    }
    None
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[test]
fn the_scanner_finds_layers_however_they_are_written_and_nothing_else() {
    let source = "
        impl<S> Layer<S> for PlainLayer { type Service = Plain<S>; }
        impl<S, F: Fn(&S) -> Option<Vec<S>>, const N: usize> tower::Layer<S>
            for crate::shed::LongLayer<F, N>
        where
            F: Clone,
        {
        }
        impl Layer<Local> for NarrowLayer {}
        // impl<S> Layer<S> for CommentedLayer {}
        /// impl<S> Layer<S> for DocumentedLayer {}
        impl<L: Layer<S>, S> Run for L {}
        impl<S> Default for DefaultLayer<S> {}
        impl<S> MyLayer<S> for OtherTraitLayer {}
        impl<C> InherentLayer<C> { fn simpl() {} }
    ";
    assert_eq!(layers_in(source), ["PlainLayer", "LongLayer", "NarrowLayer"]);
}
