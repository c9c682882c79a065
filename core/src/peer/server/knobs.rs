//! The knobs of a session: which there are, between which limits, and what they stand at.
//!
//! The static ones are `knobs.json`. LoRAs that are enabled, steering axes and manual steering slots
//! add theirs. Values beyond a limit are clamped, values of another type are dropped, and what is no
//! knob of the session passes as it is.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::contract::number;
use crate::family::Family;

static KNOBS: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("knobs.json")).expect("the knob manifest is JSON")
});

/// The knobs that every session has, for `/api/knobs`.
#[must_use]
pub fn knob_manifest() -> &'static Value {
    &KNOBS
}

/// Knobs whose change rebuilds the pipeline.
const REBUILDING_KNOBS: [&str; 3] = ["steps_override", "guidance_scale", "rcfg_mode"];
/// What the knob of a LoRA begins with.
const LORA_STRENGTH: &str = "lora_str_";
/// Strongest steering, either way.
const MAX_ALPHA: f64 = 30.0;
/// The axes that can be steered along.
const STEERING_AXES: [(&str, &str); 4] = [
    ("steer_bright", "brighter, negative darker"),
    ("steer_warm", "warmer, negative colder"),
    ("steer_rough", "rougher, negative smoother"),
    ("steer_density", "sparser, negative denser"),
];
/// Vectors that a manual slot can choose from.
const STEERING_VECTORS: u32 = 96;

/// What turning knobs means for the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turned {
    pub rebuilds: bool,
    pub refits: bool,
}

/// The knobs of one session.
pub(super) struct KnobBank {
    specs: Map<String, Value>,
    /// Those of the specs that every `params_update` names.
    defaults: Map<String, Value>,
    values: Map<String, Value>,
    /// The knobs of the newest report, as they came.
    reported: Map<String, Value>,
    /// Those that another than the client has sent since.
    noted: Option<Map<String, Value>>,
}

impl KnobBank {
    /// Values beyond this many are forgotten.
    const CAPACITY: usize = 512;

    /// `sde`: the model diffuses stochastically, and its first knobs are others.
    pub fn new(sde: bool, family: Family) -> Self {
        let mut specs = Map::new();
        if let Some(rows) = of_family(family) {
            let spec = |&(name, default, least, most): &(&str, f64, f64, f64)| {
                (name.to_owned(), float(default, least, most, "core"))
            };
            return Self::with(rows.iter().map(spec).collect());
        }
        for (name, spec) in knob_manifest()["knobs"].as_object().into_iter().flatten() {
            match name.as_str() {
                "denoise" if sde => specs.insert("sde_amp".to_owned(), spec.clone()),
                _ => specs.insert(name.clone(), spec.clone()),
            };
            if sde && name == "shift" {
                specs.insert("periodicity".to_owned(), float(0.0, 0.0, 12.5, "core"));
            }
        }
        let mut bank = Self::with(specs);
        for (axis, effect) in STEERING_AXES {
            let mut spec = float(0.0, -MAX_ALPHA, MAX_ALPHA, "steering");
            spec["description"] = json!(format!("Steers: positive is {effect}, 0 is off"));
            bank.specs.insert(axis.to_owned(), spec);
        }
        bank
    }

    fn with(specs: Map<String, Value>) -> Self {
        let banked = specs.iter().filter(|(_, spec)| spec["bank"] == true);
        let defaults = banked.map(|(name, spec)| (name.clone(), spec["default"].clone())).collect();
        Self { specs, defaults, values: Map::new(), reported: Map::new(), noted: None }
    }

    /// The manifest, as `ready.knob_manifest` has it.
    pub fn manifest(&self) -> Value {
        json!({"version": knob_manifest()["version"], "knobs": self.specs})
    }

    /// A LoRA is enabled: its strength is a knob.
    pub fn add_lora(&mut self, id: &str, strength: f64) {
        let name = format!("{LORA_STRENGTH}{id}");
        let mut spec = float(0.0, 0.0, 2.0, "core");
        spec["description"] = json!(format!("Strength of the LoRA {id}"));
        self.specs.insert(name.clone(), spec);
        if !self.values.contains_key(&name) {
            self.set(name, strength.into());
        }
    }

    pub fn remove_lora(&mut self, id: &str) {
        self.remove(&format!("{LORA_STRENGTH}{id}"));
    }

    /// A manual steering slot is added: it has four knobs.
    pub fn add_slot(&mut self, slot: u32) {
        let knobs = [
            ("src", "int", 0.0, 0.0, f64::from(STEERING_VECTORS - 1)),
            ("layer", "int", 9.0, 0.0, 23.0),
            ("step", "int", 0.0, 0.0, 15.0),
            ("alpha", "float", 0.0, -MAX_ALPHA, MAX_ALPHA),
        ];
        for (part, kind, default, least, most) in knobs {
            let mut spec = float(default, least, most, "manual");
            spec["type"] = kind.into();
            self.specs.insert(format!("man_{part}_{slot}"), spec);
        }
    }

    pub fn remove_slot(&mut self, slot: u32) {
        for part in ["src", "layer", "step", "alpha"] {
            self.remove(&format!("man_{part}_{slot}"));
        }
    }

    /// Takes the knobs of a report; `None`: they are those of the report before.
    pub fn turn(&mut self, raw: Map<String, Value>) -> Option<Turned> {
        if raw == self.reported {
            return None;
        }
        let changed = |name: &str| raw.get(name) != self.reported.get(name);
        let turned = Turned {
            rebuilds: REBUILDING_KNOBS.iter().any(|name| changed(name)),
            refits: raw.keys().any(|name| name.starts_with(LORA_STRENGTH) && changed(name)),
        };
        for (name, value) in &raw {
            if let Some(value) = self.clamped(name, value) {
                self.set(name.clone(), value);
            }
        }
        self.reported = raw;
        self.noted = None;
        Some(turned)
    }

    /// Whether knobs that another than the client sends are others than the newest. They are not
    /// turned.
    pub fn note(&mut self, raw: &Map<String, Value>) -> bool {
        let newest = self.noted.as_ref().unwrap_or(&self.reported);
        let is_change = raw != newest;
        self.noted = Some(raw.clone());
        is_change
    }

    /// The LoRAs whose strength is a knob that was turned, and what it stands at.
    pub fn lora_strengths(&self) -> impl Iterator<Item = (&str, f64)> {
        self.values
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(LORA_STRENGTH)?, value.as_f64()?)))
    }

    /// What a knob stands at, if it was turned.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.values.get(name)?.as_f64()
    }

    /// What a `params_update` says of knobs: the usual ones, and all that were turned.
    pub fn update(&self) -> Map<String, Value> {
        let mut update = self.defaults.clone();
        update.extend(self.values.clone());
        update
    }

    /// What every knob stands at.
    pub fn all_values(&self) -> Map<String, Value> {
        let defaults =
            self.specs.iter().map(|(name, spec)| (name.clone(), spec["default"].clone()));
        let mut all: Map<_, _> = defaults.collect();
        all.extend(self.values.clone());
        all
    }

    fn set(&mut self, name: String, value: Value) {
        if self.values.len() < Self::CAPACITY || self.values.contains_key(&name) {
            self.values.insert(name, value);
        }
    }

    fn remove(&mut self, name: &str) {
        self.specs.shift_remove(name);
        self.values.shift_remove(name);
    }

    fn clamped(&self, name: &str, value: &Value) -> Option<Value> {
        let Some(spec) = self.specs.get(name) else { return Some(value.clone()) };
        match (spec["type"].as_str()?, spec["options"].as_array()) {
            (kind @ ("float" | "int"), _) => {
                let bound = |key: &str| spec[key].as_f64();
                let within = number(value)?.max(bound("min")?).min(bound("max")?);
                Some(if kind == "int" { within.round_ties_even() } else { within }.into())
            }
            // In Python, 1 is `True`.
            (_, Some(options)) => options
                .iter()
                .any(|option| {
                    option == value || (option.is_boolean() && number(option) == value.as_f64())
                })
                .then(|| value.clone()),
            _ => Some(value.clone()),
        }
    }
}

/// The knobs that the backend of a family reads: name, default and limits. `None`: those of acestep.
fn of_family(family: Family) -> Option<&'static [(&'static str, f64, f64, f64)]> {
    const SEED: (&str, f64, f64, f64) = ("seed", 0.0, 0.0, 4_294_967_295.0);
    Some(match family {
        Family::Acestep | Family::Unknown => return None,
        Family::Sa3 => &[SEED, ("sa3_denoise", 1.0, 0.0, 1.0)],
        Family::Yue2 => &[SEED, ("yue2_denoise", 1.0, 0.0, 1.0)],
        Family::Mrt2 => &[("mrt2_lead", 0.75, 0.3, 3.0)],
        Family::Minimax => &[("minimax_lead", 1.0, 0.3, 8.0), ("minimax_endless", 0.0, 0.0, 1.0)],
    })
}

fn float(default: f64, least: f64, most: f64, group: &str) -> Value {
    json!({
        "type": "float", "default": default, "group": group, "bank": true,
        "max": most, "min": least,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[track_caller]
    fn check(raw: &Value, expected: &Value) {
        let mut bank = KnobBank::new(false, Family::Acestep);
        bank.add_slot(1);
        bank.turn(object(raw));
        assert_eq!(&Value::Object(bank.values), expected);
    }

    #[test]
    fn values_are_clamped_dropped_or_passed_on() {
        check(
            &json!({"denoise": 7, "shift": -3, "seed": -1}),
            &json!({"denoise": 1.0, "shift": 1.0, "seed": 0.0}),
        );
        check(
            &json!({"feedback_depth": 2.5, "man_src_1": 1e9}),
            &json!({"feedback_depth": 2.0, "man_src_1": 95.0}),
        );
        check(
            &json!({"man_alpha_1": -99, "steer_bright": 99}),
            &json!({"man_alpha_1": -30.0, "steer_bright": 30.0}),
        );
        check(&json!({"denoise": "0.25", "shift": "much"}), &json!({"denoise": 0.25}));
        check(
            &json!({"rcfg_mode": "self", "dcw_mode": "loud", "dcw_enabled": 0}),
            &json!({"rcfg_mode": "self", "dcw_enabled": 0}),
        );
        check(
            &json!({"lora_blend": 9, "man_src_2": 1e9}),
            &json!({"lora_blend": 9, "man_src_2": 1e9}),
        );
    }

    #[test]
    fn a_knob_that_a_report_leaves_out_stands_where_it_stood() {
        let mut bank = KnobBank::new(false, Family::Acestep);
        assert!(bank.turn(object(&json!({"denoise": 0.5}))).is_some());
        assert_eq!(bank.turn(object(&json!({"denoise": 0.5}))), None);
        assert!(bank.turn(Map::new()).is_some());
        assert_eq!(bank.value("denoise"), Some(0.5));
    }

    #[test]
    fn the_bank_is_what_the_real_server_reports() {
        let update = KnobBank::new(false, Family::Acestep).update();
        assert!(update.contains_key("denoise") && update.contains_key("ch56"));
        assert!(!update.contains_key("guidance_scale"));
        assert_eq!(update.len(), 21);
        let stochastic = KnobBank::new(true, Family::Acestep).update();
        assert!(stochastic.contains_key("sde_amp") && !stochastic.contains_key("denoise"));
        assert_eq!(stochastic.len(), 22);
    }

    #[test]
    fn loras_and_slots_bring_their_knobs_and_take_them_along() {
        let mut bank = KnobBank::new(false, Family::Acestep);
        let before = bank.all_values();
        bank.add_slot(1);
        bank.add_lora("lo-fi", 0.8);
        assert_eq!(bank.all_values().len(), before.len() + 5);
        assert_eq!(bank.lora_strengths().collect::<Vec<_>>(), [("lo-fi", 0.8)]);
        bank.turn(object(&json!({"lora_str_lo-fi": 9})));
        assert_eq!(bank.value("lora_str_lo-fi"), Some(2.0));
        bank.remove_slot(1);
        bank.remove_lora("lo-fi");
        assert_eq!(bank.all_values(), before);
    }
}
