//! What is said, and which files are written.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use steadfast::storm::{Candidate, Report, Scenario};

use crate::{
    figures::Row,
    jobs::{self, Job},
    problem::Problem,
};

/// Where everything goes, and how many runs there are at once.
#[derive(Debug)]
pub(crate) struct Output {
    folder: PathBuf,
    threads: usize,
    pub(crate) runs: usize,
    files: usize,
    /// What was said, instead of saying it.
    #[cfg(test)]
    pub(crate) said: String,
}

/// The reports of one stack in one scenario, one for each seed, and their means.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) scenario: Arc<Scenario>,
    pub(crate) reports: Vec<Report>,
    pub(crate) row: Row,
}

impl Output {
    pub(crate) fn new(folder: PathBuf, threads: usize) -> Self {
        Self {
            folder,
            threads,
            runs: 0,
            files: 0,
            #[cfg(test)]
            said: String::new(),
        }
    }

    /// Makes the folder: what cannot be written is to be known before anything is run.
    pub(crate) fn prepare(&self) -> Result<(), Problem> {
        fs::create_dir_all(&self.folder)
            .map_err(|error| Problem::new("--out", error.to_string()).of(&self.folder.display().to_string()))
    }

    /// To standard output. Who reads only the beginning is no mistake.
    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "it is kept there in tests")]
    pub(crate) fn say(&mut self, text: &str) {
        use std::{
            io::{ErrorKind, Write as _},
            process,
        };
        let mut out = std::io::stdout().lock();
        match writeln!(out, "{text}").and_then(|()| out.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => process::exit(0),
            Err(error) => {
                eprintln!("storm: standard output: {error}");
                process::exit(1);
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn say(&mut self, text: &str) {
        self.said += text;
        self.said.push('\n');
    }

    /// A file in the folder; its path.
    pub(crate) fn write(&mut self, name: &str, content: &str) -> Result<String, Problem> {
        let name: String =
            name.chars().map(|c| if c.is_alphanumeric() || "-_.+".contains(c) { c } else { '_' }).collect();
        let path = self.folder.join(name);
        let written = fs::write(&path, content);
        written.map_err(|error| Problem::new("", error.to_string()).of(&path.display().to_string()))?;
        self.files += 1;
        Ok(path.display().to_string())
    }

    /// A picture in the folder; its path.
    pub(crate) fn draw(
        &mut self,
        name: &str,
        drawn: Result<String, Box<dyn std::error::Error>>,
    ) -> Result<String, Problem> {
        let svg = drawn.map_err(|error| Problem::new("", error.to_string()).of(name))?;
        self.write(name, &svg)
    }

    /// Runs each pair with each seed.
    pub(crate) fn runs(
        &mut self,
        pairs: &[(Arc<dyn Candidate>, Arc<Scenario>)],
        seeds: std::ops::Range<u64>,
    ) -> Result<Vec<Cell>, Problem> {
        let mut jobs = Vec::new();
        for (stack, scenario) in pairs {
            let job = |seed| Job { stack: Arc::clone(stack), scenario: Arc::clone(scenario), seed };
            jobs.extend(seeds.clone().map(job));
        }
        self.runs += jobs.len();
        let mut reports = jobs::run(&jobs, self.threads)?.into_iter();
        let cells = pairs.iter().map(|(_, scenario)| {
            let reports: Vec<_> = reports.by_ref().take(seeds.clone().count()).collect();
            let row = Row::of(&reports, scenario);
            Cell { scenario: Arc::clone(scenario), reports, row }
        });
        Ok(cells.collect())
    }

    /// Says how long it took, on standard error: it is no result.
    pub(crate) fn close(&self, took: Duration) {
        let files = match self.files {
            0 => String::new(),
            1 => format!(", 1 file in {}", self.folder.display()),
            files => format!(", {files} files in {}", self.folder.display()),
        };
        eprintln!("{} runs in {:.1} s{files}", self.runs, took.as_secs_f64());
    }
}

/// A CSV. Fields with a comma or a quotation mark are put in quotation marks.
pub(crate) fn csv<'a>(columns: &[&str], rows: impl IntoIterator<Item = &'a [String]>) -> String {
    let field = |field: &str| {
        if field.contains([',', '"', '\n']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.to_owned() }
    };
    let line = |fields: Vec<String>| fields.join(",") + "\n";
    let mut text = line(columns.iter().map(|column| field(column)).collect());
    for row in rows {
        text += &line(row.iter().map(|cell| field(cell)).collect());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_csv_are_kept_apart() {
        let row = ["a,b".to_owned(), "say \"no\"".to_owned()];
        assert_eq!(csv(&["x", "y"], [row.as_slice()]), "x,y\n\"a,b\",\"say \"\"no\"\"\"\n");
    }
}
