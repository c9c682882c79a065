//! docs/FAMILIES.md says what the code does.

use std::fs;

use lagtape::family::{FAMILIES, Family, FamilyKind, Traits};
use lagtape::peer::incident;
use lagtape::peer::server::{ServedModel, server_profile};

use super::Log;

/// The cells of the rows of a table in docs/FAMILIES.md that begins with these words.
fn table(head: &str) -> Vec<Vec<String>> {
    let page =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/FAMILIES.md")).unwrap();
    let rows = page.lines().skip_while(|line| !line.starts_with(head)).skip(2);
    rows.take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

/// The tables of the simulated servers and of their incidents.
fn check_servers() {
    let rows: Vec<Vec<String>> = FAMILIES
        .into_iter()
        .map(|family| {
            let of = server_profile(family);
            let numbers = [
                of.buffer_s,
                of.longest_buffer_s,
                of.compose_s,
                of.first_audio_s,
                of.cold_s,
                of.commit_s,
                of.lead_s,
                of.real_time,
            ];
            let usual = ServedModel::of(&serde_json::Map::new(), family);
            let texts = [family.name().to_owned(), usual.checkpoint.clone()];
            let numbers = numbers.map(|number| number.to_string());
            texts.into_iter().chain(numbers).chain([usual.sessions().to_string()]).collect()
        })
        .collect();
    assert_eq!(table("| family | checkpoint"), rows);
    let rows: Vec<Vec<String>> = incident::ALL
        .iter()
        .filter(|incident| !incident.families.contains(&Family::Acestep))
        .map(|incident| {
            let families: Vec<_> = incident.families.iter().map(|family| family.name()).collect();
            let lag = if incident.lags { "yes" } else { "no" };
            vec![incident.name.to_owned(), families.join(", "), lag.to_owned()]
        })
        .collect();
    let told: Vec<_> =
        table("| incident | families").into_iter().map(|row| row[..3].to_vec()).collect();
    assert_eq!(told, rows);
}

#[test]
fn the_page_on_families_says_what_the_code_does() {
    let rows: Vec<Vec<String>> = FAMILIES
        .into_iter()
        .map(|family| {
            let Traits { window_s, first_audio_s, burst_s, silence_s, ends, sources, .. } =
                family.traits();
            let numbers = [window_s, first_audio_s, burst_s, silence_s].map(|s| s.to_string());
            let ends = if ends { "yes" } else { "no" };
            let texts = [ends.to_owned(), sources.to_owned()];
            [family.name().to_owned()].into_iter().chain(numbers).chain(texts).collect()
        })
        .collect();
    assert_eq!(table("| family | window_s"), rows);
    check_servers();
    let kinds: Vec<_> =
        table("| family | slices").into_iter().map(|row| row[..2].to_vec()).collect();
    let mut expected: Vec<_> = FAMILIES
        .into_iter()
        .map(|family| {
            let kind = match family.traits().kind {
                FamilyKind::RefiningLoop => "refining loop",
                FamilyKind::AppendOnlyTape => "append-only tape",
            };
            vec![family.name().to_owned(), kind.to_owned()]
        })
        .collect();
    expected.push(vec!["unknown".to_owned(), "as `ready` says".to_owned()]);
    assert_eq!(kinds, expected);
    let fields = table("| field | meaning");
    let described: Vec<_> = fields.iter().flat_map(|row| row[0].split(", ")).collect();
    let report = Log::appending("mrt2").mrt2(1_000, 1.5).analysis(0).0;
    for field in report["family"]["frontier"].as_object().unwrap().keys() {
        assert!(described.contains(&format!("`{field}`").as_str()), "{field} is not described");
    }
}
