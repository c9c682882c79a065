//! The flags that say what would have been different: one for each knob, and a few of their own.

use std::path::PathBuf;

use anyhow::bail;
use clap::{Arg, ArgAction, ArgMatches, Command, Error, FromArgMatches, value_parser};

use crate::app;
use crate::parse::Misuse;
use crate::scenario::NamedScenario;
use crate::scenario::knobs::{AnsweredBy, KNOBS, Knob};
use crate::scenario::{Scenario, ScenarioError, parse};
use crate::time::Span;

/// What would have been different.
#[derive(Debug)]
pub struct ScenarioArgs {
    files: Vec<PathBuf>,
    at: Option<Span>,
    ops: Vec<String>,
    replace_ops: bool,
    values: Vec<(&'static Knob, String)>,
    seed: Option<u64>,
}

impl clap::Args for ScenarioArgs {
    fn augment_args(command: Command) -> Command {
        let own = [
            Arg::new("scenario")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .action(ArgAction::Append)
                .help("A scenario as TOML; flags change it further. what-if takes several"),
            Arg::new("at").value_name("TIME").value_parser(value_parser!(Span)).help(
                "When all of it begins, instead of from the beginning on; ops may then leave their \
                 times out",
            ),
            Arg::new("op")
                .value_name("TIME:OP")
                .action(ArgAction::Append)
                .allow_hyphen_values(true)
                .help(
                    "What the listener would have done and when (6s:seek=30s, 10s:pause, \
                     12s:resume, 15s:rate=0.98), or a link that changes at a time (3s:down=250KB/s)",
                ),
            Arg::new("replace-ops")
                .action(ArgAction::SetTrue)
                .help("The recorded seeks, pauses and rates did not happen"),
        ];
        let flags = own.into_iter().chain(KNOBS.iter().map(flag));
        let flags = flags.map(|flag| {
            let name = flag.get_id().clone();
            flag.long(name)
        });
        command.next_help_heading("What is different").args(flags)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn flag(knob: &Knob) -> Arg {
    let flag = Arg::new(knob.name).value_name(knob.value_name).help(knob.help);
    match is_seed(knob) {
        true => flag.value_parser(value_parser!(u64)),
        false => flag.allow_hyphen_values(true),
    }
}

/// The seed keeps all of its bits, which not every number of a knob does.
fn is_seed(knob: &Knob) -> bool {
    knob.answered_by == AnsweredBy::Every
}

impl FromArgMatches for ScenarioArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let value = |knob: &'static Knob| {
            let text = matches.get_one::<String>(knob.name)?;
            Some((knob, text.clone()))
        };
        let seed = KNOBS.iter().find(|knob| is_seed(knob));
        Ok(ScenarioArgs {
            files: matches.get_many("scenario").into_iter().flatten().cloned().collect(),
            at: matches.get_one("at").copied(),
            ops: matches.get_many("op").into_iter().flatten().cloned().collect(),
            replace_ops: matches.get_flag("replace-ops"),
            values: KNOBS.iter().filter(|knob| !is_seed(knob)).filter_map(value).collect(),
            seed: seed.and_then(|seed| matches.get_one(seed.name)).copied(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl ScenarioArgs {
    /// The scenarios of all files, each with what the flags change; without a file that alone.
    pub fn scenarios(&self) -> anyhow::Result<Vec<NamedScenario>> {
        if self.files.is_empty() {
            let scenario = self.begun(self.changed(Scenario::default(), |_| false)?)?;
            return Ok(vec![NamedScenario { name: String::new(), scenario }]);
        }
        let named = |path: &PathBuf| {
            let NamedScenario { name, scenario } = app::read_scenario(path)?;
            let scenario = self.begun(self.changed(scenario, |_| false)?)?;
            Ok(NamedScenario { name, scenario })
        };
        self.files.iter().map(named).collect()
    }

    /// The one scenario, without the flags whose values make an axis and not yet at its moment.
    pub fn base(&self, is_axis: impl Fn(&str) -> bool) -> anyhow::Result<Scenario> {
        let scenario = match self.files.as_slice() {
            [] => Scenario::default(),
            [file] => app::read_scenario(file)?.scenario,
            _ => bail!(Misuse::new("a sweep has one scenario for all of its rows; give one file")),
        };
        self.changed(scenario, is_axis)
    }

    /// When all of it begins, where that is not the beginning.
    pub fn at(&self) -> Option<Span> {
        self.at
    }

    /// Whether everything is said in files, and nothing in flags.
    pub fn is_of_files(&self) -> bool {
        let flags = self.values.is_empty() && self.ops.is_empty() && !self.replace_ops;
        !self.files.is_empty() && flags
    }

    fn begun(&self, scenario: Scenario) -> anyhow::Result<Scenario> {
        let begun = match self.at {
            Some(at) => scenario.beginning_at(at),
            None => Ok(scenario),
        };
        let scenario = begun.map_err(ScenarioError::by_knobs)?;
        scenario.check().map_err(ScenarioError::by_knobs)?;
        Ok(scenario)
    }

    /// A scenario with what the flags change.
    fn changed(
        &self,
        mut scenario: Scenario,
        is_axis: impl Fn(&str) -> bool,
    ) -> anyhow::Result<Scenario> {
        for (knob, value) in self.values().filter(|(_, value)| !is_axis(value)) {
            parse::assign(&mut scenario, knob.name, value)?;
        }
        for op in &self.ops {
            parse::add_op_at(&mut scenario, op, self.at)?;
        }
        scenario.playback.replace_ops |= self.replace_ops;
        scenario.seed = self.seed.unwrap_or(scenario.seed);
        Ok(scenario)
    }

    /// The same as it was typed.
    pub fn typed(&self, is_axis: impl Fn(&str) -> bool) -> Vec<String> {
        let mut typed = Vec::new();
        let mut put = |flag: &str, value: &str| {
            typed.extend([format!("--{flag}"), value.to_owned()]);
        };
        for path in &self.files {
            put("scenario", &path.display().to_string());
        }
        if let Some(at) = self.at {
            put("at", &at.to_string());
        }
        self.values()
            .filter(|(_, value)| !is_axis(value))
            .for_each(|(knob, value)| put(knob.name, value));
        self.ops.iter().for_each(|op| put("op", op));
        if let Some(seed) = self.seed {
            put("seed", &seed.to_string());
        }
        if self.replace_ops {
            typed.push("--replace-ops".to_owned());
        }
        typed
    }

    /// The knobs that were given, in the order of the table, with their texts.
    pub fn values(&self) -> impl Iterator<Item = (&'static Knob, &str)> {
        self.values.iter().map(|(knob, value)| (*knob, value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Args;

    #[test]
    fn every_knob_is_a_flag_with_help() {
        for knob in &KNOBS {
            let command = ScenarioArgs::augment_args(Command::new("what-if"));
            let flag = command.get_arguments().find(|flag| flag.get_long() == Some(knob.name));
            assert_eq!(flag.unwrap().get_help().unwrap().to_string(), knob.help);
            let (text, value) = knob.last_tried();
            let typed = ["what-if".to_owned(), format!("--{}", knob.name), text.to_owned()];
            let matches = command.try_get_matches_from(&typed).unwrap();
            let args = ScenarioArgs::from_arg_matches(&matches).unwrap();
            assert_eq!(args.base(|_| false).unwrap(), knob.alone(value), "{}", knob.name);
            assert_eq!(args.typed(|_| false), typed[1..]);
        }
    }

    #[track_caller]
    fn given(words: &str) -> anyhow::Result<Scenario> {
        let command = ScenarioArgs::augment_args(Command::new("what-if").no_binary_name(true));
        let matches = command.try_get_matches_from(words.split(' ')).unwrap();
        let args = ScenarioArgs::from_arg_matches(&matches).unwrap();
        Ok(args.scenarios()?.remove(0).scenario)
    }

    #[test]
    fn all_that_is_typed_can_begin_at_a_moment() {
        let later = given("--at 12s --down 1MB/s --rate 0.98 --op seek=3s --op 2s:pause").unwrap();
        let same = "--op 12s:down=1MB/s --op 12s:seek=3s --op 2s:pause --op 12s:rate=0.98";
        assert_eq!(later, given(same).unwrap());
        let refused = given("--at 12s --skew-ppm 300").unwrap_err().to_string();
        assert!(refused.starts_with("skew-ppm: a clock is fast all the time"), "{refused}");
        let refused = given("--op seek=3s").unwrap_err().to_string();
        assert!(refused.contains("the time is missing"), "{refused}");
    }
}
