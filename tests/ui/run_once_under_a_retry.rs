//! Code that can be run only once, under a layer that would run it again.
use steadfast::{Run, retry::RetryLayer};

async fn insert(row: String) -> Result<usize, std::io::Error> {
    Ok(row.len())
}

fn main() {
    let row = String::from("a row");
    let _ = RetryLayer::default().run_once(move || insert(row));
}
