use super::*;
use crate::engine::{Engine, Options};
use crate::lag::SliceRecord;
use crate::report::page::{MessageRow, PageCollector, SliceRow};
use crate::time::Nanos;

/// Ten slices, one each second, of which every third is behind the listener; a prompt after the fifth.
fn session() -> SessionTables {
    let mut collected = PageCollector::default();
    collected.kinds = vec!["slice".to_owned(), "prompt".to_owned()];
    let mut message = |t_s: f64, kind, side, bytes| {
        let (seq, t) = (collected.rows.messages.len() as u64, Nanos((t_s * 1e9) as u64));
        collected.rows.messages.push(MessageRow { t, seq, kind, side, bytes });
        collected.rows.messages.len() - 1
    };
    let mut slices = Vec::new();
    for number in 0..10_u32 {
        let row = message(f64::from(number), 0, 1, 1000);
        let slice = SliceRecord {
            t_s: f64::from(number),
            start: number * 100,
            frames: 100,
            lead_s: if number % 3 == 0 { -0.5 } else { f64::from(number) / 10.0 },
            interval_s: 1.0,
            tick_ms: 30.0,
            dec_ms: 2.0,
            generations: number,
        };
        slices.push(SliceRow { row, slice });
        if number == 4 {
            message(4.5, 1, 0, 40);
        }
    }
    collected.rows.slices = slices;
    collected.texts = vec![(5, r#"{"type":"prompt","tags":"rock and roll"}"#.to_owned())];
    SessionTables::of(&Engine::new(Options::default()), Nanos(0), collected)
}

fn ask(words: &QueryWords) -> QueryAnswer {
    Query::of(words).unwrap().ask(&session(), 0, 100).unwrap()
}

fn words(table: &str, conditions: &[&str]) -> QueryWords {
    let conditions = conditions.iter().map(|text| (*text).to_owned()).collect();
    QueryWords { table: table.to_owned(), conditions, ..QueryWords::default() }
}

#[track_caller]
fn check(words: &QueryWords, expected: &str) {
    assert_eq!(serde_json::to_string(&ask(words).rows).unwrap(), expected);
}

fn list(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn rows_are_chosen_ordered_and_cut() {
    let mut asked = words("slices", &["lead_s < 0 and t_s > 2"]);
    asked.select = list(&["t_s", "lead_s", "start"]);
    check(&asked, "[[3.0,-0.5,300],[6.0,-0.5,600],[9.0,-0.5,900]]");
    asked.order = Some("start desc".to_owned());
    check(&asked, "[[9.0,-0.5,900],[6.0,-0.5,600],[3.0,-0.5,300]]");
    let page = Query::of(&asked).unwrap().ask(&session(), 1, 1).unwrap();
    assert_eq!((page.rows.len(), page.total, page.matched), (1, 3, 3));
    assert_eq!(page.rows[0][0], Cell::Number(6.0));
}

#[test]
fn rows_come_to_something() {
    let mut asked = words("slices", &["lead_s >= 0"]);
    asked.aggregates = list(&["count", "min(lead_s)", "p50(lead_s)", "sum(bytes)", "last(seq)"]);
    check(&asked, "[[6,0.1,0.45,6000.0,9]]");
    asked.conditions = list(&["lead_s > 99"]);
    check(&asked, "[[0,null,null,null,null]]");
    asked = words("slices", &[]);
    asked.group_by = Some("t_s/4".to_owned());
    asked.aggregates = list(&["count", "min(lead_s)"]);
    check(&asked, "[[0.0,4,-0.5],[4.0,4,-0.5],[8.0,2,-0.5]]");
    asked.order = Some("count".to_owned());
    assert_eq!(ask(&asked).rows[0][0], Cell::Number(8.0));
    assert_eq!(ask(&asked).columns, ["t_s/4", "count", "min(lead_s)"]);
}

#[test]
fn words_are_compared_as_words() {
    let mut asked = words("messages", &["text ~ 'rock and roll' and from = client"]);
    asked.select = list(&["t_s", "kind"]);
    check(&asked, "[[4.5,\"prompt\"]]");
    asked = words("messages", &["kind != slice"]);
    asked.group_by = Some("kind".to_owned());
    check(&asked, "[[\"prompt\",1]]");
}

#[test]
fn what_is_not_known_meets_no_condition() {
    assert_eq!(ask(&words("messages", &["text != x"])).matched, 1);
}

#[track_caller]
fn check_refused(words: &QueryWords, hint: &str) {
    let said = Query::of(words).unwrap_err().to_string();
    assert!(said.contains(hint), "{said}");
}

#[test]
fn errors_name_what_there_is() {
    check_refused(&words("slice", &[]), "did you mean slices?");
    check_refused(&words("ticks", &["lead < 0"]), "its columns are t_s, seq, playhead_s");
    for odd in ["lead_s", "lead_s <", "< 3", "lead_s ! 3"] {
        check_refused(
            &words("slices", &[odd]),
            if odd == "< 3" { "no column" } else { "no condition" },
        );
    }
    check_refused(&words("slices", &["lead_s < soon"]), "lead_s holds numbers");
    check_refused(&words("slices", &["lead_s < nan"]), "lead_s holds numbers");
    check_refused(&words("slices", &["lead_s < inf"]), "lead_s holds numbers");
    check_refused(&words("slices", &["lead_s ~ 1"]), "lead_s holds numbers");
    let with = |change: fn(&mut QueryWords)| {
        let mut asked = words("messages", &[]);
        change(&mut asked);
        asked
    };
    check_refused(&with(|asked| asked.aggregates = list(&["p95"])), "p95(lead_s)");
    check_refused(&with(|asked| asked.aggregates = list(&["p101(bytes)"])), "no aggregate");
    check_refused(&with(|asked| asked.aggregates = list(&["max(kind)"])), "kind holds words");
    check_refused(&with(|asked| asked.group_by = Some("t_s/0".to_owned())), "groups nothing");
    check_refused(&with(|asked| asked.order = Some("t_s up".to_owned())), "to order by");
    check_refused(&with(|asked| asked.select = list(&["lead_s"])), "no column \"lead_s\"");
    let both = |asked: &mut QueryWords| {
        asked.select = list(&["t_s"]);
        asked.group_by = Some("kind".to_owned());
    };
    check_refused(&with(both), "not both");
}
