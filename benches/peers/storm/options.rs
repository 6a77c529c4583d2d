//! What is asked for on the command line.

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) seeds: u64,
    /// Peers with this in their name.
    pub(crate) only: Option<String>,
    /// The one scenario of this name.
    pub(crate) scenario: Option<String>,
}

impl Options {
    pub(crate) fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { seeds: 3, only: None, scenario: None };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                // Passed by `cargo bench`.
                "--bench" => {}
                "--seeds" => {
                    let seeds = value()?;
                    let number = seeds.parse().ok().filter(|seeds| (1..=1000).contains(seeds));
                    options.seeds = number.ok_or(format!("--seeds is {seeds}; allowed: 1 to 1000"))?;
                }
                "--only" => options.only = Some(value()?),
                "--scenario" => options.scenario = Some(value()?),
                _ => return Err(format!("unknown argument {argument}")),
            }
        }
        Ok(options)
    }
}
