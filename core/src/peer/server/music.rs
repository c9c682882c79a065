//! What a server knows of the music of a source: tempo, key and time signature.

/// What is known of the music of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Music {
    pub bpm: u32,
    /// Such as `G minor`.
    pub key: String,
    /// Beats of a bar, as text.
    pub time_signature: String,
}

impl Default for Music {
    /// What the server finds out about audio that it does not know.
    fn default() -> Self {
        Self { bpm: 96, key: "G minor".to_owned(), time_signature: "4".to_owned() }
    }
}

impl Music {
    /// This music, with what a client says about it.
    #[must_use]
    pub fn with(mut self, key: Option<&str>, time_signature: Option<&str>) -> Self {
        let said = key.map(str::trim).filter(|key| !key.is_empty());
        said.map(str::to_owned).into_iter().for_each(|key| self.key = key);
        let said = time_signature.and_then(known_time_signature);
        said.into_iter().for_each(|beats| self.time_signature = beats);
        self
    }
}

/// A time signature that the model knows; others count for nothing.
pub(super) fn known_time_signature(text: &str) -> Option<String> {
    let beats = text.trim();
    ["2", "3", "4", "6"].contains(&beats).then(|| beats.to_owned())
}
