//! Captures that were damaged: what is sound comes back, and the rest is told exactly.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::{fs, io};

use lagtape::app;
use lagtape::capture::{
    Body, DamageReason, Direction, Ending, Gap, Losses, MAX_LOSSES, Message, Opcode, Record,
    RecordBatch, Salvage, SyncMarker, Writer,
};
use lagtape::time::Nanos;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tempfile::TempDir;

use crate::capture::{Pieces, sample_records};
use crate::promises::measured;

/// A capture, and where each of its records lies.
struct Sound {
    bytes: Vec<u8>,
    places: Vec<Range<usize>>,
}

fn write(records: &[Record<'_>], marker: [u8; 8]) -> Sound {
    let mut writer = Writer::new(SyncMarker(marker));
    let mut bytes = Vec::new();
    writer.begin(&mut bytes);
    let places = records.iter().map(|record| {
        let start = bytes.len();
        writer.write(record, &mut bytes);
        start..bytes.len()
    });
    let places = places.collect();
    Sound { bytes, places }
}

/// One record of every type.
fn small() -> Sound {
    write(&sample_records(), *b"survives")
}

/// A capture of some pages, with records longer than a page among them.
fn pages() -> Sound {
    let mut records = sample_records();
    let end = records.pop().unwrap();
    let payloads: Vec<Vec<u8>> =
        (0..60_usize).map(|i| vec![i as u8; [40, 300, 700, 1500][i % 4]]).collect();
    let first = records.len() as u64;
    let mut records: Vec<Record<'_>> = records;
    for (seq, payload) in (first..).zip(&payloads) {
        let message = Message::new(Direction::ServerToClient, Opcode::Binary, payload);
        records.push(Record { seq, t: Nanos(9_000 + seq), conn: 0, body: Body::Message(message) });
    }
    let seq = records.len() as u64;
    records.push(Record { seq, ..end });
    write(&records, *b"survives")
}

/// What a reader got out of some bytes.
struct Read {
    /// Bytes of each record, by its number.
    records: BTreeMap<u64, Vec<u8>>,
    losses: Losses,
    ending: Ending,
    torn: u64,
    sound_bytes: u64,
}

fn read(bytes: &[u8]) -> Option<Read> {
    let mut salvage = Salvage::new(bytes);
    let mut records = BTreeMap::new();
    let mut sound_bytes = 0;
    loop {
        match salvage.next_stored() {
            Ok(Some(stored)) => {
                assert_eq!(&bytes[stored.offset as usize..][..stored.bytes.len()], stored.bytes);
                sound_bytes += stored.bytes.len() as u64;
                if !stored.record.is_numbered() {
                    continue;
                }
                let again = records.insert(stored.record.seq, stored.bytes.to_vec());
                assert!(again.is_none(), "record {} came twice", stored.record.seq);
            }
            Ok(None) => break,
            Err(_) => return None,
        }
    }
    let ending = salvage.ending().unwrap();
    let numbers: Vec<u64> = records.keys().copied().collect();
    check_batches(bytes, &numbers, salvage.losses(), ending);
    let torn = match ending {
        Ending::Complete => 0,
        Ending::Incomplete { torn_bytes } => torn_bytes,
    };
    Some(Read { records, losses: salvage.losses().clone(), ending, torn, sound_bytes })
}

/// Reading batch by batch finds these numbered records, and loses as much.
#[track_caller]
fn check_batches(bytes: &[u8], numbers: &[u64], losses: &Losses, ending: Ending) {
    let sizes = [(bytes.len() / 20).max(1), 100];
    let mut salvage = Salvage::new(Pieces { bytes, sizes: &sizes, turn: 0 });
    let mut batch = RecordBatch::default();
    let mut found = Vec::new();
    loop {
        salvage.next_batch(&mut batch).unwrap();
        if batch.is_empty() {
            break;
        }
        let records = (0..batch.len()).map(|at| batch.record(at));
        found.extend(records.filter(Record::is_numbered).map(|record| record.seq));
    }
    found.sort_unstable();
    assert_eq!(found, numbers);
    assert_eq!(format!("{:?}", salvage.losses()), format!("{losses:?}"));
    assert_eq!(salvage.ending(), Some(ending));
}

impl Sound {
    fn stored(&self, record: usize) -> &[u8] {
        &self.bytes[self.places[record].clone()]
    }

    /// Reads damaged bytes; all that comes out was written, and these records at least come out.
    #[track_caller]
    fn check(&self, damaged: &[u8], survivors: impl IntoIterator<Item = usize>) -> Read {
        let read = read(damaged).expect("a capture");
        for (&seq, bytes) in &read.records {
            assert_eq!(bytes, self.stored(seq as usize), "record {seq} was altered");
        }
        for survivor in survivors {
            assert!(read.records.contains_key(&(survivor as u64)), "record {survivor} is gone");
        }
        let last = read.records.keys().next_back().map_or(0, |last| last + 1);
        assert_eq!(read.records.len() as u64 + read.losses.records, last, "{:?}", read.losses);
        read
    }

    /// Records that do not touch these bytes.
    fn outside(&self, bytes: Range<usize>) -> impl Iterator<Item = usize> {
        let apart =
            move |place: &Range<usize>| place.end <= bytes.start || place.start >= bytes.end;
        self.places.iter().enumerate().filter(move |(_, place)| apart(place)).map(|(i, _)| i)
    }
}

/// Bytes of which it counts how many were read.
struct Counted<'a>(&'a [u8], &'a Cell<usize>);

impl io::Read for Counted<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(room)?;
        self.1.set(self.1.get() + read);
        Ok(read)
    }
}

/// Beginnings of records that claim their length twice: the first is waited for, and no other is.
#[test]
fn whoever_was_misled_once_waits_for_no_length_again() {
    const MIB: usize = 1 << 20;
    let (large, larger, small) = (vec![0; 4 * MIB], vec![0; 12 * MIB], [7; 40]);
    let mut records = sample_records();
    records.truncate(1);
    for (seq, payload) in (1..).zip([&large[..], &small, &larger, &small]) {
        let message = Message::new(Direction::ServerToClient, Opcode::Binary, payload);
        records.push(Record { seq, t: Nanos(9_000 + seq), conn: 0, body: Body::Message(message) });
    }
    let sound = write(&records, *b"survives");
    let start = &sound.bytes[..sound.places[0].end];
    let [large, small, larger, last] = [1, 2, 3, 4].map(|record| sound.stored(record));
    let filler = vec![0; 13 * MIB];
    let all = [start, &large[..100], small, &larger[..100], last, &filler].concat();

    let read = Cell::new(0);
    let mut salvage = Salvage::new(Counted(&all, &read));
    let mut came = Vec::new();
    while let Some(record) = salvage.next_record().unwrap() {
        came.push((record.seq, read.get() / MIB));
    }
    assert!(matches!(came[..], [(0, 0), (2, 4..6), (4, 4..6)]), "{came:?}");
}

#[test]
fn sound_bytes_lose_nothing() {
    for sound in [small(), pages()] {
        let read = sound.check(&sound.bytes, 0..sound.places.len());
        assert!(read.losses.is_empty() && read.ending == Ending::Complete);
    }
}

#[test]
fn truncated_at_every_byte_the_complete_records_come_back() {
    let sound = small();
    for len in 10..sound.bytes.len() {
        let whole = sound.places.iter().filter(|place| place.end <= len).count();
        let read = sound.check(&sound.bytes[..len], 0..whole);
        assert_eq!(read.records.len(), whole, "at byte {len}");
        let end = if whole == 0 { 10 } else { sound.places[whole - 1].end };
        assert_eq!((read.losses.count, read.torn), (0, (len - end) as u64), "at byte {len}");
    }
    measured(sound.bytes.len() as u64 - 10, "places at which a file was cut");
    for len in 0..10 {
        assert!(read(&sound.bytes[..len]).is_none());
    }
}

#[test]
fn of_every_bit_flipped_at_most_one_record_is_lost_and_it_is_told() {
    let sound = small();
    for at in 0..sound.bytes.len() * 8 {
        let mut damaged = sound.bytes.clone();
        damaged[at / 8] ^= 1 << (at % 8);
        let read = sound.check(&damaged, sound.outside(at / 8..at / 8 + 1));
        assert!(read.losses.count > 0 || read.torn > 0, "bit {at} was not noticed");
        assert_eq!(
            read.sound_bytes + read.losses.bytes + read.torn + 10 * u64::from(at >= 80),
            damaged.len() as u64
        );
    }
    measured(sound.bytes.len() as u64 * 8, "bits flipped, each costing one record at most");
}

const PAGE: usize = 512;

#[test]
fn pages_zeroed_duplicated_removed_and_inserted() {
    let sound = pages();
    assert!(sound.bytes.len() > 20 * PAGE);
    for start in (0..sound.bytes.len() - PAGE).step_by(PAGE) {
        let page = start..start + PAGE;
        let mut zeroed = sound.bytes.clone();
        zeroed[page.clone()].fill(0);
        let read = sound.check(&zeroed, sound.outside(page.clone()));
        assert!(read.losses.count > 0);

        let mut removed = sound.bytes.clone();
        removed.drain(page.clone());
        sound.check(&removed, sound.outside(page.clone()));

        // A record is lost where the page falls into it, and not where it lies in the page.
        let falls_into = |place: &Range<usize>| place.start < page.end && page.end < place.end;
        let spans = |place: &Range<usize>| place.start < page.start && falls_into(place);
        let kept = |lost: &dyn Fn(&Range<usize>) -> bool| {
            let places = sound.places.iter().enumerate();
            places.filter(|(_, place)| !lost(place)).map(|(i, _)| i).collect::<Vec<_>>()
        };
        let mut doubled = sound.bytes.clone();
        doubled.splice(page.end..page.end, sound.bytes[page.clone()].to_vec());
        sound.check(&doubled, kept(&spans));

        for filler in [vec![0; PAGE], vec![0x93; PAGE], vec![0xff; 3 * PAGE]] {
            let mut inserted = sound.bytes.clone();
            inserted.splice(page.end..page.end, filler);
            let read = sound.check(&inserted, kept(&falls_into));
            assert!(read.losses.bytes >= PAGE as u64);
        }
    }
}

#[test]
fn captures_one_behind_the_other_come_back_one_by_one() {
    let (first, second) = (small(), write(&sample_records(), *b"a second"));
    for cut in [first.bytes.len(), first.bytes.len() - 1, 400] {
        let bytes = [&first.bytes[..cut], &second.bytes].concat();
        let mut salvage = Salvage::new(&bytes[..]);
        let mut counts = Vec::new();
        loop {
            while salvage.next_record().unwrap().is_some() {}
            counts.push(salvage.records());
            if !salvage.next_capture() {
                break;
            }
        }
        let whole = first.places.iter().filter(|place| place.end <= cut).count() as u64;
        assert_eq!(counts, [whole, second.places.len() as u64], "cut at {cut}");
    }
    let twice = [&first.bytes[..], &first.bytes].concat();
    let read = first.check(&twice, 0..first.places.len());
    assert_eq!((read.losses.repeated, read.losses.bytes), (first.places.len() as u64, 10));
}

#[test]
fn what_one_capture_lost_is_no_loss_of_the_next() {
    let (mut first, second) = (small().bytes, write(&sample_records(), *b"a second"));
    first[small().places[2].start + 60] ^= 1;
    let bytes = [&first[..], &second.bytes].concat();
    let mut salvage = Salvage::new(&bytes[..]);
    while salvage.next_record().unwrap().is_some() {}
    assert_eq!((salvage.losses().count, salvage.losses().records), (1, 1));
    assert!(salvage.next_capture());
    while let Some(stored) = salvage.next_stored().unwrap() {
        assert_eq!(stored.lost, None);
    }
    assert!(salvage.losses().is_empty() && salvage.losses().bytes == 0);
}

#[test]
fn a_false_length_costs_its_own_record_only() {
    let sound = pages();
    for record in [0, 1, 7, 30] {
        for len in [0_u32, 1, 5000, 1 << 24, 1 << 27, u32::MAX] {
            let mut damaged = sound.bytes.clone();
            let at = sound.places[record].start + 17;
            damaged[at..at + 4].copy_from_slice(&len.to_be_bytes());
            let read = sound.check(&damaged, sound.outside(sound.places[record].clone()));
            assert_eq!(read.losses.count, 1);
        }
    }
}

/// A capture of a record of 3 MiB between others, of which so many messages of 2,000 bytes follow.
fn around_a_long_one(following: u64) -> (Sound, usize) {
    let mut records = sample_records();
    let end = records.pop().unwrap();
    let long = records.len();
    let payloads = [vec![7; 3 << 20], vec![8; 2000]];
    for seq in long as u64..=long as u64 + following {
        let payload = &payloads[usize::from(seq > long as u64)];
        let message = Message::new(Direction::ServerToClient, Opcode::Binary, payload);
        records.push(Record { seq, t: Nanos(9_000 + seq), conn: 0, body: Body::Message(message) });
    }
    records.push(Record { seq: records.len() as u64, ..end });
    (write(&records, *b"survives"), long)
}

/// What is said of a long record of which these bytes are missing, or one is another.
#[track_caller]
fn check_long(following: u64, removed: usize, expected: &DamageReason) {
    let (sound, long) = around_a_long_one(following);
    let at = sound.places[long].start + (1 << 19);
    let mut damaged = sound.bytes.clone();
    damaged[at] ^= 1;
    damaged.drain(at + 1..at + 1 + removed);
    let read = sound.check(&damaged, sound.outside(sound.places[long].clone()));
    assert_eq!((read.losses.count, read.losses.records), (1, 1));
    assert_eq!(read.losses.first[0].reason, *expected, "{removed} bytes of it are missing");
}

#[test]
fn a_long_record_is_damaged_by_itself_or_covers_others() {
    check_long(0, 0, &DamageReason::Checksum);
    check_long(2000, 0, &DamageReason::Checksum);
    // Others begin in what it claims, and so near to its end that nobody looks for them.
    check_long(2000, 1 << 16, &DamageReason::Checksum);
    check_long(2000, 2 << 20, &DamageReason::Overlong);
    check_long(3, 2 << 20, &DamageReason::Overlong);
}

#[test]
fn a_source_that_never_ends_is_no_capture() {
    let error = Salvage::new(std::io::repeat(0)).next_record().unwrap_err().to_string();
    assert!(error.contains("not a lagtape capture"), "{error}");
}

#[test]
fn many_losses_are_counted_and_the_first_are_kept() {
    let sound = pages();
    let mut bytes = sound.bytes[..10].to_vec();
    let count = MAX_LOSSES as u64 + 50;
    let mut writer = Writer::new(SyncMarker(*b"survives"));
    for seq in 0..=count {
        let message = Message::new(Direction::ServerToClient, Opcode::Text, b"{}");
        let body = if seq == 0 { sample_records()[0].body.clone() } else { Body::Message(message) };
        writer.write(&Record { seq: seq * 2, t: Nanos(seq), conn: 0, body }, &mut bytes);
    }
    let losses = read(&bytes).unwrap().losses;
    assert_eq!((losses.count, losses.records, losses.first.len()), (count, count, MAX_LOSSES));
}

#[test]
fn recover_says_what_is_lost_and_gaps_stand_for_it() {
    let sound = pages();
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut damaged = sound.bytes.clone();
    damaged[sound.places[20].start + 60] ^= 1;
    let zeroed = sound.places[40].start + 3..sound.places[43].end - 3;
    damaged[zeroed].fill(0);
    fs::write(path("damaged"), &damaged).unwrap();

    let found = app::verify(&path("damaged"), false).unwrap();
    let [verified] = &found[..] else { panic!("{found:?}") };
    let places: Vec<_> = verified.lost.damage.iter().map(|p| (p.record, p.offset)).collect();
    let at = |record: usize| sound.places[record].start as u64;
    assert_eq!(places, [(20, at(20)), (39, at(40))]);
    assert_eq!((verified.lost.records_lost, verified.complete), (5, true));

    let recovered = app::recover(&path("damaged"), &path("sound"), false).unwrap();
    assert_eq!(recovered[0].lost, verified.lost);
    let mut gaps = Vec::new();
    let mut salvage = Salvage::new(fs::File::open(path("sound")).unwrap());
    while let Some(record) = salvage.next_record().unwrap() {
        if let Body::Gap(Gap { first_seq, count, bytes, reason }) = record.body
            && reason.starts_with("damaged")
        {
            gaps.push((record.seq, first_seq, count, bytes));
        }
    }
    let len = |records: Range<usize>| records.map(|i| sound.places[i].len() as u64).sum::<u64>();
    assert_eq!(gaps, [(20, 20, 1, len(20..21)), (43, 40, 4, len(40..44))]);
    assert!(salvage.losses().is_empty());
}

#[test]
fn captures_behind_others_are_recovered_beside_them() {
    let folder = TempDir::new().unwrap();
    let both = [small().bytes, write(&sample_records(), *b"a second").bytes].concat();
    fs::write(folder.path().join("both"), both).unwrap();
    let out = folder.path().join("out.lagtape");
    let recovered = app::recover(&folder.path().join("both"), &out, false).unwrap();
    for (one, sound) in recovered.iter().zip([small(), write(&sample_records(), *b"a second")]) {
        let read = sound.check(&fs::read(&one.out).unwrap(), 0..sound.places.len());
        assert!(read.losses.is_empty() && read.ending == Ending::Complete);
    }
    assert_eq!(recovered.len(), 2);
    assert_eq!(recovered[1].out, folder.path().join("out.2.lagtape"));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        rng_seed: RngSeed::Fixed(6),
        failure_persistence: None,
        ..Default::default()
    })]

    /// Whatever happens to a file: what comes out was written, and recovering twice is once.
    #[test]
    fn recovering_twice_changes_nothing(
        faults in proptest::collection::vec(
            (any::<proptest::sample::Index>(), 0..2000_usize, 0..5_u8, any::<u8>()), 0..6),
    ) {
        let sound = pages();
        let mut bytes = sound.bytes.clone();
        for (at, len, fault, value) in faults {
            let at = at.index(bytes.len());
            let range = at..(at + len).min(bytes.len());
            match fault {
                0 => bytes[at] = value,
                1 => bytes[range].fill(value),
                2 => drop(bytes.drain(range)),
                3 => drop(bytes.splice(at..at, sound.bytes[..len].to_vec())),
                _ => drop(bytes.splice(at..at, vec![value; len])),
            }
        }
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("damaged"), &bytes).unwrap();
        prop_assume!(read(&bytes).is_some_and(|read| !read.records.is_empty()));
        sound.check(&bytes, []);
        app::recover(&path("damaged"), &path("once"), false).unwrap();
        let once = fs::read(path("once")).unwrap();
        prop_assert!(read(&once).unwrap().losses.is_empty());
        let again = app::recover(&path("once"), &path("twice"), false).unwrap();
        prop_assert!(!again[0].lost.anything());
        prop_assert!(once == fs::read(path("twice")).unwrap());
    }
}
