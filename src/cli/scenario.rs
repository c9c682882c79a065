//! The flags that say what would have been different: one for each knob, and a few of their own.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, Error, FromArgMatches, value_parser};

use crate::app;
use crate::scenario::knobs::{AnsweredBy, KNOBS, Knob};
use crate::scenario::{Scenario, parse};

/// What would have been different.
#[derive(Debug)]
pub struct ScenarioArgs {
    file: Option<PathBuf>,
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
                .help("A scenario as TOML; flags change it further"),
            Arg::new("op").value_name("TIME:OP").action(ArgAction::Append).help(
                "What the listener would have done and when (6s:seek=30s, 10s:pause, 12s:resume, \
                 15s:rate=0.98), or a link that changes at a time (3s:down=250KB/s)",
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
            file: matches.get_one("scenario").cloned(),
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
    /// The scenario, without the flags whose values make an axis.
    pub fn scenario(&self, is_axis: impl Fn(&str) -> bool) -> anyhow::Result<Scenario> {
        let mut scenario = match &self.file {
            Some(path) => app::read_scenario(path)?,
            None => Scenario::default(),
        };
        for (knob, value) in self.values().filter(|(_, value)| !is_axis(value)) {
            parse::assign(&mut scenario, knob.name, value)?;
        }
        for op in &self.ops {
            parse::add_op(&mut scenario, op)?;
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
        if let Some(path) = &self.file {
            put("scenario", &path.display().to_string());
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
            assert_eq!(args.scenario(|_| false).unwrap(), knob.alone(value), "{}", knob.name);
            assert_eq!(args.typed(|_| false), typed[1..]);
        }
    }
}
