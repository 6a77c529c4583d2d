//! Every command, on little.

use std::{fs, path::PathBuf};

use clap::{CommandFactory as _, Parser as _};

use super::*;

/// What was missed, what was said, how much was run, and the files.
struct Told {
    missed: Result<Vec<String>, String>,
    said: String,
    runs: usize,
    folder: PathBuf,
}

impl Told {
    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}\n{}", self.said))
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// In a folder of its own, by this name.
fn storm(folder: &str, line: &str) -> Told {
    let folder = std::env::temp_dir().join(format!("storm-{}-{folder}", std::process::id()));
    let words = line.replace("DIR", folder.to_str().unwrap());
    let arguments = Arguments::try_parse_from(["storm"].into_iter().chain(words.split(' '))).unwrap();
    let mut output = Output::new(folder.clone(), jobs::threads(arguments.threads));
    let missed = obey(&arguments.command, &mut output).map_err(|problem| problem.to_string());
    Told { missed, said: output.said, runs: output.runs, folder }
}

#[test]
fn the_examples_of_the_help_are_understood() {
    Arguments::command().debug_assert();
    let lines = args::EXAMPLES.lines().filter_map(|line| line.strip_prefix("  "));
    let lines: Vec<_> = lines.map(|line| line.split("   ").next().unwrap_or(line).replace('\'', "")).collect();
    assert_eq!(lines.len(), 10);
    for line in lines {
        let parsed = Arguments::try_parse_from(["storm"].into_iter().chain(line.split(' ')));
        assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
    }
}

/// The commands of a text that run this tool.
fn commands(text: &str) -> Vec<String> {
    let of = |line: &str| line.split_once("--example storm -- ").map(|(_, command)| command.trim().to_owned());
    text.lines()
        .map(|line| line.trim_start_matches("//! "))
        .filter(|line| line.starts_with("cargo run"))
        .filter_map(of)
        .collect()
}

#[test]
fn the_page_of_the_documentation_can_be_followed() {
    let page = include_str!("../../src/storm/mod.rs");
    let (_, rest) = page.split_once("```toml\n").unwrap();
    let (file, _) = rest.split_once("//! ```").unwrap();
    let file: Vec<_> = file.lines().map(|line| line.trim_start_matches("//!").trim_start_matches(' ')).collect();
    let folder = std::env::temp_dir().join(format!("storm-{}-page-in", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("checkout.toml");
    fs::write(&path, file.join("\n")).unwrap();
    let commands = commands(page);
    assert_eq!(commands.len(), 5);
    for command in commands {
        let told = storm("page", &command.replace("checkout.toml", path.to_str().unwrap()));
        assert_eq!(told.missed, Ok(vec![]), "{command}: {}", told.said);
        let files = fs::read_dir(&told.folder).map_or(0, Iterator::count);
        assert!(files > 1 || command.starts_with("boundary"), "{command} writes {files} files");
        assert!(told.said.contains("checkout") || command.starts_with("suite"), "{command}: {}", told.said);
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_commands_of_the_readmes_are_understood() {
    for (text, most) in [(include_str!("../../README.md"), 1), (include_str!("../README.md"), 5)] {
        let text = text.replace('`', "\n");
        let commands = commands(&text);
        assert_eq!(commands.len(), most);
        for command in commands {
            let parsed = Arguments::try_parse_from(["storm"].into_iter().chain(command.split(' ')));
            assert!(parsed.is_ok(), "{command}: {}", parsed.unwrap_err());
        }
    }
}

#[test]
fn a_folder_that_cannot_be_is_a_problem_before_anything_is_run() {
    let path = std::env::temp_dir().join(format!("storm-{}-no-folder", std::process::id()));
    fs::write(&path, "").unwrap();
    let told = storm("no-folder", "suite --seeds 1 --scenario flap");
    fs::remove_file(&path).unwrap();
    let problem = told.missed.as_ref().unwrap_err();
    assert!(problem.starts_with(&format!("{}: `--out`: ", path.display())), "{problem}");
    assert_eq!((told.runs, told.said.as_str()), (0, ""));
}

#[test]
fn a_suite_comes_out_the_same_however_many_run_at_once() {
    let one = storm("suite-1", "suite --seeds 1 --threads 1");
    let three = storm("suite-3", "suite --seeds 1 --threads 3");
    assert_eq!(one.said, three.said);
    assert_eq!(one.file("suite.csv"), three.file("suite.csv"));
    assert_eq!(one.file("gray-steadfast.svg"), three.file("gray-steadfast.svg"));
    let lines: Vec<_> = one.said.lines().collect();
    let last: Vec<_> = lines[lines.len() - 1].split(' ').collect();
    assert!(matches!(last.as_slice(), ["min", _, "geomean", _]), "{last:?}");
    assert_eq!(lines.iter().filter(|line| line.starts_with('│')).count(), 1 + 16);
}

#[test]
fn what_a_suite_misses_is_named() {
    let line = "suite --seeds 1 --scenario zone_refuse --stack none --require min>=79 --require zone_refuse>=99";
    let told = storm("require", line);
    let missed = told.missed.as_ref().unwrap();
    assert_eq!(missed.len(), 1, "{missed:?}");
    assert!(missed[0].starts_with("none: zone_refuse is ") && missed[0].ends_with("and not >= 99"), "{missed:?}");
}

#[test]
fn a_suite_as_json_has_the_figures_of_the_table() {
    let told = storm("json", "suite --json --seeds 1 --scenario flap --stack none --stack naive");
    let json: serde_json::Value = serde_json::from_str(&told.said).unwrap();
    let stacks = json["stacks"].as_array().unwrap();
    assert_eq!(stacks.len(), 2);
    assert_eq!(stacks[1]["stack"], "naive");
    assert_eq!(stacks[1]["min"], stacks[1]["scenarios"][0]["goodput"]);
    assert!(stacks[0]["min"].as_f64() < stacks[1]["min"].as_f64());
}

#[test]
fn a_run_is_told_as_text_csv_and_picture() {
    let told = storm("run", "run zone_refuse --seed 3");
    assert!(
        told.said.contains("steadfast in zone_refuse, seed 3") && told.said.contains("breaker open"),
        "{}",
        told.said
    );
    let csv = told.file("zone_refuse-steadfast.csv");
    let mut lines = csv.lines();
    assert_eq!(
        lines.next(),
        Some("second,offered,goodput,oracle,attempts,adaptive_limit,adaptive_limit waiting,breaker open,retry tokens")
    );
    assert_eq!(lines.count(), 70);
    assert!(told.file("zone_refuse-steadfast.svg").contains("prefers-color-scheme: dark"));
}

#[test]
fn a_sweep_has_a_row_for_each_value_and_stack() {
    let told =
        storm("sweep", "sweep world.load.rate=200..400:2 --scenario steady --stack none --stack naive --seeds 1");
    let csv = told.file("sweep-world.load.rate.csv");
    let rows: Vec<_> = csv.lines().map(|line| line.split(',').take(4).collect::<Vec<_>>()).collect();
    assert_eq!(rows[0], ["value", "stack", "scenario", "goodput %"]);
    assert_eq!(
        rows[1..],
        [
            ["200", "none", "steady", "100.0"],
            ["200", "naive", "steady", "100.0"],
            ["400", "none", "steady", "100.0"],
            ["400", "naive", "steady", "100.0"]
        ]
    );
    assert!(told.file("sweep-world.load.rate.svg").contains("naive"));
}

#[test]
fn a_boundary_lies_between_a_good_value_and_a_bad_one() {
    let told = storm("boundary", "boundary retry.max_attempts=1..8 --scenario brownout --seeds 1 --stack naive");
    let last = told.said.lines().last().unwrap();
    assert_eq!(last, "naive: goodput falls under 95 % between 2 and 1", "{}", told.said);
    // It looks at the ends as they were given.
    let told = storm("ends", "boundary faults.0.share=0.012345..0.54321 --scenario brownout --seeds 1 --stack none");
    let looked: Vec<_> = told.said.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    assert_eq!(looked[..2], ["0.012345", "0.54321"], "{}", told.said);
}

#[test]
fn a_boundary_is_of_a_percentage_that_can_be_missed() {
    let parse = |goodput: &str| {
        Arguments::try_parse_from(["storm", "boundary", "--scenario", "steady", &format!("--goodput={goodput}")])
    };
    for allowed in ["0.5", "100"] {
        assert!(parse(allowed).is_ok(), "{allowed}");
    }
    for refused in ["0", "-1", "100.1", "NaN", "inf", "much"] {
        let problem = parse(refused).unwrap_err().to_string();
        assert!(problem.contains("--goodput") && problem.contains("allowed: over 0, up to 100"), "{problem}");
    }
}

#[test]
fn the_better_of_two_stacks_is_marked() {
    let told = storm("compare", "compare none naive --seeds 1 --scenario zone_refuse --scenario metastable");
    let row = |name: &str| told.said.lines().find(|line| line.contains(name)).unwrap();
    assert!(row("zone_refuse").contains(" naive ") && row("metastable").contains(" none "), "{}", told.said);
    assert!(told.file("metastable-none-naive.svg").contains("none and naive in metastable"));
}

#[test]
fn tuning_ends_with_a_stack_that_can_be_read() {
    let told = storm("tune", "tune retry.max_attempts=1..6 --stack naive --scenario brownout --seeds 1 --rounds 6");
    let text = told.said.find("name = ").map(|at| &told.said[at..]).unwrap_or_else(|| panic!("{}", told.said));
    let tuned = stack::Plan::parse(text, "tuned").unwrap();
    let attempts = tuned.get("retry.max_attempts").unwrap();
    assert!(matches!(attempts, Some(stack::Value::Whole(4..))), "{attempts:?}");
}

#[test]
fn stacks_and_scenarios_come_from_files() {
    let folder = std::env::temp_dir().join(format!("storm-{}-files", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("mine.toml"), "name = \"mine\"\n[[layers]]\nkind = \"fallback\"\n").unwrap();
    fs::write(folder.join("bad.toml"), "name = \"bad\"\n[[layers]]\nkind = \"fallbak\"\n").unwrap();
    let fault = "[[faults]]\nkind = \"refuse\"\nat = \"2s\"\nlasts = \"4s\"\n";
    let storm_toml =
        format!("name = \"short\"\nfrom = \"0s\"\nuntil = \"10s\"\n[world]\nload = {{ rate = 50 }}\n{fault}");
    fs::write(folder.join("short.toml"), &storm_toml).unwrap();
    fs::write(folder.join("wrong.toml"), storm_toml.replace("lasts", "last")).unwrap();

    let told = storm("files", "run DIR/short.toml --stack DIR/mine.toml");
    assert!(told.said.starts_with("mine in short, seed 0") && told.said.contains("degraded %"), "{}", told.said);
    let refused =
        |line: &str| storm("files-refused", &line.replace("DIR", folder.to_str().unwrap())).missed.clone().unwrap_err();
    let problem = refused("run DIR/short.toml --stack DIR/bad.toml");
    assert!(
        problem
            .ends_with("bad.toml, line 3: `layers[0].kind`: \"fallbak\" is no kind of layer; did you mean `fallback`?"),
        "{problem}"
    );
    let problem = refused("run DIR/wrong.toml");
    assert!(problem.contains("line 9") && problem.contains("did you mean `lasts`?"), "{problem}");
    let problem = refused("sweep faults.0.factor=1..2 --scenario DIR/short.toml");
    assert!(problem.contains("there is no `factor`"), "{problem}");
}

/// Worlds with little load: the first two of these.
const FEW: &str = "--seeds 1 --scenario flap --scenario steady --worlds 2";

#[test]
fn drawn_worlds_come_out_the_same_however_many_run_at_once() {
    let suite = |threads: &str| storm(&format!("worlds-{threads}"), &format!("suite {FEW} --threads {threads}"));
    let (one, three) = (suite("1"), suite("3"));
    assert_eq!(one.said, three.said);
    assert_eq!(one.file("suite-worlds.csv"), three.file("suite-worlds.csv"));
    let last = one.said.lines().last().unwrap();
    assert!(last.starts_with("worlds 2: min ") && last.contains(" geomean "), "{last}");
}

#[test]
fn a_run_shows_what_a_suite_had_in_its_worst_world() {
    let suite = storm("worlds-json", &format!("suite {FEW} --json"));
    let json: serde_json::Value = serde_json::from_str(&suite.said).unwrap();
    let drawn = &json["stacks"][0]["drawn"];
    let flap = &drawn["scenarios"][0];
    assert_eq!((&drawn["worlds"], &flap["scenario"]), (&2.into(), &"flap".into()));
    let (worst, least) = (flap["worst_world"].as_u64().unwrap(), flap["least"].as_f64().unwrap());
    let run = storm("worlds-run", &format!("run flap --world {worst}"));
    assert!(run.said.starts_with(&format!("steadfast in flap-world{worst}, seed 0\n")), "{}", run.said);
    assert!(run.said.contains(&format!("\ngoodput %         {least:.1}\n")), "{least} of {}", run.said);
    assert!(run.file(&format!("flap-world{worst}-steadfast.csv")).starts_with("second,"));

    let csv = suite.file("suite-worlds.csv");
    let rows: Vec<_> = csv.lines().map(|line| line.split(',').take(3).collect::<Vec<_>>()).collect();
    assert_eq!(rows[0], ["scenario", "world", "goodput %"]);
    let of: Vec<_> = rows[1..].iter().map(|row| (row[0], row[1])).collect();
    assert_eq!(of, [("flap", "0"), ("flap", "1"), ("steady", "0"), ("steady", "1")]);
    assert_eq!(rows[1 + worst as usize][2], format!("{least:.1}"));
}

#[test]
fn two_stacks_are_compared_in_drawn_worlds() {
    let told = storm("worlds-compare", &format!("compare none naive {FEW}"));
    let lines: Vec<_> = told.said.lines().collect();
    let [.., none, naive] = lines.as_slice() else { panic!("{}", told.said) };
    assert!(none.starts_with("none: worlds 2: min ") && naive.starts_with("naive: worlds 2: min "), "{}", told.said);
    let row = lines.iter().rev().find(|line| line.contains(" flap ")).unwrap();
    let row: Vec<_> = row.split_whitespace().filter(|word| *word != "│").collect();
    assert_eq!(row.len(), 1 + 2 * 4, "{row:?}");
    let csv = told.file("compare-none-naive-worlds.csv");
    let least = |stack: &str| {
        let rows = csv.lines().filter(|line| line.starts_with("flap,") && line.ends_with(&format!(",{stack}")));
        rows.map(|row| row.split(',').nth(2).unwrap().parse::<f64>().unwrap()).fold(f64::INFINITY, f64::min)
    };
    assert_eq!(row[1..3], [format!("{:.1}", least("none")), format!("{:.1}", least("naive"))]);
}

#[test]
fn tuning_counts_drawn_worlds_too() {
    let tune = |worlds: &str| {
        let line = format!("tune retry.max_attempts=1..3 --stack naive --scenario flap --seeds 1 --rounds 1{worlds}");
        storm(&format!("tune{}", worlds.len()), &line).said.lines().next().unwrap().to_owned()
    };
    assert_ne!(tune(""), tune(" --worlds 1"));
}
