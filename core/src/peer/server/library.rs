//! The tracks that clients uploaded: they stay as long as the server, and every session can swap to
//! them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::music::Music;
use super::pcm::Pcm;

/// The uploaded tracks, shared by all sessions of a server.
#[derive(Clone, Debug, Default)]
pub struct TrackLibrary {
    tracks: Arc<Mutex<Vec<UserTrack>>>,
}

/// A track that a client uploaded.
#[derive(Clone, Debug, PartialEq)]
pub struct UserTrack {
    /// Its name; ends in `.wav`.
    pub name: String,
    /// What was found out, or said, of its music.
    pub music: Music,
    pub pcm: Arc<Pcm>,
}

/// A track does not fit any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the library is full: it holds {} tracks or {} MiB",
    TrackLibrary::MAX_TRACKS,
    TrackLibrary::MAX_SAMPLES >> 18
)]
pub struct LibraryFull;

impl TrackLibrary {
    /// Tracks at most.
    pub const MAX_TRACKS: usize = 256;
    /// Samples at most, in all tracks: 1 GiB.
    pub const MAX_SAMPLES: usize = 1 << 28;

    /// The names, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.lock().iter().map(|track| track.name.clone()).collect();
        names.sort();
        names
    }

    /// The track of that name, whatever its extension: the real server keeps each in a folder that
    /// is named without it.
    #[must_use]
    pub fn track(&self, name: &str) -> Option<UserTrack> {
        let stem = stem(name);
        self.lock().iter().find(|track| self::stem(&track.name) == stem).cloned()
    }

    /// Keeps a track under a name that no other has. The same audio under the same name is kept
    /// once, unless the client says what its music is.
    pub fn keep(
        &self,
        name: &str,
        music: Option<Music>,
        pcm: Pcm,
    ) -> Result<UserTrack, LibraryFull> {
        let known = self.track(name).filter(|track| music.is_none() && is_same(&track.pcm, &pcm));
        if let Some(known) = known {
            return Ok(known);
        }
        let mut tracks = self.lock();
        let samples: usize = tracks.iter().map(|track| track.pcm.audio.len()).sum();
        if tracks.len() >= Self::MAX_TRACKS || samples + pcm.audio.len() > Self::MAX_SAMPLES {
            return Err(LibraryFull);
        }
        let name = free_name(name, &tracks);
        let track = UserTrack { name, music: music.unwrap_or_default(), pcm: Arc::new(pcm) };
        tracks.push(track.clone());
        Ok(track)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<UserTrack>> {
        self.tracks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PartialEq for TrackLibrary {
    /// Whether they are one.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.tracks, &other.tracks)
    }
}

/// Whether it is the same audio, perhaps by way of a file of 16 bits.
fn is_same(one: &Pcm, other: &Pcm) -> bool {
    let is_close = |(one, other): (&f32, &f32)| (one - other).abs() <= 1e-3;
    one.channels == other.channels
        && one.audio.len() == other.audio.len()
        && one.audio.iter().zip(&other.audio).all(is_close)
}

/// A name for a file that no track has yet.
fn free_name(wanted: &str, tracks: &[UserTrack]) -> String {
    let stem = stem(wanted);
    let is_free = |stem: &str| tracks.iter().all(|track| self::stem(&track.name) != stem);
    let mut candidate = stem.clone();
    for number in 1.. {
        if is_free(&candidate) {
            break;
        }
        candidate = format!("{stem} ({number})");
    }
    candidate + ".wav"
}

/// A name without folders and extension, and with nothing in it that a file cannot be called.
fn stem(name: &str) -> String {
    let file = name.rsplit(['/', '\\']).next().unwrap_or_default().trim();
    let stem = match file.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => file,
    };
    let safe = |letter: char| {
        if letter.is_alphanumeric() || "._- ()".contains(letter) { letter } else { '_' }
    };
    // Longer ones are nobody's.
    let safe: String = stem.chars().take(200).map(safe).collect();
    match safe.trim_matches([' ', '.']) {
        "" => "upload".to_owned(),
        safe => safe.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pcm(sample: f32) -> Pcm {
        Pcm { channels: 1, audio: vec![sample; 4] }
    }

    #[test]
    fn tracks_get_names_of_their_own() {
        let library = TrackLibrary::default();
        let keep = |name: &str, sample| library.keep(name, None, pcm(sample)).unwrap().name;
        assert_eq!(keep("../a/My Song.mp3", 0.1), "My Song.wav");
        assert_eq!(keep("My Song.flac", 0.2), "My Song (1).wav");
        assert_eq!(keep("My Song.flac", 0.1), "My Song.wav", "the same audio again");
        assert_eq!(keep("a:b?.wav", 0.1), "a_b_.wav");
        assert_eq!(keep("..", 0.1), "upload.wav");
        assert_eq!(library.names(), ["My Song (1).wav", "My Song.wav", "a_b_.wav", "upload.wav"]);
        assert_eq!(library.track("My Song").unwrap().name, "My Song.wav");
        assert_eq!(library.track("Another.wav"), None);
    }

    #[test]
    fn the_library_is_bounded() {
        let library = TrackLibrary::default();
        for i in 0..TrackLibrary::MAX_TRACKS {
            library.keep(&i.to_string(), None, pcm(0.0)).unwrap();
        }
        assert_eq!(library.keep("one more", None, pcm(0.0)), Err(LibraryFull));
    }
}
