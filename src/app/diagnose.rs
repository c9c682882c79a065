//! `diagnose`: which part was at fault, and what shows it.

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::app::{AnalyzeOptions, import};

    #[test]
    fn dump() {
        let base = std::env::var("DUMP").unwrap_or("tests/golden/diagnosis".into());
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join(base);
        let mut names: Vec<_> = std::fs::read_dir(&base)
            .unwrap()
            .map(|it| it.unwrap().path())
            .filter(|it| it.is_dir())
            .collect();
        names.sort();
        for folder in names {
            let name = folder.file_name().unwrap().to_string_lossy().into_owned();
            let label: serde_json::Value =
                serde_json::from_slice(&std::fs::read(folder.join("session.json")).unwrap())
                    .unwrap();
            let label = &label["label"];
            let temporary = tempfile::TempDir::new().unwrap();
            let capture = temporary.path().join("x.lagtape");
            if import(&folder, &capture, false).is_err() {
                continue;
            }
            let analysis = crate::app::analyze(&capture, &AnalyzeOptions::default()).unwrap();
            let diagnosis = &analysis.diagnosis;
            println!(
                "== {name}: {} also {} onset {} audible {}",
                label["class"], label["also"], label["onset_s"], label["audible"]
            );
            for f in &diagnosis.findings {
                println!(
                    "   {:<22} {:.2}-{:.2} bad {:.2} audible {} conf {:.2} | {}",
                    f.class.id(),
                    f.from_s,
                    f.to_s,
                    f.bad_s,
                    f.audible,
                    f.confidence,
                    f.sentence
                );
            }
            for e in analysis.verdict.episodes.iter().filter(|e| e.alarm).take(9) {
                println!(
                    "      episode {:.2}-{:.2} bad {:.2} {:?}",
                    e.from_s, e.to_s, e.bad_s, e.what
                );
            }
            for n in &diagnosis.notes {
                println!("      note {:?} {:.1}-{:.1}", n.what, n.from_s, n.to_s);
            }
            for n in &diagnosis.ambiguity {
                println!("      ambiguous {}", n.missing);
            }
        }
    }
}
