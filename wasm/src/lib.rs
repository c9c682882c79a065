//! The core in a page: a file in, sessions for the page out.
//!
//! A page writes the file's name and bytes where [`set_name`] and [`set_file`] say, has [`read_file`] find
//! the sessions in it, and asks for each of them. What an answer is stands at [`said`]; where a call answers
//! 0 that is a sentence for people. Each file takes an instance of its own: there is no way back from a
//! trap, after which [`panicked`] has the reason.

mod dropped;

use std::panic;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dropped::Dropped;

static NAME: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static FILE: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static DROPPED: Mutex<Option<Dropped>> = Mutex::new(None);
static SAID: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static PANICKED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where `len` bytes are to be written. Nothing of ours is written or read there until the next call.
fn room(of: &Mutex<Vec<u8>>, len: usize) -> *mut u8 {
    let mut bytes = locked(of);
    *bytes = vec![0; len];
    bytes.as_mut_ptr()
}

/// Says something; answers whether it is what was asked for.
fn say(answer: Result<String, String>) -> u32 {
    let is_made = answer.is_ok();
    *locked(&SAID) = answer.unwrap_or_else(|sentence| sentence).into_bytes();
    u32::from(is_made)
}

fn of_session(make: impl FnOnce(&Dropped) -> Result<String, String>) -> u32 {
    let dropped = locked(&DROPPED);
    say(dropped.as_ref().ok_or_else(|| "there is no file yet".to_owned()).and_then(make))
}

/// Room for the file's name, in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn set_name(len: usize) -> *mut u8 {
    panic::set_hook(Box::new(|info| *locked(&PANICKED) = info.to_string().into_bytes()));
    room(&NAME, len)
}

/// Room for its bytes.
#[unsafe(no_mangle)]
pub extern "C" fn set_file(len: usize) -> *mut u8 {
    room(&FILE, len)
}

/// How many sessions the file holds; what had to be assumed of it is said in lines.
#[unsafe(no_mangle)]
pub extern "C" fn read_file() -> u32 {
    let name = String::from_utf8_lossy(&locked(&NAME)).into_owned();
    match Dropped::read(name, std::mem::take(&mut locked(&FILE))) {
        Ok(dropped) => {
            let sessions = dropped.sessions();
            say(Ok(dropped.assumed()));
            *locked(&DROPPED) = Some(dropped);
            sessions
        }
        Err(sentence) => say(Err(sentence)),
    }
}

/// Says the report of a session, which counts from 0, as `lagtape analyze --json` does.
#[unsafe(no_mangle)]
pub extern "C" fn analysis_json(session: usize) -> u32 {
    of_session(|dropped| dropped.analysis_json(session))
}

/// Says a session as the page draws it, with its wind tunnel or without.
#[unsafe(no_mangle)]
pub extern "C" fn page_session(session: usize, with_tunnel: u32) -> u32 {
    of_session(|dropped| dropped.page_session(session, with_tunnel != 0))
}

/// Says the page of a session, as `lagtape report` writes it.
#[unsafe(no_mangle)]
pub extern "C" fn page_file(session: usize) -> u32 {
    of_session(|dropped| dropped.page_file(session))
}

/// Where the last answer stands.
#[unsafe(no_mangle)]
pub extern "C" fn said() -> *const u8 {
    locked(&SAID).as_ptr()
}

/// Its length in bytes.
#[unsafe(no_mangle)]
pub extern "C" fn said_len() -> usize {
    locked(&SAID).len()
}

/// Where the reason of a trap stands.
#[unsafe(no_mangle)]
pub extern "C" fn panicked() -> *const u8 {
    locked(&PANICKED).as_ptr()
}

/// Its length in bytes; 0 where there was none.
#[unsafe(no_mangle)]
pub extern "C" fn panicked_len() -> usize {
    locked(&PANICKED).len()
}
